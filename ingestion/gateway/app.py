"""The gateway as a web application."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from ingestion.gateway import answers, describing
from ingestion.gateway.answers import Problem, Refused
from ingestion.gateway.bodies import JSON, LINES, content_type, read_body
from ingestion.gateway.checking import Checker
from ingestion.gateway.endpoints import Endpoint
from ingestion.gateway.keys import Keys
from ingestion.gateway.measuring import MEDIA_TYPE, Measures
from ingestion.gateway.rates import Rates
from ingestion.gateway.sending import Result, Sender
from ingestion.gateway.settings import Settings
from ingestion.gateway.splitting import split_lines, split_list


@dataclass(frozen=True)
class Gateway:
    """All that a gateway process needs; made of plain values, so that it can be handed on.

    `connection` holds librdkafka's client settings.
    """

    endpoints: tuple[Endpoint, ...]
    connection: Mapping[str, str]
    settings: Settings = field(default_factory=Settings)
    keys: Keys = field(default_factory=Keys)
    version: str = "0"

    def shared_by(self, processes: int) -> Gateway:
        """The same for one of several processes: together they allow what one would."""
        mine = self.settings
        burst = max(mine.burst // processes, mine.max_events)
        return replace(self, settings=replace(mine, rate=mine.rate / processes, burst=burst))

    def __call__(self) -> FastAPI:
        return create_app(self)


def create_app(gateway: Gateway) -> FastAPI:
    """The application; it connects to Kafka when it is started, not here."""
    topics = frozenset(endpoint.topic.name for endpoint in gateway.endpoints)
    sender = Sender(gateway.connection, topics, gateway.settings.delivery_seconds)
    measures = Measures(lambda: sender.waiting, lambda: sender.health.well)
    rates = Rates(gateway.settings.rate, gateway.settings.burst)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await sender.start()
        yield
        await sender.stop()
        measures.end()

    app = FastAPI(
        title="Waypoint gateway",
        version=gateway.version,
        description="Events, checked against their contract, into Kafka.",
        lifespan=life,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        exception_handlers={HTTPException: _http_refused},
    )
    for endpoint in gateway.endpoints:
        door = _Door(endpoint, gateway, sender, measures, rates)
        app.add_api_route(
            endpoint.address,
            _handler(door),
            methods=["POST"],
            status_code=answers.ACCEPTED,
            response_class=Response,
            summary=f"Send {'events' if endpoint.many else 'one event'} to {endpoint.topic.name}",
            operation_id=f"send_{endpoint.path}",
            openapi_extra=describing.operation(
                endpoint, gateway.settings.max_events, bool(gateway.keys)
            ),
        )

    async def health() -> Response:
        """Whether events can be taken now."""
        found = sender.health
        status = "well" if found.well else "unavailable"
        document = {"status": status, "reason": found.reason}
        return answers.said(200 if found.well else 503, document)

    async def metrics() -> Response:
        """What is measured, for Prometheus."""
        return Response(measures.text(), media_type=MEDIA_TYPE)

    app.add_api_route("/health", health, responses=describing.health(), response_class=Response)
    app.add_api_route(
        "/metrics",
        metrics,
        response_class=Response,
        responses={200: {"description": "Metrics.", "content": {"text/plain": {}}}},
    )
    app.openapi = _described(app, bool(gateway.keys))  # type: ignore[method-assign]
    return app


@dataclass(frozen=True)
class _Door:
    """What one endpoint does with a request."""

    endpoint: Endpoint
    gateway: Gateway
    sender: Sender
    measures: Measures
    rates: Rates


def _handler(door: _Door) -> Callable[[Request], Awaitable[Response]]:
    """The function behind an endpoint."""
    endpoint, settings = door.endpoint, door.gateway.settings
    topic, checker = endpoint.topic.name, Checker(endpoint, settings.max_event)
    seconds = door.measures.seconds.labels(endpoint.address)
    delivery = door.measures.delivery.labels(topic)
    keys, rates, sender = door.gateway.keys, door.rates, door.sender

    async def send(messages: list[tuple[bytes, bytes]]) -> list[Result]:
        began = perf_counter()
        results = await sender.send(topic, messages)
        delivery.observe(perf_counter() - began)
        return results

    async def accept_one(request: Request, _client: str) -> tuple[Response, list[Result]]:
        content_type(request, (JSON,))
        body = await read_body(request, settings.max_body)
        [result] = await send([(checker.key(body), body)])
        return answers.one(result, topic), [result]

    async def accept_many(request: Request, client: str) -> tuple[Response, list[Result]]:
        kind = content_type(request, (JSON, LINES))
        body = await read_body(request, settings.max_body)
        texts = split_lines(body) if kind == LINES else split_list(body)
        if not texts:
            raise Refused.because(422, "the batch holds no event")
        if len(texts) > settings.max_events:
            reason = f"the batch holds {len(texts):,} events; send {settings.max_events:,} at most"
            raise Refused.because(413, reason)
        # one was taken for the request itself
        if len(texts) > 1 and (wait := rates.take(client, len(texts) - 1)):
            raise Refused.too_much(wait)
        results: list[Result | None] = [None] * len(texts)
        messages, places = [], []
        for place, text in enumerate(texts):
            try:
                messages.append((checker.key(text), text))
                places.append(place)
            except Refused as refused:
                results[place] = refused
        if messages:
            for place, result in zip(places, await send(messages), strict=True):
                results[place] = result
        told = [result for result in results if result is not None]
        return answers.many(told, topic), told

    accept = accept_many if endpoint.many else accept_one

    async def handle(request: Request) -> Response:
        began = perf_counter()
        told: list[Result]
        try:
            answer, told = await accept(request, _client(request, keys, rates))
        except Refused as refused:
            answer, told = refused.answer(), [refused]
        door.measures.requests.labels(endpoint.address, answer.status_code).inc()
        _count(door, told)
        seconds.observe(perf_counter() - began)
        return answer

    return handle


def _count(door: _Door, results: list[Result]) -> None:
    counts = Counter(result.status for result in results)
    path, topic = door.endpoint.address, door.endpoint.topic.name
    for status, count in counts.items():
        door.measures.events.labels(path, topic, status).inc(count)


def _client(request: Request, keys: Keys, rates: Rates) -> str:
    """Who sends, having taken a token for it.

    Raises:
        Refused: 401 without a key that is known, 429 where the client sent too much.
    """
    address = request.client.host if request.client else ""
    if not keys:
        client: str | None = f"at {address}"
    else:
        client = keys.client(request.headers.get(describing.KEY_HEADER, ""))
    # who tries keys out is slowed down as well
    wait = rates.take(client or f"at {address}", 1)
    if wait:
        raise Refused.too_much(wait)
    if client is None:
        reason = "is missing" if describing.KEY_HEADER not in request.headers else "is not known"
        raise Refused.because(
            401, reason, of=describing.KEY_HEADER, WWW_Authenticate=describing.KEY_HEADER
        )
    return client


async def _http_refused(_: Request, error: Exception) -> Response:
    """Addresses and methods that there are not, in the same shape as everything else."""
    assert isinstance(error, HTTPException)
    problem = Problem("", str(error.detail))
    return Refused(error.status_code, (problem,), dict(error.headers or {})).answer()


def _described(app: FastAPI, needs_key: bool) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document, made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            if needs_key:
                schemes = describing.security(needs_key)
                document.setdefault("components", {})["securitySchemes"] = schemes
            app.openapi_schema = document
        return app.openapi_schema

    return openapi

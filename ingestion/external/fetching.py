"""The first step: asking for everything that an entry wants, several requests at a time.

A request that fails stops no other, and what came of its earlier pages is kept. A server that
leaves several requests after each other without an answer is not asked any further.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from ingestion.external.entry import HOLE, Entry, Paging
from ingestion.external.mapping import Scope
from ingestion.external.records import read_answer, records
from ingestion.http_requests import HttpServer, Reply, UnusableAnswer
from waypoint.errors import Exit, Unavailable, UnusableInput, WaypointError

#: So many requests without an answer after each other, and the server is taken for dead.
DEAD_AFTER = 5
#: What is kept of an answer that nothing could be made of, in characters.
KEPT = 100_000

_ACCEPTED = {
    "json": "application/json",
    "rss": "application/rss+xml, application/atom+xml, application/xml, text/xml",
}


@dataclass(frozen=True)
class Request:
    """One request of an entry: its number from 0, what it asks for, and where."""

    number: int
    each: Mapping[str, Any]
    url: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """One page that came: of which request, the how manieth (from 1), and what was sent."""

    request: int
    page: int
    document: Any


@dataclass(frozen=True)
class FailedRequest:
    """A request that did not come to its end; `body` is an answer that nothing could be made of."""

    request: int
    error: str
    hint: str = ""
    exit_code: int = Exit.FOUND_FAILURES
    body: str | None = None


@dataclass(frozen=True)
class Fetched:
    """What came of an entry's requests."""

    source: str
    moment: str  # when it was asked, ISO 8601 (UTC, no zone)
    requests: int
    answers: tuple[Answer, ...] = ()
    failed: tuple[FailedRequest, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON knows it; `from_document` takes it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Fetched:
        return cls(
            source=document["source"],
            moment=document["moment"],
            requests=document["requests"],
            answers=tuple(Answer(**answer) for answer in document["answers"]),
            failed=tuple(FailedRequest(**failed) for failed in document["failed"]),
        )


def plan(entry: Entry, moment: datetime) -> list[Request]:
    """What is to be asked at `moment` (UTC, no zone)."""
    return [_request(entry, number, each, moment) for number, each in enumerate(entry.each)]


def together(parts: Iterable[Fetched]) -> Fetched:
    """What was fetched in several parts, as one; there is at least one."""
    listed = list(parts)
    return replace(
        listed[0],
        requests=sum(part.requests for part in listed),
        answers=tuple(answer for part in listed for answer in part.answers),
        failed=tuple(failed for part in listed for failed in part.failed),
    )


def fetch(
    entry: Entry,
    requests: Iterable[Request],
    moment: datetime,
    *,
    key: str | None = None,
    sandbox: str | None = None,
    parallel: int | None = None,
    report: Callable[[int], None] = lambda _pages: None,
) -> Fetched:
    """Ask for all of `requests`, `parallel` at a time (as many as the entry says, unless given).

    Args:
        entry: whose requests they are.
        requests: from `plan`, or some of them.
        moment: when they are asked (UTC, no zone), as the plan has it.
        key: what the entry's `auth` asks for.
        sandbox: the address of a server that stands for all others, where given.
        report: told of each page that came.

    Raises:
        UnusableInput: the entry's headers or key cannot be sent.
    """
    wanted = list(requests)
    headers, parameters, token = _credentials(entry, key)
    dead, stopping = _Dead(), threading.Event()
    with HttpServer(
        entry.name,
        "",
        token,
        headers,
        entry.patience,
        secrets=(key or "", *_secret(entry.headers or {})),
        follow=entry.auth is None and sandbox is None,
        accept=_ACCEPTED[entry.format],
        stopping=stopping,
    ) as server:

        def ask(request: Request) -> tuple[list[Answer], FailedRequest | None]:
            answers: list[Answer] = []
            try:
                dead.check(entry.name)
                for answer in _pages(entry, server, request, parameters, sandbox):
                    answers.append(answer)
                    report(1)
                dead.alive()
            except WaypointError as error:
                dead.tell(error)
                return answers, _failed(request, error)
            return answers, None

        with ThreadPoolExecutor(max_workers=parallel or entry.parallel) as pool:
            try:
                ended = list(pool.map(ask, wanted))
            except BaseException:
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return Fetched(
        source=entry.name,
        moment=moment.isoformat(),
        requests=len(wanted),
        answers=tuple(answer for answers, _ in ended for answer in answers),
        failed=tuple(failed for _, failed in ended if failed is not None),
    )


def sandboxed(url: str, sandbox: str) -> str:
    """The address at which a sandbox answers for `url`: the host becomes the first folder."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{sandbox.rstrip('/')}/{parts.netloc}{parts.path}{query}"


class _Dead:
    """Counts requests after each other that a server left without an answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent = 0

    def check(self, source: str) -> None:
        if self._silent >= DEAD_AFTER:
            raise _NotAsked(
                f"{source}: not asked, since {DEAD_AFTER} requests before it got no answer",
                hint="what was not fetched is asked for again the next time",
            )

    def alive(self) -> None:
        with self._lock:
            self._silent = 0

    def tell(self, error: WaypointError) -> None:
        with self._lock:
            self._silent = self._silent + 1 if isinstance(error, Unavailable) else 0


class _NotAsked(Unavailable):
    """A request that was not made."""


def _failed(request: Request, error: WaypointError) -> FailedRequest:
    body = error.body if isinstance(error, UnusableAnswer) else None
    hint = error.hint.replace("the resource's parameters in sources.yml", "the entry's parameters")
    return FailedRequest(
        request=request.number,
        error=str(error),
        hint=hint.replace("base_url and the resource's", "the entry's url and"),
        exit_code=int(error.exit_code),
        body=None if body is None else body[:KEPT],
    )


def _request(entry: Entry, number: int, each: Mapping[str, Any], moment: datetime) -> Request:
    def fill(text: str, in_url: bool) -> str:
        def hole(match: Any) -> str:
            name = match["what"]
            if name.startswith("each."):
                value = str(each[name.removeprefix("each.")])
                value = value.replace(" ", match["form"]) if match["form"] else value
                return quote(value, safe="") if in_url and match.start() else value
            time = moment if name == "now" else moment - entry.window
            return time.strftime(match["form"] or "%Y-%m-%dT%H:%M:%SZ")

        return HOLE.sub(hole, text)

    return Request(
        number=number,
        each=each,
        url=fill(entry.url, in_url=True),
        parameters={
            name: fill(value, in_url=False) if isinstance(value, str) else value
            for name, value in (entry.parameters or {}).items()
        },
    )


def _credentials(
    entry: Entry, key: str | None
) -> tuple[dict[str, str], dict[str, str], str | None]:
    """Headers, parameters and bearer token of each request."""
    headers = dict(entry.headers or {})
    if entry.auth is None:
        return headers, {}, None
    if not key:
        raise UnusableInput(f"{entry.name}: its key is not there")
    if entry.auth.header:
        headers[entry.auth.header] = key
    return (
        headers,
        {entry.auth.parameter: key} if entry.auth.parameter else {},
        key if entry.auth.bearer else None,
    )


def _secret(headers: Mapping[str, str]) -> list[str]:
    """Values of headers that are not to be shown: of all but those that everybody sends."""
    shown = ("accept", "user-agent")
    return [value for name, value in headers.items() if not name.lower().startswith(shown)]


# pages


def _pages(
    entry: Entry,
    server: HttpServer,
    request: Request,
    parameters: Mapping[str, str],
    sandbox: str | None,
) -> Any:
    paging = entry.paging
    url = sandboxed(request.url, sandbox) if sandbox else request.url
    query: dict[str, Any] | None = {**request.parameters, **parameters}
    assert query is not None
    if paging.size is not None and paging.size_parameter:
        query[paging.size_parameter] = paging.size
    if paging.style == "page":
        query[paging.parameter or ""] = paging.first
    elif paging.style == "offset":
        query[paging.parameter or ""] = 0
    for number in range(1, paging.most_pages + 1):
        document, reply = server.get(
            url,
            query,
            lambda reply: (read_answer(entry, reply), reply),
            garbage_passes=True,
        )
        yield Answer(request.number, number, document)
        following = _next(entry, server, url, query, document, reply, number)
        if following is None:
            return
        url, query = following


def _next(
    entry: Entry,
    server: HttpServer,
    url: str,
    query: dict[str, Any] | None,
    document: Any,
    reply: Reply,
    number: int,
) -> tuple[str, dict[str, Any] | None] | None:
    """Where the next page is; None: this was the last one."""
    paging: Paging = entry.paging
    name = paging.parameter or ""
    if paging.style == "link":
        return _linked(entry, server, url, query, reply)
    if paging.style == "cursor":
        cursor = Scope(document).at(paging.next or "")
        if not cursor:
            return None
        if query is not None and query.get(name) == cursor:
            raise UnusableAnswer(f"{entry.name}: the answer names the same next page again")
        return url, {**(query or {}), name: cursor}
    if paging.style == "none":
        return None
    got = len(records(entry, document))
    if not got or (paging.size is not None and got < paging.size):
        return None
    step = paging.first + number if paging.style == "page" else (query or {})[name] + got
    return url, {**(query or {}), name: step}


def _linked(
    entry: Entry, server: HttpServer, url: str, query: dict[str, Any] | None, reply: Reply
) -> tuple[str, None] | None:
    links = httpx.Response(200, headers=reply.headers).links
    target = links.get("next", {}).get("url")
    if not target:
        return None
    found = urljoin(reply.url, target)
    if (urlsplit(found).scheme, urlsplit(found).netloc) != (
        urlsplit(reply.url).scheme,
        urlsplit(reply.url).netloc,
    ):
        raise UnusableAnswer(
            f"{entry.name}: the next page is said to be on another server:"
            f" {server.shown(found)[:200]}"
        )
    if found == reply.url:
        raise UnusableAnswer(f"{entry.name}: the answer names itself as the next page")
    return found, None

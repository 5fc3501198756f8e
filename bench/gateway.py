"""The gateway against a bare handler that only produces: requests and events a second.

    .venv/bin/python bench/gateway.py                     a broker of its own, for the time it takes
    .venv/bin/python bench/gateway.py --seconds 10 --connections 128

Both are the same web server and the same producer, with acks=all and delivery awaited. The bare
handler takes the body apart and produces what is in it: no checks, limits, keys or metrics. The
load generator runs on the same cores. Rounds alternate between the two, so that a ratio compares
what the machine gave to both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from fastapi import FastAPI, Request, Response

from ingestion.gateway.app import Gateway, create_app
from ingestion.gateway.endpoints import read_endpoints
from ingestion.gateway.sending import Sender
from ingestion.gateway.settings import Settings
from waypoint.project import Project

ROOT = Path(__file__).resolve().parents[1]
SINGLE, BATCH = "/events/user", "/events/batch"
DELIVERY_SECONDS = 30.0


def event(number: int) -> bytes:
    """An event of 405 bytes."""
    said = {
        "event_id": str(uuid.UUID(int=number)),
        "event_type": "search",
        "user_id": number % 100_000,
        "session_id": f"s-{number % 5_000:06d}",
        "app_type": "web",
        "timestamp": "2026-01-31T10:00:00.123Z",
        "properties": {
            "page": "/search",
            "destination": "Lisbon",
            "query": "hotel Lisbon",
            "country": "NL",
            "device_type": "desktop",
            "processing_ms": 123,
            "results": 42,
        },
    }
    short = len(json.dumps(said, separators=(",", ":")))
    said["properties"]["referrer"] = "r" * (405 - short - len(',"referrer":""'))  # type: ignore
    return json.dumps(said, separators=(",", ":")).encode()


def bare_app(connection: dict[str, str], topic: str) -> FastAPI:
    """A handler that only produces."""
    sender = Sender(connection, frozenset({topic}), DELIVERY_SECONDS)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> Any:
        await sender.start()
        yield
        await sender.stop()

    app = FastAPI(lifespan=life)

    @app.post(SINGLE)
    async def single(request: Request) -> Response:
        body = await request.body()
        said = orjson.loads(body)
        [result] = await sender.send(topic, [(str(said["user_id"]).encode(), body)])
        answer = {"partition": result.partition, "offset": result.offset}  # type: ignore
        return Response(orjson.dumps(answer), 202)

    @app.post(BATCH)
    async def batch(request: Request) -> Response:
        said = orjson.loads(await request.body())
        messages = [(str(one["user_id"]).encode(), orjson.dumps(one)) for one in said]
        results = await sender.send(topic, messages)
        answer = [{"partition": r.partition, "offset": r.offset} for r in results]  # type: ignore
        return Response(orjson.dumps(answer), 202)

    return app


def serve(kind: str, connection: dict[str, str], bound: socket.socket, ended: Any) -> None:
    """One of the two, in a process of its own, until the parent says so."""
    endpoints = tuple(read_endpoints(Project.find(ROOT)))
    topic = endpoints[0].topic.name
    if kind == "bare":
        app = bare_app(connection, topic)
    else:
        limits = Settings(rate=1e9, burst=10**9, delivery_seconds=DELIVERY_SECONDS)
        app = create_app(Gateway(endpoints, connection, limits))
    config = uvicorn.Config(app, log_level="error", access_log=False, backlog=2048)
    server = uvicorn.Server(config)

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        await asyncio.to_thread(ended.wait)
        server.should_exit = True
        await serving

    asyncio.run(run())


@contextlib.contextmanager
def running(kind: str, connection: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The server's port and process id."""
    context = multiprocessing.get_context("spawn")
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    ended = context.Event()
    process = context.Process(target=serve, args=(kind, connection, bound, ended), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield bound.getsockname()[1], process.pid
    finally:
        ended.set()
        process.join(30)


class Client(asyncio.Protocol):
    """A connection that sends the same request again and again, as fast as it is answered."""

    def __init__(self, load: Load) -> None:
        self.load, self.buffer = load, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        if time.monotonic() >= self.load.until:
            self.transport.close()
            return
        self.began = time.monotonic()
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.buffer = b""
        self.load.answered(head, time.monotonic() - self.began)
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.open -= 1
        if self.load.open == 0:
            self.load.done.set_result(None)


class Load:
    """A number of connections for a number of seconds."""

    def __init__(self, path: str, size: int, connections: int, seconds: float) -> None:
        self.size, self.open, self.until = size, connections, time.monotonic() + seconds
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.taken: list[float] = []
        self.requests = [self._request(path, size, n) for n in range(200)]
        self.next = 0

    def _request(self, path: str, size: int, number: int) -> bytes:
        first = number * size
        body = event(first)
        if path == BATCH:
            body = b"[" + b",".join(event(first + n) for n in range(size)) + b"]"
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def request(self) -> bytes:
        self.next += 1
        return self.requests[self.next % len(self.requests)]

    def answered(self, head: bytes, seconds: float) -> None:
        if not head.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"answered with {head.splitlines()[0]!r}")
        self.taken.append(seconds)


async def drive(port: int, path: str, size: int, connections: int, seconds: float) -> list[float]:
    """How long each request took, in seconds."""
    loop = asyncio.get_running_loop()
    load = Load(path, size, connections, seconds)
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    await load.done
    return load.taken


async def wait_for(port: int, path: str) -> None:
    for _ in range(300):
        try:
            await drive(port, path, 1, 1, 0.2)
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("the server did not start")


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """A Kafka for the time of the run, with the project's topics."""
    from waypoint.services.kafka import running_kafka

    with tempfile.TemporaryDirectory() as folder, running_kafka(Path(folder)) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        names = {endpoint.topic.name for endpoint in read_endpoints(Project.find(ROOT))}
        for made in admin.create_topics([NewTopic(n, 6, 1) for n in names]).values():
            made.result(30)
        del admin, made
        yield kafka.bootstrap


def measure(bootstrap: str, arguments: argparse.Namespace) -> None:
    connection = {"bootstrap.servers": bootstrap}
    with running("bare", connection) as bare, running("gateway", connection) as ours:
        servers = {"bare": bare, "gateway": ours}
        for port, _ in servers.values():
            asyncio.run(wait_for(port, SINGLE))
        for path, size in ((SINGLE, 1), (BATCH, 100)):
            rates: dict[str, list[float]] = {kind: [] for kind in servers}
            costs: dict[str, list[float]] = {kind: [] for kind in servers}
            times: dict[str, list[float]] = {kind: [] for kind in servers}
            for _ in range(arguments.rounds):
                for kind, (port, pid) in servers.items():
                    before, began = cpu(pid), time.monotonic()
                    taken = asyncio.run(
                        drive(port, path, size, arguments.connections, arguments.seconds)
                    )
                    seconds = time.monotonic() - began
                    if len(taken) < 2:
                        raise SystemExit("hardly an answer in a round; give it more --seconds")
                    rates[kind].append(len(taken) / seconds)
                    costs[kind].append((cpu(pid) - before) / len(taken) / size * 1e6)
                    times[kind] += taken
            print(f"\nbatches of {size}" if size > 1 else "\nsingle events", end="")
            print(f", {arguments.connections} connections")
            for kind in servers:
                rate, cost = statistics.median(rates[kind]), statistics.median(costs[kind])
                cuts = statistics.quantiles(times[kind], n=100)
                print(
                    f"  {kind:8} {rate:8,.0f} requests/s {rate * size:9,.0f} events/s"
                    f"  {cost:6.1f} CPU us/event"
                    f"  p50 {cuts[49] * 1000:5.1f} ms  p99 {cuts[98] * 1000:5.1f} ms"
                )
            pairs = zip(rates["gateway"], rates["bare"], strict=True)
            ratios = sorted(gateway / bare for gateway, bare in pairs)
            cheaper = statistics.median(costs["bare"]) / statistics.median(costs["gateway"])
            print(
                f"  gateway / bare: {statistics.median(ratios):.2f} of the rate"
                f" ({ratios[0]:.2f} to {ratios[-1]:.2f}), {cheaper:.2f} by CPU"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--bootstrap", help="a broker that runs and has the topics")
    arguments = parser.parse_args()
    if arguments.bootstrap:
        measure(arguments.bootstrap, arguments)
    else:
        with broker() as bootstrap:
            measure(bootstrap, arguments)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\nlargest process: {peak:,.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()

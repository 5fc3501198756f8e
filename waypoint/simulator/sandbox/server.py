"""The sandbox's server: one DuckDB with the scenario's tables behind it."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from waypoint.clock import now
from waypoint.errors import WaypointError
from waypoint.project import Project
from waypoint.simulator.local_server import listening
from waypoint.simulator.play import new_world
from waypoint.simulator.sandbox.answers import Page, answer, refused
from waypoint.simulator.sandbox.faults import Fault, Faults, no_faults
from waypoint.simulator.sandbox.routes import Route, read_routes
from waypoint.simulator.scenario import read_scenario
from waypoint.simulator.sources import Places
from waypoint.simulator.state import read_state
from waypoint.simulator.tables import Tables

#: What is told of the time before.
_REACH = timedelta(days=3)

_ASKED = (
    "create macro asked(name) as json_extract_string(getvariable('asked'), '$.\"' || name || '\"')"
)


@dataclass
class Sandbox:
    """A running server; `requests` are the paths that were asked for, newest last."""

    url: str
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=100_000))
    most_at_once: int = 0


@contextmanager
def sandbox_running(
    project: Project,
    *,
    port: int = 0,
    as_of: datetime | None = None,
    seed: int | None = None,
    faults: Faults = no_faults,
) -> Iterator[Sandbox]:
    """Serve on 127.0.0.1 for as long as the block runs; port 0 picks a free one.

    What is said is of the time `as_of` (UTC, no zone) and the world that the project plays, where
    it plays one and `seed` says no other.

    Raises:
        UnusableInput: the scenario has no sandbox, or it cannot be understood.
        OSError: the port is taken.
    """
    routes = read_routes(project)
    scenario = read_scenario(project)
    until = as_of or now(project)
    played = read_state(Places.of(project).state_file)
    world = played.world if played and seed is None else new_world(scenario, until, seed)
    spill = project.state / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    since = until - _REACH
    with Tables(project, scenario, world, since, until, since, spill) as tables:
        tables.connection.execute(_ASKED)
        for route in routes:
            tables.select(route.query)  # mistakes are said before anybody asks
        with _served(_Answers(tables, routes), port, faults) as sandbox:
            yield sandbox


class _Answers:
    """Answers requests, one at a time."""

    def __init__(self, tables: Tables, routes: list[Route]) -> None:
        self._tables = tables
        self._routes = routes
        self._lock = threading.Lock()

    def to(self, path: str, query: str, headers: Mapping[str, str], base: str) -> Page:
        _, host, *rest = unquote(path).split("/", 2)
        below = f"/{rest[0]}" if rest else "/"
        asked = dict(parse_qsl(query, keep_blank_values=True))
        for route in self._routes:
            match = route.path.fullmatch(below)
            if host in route.hosts and match:
                if not _has_key(route, asked, headers):
                    return refused(401, "a key is needed")
                given = {**asked, **match.groupdict(), "host": host}
                try:
                    return answer(route, self._rows(route.query, given), given, f"{base}{path}")
                except ValueError as error:
                    return refused(400, str(error))
                except WaypointError as error:
                    return refused(500, str(error))
        return refused(404, f"{host}{below} is not in the sandbox")

    def _rows(self, query: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        text = json.dumps(asked).replace("'", "''")
        with self._lock:
            self._tables.connection.execute(f"set variable asked = '{text}'")
            found = self._tables.execute(query, "{query}")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _has_key(route: Route, asked: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    if route.key.get("parameter"):
        return bool(asked.get(str(route.key["parameter"])))
    if route.key.get("header"):
        return bool(headers.get(str(route.key["header"])))
    if route.key.get("bearer"):
        return (headers.get("Authorization") or "").startswith("Bearer ")
    return True


@contextmanager
def _served(answers: _Answers, port: int, faults: Faults) -> Iterator[Sandbox]:
    closing_down = threading.Event()
    lock = threading.Lock()
    asked: Counter[str] = Counter()
    at_once = 0

    class Handler(_Handler):
        def setup(self) -> None:
            super().setup()
            self.closing_down = closing_down

        def do_GET(self) -> None:
            nonlocal at_once
            address = self.path.lstrip("/")
            with lock:
                asked[address] += 1
                number = asked[address]
                at_once += 1
                sandbox.requests.append(address)
                sandbox.most_at_once = max(sandbox.most_at_once, at_once)
            try:
                parts = urlsplit(self.path)
                self.send(
                    faults(number, address),
                    lambda: answers.to(parts.path, parts.query, dict(self.headers), sandbox.url),
                )
            finally:
                with lock:
                    at_once -= 1

    with listening(Handler, port, closing_down) as address:
        sandbox = Sandbox(address)
        yield sandbox


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    timeout = 60
    closing_down: threading.Event

    def send(self, fault: Fault | None, page: Any) -> None:
        """Answer, or do what the fault says instead."""
        if fault is None:
            self._write(page())
            return
        if fault.stall:
            self.closing_down.wait(fault.stall)
        if fault.silent:
            self.close_connection = True
        elif fault.status is not None:
            found = refused(fault.status, "a fault that was asked for")
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            self._write(Page(found.status, found.body, headers=headers))
        elif fault.garbage:
            self._write(Page(200, b"<html><body>We are down for maintenance \xff\x00", "text/html"))
        else:
            self._broken(fault, page())

    def _broken(self, fault: Fault, page: Page) -> None:
        half = page.body[: len(page.body) // 2]
        if fault.cut:
            self._write(page, half)
            self.close_connection = True
        elif fault.partial:
            self._write(Page(page.status, half, page.kind, page.headers))
        else:
            self._write(page)

    def _write(self, page: Page, sent: bytes | None = None) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(page.body)))
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.body if sent is None else sent)

    def log_message(self, format: str, *args: Any) -> None:
        """No lines on the terminal."""

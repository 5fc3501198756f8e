"""A local server that speaks the list API of Stripe for charges, over a file of JSON records.

    store = ChargeStore(folder / "charges.sqlite")
    store.upsert([{"id": "ch_1", "object": "charge", "created": 1767225600, "amount": 1000, ...}])
    with serving(store, key="sk_test_123") as api:
        httpx.get(f"{api.url}/v1/charges", params={"limit": 3}, auth=(api.key, ""))

What it answers, errors included, follows https://docs.stripe.com/api: `GET /v1/charges` with
`limit`, `starting_after`, `ending_before`, `created` and `created[gt|gte|lt|lte]`, newest first;
`GET /v1/charges/{id}`. Rate limits, errors and stalls can be injected.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from waypoint.simulator.local_server import listening

LIST_PATH = "/v1/charges"
_DEFAULT_LIMIT, _LONGEST_LIMIT = 10, 100
_COMPARISONS = {
    "created": "=",
    "created[gt]": ">",
    "created[gte]": ">=",
    "created[lt]": "<",
    "created[lte]": "<=",
}

# the records


class ChargeStore:
    """Charges in an SQLite file, as the JSON that the API sends.

    `seq` says in which order charges came first: it orders those of one second.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as connection, connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute(
                "create table if not exists charges ("
                "seq integer primary key, id text not null unique, created integer not null, "
                "body text not null)"
            )
            connection.execute("create index if not exists newest on charges (created, seq)")

    def upsert(self, records: Iterable[Mapping[str, Any] | str]) -> int:
        """Add charges or replace those with the same `id`, all of them or none; how many they were.

        A record is a mapping or its JSON text, with at least `id` and `created` (epoch seconds).
        """
        rows = (
            (record if isinstance(record, str) else json.dumps(record, separators=(",", ":")),)
            for record in records
        )
        with closing(self._connect()) as connection, connection:
            before = connection.total_changes
            connection.executemany(
                "insert into charges (id, created, body) "
                "values (json_extract(?1, '$.id'), json_extract(?1, '$.created'), ?1) "
                "on conflict (id) do update set created = excluded.created, body = excluded.body",
                rows,
            )
            return connection.total_changes - before

    def get(self, charge_id: str) -> str | None:
        """The JSON of one charge."""
        with closing(self._connect()) as connection:
            found = connection.execute("select body from charges where id = ?", (charge_id,))
            row = found.fetchone()
        return None if row is None else str(row[0])

    def count(self) -> int:
        with closing(self._connect()) as connection:
            return int(connection.execute("select count(*) from charges").fetchone()[0])

    def page(
        self,
        limit: int,
        created: Iterable[tuple[str, int]] = (),
        starting_after: str | None = None,
        ending_before: str | None = None,
    ) -> tuple[list[str], bool]:
        """At most `limit` charges, newest first, and whether there are more in that direction.

        `created` holds (comparison, epoch seconds). KeyError where the charge to start from is
        not there.
        """
        conditions, values = ["true"], []
        for comparison, seconds in created:
            conditions.append(f"created {comparison} ?")
            values.append(seconds)
        direction = "desc"
        with closing(self._connect()) as connection:
            anchor = starting_after if starting_after is not None else ending_before
            if anchor is not None:
                position = connection.execute(
                    "select created, seq from charges where id = ?", (anchor,)
                ).fetchone()
                if position is None:
                    raise KeyError(anchor)
                direction = "desc" if starting_after is not None else "asc"
                conditions.append(f"(created, seq) {'<' if direction == 'desc' else '>'} (?, ?)")
                values.extend(position)
            rows = connection.execute(
                f"select body from charges where {' and '.join(conditions)} "
                f"order by created {direction}, seq {direction} limit ?",
                (*values, limit + 1),
            ).fetchall()
        bodies = [str(row[0]) for row in rows[:limit]]
        return bodies if direction == "desc" else bodies[::-1], len(rows) > limit

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)


# faults on demand


@dataclass(frozen=True)
class Fault:
    """What a request gets instead of an answer: an error status, or silence for some seconds."""

    status: int | None = None  # None: no answer at all
    retry_after: float | None = None  # seconds; the header that may come with 429 and 503
    stall: float = 0.0  # seconds before that


#: Says what is wrong with the n-th request (from 1) that a server gets, None: nothing.
Faults = Callable[[int], Fault | None]


def no_faults(_number: int) -> Fault | None:
    return None


def random_faults(
    seed: int,
    *,
    rate_limited: float = 0.0,
    failing: float = 0.0,
    stalling: float = 0.0,
    stall_seconds: float = 60.0,
) -> Faults:
    """Faults at the given rates (shares of all requests); the seed decides which requests."""

    def fault(number: int) -> Fault | None:
        chance = random.Random(f"{seed}/{number}").random()
        if chance < rate_limited:
            return Fault(429, retry_after=1)
        if chance < rate_limited + failing:
            return Fault(500)
        if chance < rate_limited + failing + stalling:
            return Fault(stall=stall_seconds)
        return None

    return fault


# the server


@dataclass
class StripeApi:
    """A running server."""

    url: str
    key: str
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=10_000))  # newest last


@contextmanager
def serving(
    store: ChargeStore, key: str, *, port: int = 0, faults: Faults = no_faults
) -> Iterator[StripeApi]:
    """Serve `store` on 127.0.0.1 for as long as the block runs; port 0 picks a free one."""
    closing_down = threading.Event()
    lock = threading.Lock()
    numbers = iter(range(1, 2**63))

    class Handler(_Handler):
        def setup(self) -> None:
            super().setup()
            self.store, self.key, self.closing_down = store, key, closing_down

        def next_fault(self) -> Fault | None:
            with lock:
                number = next(numbers)
                api.requests.append(self.path)
                return faults(number)

    with listening(Handler, port, closing_down) as address:
        api = StripeApi(url=address, key=key)
        yield api


class _Refused(Exception):
    """An error answer: the status and Stripe's error object."""

    def __init__(self, status: int, message: str, **error: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": "invalid_request_error", **error}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    timeout = 60
    store: ChargeStore
    key: str
    closing_down: threading.Event

    def next_fault(self) -> Fault | None:
        raise NotImplementedError

    def do_GET(self) -> None:
        if self._is_faulty():
            return
        try:
            self._authorise()
            parts = urlsplit(self.path)
            if parts.path == LIST_PATH:
                body = self._list(dict(parse_qsl(parts.query, keep_blank_values=True)))
            elif parts.path.startswith(LIST_PATH + "/"):
                body = self._one(unquote(parts.path.removeprefix(LIST_PATH + "/")))
            else:
                raise self._unknown_url()
        except _Refused as refused:
            self._answer(refused.status, json.dumps({"error": refused.error}))
        else:
            self._answer(200, body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(404, json.dumps({"error": self._unknown_url().error}))

    do_DELETE = do_POST

    def _is_faulty(self) -> bool:
        fault = self.next_fault()
        if fault is None:
            return False
        if fault.stall:
            self.closing_down.wait(fault.stall)
        if fault.status is None:
            self.close_connection = True
            return True
        headers = {}
        if fault.retry_after is not None:
            headers["Retry-After"] = f"{fault.retry_after:g}"
        if fault.status == 429:
            error = {
                "message": "Request rate limit exceeded. Learn more about rate limits here "
                "https://stripe.com/docs/rate-limits.",
                "type": "invalid_request_error",
                "code": "rate_limit",
            }
        else:
            error = {
                "message": "An unknown error occurred",
                "type": "api_error",
            }
        self._answer(fault.status, json.dumps({"error": error}), headers)
        return True

    def _authorise(self) -> None:
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        if not given:
            raise _Refused(
                401,
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY').",
            )
        if given != self.key:
            shown = given[:8] + "*" * max(len(given) - 12, 0) + given[-4:]
            raise _Refused(401, f"Invalid API Key provided: {shown}")

    def _list(self, query: Mapping[str, str]) -> str:
        anchors: dict[str, str] = {}
        created: list[tuple[str, int]] = []
        limit = _DEFAULT_LIMIT
        for name, value in query.items():
            if name == "limit":
                limit = _integer(name, value)
            elif name in _COMPARISONS:
                created.append((_COMPARISONS[name], _integer(name, value)))
            elif name in ("starting_after", "ending_before"):
                anchors[name] = value
            else:
                raise _Refused(
                    400,
                    f"Received unknown parameter: {name}",
                    code="parameter_unknown",
                    param=name,
                )
        if not 1 <= limit <= _LONGEST_LIMIT:
            bound = "greater than or equal to 1" if limit < 1 else "less than or equal to 100"
            raise _Refused(
                400, f"Limit must be {bound}", code="parameter_invalid_integer", param="limit"
            )
        if len(anchors) > 1:
            raise _Refused(400, "You can only provide one of `starting_after` and `ending_before`.")
        try:
            bodies, more = self.store.page(limit, created, **anchors)
        except KeyError as missing:
            raise _no_such_charge(str(missing.args[0]), next(iter(anchors))) from None
        head = json.dumps({"object": "list", "url": LIST_PATH, "has_more": more})
        return f'{head[:-1]}, "data": [{",".join(bodies)}]}}'

    def _one(self, charge_id: str) -> str:
        body = self.store.get(charge_id)
        if body is None:
            raise _no_such_charge(charge_id, "id", status=404)
        return body

    def _unknown_url(self) -> _Refused:
        return _Refused(
            404,
            f"Unrecognized request URL ({self.command}: {urlsplit(self.path).path}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/.",
        )

    def _answer(self, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """No lines on the terminal."""


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise _Refused(
            400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name
        )
    return int(value)


def _no_such_charge(charge_id: str, parameter: str, status: int = 400) -> _Refused:
    return _Refused(
        status, f"No such charge: '{charge_id}'", code="resource_missing", param=parameter
    )

"""A stand-in for the service of Snowpipe Streaming, on https://127.0.0.1, with DuckDB behind it.

It keeps what the service promises and the client leans on: a channel has one opener, whose
continuation tokens come one after the other; rows and the offset token of a request are committed
together; a request that is sent again is not committed again. Faults are taken from a list, one for
each request that hands rows over.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import pyarrow as pa
from certificates import write_certificates
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

#: What can go wrong with a request that hands rows over.
NOT_COMMITTED, COMMITTED_AND_DROPPED, SATURATED = "503", "dropped", "429"
#: ... and the request that the client sends again is not known for the same one.
COMMITTED_AND_DENIED = "denied"

_STALE = {
    "code": "STALE_CONTINUATION_TOKEN_SEQUENCER",
    "message": "the channel was opened by somebody else",
}
_PLACE = re.compile(r"/pipes/(?P<pipe>[^/:]+)(?:/channels/(?P<channel>[^/]+))?")


@dataclass
class Opened:
    """A channel: `epoch` counts its openers, `taken` the requests of this one."""

    epoch: int = 0
    taken: int = 0
    committed: str | None = None
    rows: int = 0


@dataclass
class Service:
    """The account: its tables, its channels, and what is to go wrong next.

    Attributes:
        faults: taken from the front, one for each request with rows.
        seen: what went wrong so far.
        requests: how many requests with rows there were.
        taken: first and last offset token, and rows, of what was committed, in order.
        before: called before rows are looked at, with the channel's name.
    """

    folder: Path
    tables: Mapping[str, Mapping[str, str]]
    url: str = ""
    faults: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    requests: int = 0
    taken: list[tuple[int, int, int]] = field(default_factory=list)
    before: Callable[[str], None] = lambda _channel: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    channels: dict[tuple[str, str], Opened] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = duckdb.connect()
        self.database.execute("create schema raw")
        for table, columns in self.tables.items():
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            self.database.execute(f"create table raw.{table} ({listed})")

    @property
    def certificate(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def key(self) -> Path:
        return self.folder / "user.pem"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SNOWFLAKE_ACCOUNT": "standin",
            "SNOWFLAKE_USER": "loader",
            "SNOWFLAKE_HOST": self.url.removeprefix("https://"),
            "SNOWFLAKE_PRIVATE_KEY_PATH": str(self.key),
            "SSL_CERT_FILE": str(self.certificate),
        }

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.lock:
            return self.database.execute(statement).fetchall()

    def open(self, pipe: str, name: str) -> dict[str, Any]:
        with self.lock:
            channel = self.channels.setdefault((pipe, name), Opened())
            channel.epoch += 1
            channel.taken = 0
            return {
                "next_continuation_token": f"{channel.epoch}_0",
                "channel_status": self._status(pipe, name),
            }

    def take(self, pipe: str, name: str, asked: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Commit rows: HTTP's status, and what to answer; None drops the connection."""
        self.before(name)
        with self.lock:
            self.requests += 1
            fault = self.faults.pop(0) if self.faults else ""
            if fault:
                self.seen.append(fault)
            if fault == NOT_COMMITTED:
                return 503, {"code": "UNAVAILABLE", "message": "not now"}
            if fault == SATURATED:
                return 429, {"code": "RECEIVER_SATURATED", "message": "too much"}
            channel = self.channels[pipe, name]
            epoch, _, number = asked["continuationToken"].partition("_")
            again = int(number) == channel.taken - 1
            if int(epoch) != channel.epoch or int(number) not in (channel.taken, channel.taken - 1):
                return 400, _STALE
            if again and COMMITTED_AND_DENIED in self.seen:
                return 400, _STALE
            if not again:
                channel.taken += 1
                rows = self._insert(pipe.removesuffix("_STREAM"), body)
                channel.rows += rows
                channel.committed = asked["endOffsetToken"]
                first = int(asked["startOffsetToken"])
                self.taken.append((first, int(channel.committed), rows))
            if fault in (COMMITTED_AND_DROPPED, COMMITTED_AND_DENIED):
                return 0, None
            return 200, {"next_continuation_token": f"{channel.epoch}_{channel.taken}"}

    def statuses(self, pipe: str, names: list[str]) -> dict[str, Any]:
        with self.lock:
            return {name: self._status(pipe, name) for name in names}

    def _insert(self, table: str, body: bytes) -> int:
        """Rows go into the columns of their names, texts into what the columns are of."""
        rows = [json.loads(line) for line in body.splitlines() if line.strip()]
        columns = self.tables[table.lower()]
        unknown = {name for row in rows for name in row} - set(columns)
        assert not unknown, unknown
        texts = {
            name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in columns
        }
        listed = ", ".join(f'cast("{name}" as {kind})' for name, kind in columns.items())
        self.database.register("arrived", pa.table(texts))
        self.database.execute(f"insert into raw.{table} select {listed} from arrived")
        return len(rows)

    def _status(self, pipe: str, name: str) -> dict[str, Any]:
        channel = self.channels[pipe, name]
        return {
            "database_name": "WAYPOINT",
            "schema_name": "RAW",
            "pipe_name": pipe,
            "channel_name": name,
            "channel_status_code": "SUCCESS",
            "last_committed_offset_token": channel.committed,
            "created_on_ms": 1,
            "rows_inserted": channel.rows,
            "rows_parsed": channel.rows,
            "rows_error_count": 0,
            "last_error_offset_upper_bound": None,
            "last_error_message": None,
            "last_error_timestamp_ms": None,
            "snowflake_avg_processing_latency_ms": 1,
        }


@contextmanager
def serving(folder: Path, tables: Mapping[str, Mapping[str, str]]) -> Iterator[Service]:
    """The service for as long as the block runs, on a free port."""
    folder.mkdir(parents=True, exist_ok=True)
    _certificates(folder)
    service = Service(folder, tables)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    # the handshake is the connection's own thread's, so that none holds up the others
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    service.url = f"https://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        with service.lock:
            service.database.close()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                pass  # the client is gone

        def answered(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if body and self.headers.get("content-encoding") == "zstd":
                body = pa.CompressedInputStream(pa.BufferReader(body), "zstd").read()
            address = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(address.query).items()}
            status, answer = self.answer(address.path, asked, body)
            if answer is None:
                self.close_connection = True
                return
            text = answer if isinstance(answer, str) else json.dumps(answer)
            kind = "text/plain" if isinstance(answer, str) else "application/json"
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def answer(self, path: str, asked: Mapping[str, str], body: bytes) -> tuple[int, Any]:
            if path.endswith("/hostname"):
                return 200, "127.0.0.1"
            if path == "/oauth/token":
                return 200, _token()
            if path.startswith("/telemetry"):
                return 200, {"success": True, "data": "", "code": "", "message": ""}
            found = _PLACE.search(path)
            if found is None:
                return 404, {"code": "NOT_FOUND", "message": path}
            pipe = found["pipe"]
            if pipe.removesuffix("_STREAM").lower() not in service.tables:
                return 404, {"code": "ERR_PIPE_DOES_NOT_EXIST", "message": f"no pipe {pipe}"}
            if path.endswith(":pipe-info"):
                return 200, _pipe_info()
            if path.endswith(":bulk-channel-status"):
                names = json.loads(body)["channel_names"]
                return 200, {"channel_statuses": service.statuses(pipe, names)}
            channel = unquote(found["channel"] or "")
            if path.endswith("/rows"):
                return service.take(pipe, channel, asked, body)
            return 200, service.open(pipe, channel)

        do_GET = do_POST = do_PUT = answered

    return Handler


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _token() -> str:
    parts = ({"alg": "HS256"}, {"exp": int(time.time()) + 3600})
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )
    return f"{head}.{claims}.none"


def _pipe_info() -> dict[str, Any]:
    """Where large batches would be written to, as files: nobody gets there."""
    stage = {
        "location_type": "S3",
        "location": "nowhere",
        "region": "us-east-1",
        "bucket_name": "nowhere",
        "path_prefix": "nowhere",
        "creds": {"AWS_KEY_ID": "none", "AWS_SECRET_KEY": "none", "AWS_TOKEN": "none"},
        "expiry_time_ms": 9_999_999_999_999,
        "use_s3_regional_url": False,
    }
    return {
        "rowset_stage_location": stage,
        "durable_stage_location": stage,
        "encryption_info": {"pipe_key_id": 1, "pipe_key": "bm9uZQ==", "diversifier": "none"},
        "parameter_overrides": {},
    }


def _certificates(folder: Path) -> None:
    """An authority, a certificate for 127.0.0.1 signed by it, and the key of a user."""
    write_certificates(folder, "server")
    user = rsa.generate_private_key(65537, 2048)
    (folder / "user.pem").write_bytes(
        user.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

"""Snowflake as a sink, through Snowpipe Streaming: rows go straight into their raw table.

A channel of the service is one partition of a topic, and its offset tokens are the offsets of the
messages: the service commits rows and token together, and tells the token to whoever opens the
channel next. Opening it again fences the writer before, whose rows are refused from then on; so a
loader that was killed, or lost its connection, goes on after the last committed offset.

Rejected rows go to the quarantine's pipe through a channel of the same name, and are committed
before the rows whose offsets cover them; those that are found again after a failure are left out
by that channel's own token. The service takes no token without a row: offsets behind the last row
that hold nothing but rejects, duplicates or nothing are read again by the next loader, and bring
nothing twice.

`_loaded_at` stays empty until the next load, which stamps what has streamed in meanwhile: only so
is every new row newer than those that have been built from.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.bookkeeping import BATCH, LOADED_AT, QUARANTINE, SOURCE
from ingestion.engine import quoted
from ingestion.loading.snowflake import (
    PIPE,
    STREAMED,
    SnowflakeWarehouse,
    connected,
    literal,
    name,
    relation,
)
from ingestion.messages import Topic
from ingestion.snowflake_account import connection_arguments
from ingestion.stream.sinks import Batch, Channel, Committed, Fenced, Span
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable, UnusableInput, WaypointError
from waypoint.project import Project

if TYPE_CHECKING:
    from snowflake.ingest.streaming import (
        ChannelStatus,
        StreamingIngestChannel,
        StreamingIngestClient,
        StreamingIngestError,
    )

#: Answers a query on the account, with rows.
Query = Callable[[str], Sequence[tuple[Any, ...]]]

#: What is handed over at once, at most. The client writes files to a stage where more than about
#: 10 MB wait, which pays only beyond that.
_ROWS, _BYTES = 5_000, 4 << 20
#: For how long, in seconds, the service may refuse rows or leave them uncommitted.
PATIENCE = 60.0
_LONGEST_PAUSE = 5.0
_LONGEST_MESSAGE = 300
#: Seconds for the client to end; what it holds by then is not committed, and will be read again.
_END = 5

#: Errors by what is to be done: the channel is not ours any more; wait; somebody has to mend it.
_FENCED = {
    "INVALID_CHANNEL_ERROR",
    "CLOSED_CHANNEL_ERROR",
    "CHANNEL_CLOSED_BY_USER",
    "CHANNEL_NOT_FOUND",
    "INPUT_CHANNEL_CLOSED",
    "OUTPUT_CHANNEL_CLOSED",
}
_FULL = {
    "RECEIVER_SATURATED",
    "MEMORY_THRESHOLD_EXCEEDED",
    "MEMORY_THRESHOLD_EXCEEDED_IN_CONTAINER",
}
_MISTAKEN = {
    "CONFIG_ERROR",
    "INVALID_ARGUMENT",
    "AUTH_TOKEN_ERROR",
    "SF_API_AUTH_ERROR",
    "SF_API_USER_ERROR",
    "SF_API_NOT_FOUND_ERROR",
}


class RowsRefused(WaypointError):
    """Snowflake committed offsets without some of their rows, which do not fit the table."""


@dataclass
class _Opened:
    """A channel of the service, and how far it was committed when it was opened."""

    channel: StreamingIngestChannel
    committed: int  # -1: nothing
    refused: int  # rows that were refused before


@dataclass(frozen=True)
class _Part:
    """Rows for one channel, in the order of their offsets, all of `span`."""

    channel: Channel
    rows: pa.Table
    offset: str  # the column with the offsets
    span: Span


class SnowpipeSink:
    """`Sink` on Snowpipe Streaming; see the module."""

    def __init__(
        self,
        properties: Mapping[str, str],
        database: str,
        source: str,
        query: Query,
        patience: float = PATIENCE,
    ) -> None:
        """Nothing is connected yet.

        Args:
            properties: of the client: account, user, url, private_key, role.
            database: the database of the schema `raw`.
            source: what `_source` says of the rows.
            query: for what duplicates are found with.
            patience: seconds for which the service may refuse rows.
        """
        _sdk()
        self._properties, self._database, self._source = properties, database, source
        self._query, self._patience = query, patience
        self._writer = f"waypoint-{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        self._clients: dict[str, StreamingIngestClient] = {}  # by table
        self._opened: dict[tuple[str, Channel], _Opened] = {}
        self._tables: dict[Channel, str] = {}
        self._before: dict[Channel, int] = {}  # rejects that others had committed
        self._held: list[Batch] = []

    def open(self, topic: Topic, partitions: Iterable[int]) -> Mapping[int, int | None]:
        table = topic.contract.name
        committed: dict[int, int | None] = {}
        wanted = sorted(partitions)
        self._drop(topic, wanted)
        for partition in wanted:
            channel = Channel(topic.name, partition)
            self._forget([channel])
            # the rows first: who is fenced there adds rejects that the next call learns of
            rows = self._open(table, channel)
            rejects = self._open(QUARANTINE, channel)
            self._before.setdefault(channel, rejects.committed)
            self._tables[channel] = table
            committed[partition] = None if rows.committed < 0 else rows.committed
        return committed

    def append(self, batch: Batch) -> None:
        closed = [str(channel) for channel in batch.channels if channel not in self._tables]
        if closed:
            raise Fenced(f"{', '.join(closed)}: is not open")
        self._held.append(batch)

    def commit(self) -> Committed:
        held, self._held = self._held, []
        offsets: dict[Channel, int] = {}
        known: dict[str, int] = {}
        for batch in held:
            try:
                rejects, left_out = self._rejects(batch)
                # rejects before the rows whose commit covers them
                self._stream(QUARANTINE, rejects)
                self._stream(batch.topic.contract.name, self._rows(batch))
            except WaypointError as error:
                # what is on its way is fenced when the channels are opened again
                self._forget(batch.channels, whole=not isinstance(error, Fenced))
                raise
            known[batch.topic.name] = known.get(batch.topic.name, 0) + left_out
            offsets.update({Channel(batch.topic.name, p): s.last for p, s in batch.spans.items()})
        return Committed(offsets, {}, known)

    def landed_keys(
        self,
        topic: Topic,
        columns: tuple[str, ...],
        periods: Iterable[tuple[datetime, datetime]],
    ) -> pa.Table:
        assert topic.event_time is not None
        kinds = {column: topic.contract.column(column).physical_type for column in columns}
        empty = ", ".join(f"cast(null as {kind}) as {quoted(c)}" for c, kind in kinds.items())
        with duckdb.connect() as engine:
            schema = engine.execute(f"select {empty} limit 0").to_arrow_table().schema
        time_column = name(topic.event_time)
        within = " or ".join(
            f"{time_column} between {_moment(since)} and {_moment(until)}"
            for since, until in periods
        )
        listed = ", ".join(map(name, columns))
        query = f"select {listed} from {relation(topic.contract.name)} where {within or 'false'}"
        rows = self._query(query)
        return pa.table(
            [
                pa.array([row[place] for row in rows], field.type)
                for place, field in enumerate(schema)
            ],
            schema=schema,
        )

    def newest_time(self, topic: Topic) -> datetime | None:
        if topic.event_time is None:
            return None
        table = relation(topic.contract.name)
        ((newest,),) = self._query(f"select max({name(topic.event_time)}) from {table}")
        found: datetime | None = newest
        return found

    def close(self, topic: Topic, partitions: Iterable[int]) -> None:
        given_up = list(partitions)
        self._drop(topic, given_up)
        self._forget([Channel(topic.name, partition) for partition in given_up])
        if not self._opened:
            for table in list(self._clients):
                self._end(table)

    # what a batch has for each channel

    def _rows(self, batch: Batch) -> list[_Part]:
        contract = batch.topic.contract
        columns = [c.name for c in contract.columns if c.name not in (SOURCE, BATCH, LOADED_AT)]
        return list(self._parts(batch, batch.rows.select(columns), "_partition", "_offset"))

    def _rejects(self, batch: Batch) -> tuple[list[_Part], int]:
        """The rejects that are not in quarantine yet, and how many others had brought there."""
        parts, known = [], 0
        for part in self._parts(batch, batch.rejects, "partition", "message_offset"):
            offsets = part.rows.column(part.offset)
            known += _count(pc.less_equal(offsets, self._before[part.channel]))
            committed = self._opened[QUARANTINE, part.channel].committed
            new = part.rows.filter(pc.greater(offsets, committed))
            if new.num_rows:
                first = max(part.span.first, committed + 1)
                parts.append(_Part(part.channel, new, part.offset, Span(first, part.span.last)))
        return parts, known

    def _parts(self, batch: Batch, rows: pa.Table, partition: str, offset: str) -> Iterator[_Part]:
        source, number = ("source", "batch") if partition == "partition" else (SOURCE, BATCH)
        for place, span in sorted(batch.spans.items()):
            some = rows.filter(pc.equal(rows.column(partition), place)).sort_by(offset)
            if not some.num_rows:
                continue
            # the same for rows and rejects of the same messages
            told = f"{STREAMED}/{batch.topic.name}/{place}/{span.first}-{span.last}"
            for column, text in ((source, self._source), (number, told)):
                some = some.append_column(column, pa.repeat(text, some.num_rows))
            yield _Part(Channel(batch.topic.name, place), some, offset, span)

    # the service

    def _open(self, table: str, channel: Channel) -> _Opened:
        with _told(f"{RAW}.{table}"):
            opened, status = self._client(table).open_channel(_channel_name(channel))
        _refuse_invalid(channel, status)
        found = _Opened(opened, _offset(channel, status), status.rows_error_count)
        self._opened[table, channel] = found
        return found

    def _stream(self, table: str, parts: Sequence[_Part]) -> None:
        """Hand parts over; all of them are committed when this returns."""
        for part in parts:
            opened = self._opened[table, part.channel]
            for rows, span in _chunks(part):
                self._hand_over(opened.channel, part.channel, rows, span)
        self._wait(table, {part.channel: part.span.last for part in parts})

    def _hand_over(
        self, service: StreamingIngestChannel, channel: Channel, rows: pa.Table, span: Span
    ) -> None:
        """Append rows and have them sent; waits while the service takes none."""
        listed = rows.to_pylist()
        deadline = time.monotonic() + self._patience
        for attempt in range(1_000_000):
            try:
                with _told(str(channel)):
                    service.append_rows(listed, str(span.first), str(span.last))
                break
            except _Full as full:
                if time.monotonic() > deadline:
                    raise Unavailable(f"Snowflake takes no more rows: {full}") from None
                time.sleep(min(0.1 * 2 ** min(attempt, 10), _LONGEST_PAUSE))
        try:
            with _told(str(channel)):
                service.wait_for_flush(int(self._patience))
        except TimeoutError:
            raise Unavailable(
                f"{channel}: Snowflake has not taken rows within {self._patience:.0f} seconds"
            ) from None

    def _wait(self, table: str, until: Mapping[Channel, int]) -> None:
        """Wait until each channel is committed that far."""
        waiting = dict(until)
        deadline = time.monotonic() + self._patience
        pause = 0.02
        while waiting:
            names = {_channel_name(channel): channel for channel in waiting}
            with _told(f"{RAW}.{table}"):
                statuses = self._client(table).get_channel_statuses(list(names))
            for told, channel in names.items():
                status = statuses.get(told)
                if status is None:
                    raise Fenced(f"{channel}: Snowflake knows the channel no more")
                opened = self._opened[table, channel]
                _refuse_invalid(channel, status)
                committed = _offset(channel, status)
                if status.rows_error_count > opened.refused:
                    raise RowsRefused(
                        f"{channel}: Snowflake refused"
                        f" {status.rows_error_count - opened.refused} rows up to offset"
                        f" {status.last_error_offset_token_upper_bound}:"
                        f" {_shortened(status.last_error_message or '')}",
                        hint=f"make {RAW}.{table} fit its contract, then read these offsets again"
                        " with waypoint stream replay",
                    )
                if committed > opened.committed:
                    opened.committed = committed
                    deadline = time.monotonic() + self._patience
                if committed >= waiting[channel]:
                    del waiting[channel]
            if waiting:
                if time.monotonic() > deadline:
                    listed = ", ".join(map(str, waiting))
                    raise Unavailable(f"{listed}: Snowflake does not commit what it has taken")
                time.sleep(pause)
                pause = min(2 * pause, 1.0)

    def _client(self, table: str) -> StreamingIngestClient:
        if table not in self._clients:
            self._number += 1
            self._clients[table] = _sdk().StreamingIngestClient(
                f"{self._writer}-{self._number}",
                self._database.upper(),
                RAW.upper(),
                f"{table}{PIPE}".upper(),
                properties=dict(self._properties),
            )
        return self._clients[table]

    # giving up

    def _drop(self, topic: Topic, partitions: Iterable[int]) -> None:
        dropped = {Channel(topic.name, partition) for partition in partitions}
        self._held = [b for b in self._held if dropped.isdisjoint(b.channels)]

    def _forget(self, channels: Iterable[Channel], whole: bool = False) -> None:
        """Give channels up, and what the client holds of them; `whole`: with their clients."""
        tables = set()
        for channel in channels:
            table = self._tables.pop(channel, None)
            for place in (table, QUARANTINE):
                opened = self._opened.pop((place or "", channel), None)
                if opened is not None:
                    tables.add(place or "")
                    _end_quietly(opened.channel.close, False, False, 0)
        if whole:
            for table in tables:
                for other in [c for t, c in self._opened if t == table]:
                    self._opened.pop((table, other), None)
                    self._tables.pop(other, None)
                self._end(table)

    def _end(self, table: str) -> None:
        client = self._clients.pop(table, None)
        if client is not None:
            _end_quietly(client.close, False, _END)


def _sdk() -> Any:
    # its own words go to stdout, unless it is told otherwise
    os.environ.setdefault("SS_LOG_LEVEL", "error")
    try:
        import snowflake.ingest.streaming as sdk
    except ImportError:
        raise UnusableInput(
            "the package snowpipe-streaming is not installed", hint="run make setup"
        ) from None
    return sdk


def snowpipe_sink(project: Project, source: str) -> SnowpipeSink:
    """The sink of the account that the environment names, as for loading.

    Raises:
        UnusableInput: a variable is missing, or the key cannot be read.
    """
    arguments = connection_arguments(os.environ)
    return SnowpipeSink(
        client_properties(arguments), arguments["database"], source, _Account(project)
    )


def client_properties(arguments: Mapping[str, str]) -> dict[str, str]:
    """The streaming client's properties, of the connector's arguments.

    Raises:
        UnusableInput: there is no private key, or it cannot be read.
    """
    from cryptography.hazmat.primitives import serialization

    file = arguments.get("private_key_file")
    if not file:
        raise UnusableInput(
            "Snowpipe Streaming needs a key pair; a password is not enough",
            hint="set SNOWFLAKE_PRIVATE_KEY_PATH, and SNOWFLAKE_PRIVATE_KEY_PASSPHRASE if the key"
            " has one",
        )
    passphrase = arguments.get("private_key_file_pwd")
    try:
        with open(file, "rb") as opened:
            key = serialization.load_pem_private_key(
                opened.read(), passphrase.encode() if passphrase else None
            )
    except OSError as error:
        raise UnusableInput(f"SNOWFLAKE_PRIVATE_KEY_PATH: {file}: {error.strerror}") from None
    except (TypeError, ValueError):
        raise UnusableInput(
            f"SNOWFLAKE_PRIVATE_KEY_PATH: {file} is no private key that can be read",
            hint="a PEM file; SNOWFLAKE_PRIVATE_KEY_PASSPHRASE opens it if it is encrypted",
        ) from None
    account = arguments["account"]
    host = arguments.get("host") or (f"{account.lower().replace('_', '-')}.snowflakecomputing.com")
    return {
        "account": account,
        "user": arguments["user"],
        "role": arguments["role"],
        "url": f"https://{host}",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    }


class _Account:
    """Answers queries on the account that the environment names, over one connection."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()  # the loader's threads ask
        self._connection = ExitStack()
        self._warehouse: SnowflakeWarehouse | None = None

    def __call__(self, statement: str) -> Sequence[tuple[Any, ...]]:
        with self._lock:
            try:
                if self._warehouse is None:
                    self._warehouse = self._connection.enter_context(connected(self._project))
                return self._warehouse.query(statement)
            except Unavailable:
                # its session may have ended; who asks again gets a new one
                self._warehouse = None
                with suppress(Exception):
                    self._connection.close()
                raise


def _chunks(part: _Part) -> Iterator[tuple[pa.Table, Span]]:
    """Pieces of a part that are handed over at once, with the offsets each accounts for."""
    count = part.rows.num_rows
    step = max(1, min(_ROWS, _BYTES * count // max(1, part.rows.nbytes)))
    offsets = part.rows.column(part.offset)
    for start in range(0, count, step):
        end = start + step
        # all offsets before the next piece are accounted for
        first = part.span.first if start == 0 else offsets[start].as_py()
        last = part.span.last if end >= count else offsets[end].as_py() - 1
        yield part.rows.slice(start, step), Span(first, last)


class _Full(Unavailable):
    """The service takes no more rows for now."""


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What the service refuses in Waypoint's own errors; `what` it is about."""
    from snowflake.ingest.streaming import StreamingIngestError

    try:
        yield
    except StreamingIngestError as error:
        raise _meant(what, error) from None


def _meant(what: str, error: StreamingIngestError) -> Exception:
    words = f"{error.error_code.value}: {_shortened(error.message)}"
    code = error.error_code.name
    if code in _FENCED:
        return Fenced(
            f"{what}: another loader has taken over, or Snowflake gave the channel up: {words}"
        )
    if code in _FULL:
        return _Full(f"{what}: {words}")
    if code in _MISTAKEN:
        return UnusableInput(
            f"{what}: Snowflake refuses: {words}",
            hint="check the SNOWFLAKE_* variables; waypoint snowflake setup --apply makes the"
            " pipes",
        )
    return Unavailable(f"{what}: Snowflake: {words}")


def _refuse_invalid(channel: Channel, status: ChannelStatus) -> None:
    if status.status_code != "SUCCESS":
        raise Fenced(f"{channel}: the channel is not valid any more: {status.status_code}")


def _offset(channel: Channel, status: ChannelStatus) -> int:
    token = status.latest_committed_offset_token
    if token is None:
        return -1
    try:
        return int(token)
    except ValueError:
        raise UnusableInput(
            f"{channel}: the channel's offset token {token[:40]!r} is no offset",
            hint="somebody else writes to this channel; use another database",
        ) from None


def _channel_name(channel: Channel) -> str:
    return f"{channel.topic}-{channel.partition}"


def _shortened(message: str) -> str:
    words = " ".join(message.split())
    return words if len(words) <= _LONGEST_MESSAGE else f"{words[:_LONGEST_MESSAGE]}…"


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _moment(time_: datetime) -> str:
    return f"cast({literal(time_.isoformat(sep=' '))} as timestamp)"


def _end_quietly(end: Callable[..., object], *arguments: object) -> None:
    """End what is given up; what fails by that was lost already."""
    # nothing leans on it: the next opening fences what is left
    with suppress(Exception):
        end(*arguments)

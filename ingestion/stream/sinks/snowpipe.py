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
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.bookkeeping import BATCH, LOADED_AT, QUARANTINE, SOURCE
from ingestion.engine import quoted
from ingestion.loading.snowflake import PIPE, STREAMED, literal, name, relation
from ingestion.messages import Topic
from ingestion.stream.sinks import Batch, Channel, Committed, Fenced, Span
from ingestion.stream.sinks.held import Held
from ingestion.stream.sinks.snowpipe_client import (
    Full,
    channel_name,
    committed_offset,
    end_quietly,
    in_our_words,
    refuse_invalid,
    sdk,
    shortened,
)
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable, WaypointError

if TYPE_CHECKING:
    from snowflake.ingest.streaming import StreamingIngestChannel, StreamingIngestClient

#: Answers a query on the account, with rows.
Query = Callable[[str], Sequence[tuple[Any, ...]]]

#: What is handed over at once, at most. The client writes files to a stage where more than about
#: 10 MB wait, which pays only beyond that.
_ROWS, _BYTES = 5_000, 4 << 20
#: For how long, in seconds, the service may refuse rows or leave them uncommitted.
PATIENCE = 60.0
_LONGEST_PAUSE = 5.0
#: Seconds for the client to end; what it holds by then is not committed, and will be read again.
_END = 5


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
        sdk()
        self._properties, self._database, self._source = properties, database, source
        self._query, self._patience = query, patience
        self._writer = f"waypoint-{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        self._clients: dict[str, StreamingIngestClient] = {}  # by table
        self._opened: dict[tuple[str, Channel], _Opened] = {}
        self._tables: dict[Channel, str] = {}
        self._before: dict[Channel, int] = {}  # rejects that others had committed
        self._held = Held()

    def open(self, topic: Topic, partitions: Iterable[int]) -> Mapping[int, int | None]:
        table = topic.contract.name
        committed: dict[int, int | None] = {}
        wanted = sorted(partitions)
        self._held.drop(topic, wanted)
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
        self._held.add(batch, self._tables.keys())

    def commit(self) -> Committed:
        offsets: dict[Channel, int] = {}
        known: dict[str, int] = {}
        for batch in self._held.taken():
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
        self._held.drop(topic, given_up)
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
        with in_our_words(f"{RAW}.{table}"):
            opened, status = self._client(table).open_channel(channel_name(channel))
        refuse_invalid(channel, status)
        found = _Opened(opened, committed_offset(channel, status), status.rows_error_count)
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
                with in_our_words(str(channel)):
                    service.append_rows(listed, str(span.first), str(span.last))
                break
            except Full as full:
                if time.monotonic() > deadline:
                    raise Unavailable(f"Snowflake takes no more rows: {full}") from None
                time.sleep(min(0.1 * 2 ** min(attempt, 10), _LONGEST_PAUSE))
        try:
            with in_our_words(str(channel)):
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
            names = {channel_name(channel): channel for channel in waiting}
            with in_our_words(f"{RAW}.{table}"):
                statuses = self._client(table).get_channel_statuses(list(names))
            for told, channel in names.items():
                status = statuses.get(told)
                if status is None:
                    raise Fenced(f"{channel}: Snowflake knows the channel no more")
                opened = self._opened[table, channel]
                refuse_invalid(channel, status)
                committed = committed_offset(channel, status)
                if status.rows_error_count > opened.refused:
                    raise RowsRefused(
                        f"{channel}: Snowflake refused"
                        f" {status.rows_error_count - opened.refused} rows up to offset"
                        f" {status.last_error_offset_token_upper_bound}:"
                        f" {shortened(status.last_error_message or '')}",
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
            self._clients[table] = sdk().StreamingIngestClient(
                f"{self._writer}-{self._number}",
                self._database.upper(),
                RAW.upper(),
                f"{table}{PIPE}".upper(),
                properties=dict(self._properties),
            )
        return self._clients[table]

    # giving up

    def _forget(self, channels: Iterable[Channel], whole: bool = False) -> None:
        """Give channels up, and what the client holds of them; `whole`: with their clients."""
        tables = set()
        for channel in channels:
            table = self._tables.pop(channel, None)
            for place in (table, QUARANTINE):
                opened = self._opened.pop((place or "", channel), None)
                if opened is not None:
                    tables.add(place or "")
                    end_quietly(opened.channel.close, False, False, 0)
        if whole:
            for table in tables:
                for other in [c for t, c in self._opened if t == table]:
                    self._opened.pop((table, other), None)
                    self._tables.pop(other, None)
                self._end(table)

    def _end(self, table: str) -> None:
        client = self._clients.pop(table, None)
        if client is not None:
            end_quietly(client.close, False, _END)


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


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _moment(time_: datetime) -> str:
    return f"cast({literal(time_.isoformat(sep=' '))} as timestamp)"

"""The loader: from topics into their raw tables, exactly once.

Consume, check against the contract, leave out duplicates, land. A batch counts when the sink has
committed it; where to go on the sink is asked whenever partitions are taken up, and what was on
its way when something failed is read again. So whatever is killed, and whenever, nothing is lost
and nothing is there twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.engine import open_engine, quoted
from ingestion.landing import LandingArea
from ingestion.messages import Topic
from ingestion.stream.checking import LATE, Checked, Checker
from ingestion.stream.consuming import Consumed, Group, OffsetsGone
from ingestion.stream.dead_letters import DeadLetter, DeadLetters, letters
from ingestion.stream.deduplicating import Hashes, Mask, Period, Recent, Times
from ingestion.stream.framing import SchemaSource
from ingestion.stream.metrics import Metrics
from ingestion.stream.pipeline import Pipeline
from ingestion.stream.sinks import Batch, Fenced, Sink, Span
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from confluent_kafka import Consumer

#: How many seconds lie between two batches at least, where no more messages come at once.
LINGER = 0.05
#: For how long one look for messages waits for the first of them, in seconds.
_LOOK = 0.05
#: What is behind the newest event of its partition by more than this is late.
WATERMARK = timedelta(minutes=1)
#: For how long, in seconds, trouble may last before the loader gives up.
PATIENCE = 300.0

_AT_ONCE = 10_000
_ENGINE_MEMORY = "512MB"
_TELL_SECONDS = 2.0
_REQUEST_SECONDS = 10.0
#: Taken over from more often than this, within so many seconds, is no rebalance of a group.
_OFTEN, _TUG_OF_WAR = 8, 120.0
#: A pause of the sink that is longer is told to the group, which would take the loader for dead.
_LONG_WAIT = 20.0


@dataclass
class Totals:
    """What became of the messages of one topic: `read` is the sum of the five after it."""

    topic: str
    table: str
    read: int = 0
    landed: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    known: int = 0  # their offset had landed with a dump
    erased: int = 0  # about people who were erased
    late: int = 0  # of the landed ones, those that came behind the watermark
    lost: int = 0  # deleted by the broker before they were read, at most
    batches: int = 0
    drift: Counter[str] = field(default_factory=Counter)
    lag: int = 0  # messages that are there and not committed, as far as was known last


@dataclass(frozen=True)
class Summary:
    """What a run of the loader did; `rejoined` is how often it had to begin anew."""

    topics: tuple[Totals, ...]
    seconds: float
    rejoined: int


@dataclass
class _Lane:
    """What is kept of one topic while it is read."""

    topic: Topic
    totals: Totals
    checker: Checker
    recent: Recent
    newest: dict[int, int] = field(default_factory=dict)  # event time by partition


@dataclass(frozen=True)
class _Prepared:
    """A checked batch on its way to the sink."""

    batch: Batch
    dead: list[DeadLetter]
    drift: Mapping[str, int]
    since: float


class Loader:
    """Reads topics into a sink until it is told to stop."""

    def __init__(
        self,
        topics: Sequence[Topic],
        sink: Sink,
        settings: Mapping[str, str],
        *,
        schemas: SchemaSource,
        area: LandingArea,
        spill: Path,
        group: str,
        dead_letters: Mapping[str, str],
        stop: threading.Event | None = None,
        metrics: Metrics | None = None,
        linger: float = LINGER,
        patience: float = PATIENCE,
        report: Callable[[str], None] = lambda _words: None,
    ) -> None:
        """Prepare to read; nothing is connected yet.

        Args:
            topics: what to read.
            sink: where to land.
            settings: of Kafka's client, see `ingestion.stream.connection`.
            schemas: where the schemas of values that are no JSON are found.
            area: the landing area, for the list of erased people.
            spill: a folder for what does not fit into memory.
            group: the consumer group; loaders of one group share the partitions.
            dead_letters: the topic for the dead letters of each topic that has one.
            stop: ends the run when set: what was read by then is landed.
            metrics: where to count, too.
            linger: seconds that lie between two batches at least.
            patience: seconds for which trouble may last.
            report: told in people's words what happens.
        """
        self._sink, self._settings, self._schemas = sink, settings, schemas
        self._area, self._spill, self._group_name = area, spill, group
        self._names = {topic.name: topic for topic in topics}
        self._stop = stop or threading.Event()
        self._metrics = metrics
        self._linger, self._patience, self._report = linger, patience, report
        self._totals = {t.name: Totals(t.name, t.contract.name) for t in topics}
        self._dead_letters = DeadLetters(settings, dead_letters, self._stop.is_set)
        self._lanes: dict[str, _Lane] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self._progress = time.monotonic()
        self._fenced: list[float] = []

    def run(self, until_caught_up: bool = False, seconds: float | None = None) -> Summary:
        """Read until told to stop; until all partitions were read to their end, or for so long.

        Raises:
            Unavailable: the broker, the disk or the sink is away for longer than the patience.
            UnusableInput: a topic was made anew, or may not be read.
        """
        start = self._progress = time.monotonic()
        until = None if seconds is None else start + seconds
        rejoined = 0
        pa.array([0]).to_numpy()  # the first time loads a large package
        try:
            while True:
                try:
                    self._session(until_caught_up, until)
                    break
                except (Fenced, Unavailable, OffsetsGone) as error:
                    self._look_at(error)
                    rejoined += 1
                    pause = min(0.2 * 2 ** min(rejoined, 6), 5.0)
                    if self._stop.wait(pause) or (until is not None and time.monotonic() > until):
                        break
        finally:
            self._dead_letters.close()
        return Summary(tuple(self._totals.values()), time.monotonic() - start, rejoined)

    def _look_at(self, error: Exception) -> None:
        """Go on after this, unless it lasts too long."""
        now = time.monotonic()
        if isinstance(error, Fenced):
            if self._metrics:
                self._metrics.fenced.inc()
            self._fenced = [at for at in self._fenced if now - at < _TUG_OF_WAR] + [now]
            if len(self._fenced) > _OFTEN:
                raise UnusableInput(
                    f"{error}: that is often, so there is a loader of another group",
                    hint="start the loaders of one state with the same --group",
                ) from None
        if isinstance(error, OffsetsGone):
            self._report(f"{error}; going on with what is there")
            return
        if now - self._progress > self._patience:
            raise error
        self._report(f"{error}; trying again")

    # one membership of the group, from joining to leaving

    def _session(self, until_caught_up: bool, until: float | None) -> None:
        with open_engine(self._spill, _ENGINE_MEMORY) as engine:
            pipeline = Pipeline(self._check, self._write)
            self._pipeline = pipeline
            self._lanes = {
                name: _Lane(
                    topic,
                    self._totals[name],
                    Checker(engine, topic, self._area),
                    Recent(_LandedKeys(engine, topic, self._sink, pipeline)),
                )
                for name, topic in self._names.items()
            }
            group = Group(
                self._settings,
                self._names,
                self._group_name,
                self._taken,
                self._given_up,
                self._schemas,
                tell_ends=until_caught_up,
                linger=self._linger,
            )
            try:
                self._read(group, pipeline, until_caught_up, until)
                pipeline.drain()
            except BaseException:
                pipeline.close()
                self._leave_quietly(group)
                raise
            try:
                self._tell(group.consumer, group.assigned, last=True)
                group.leave()
            finally:
                pipeline.close()

    def _leave_quietly(self, group: Group) -> None:
        """Leave after a failure, which is what is to be told of."""
        try:
            group.leave()
        except Exception as error:
            self._report(f"leaving the group: {error}")

    def _read(
        self,
        group: Group,
        pipeline: Pipeline[_Prepared],
        until_caught_up: bool,
        until: float | None,
    ) -> None:
        told = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if until is not None and now >= until:
                return
            if now - told > _TELL_SECONDS:
                told = now
                self._tell(group.consumer, group.assigned)
                if trouble := group.trouble:
                    self._report(trouble)
            if pipeline.is_full():
                self._wait(group, pipeline)
                continue
            for consumed in group.poll(_AT_ONCE, _LOOK):
                pipeline.put(consumed)
            pipeline.wait(0.0)  # raises what has failed
            if until_caught_up and group.ever_assigned and group.assigned <= group.at_end:
                return

    def _wait(self, group: Group, pipeline: Pipeline[_Prepared]) -> None:
        """Wait for room; the group is kept, however long it takes."""
        begun = time.monotonic()
        paused = False
        while pipeline.is_full() and not self._stop.is_set():
            pipeline.wait(0.1)
            if time.monotonic() - begun > _LONG_WAIT:
                # no more is fetched, but the group hears from us
                group.consumer.pause(group.consumer.assignment())
                paused = True
                for consumed in group.poll(_AT_ONCE, _LOOK):
                    pipeline.put(consumed)
        if paused:
            group.consumer.resume(group.consumer.assignment())

    def _taken(
        self, consumer: Consumer, partitions: Mapping[str, list[int]]
    ) -> dict[tuple[str, int], int]:
        """Become the writer of partitions: where to go on."""
        self._pipeline.drain()
        offsets: dict[tuple[str, int], int] = {}
        for name, numbers in partitions.items():
            lane = self._lanes[name]
            committed = self._sink.open(lane.topic, numbers)
            known = {p: at for p, at in committed.items() if at is not None}
            for partition in numbers:
                offsets[name, partition] = self._next(consumer, lane, partition, known)
                lane.newest.pop(partition, None)
                self._committed[name, partition] = offsets[name, partition] - 1
            self._dead_letters.read_back(name, known)
            if lane.topic.identity:
                lane.recent.refill(self._sink.newest_time(lane.topic))
        return offsets

    def _next(
        self, consumer: Consumer, lane: _Lane, partition: int, committed: Mapping[int, int]
    ) -> int:
        from confluent_kafka import KafkaException, TopicPartition

        name = lane.topic.name
        try:
            low, high = consumer.get_watermark_offsets(
                TopicPartition(name, partition), timeout=_REQUEST_SECONDS
            )
        except KafkaException as error:
            raise Unavailable(f"{name}/{partition}: {error.args[0].str()}") from None
        if partition not in committed:
            return int(low)
        at = committed[partition] + 1
        if at > high:
            raise UnusableInput(
                f"{name}/{partition} ends at offset {high}, but {at - 1} has landed from it: the"
                " topic was made anew, and its offsets have begun again",
                hint="take the files of the old topic out of the landing area, or use another"
                " WAYPOINT_STATE",
            )
        if at < low:
            lane.totals.lost += low - at
            if self._metrics:
                self._metrics.lost.labels(name).inc(low - at)
            self._report(
                f"{name}/{partition}: offsets {at} to {low - 1} were deleted by the broker before"
                " they were read"
            )
        return int(max(at, low))

    def _given_up(self, partitions: Mapping[str, list[int]]) -> None:
        try:
            self._pipeline.drain()
        finally:
            for name, numbers in partitions.items():
                self._sink.close(self._names[name], numbers)

    # checking: in a thread of its own

    def _check(self, parts: list[Consumed]) -> _Prepared:
        consumed = _joined(parts)
        lane = self._lanes[consumed.topic]
        checked = lane.checker.check(consumed.messages)
        rows, duplicates = self._without_duplicates(lane, checked)
        times, late = self._timed(lane, rows)
        if any(column.name == LATE for column in lane.topic.contract.columns):
            mark = pa.nulls(rows.num_rows, pa.bool_()) if late is None else pa.array(late)
            rows = rows.append_column(LATE, mark)
        batch = Batch(
            topic=lane.topic,
            spans=consumed.spans,
            rows=rows,
            rejects=checked.rejects,
            duplicates=duplicates,
            erased=checked.erased,
            late=int(late.sum()) if late is not None else 0,
            drift=tuple(f"field {name[:100]!r} is not in the contract" for name in checked.drift),
            times=times,
        )
        dead = letters(consumed, checked.rejected, checked.rejects) if len(checked.rejected) else []
        return _Prepared(batch, dead, checked.drift, consumed.since)

    def _without_duplicates(self, lane: _Lane, checked: Checked) -> tuple[pa.Table, int]:
        if checked.identities is None or checked.times is None or not checked.count:
            return checked.rows(), 0
        told = pc.is_valid(checked.identities).to_numpy(zero_copy_only=False)
        hashes = pc.fill_null(checked.identities, 0).to_numpy()
        times = _micros(checked.times)
        if told.all():
            new = lane.recent.first_seen(hashes, times)
        else:
            new = np.ones(len(hashes), dtype=np.bool_)
            new[told] = lane.recent.first_seen(hashes[told], times[told])
        return checked.rows(new), int(len(new) - new.sum())

    def _timed(
        self, lane: _Lane, rows: pa.Table
    ) -> tuple[tuple[datetime, datetime] | None, Mask | None]:
        """The oldest and the newest event, and which rows came behind the watermark."""
        name = lane.topic.event_time
        if name is None or not rows.num_rows:
            return None, None
        column = rows.column(name)
        ends = pc.min_max(column).as_py()
        if ends["min"] is None:
            return None, np.zeros(rows.num_rows, dtype=np.bool_)
        # an event dated ahead of when it was produced makes no other one late
        produced = _micros(rows.column("_kafka_timestamp"))
        times = _micros(column)
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        partitions = rows.column("_partition").to_numpy()
        late = np.zeros(rows.num_rows, dtype=np.bool_)
        behind = int(WATERMARK.total_seconds() * 1e6)
        for partition in np.unique(partitions):
            of_it = there & (partitions == partition)
            if not of_it.any():
                continue
            own = times[of_it]
            newest = np.maximum.accumulate(np.minimum(own, produced[of_it]))
            before = lane.newest.get(int(partition))
            if before is not None:
                newest = np.maximum(newest, before)
            late[of_it] = own < newest - behind
            lane.newest[int(partition)] = int(newest[-1])
        return (ends["min"], ends["max"]), late

    # writing: in a thread of its own

    def _write(self, prepared: _Prepared) -> None:
        batch = prepared.batch
        name = batch.topic.name
        if prepared.dead:
            self._dead_letters.send(name, prepared.dead)
        begun = time.monotonic()
        self._sink.append(batch)
        done = self._sink.commit()
        now = time.monotonic()
        self._progress = now
        offsets = {channel.partition: at for channel, at in done.offsets.items()}
        self._dead_letters.committed(name, offsets)
        self._committed.update({(name, partition): at for partition, at in offsets.items()})
        self._count(prepared, done.known_rows.get(name, 0), done.known_rejects.get(name, 0))
        if self._metrics:
            self._metrics.batch_seconds.labels(name).observe(now - prepared.since)
            self._metrics.commit_seconds.labels(name).observe(now - begun)

    def _count(self, prepared: _Prepared, known_rows: int, known_rejects: int) -> None:
        batch = prepared.batch
        totals = self._totals[batch.topic.name]
        landed = batch.rows.num_rows - known_rows
        rejected = batch.rejects.num_rows - known_rejects
        known = known_rows + known_rejects
        totals.read += batch.read
        totals.landed += landed
        totals.dead_letters += rejected
        totals.duplicates += batch.duplicates
        totals.known += known
        totals.erased += batch.erased
        totals.late += batch.late
        totals.batches += 1
        totals.drift.update(prepared.drift)
        if self._metrics:
            name = batch.topic.name
            self._metrics.rows.labels(name).inc(landed)
            self._metrics.rejects.labels(name).inc(rejected)
            self._metrics.duplicates.labels(name).inc(batch.duplicates)
            self._metrics.known.labels(name).inc(known)
            self._metrics.late.labels(name).inc(batch.late)
            self._metrics.drift.labels(name).inc(sum(prepared.drift.values()))
            self._metrics.batches.labels(name).inc()

    # telling others

    def _tell(
        self, consumer: Consumer, assigned: Iterable[tuple[str, int]], last: bool = False
    ) -> None:
        """Work out the lag, and tell the group how far we are, for those who look at it there."""
        from confluent_kafka import KafkaException, TopicPartition

        ours = set(assigned)
        lags: Counter[str] = Counter()
        told = []
        for name, partition in ours:
            at = self._committed.get((name, partition), -1)
            told.append(TopicPartition(name, partition, at + 1))
            high = consumer.get_watermark_offsets(TopicPartition(name, partition), cached=True)[1]
            lag = max(0, high - at - 1)
            lags[name] += lag
            if self._metrics:
                self._metrics.lag.labels(name, str(partition)).set(lag)
        for name in self._names:
            self._totals[name].lag = lags[name]
        if told:
            try:
                if last:
                    consumer.commit(offsets=told, asynchronous=False)
                else:
                    consumer.commit(offsets=told, asynchronous=True)
            except KafkaException:
                pass  # nothing leans on it

    def totals(self) -> tuple[Totals, ...]:
        """How far the run is."""
        return tuple(self._totals.values())


class _LandedKeys:
    """Looks identities up among what has landed, as the hashes that the check makes of them."""

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        topic: Topic,
        sink: Sink,
        pipeline: Pipeline[Any],
    ) -> None:
        self._engine, self._topic, self._sink, self._pipeline = engine, topic, sink, pipeline

    def __call__(self, periods: list[Period]) -> tuple[Hashes, Times]:
        # what was checked before has to be among them
        self._pipeline.wait_written()
        return landed_hashes(self._engine, self._topic, self._sink, periods)


def landed_hashes(
    engine: duckdb.DuckDBPyConnection, topic: Topic, sink: Sink, periods: list[Period]
) -> tuple[Hashes, Times]:
    """Hashes, as the check makes them, and times of what has landed in periods of event time."""
    assert topic.event_time is not None
    columns = topic.identity
    engine.register("keys", sink.landed_keys(topic, columns, periods))
    names = ", ".join(map(quoted, columns))
    found = engine.execute(
        f"select hash({names}) as h, epoch_us({quoted(topic.event_time)}) as t from keys"
        f" where {' and '.join(f'{quoted(name)} is not null' for name in columns)}"
    ).to_arrow_table()
    engine.unregister("keys")
    return found.column("h").to_numpy(), found.column("t").to_numpy()


def _joined(parts: list[Consumed]) -> Consumed:
    """Several parts of one topic as one."""
    if len(parts) == 1:
        return parts[0]
    spans: dict[int, Span] = {}
    originals: dict[int, bytes] = {}
    before = 0
    for part in parts:
        for partition, span in part.spans.items():
            known = spans.get(partition, span)
            spans[partition] = Span(min(known.first, span.first), max(known.last, span.last))
        originals.update({before + place: value for place, value in part.originals.items()})
        before += part.messages.num_rows
    messages = pa.concat_tables([part.messages for part in parts])
    return Consumed(parts[0].topic, messages, spans, originals, min(p.since for p in parts))


def _micros(column: pa.ChunkedArray) -> Times:
    """Times as microseconds since 1970; a missing one is the oldest there can be."""
    numbers = pc.fill_null(column.cast(pa.timestamp("us")).cast(pa.int64()), -(2**63))
    found: Times = numbers.to_numpy()
    return found

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
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.messages import Topic
from ingestion.stream.checking import Checker
from ingestion.stream.consuming import Consumed, Group, OffsetsGone
from ingestion.stream.dead_letters import DeadLetters
from ingestion.stream.deduplicating import Recent
from ingestion.stream.framing import SchemaSource
from ingestion.stream.landed_keys import LandedKeys
from ingestion.stream.lanes import Lane, Prepared
from ingestion.stream.metrics import Metrics
from ingestion.stream.pipeline import Pipeline
from ingestion.stream.sinks import Fenced, Sink
from ingestion.stream.totals import Summary, Totals
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from confluent_kafka import Consumer

#: How many seconds lie between two batches at least, where no more messages come at once.
LINGER = 0.05
#: For how long one look for messages waits for the first of them, in seconds.
_LOOK = 0.05
#: For how long, in seconds, trouble may last before the loader gives up.
PATIENCE = 300.0

_AT_ONCE = 2_000
_ENGINE_MEMORY = "512MB"
_TELL_SECONDS = 2.0
_REQUEST_SECONDS = 10.0
#: Taken over from more often than this, within so many seconds, is no rebalance of a group.
_OFTEN, _TUG_OF_WAR = 8, 120.0
#: A pause of the sink that is longer is told to the group, which would take the loader for dead.
_LONG_WAIT = 20.0


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
        self._lanes: dict[str, Lane] = {}
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
            # reading, checking and writing are threads of their own already; a second one within
            # the check costs more CPU than it saves time
            engine.execute("set threads = 1")
            pipeline = Pipeline(self._check, self._write)
            self._pipeline = pipeline
            self._lanes = {
                name: Lane(
                    topic,
                    Checker(engine, topic, self._area),
                    Recent(LandedKeys(engine, topic, self._sink, pipeline.wait_written)),
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
        pipeline: Pipeline[Prepared],
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
            if until_caught_up and group.is_at_end():
                return

    def _wait(self, group: Group, pipeline: Pipeline[Prepared]) -> None:
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
                offsets[name, partition] = self._next(consumer, name, partition, known)
                self._committed[name, partition] = offsets[name, partition] - 1
            self._dead_letters.read_back(name, known)
            lane.begin(numbers, self._sink)
        return offsets

    def _next(
        self, consumer: Consumer, name: str, partition: int, committed: Mapping[int, int]
    ) -> int:
        from confluent_kafka import KafkaException, TopicPartition

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
            self._totals[name].lose(low - at, self._metrics)
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

    # checking and writing: each in a thread of its own

    def _check(self, parts: list[Consumed]) -> Prepared:
        return self._lanes[parts[0].topic].prepared(parts)

    def _write(self, prepared: Prepared) -> None:
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
        self._totals[name].add(batch, done, prepared.drift, self._metrics)
        if self._metrics:
            self._metrics.batch_seconds.labels(name).observe(now - prepared.since)
            self._metrics.commit_seconds.labels(name).observe(now - begun)

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

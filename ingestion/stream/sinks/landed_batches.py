"""What has landed of topics, as the footers of their batches tell it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from ingestion import footers
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.messages import RANGES, TOPIC, Topic, landed_offsets
from ingestion.stream.sinks import Batch, Span

#: The folder below a table's that a stream lands in.
STREAM = "stream"
#: What a batch's position says beside its ranges: the times of its events, and what was counted.
TIMES, DUPLICATES, ERASED, LATE = "times", "duplicates", "erased", "late"


@dataclass
class LandedBatches:
    """What is known of one topic's landed batches."""

    committed: dict[int, int] = field(default_factory=dict)
    times: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)  # by stream batch
    known: set[Path] = field(default_factory=set)  # files whose footers have been read
    others: list[Landed] = field(default_factory=list)  # batches of dumps, of replays
    listed: frozenset[str] = frozenset()  # what stood in the table's folder then


class LandedTopics:
    """What is known of topics; learnt anew where files have come or gone."""

    def __init__(self, area: LandingArea, spill: Path) -> None:
        """`spill` is a folder for what does not fit into memory."""
        self._area, self._spill = area, spill
        self._landed: dict[str, LandedBatches] = {}

    def of(self, topic: Topic) -> LandedBatches:
        """What is known of a topic by now."""
        return self._landed.setdefault(topic.name, LandedBatches())

    def refreshed(self, topic: Topic) -> LandedBatches:
        """What is known of the topic's batches, those that others landed meanwhile included."""
        try:
            return self._refreshed_once(topic)
        except duckdb.IOException:
            # files were put together meanwhile
            return self._refreshed_once(topic)

    def _refreshed_once(self, topic: Topic) -> LandedBatches:
        landed = self.of(topic)
        table = topic.contract.name
        files = self._area.files(table)
        gone = landed.known.difference(files)
        if gone:
            # somebody has tidied up: what is left says it all
            landed = self._landed[topic.name] = LandedBatches()
        landed.listed = self.listed(table)
        new = [path for path in files if path not in landed.known]
        for footer in footers.read_footers(new):
            self.note(landed, topic, footer)
        landed.known.update(new)
        return landed

    def note(self, landed: LandedBatches, topic: Topic, footer: Landed) -> None:
        """Learn of a batch."""
        if not footer.batch.startswith(f"{STREAM}/"):
            landed.others.append(footer)
            return
        if footer.position.get(TOPIC) != topic.name:
            return
        for partition, (_, last) in footer.position[RANGES].items():
            number = int(partition)
            landed.committed[number] = max(last, landed.committed.get(number, -1))
        times = footer.position.get(TIMES)
        if times:
            first, newest = map(datetime.fromisoformat, times)
            landed.times[footer.batch] = (first, newest)

    def listed(self, table: str) -> frozenset[str]:
        """The names of the files that did not land from a stream."""
        names = os.listdir(self._area.root / table)
        return frozenset(name for name in names if name.endswith(".parquet"))

    def keys(
        self,
        topic: Topic,
        columns: tuple[str, ...],
        periods: Iterable[tuple[datetime, datetime]],
    ) -> pa.Table:
        """See `Sink.landed_keys`."""
        contract = topic.contract
        wanted = list(periods)
        if topic.name not in self._landed:
            # somebody who only looks, and takes nothing over
            with self._area.deciding(contract.name):
                self.refreshed(topic)
        try:
            return self._keys(topic, columns, wanted)
        except duckdb.IOException:
            # files were put together meanwhile; by now it is known which
            return self._keys(topic, columns, wanted)

    def _keys(
        self, topic: Topic, columns: tuple[str, ...], wanted: list[tuple[datetime, datetime]]
    ) -> pa.Table:
        contract = topic.contract
        landed = self.of(topic)
        files = [
            self._area.path(contract.name, batch)
            for batch, (first, last) in list(landed.times.items())
            if any(first <= until and last >= since for since, until in wanted)
        ]
        # dumps do not say of what time their events are
        files += [self._area.path(contract.name, o.batch) for o in landed.others if o.rows]
        listed = ", ".join(quoted(name) for name in columns)
        kinds = ", ".join(
            f"cast(null as {contract.column(name).physical_type}) as {quoted(name)}"
            for name in columns
        )
        query = f"select {kinds} limit 0"
        if files:
            assert topic.event_time is not None
            within = " or ".join(
                f"{quoted(topic.event_time)} between {_timestamp(a)} and {_timestamp(b)}"
                for a, b in wanted
            )
            paths = ", ".join(map(text_literal, dict.fromkeys(files)))
            query = (
                f"select {listed} from read_parquet([{paths}], union_by_name = true) where {within}"
            )
        with open_engine(self._spill) as engine:
            return engine.execute(query).to_arrow_table()

    def newest_time(self, topic: Topic) -> datetime | None:
        """See `Sink.newest_time`."""
        landed = self.of(topic)
        return max((last for _, last in landed.times.values()), default=None)

    def without_known(self, batch: Batch) -> Batch:
        """The batch without the messages whose offset has landed with a dump."""
        landed = self.of(batch.topic)
        overlapping = [o for o in landed.others if _overlap(o, batch.topic.name, batch.spans)]
        if not overlapping:
            return batch
        with open_engine(self._spill) as engine:
            engine.execute(
                "create temp table known as select distinct _partition, _offset"
                f" from ({landed_offsets(overlapping, self._area)})"
            )
            rows = _not_known(engine, batch.rows, "_partition", "_offset")
            rejects = _not_known(engine, batch.rejects, "partition", "message_offset")
        return replace(batch, rows=rows, rejects=rejects)


def _overlap(landed: Landed, topic: str, spans: Mapping[int, Span]) -> bool:
    ranges = landed.position.get(RANGES, {}) if landed.position.get(TOPIC) == topic else {}
    return any(
        int(partition) in spans
        and first <= spans[int(partition)].last
        and last >= spans[int(partition)].first
        for partition, (first, last) in ranges.items()
    )


def _not_known(
    engine: duckdb.DuckDBPyConnection, rows: pa.Table, partition: str, offset: str
) -> pa.Table:
    places = pa.table({"p": rows.column(partition), "o": rows.column(offset)})
    places = places.append_column("n", pa.array(range(len(rows)), pa.int64()))
    engine.register("places", places)
    kept = engine.execute(
        "select n from places where not exists (from known where _partition = p and _offset = o)"
        " order by n"
    ).to_arrow_table()
    return rows.take(kept.column("n"))


def _timestamp(moment: datetime) -> str:
    return f"timestamp {text_literal(moment.isoformat(sep=' '))}"

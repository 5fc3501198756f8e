"""The landing area as a sink: one Parquet file a batch, for all partitions in it.

The rename of the file is the commit of its offsets, which stand in its footer as one range for
each partition. Rejected rows land before it under the same batch id, and count with it. Files of a
stream stand below `<table>/stream/<day>/<hour>/`, by when they landed (UTC).

A writer of a partition writes its own name over that of the one before (`<state>/stream/`), and
looks whether it still stands there in the moment of each commit: who was replaced is fenced. That
moment is short and guarded by the lock on the table's folder, which landing a dump takes, too.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import footers
from ingestion.bookkeeping import BATCH, LOADED_AT, QUARANTINE, SOURCE
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.messages import COMPLETE, RANGES, TOPIC, Topic, landed_offsets
from ingestion.stream.sinks import Batch, Channel, Committed, Fenced, Span
from waypoint.contracts.model import Contract

#: The folder below a table's that a stream lands in.
STREAM = "stream"
#: What a batch's position says beside its ranges: the times of its events, and what was counted.
TIMES, DUPLICATES, ERASED, LATE = "times", "duplicates", "erased", "late"


_ROW_GROUP = 122_880
#: Gives the last offset by partition of a topic that the warehouse has loaded from the stream.
Recovered = Callable[[Topic], Mapping[int, int]]


@dataclass
class _Landed:
    """What is known of a topic's landed batches."""

    committed: dict[int, int] = field(default_factory=dict)
    times: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)  # by stream batch
    known: set[Path] = field(default_factory=set)  # files whose footers have been read
    others: list[Landed] = field(default_factory=list)  # batches of dumps, of replays
    listed: frozenset[str] = frozenset()  # what stood in the table's folder then


class ParquetSink:
    """`Sink` on a landing area; see the module."""

    def __init__(
        self, area: LandingArea, state: Path, source: str, recovered: Recovered | None = None
    ) -> None:
        """`state` is the project's folder of state, `source` what `_source` says of the rows.

        `recovered` tells what the warehouse knows of a topic of which no file is left.
        """
        self._area = area
        self._folder = state / "stream"
        self._spill = state / "spill"
        self._source = source
        self._recovered = recovered
        self._writer = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        self._epochs: dict[Channel, str] = {}
        self._landed: dict[str, _Landed] = {}
        self._held: list[Batch] = []

    def open(self, topic: Topic, partitions: Iterable[int]) -> Mapping[int, int | None]:
        wanted = sorted(partitions)
        table = topic.contract.name
        with self._area.deciding(table):
            landed = self._refreshed(topic)
            if not landed.committed and self._recovered is not None:
                landed.committed.update(self._recovered(topic))
            writers = self._writers(topic)
            for partition in wanted:
                self._number += 1
                name = f"{self._writer}-{self._number}"
                writers[str(partition)] = name
                self._epochs[Channel(topic.name, partition)] = name
            self._write_writers(topic, writers)
            self._clean(table)
        self._drop(topic, wanted)
        return {partition: landed.committed.get(partition) for partition in wanted}

    def append(self, batch: Batch) -> None:
        closed = [str(channel) for channel in batch.channels if channel not in self._epochs]
        if closed:
            raise Fenced(f"{', '.join(closed)}: is not open")
        self._held.append(batch)

    def commit(self) -> Committed:
        held, self._held = self._held, []
        offsets: dict[Channel, int] = {}
        known_rows: dict[str, int] = {}
        known_rejects: dict[str, int] = {}
        for batch in held:
            rows, rejects = self._land(batch)
            name = batch.topic.name
            known_rows[name] = known_rows.get(name, 0) + rows
            known_rejects[name] = known_rejects.get(name, 0) + rejects
            for partition, span in batch.spans.items():
                offsets[Channel(name, partition)] = span.last
        return Committed(offsets, known_rows, known_rejects)

    def landed_keys(
        self,
        topic: Topic,
        columns: tuple[str, ...],
        periods: Iterable[tuple[datetime, datetime]],
    ) -> pa.Table:
        contract = topic.contract
        wanted = list(periods)
        if topic.name not in self._landed:
            # somebody who only looks, and takes nothing over
            with self._area.deciding(contract.name):
                self._refreshed(topic)
        try:
            return self._keys(topic, columns, wanted)
        except duckdb.IOException:
            # files were put together meanwhile; by now it is known which
            return self._keys(topic, columns, wanted)

    def _keys(
        self, topic: Topic, columns: tuple[str, ...], wanted: list[tuple[datetime, datetime]]
    ) -> pa.Table:
        contract = topic.contract
        landed = self._of(topic)
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
        landed = self._of(topic)
        return max((last for _, last in landed.times.values()), default=None)

    def close(self, topic: Topic, partitions: Iterable[int]) -> None:
        given_up = list(partitions)
        self._drop(topic, given_up)
        for partition in given_up:
            self._epochs.pop(Channel(topic.name, partition), None)

    # what has landed

    def _of(self, topic: Topic) -> _Landed:
        return self._landed.setdefault(topic.name, _Landed())

    def _refreshed(self, topic: Topic) -> _Landed:
        """What is known of the topic's batches, those that others landed meanwhile included."""
        try:
            return self._refreshed_once(topic)
        except duckdb.IOException:
            # files were put together meanwhile
            return self._refreshed_once(topic)

    def _refreshed_once(self, topic: Topic) -> _Landed:
        landed = self._of(topic)
        table = topic.contract.name
        files = self._area.files(table)
        gone = landed.known.difference(files)
        if gone:
            # somebody has tidied up: what is left says it all
            landed = self._landed[topic.name] = _Landed()
        landed.listed = self._listed(table)
        new = [path for path in files if path not in landed.known]
        for footer in footers.read_footers(new):
            self._note(landed, topic, footer)
        landed.known.update(new)
        return landed

    def _note(self, landed: _Landed, topic: Topic, footer: Landed) -> None:
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

    def _listed(self, table: str) -> frozenset[str]:
        """The names of the files that did not land from a stream."""
        names = os.listdir(self._area.root / table)
        return frozenset(name for name in names if name.endswith(".parquet"))

    def _clean(self, table: str) -> None:
        """Remove the rejects of batches that killed writers did not get to commit."""
        folder = self._area.root / QUARANTINE / table
        for path in (folder / STREAM).rglob("*.parquet"):
            batch = path.relative_to(folder).with_suffix("").as_posix()
            if not self._area.has(table, batch) and not _is_running(path.name.split("-")[1]):
                path.unlink(missing_ok=True)

    # who writes

    def _writers(self, topic: Topic) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._writers_file(topic).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def _write_writers(self, topic: Topic, writers: Mapping[str, str]) -> None:
        file = self._writers_file(topic)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(writers), "utf-8")
        os.replace(temporary, file)

    def _writers_file(self, topic: Topic) -> Path:
        return self._folder / f"{topic.name}.writers.json"

    def _refuse_fenced(self, batch: Batch) -> None:
        writers = self._writers(batch.topic)
        for channel in batch.channels:
            if writers.get(str(channel.partition)) != self._epochs.get(channel):
                raise Fenced(
                    f"{channel}: another loader has taken over; of the batch nothing was landed"
                )

    def _drop(self, topic: Topic, partitions: Iterable[int]) -> None:
        dropped = {Channel(topic.name, partition) for partition in partitions}
        self._held = [b for b in self._held if dropped.isdisjoint(b.channels)]

    # landing

    def _land(self, batch: Batch) -> tuple[int, int]:
        """Land one batch; how many rows and rejects had landed with a dump and were left out."""
        landed = self._of(batch.topic)
        before = batch
        while True:
            batch = self._without_known(before, landed)
            known = (
                before.rows.num_rows - batch.rows.num_rows,
                before.rejects.num_rows - batch.rejects.num_rows,
            )
            if self._landed_once(batch, landed, sum(known)):
                return known
            # a dump has landed while the file was written
            landed = self._refreshed(batch.topic)

    def _landed_once(self, batch: Batch, landed: _Landed, known: int) -> bool:
        """Land the batch, unless a dump of the topic has landed since it was looked for one."""
        contract = batch.topic.contract
        self._number += 1
        moment = datetime.now(UTC)
        name = f"{STREAM}/{moment:%Y-%m-%d}/{moment:%H}/{moment:%M%S%f}-{self._writer}"
        name += f"-{self._number}"
        footer = self._footer(batch, name, known)
        if batch.rejects.num_rows:
            self._write_rejects(batch, name)
        with ExitStack() as deciding:
            try:
                with self._area.writing(contract.name, name) as path:
                    rows = _complete(batch.rows, contract, self._source, name)
                    _write(path, rows, footer, _few(contract), _looked_at(contract))
                    _synced(path)
                    deciding.enter_context(self._area.deciding(contract.name))
                    self._refuse_fenced(batch)
                    listed = self._listed(contract.name)
                    if listed - landed.listed:
                        raise _DumpLanded
            except _DumpLanded:
                self._area.path(QUARANTINE, f"{contract.name}/{name}").unlink(missing_ok=True)
                return False
            except Fenced:
                self._area.path(QUARANTINE, f"{contract.name}/{name}").unlink(missing_ok=True)
                raise
        landed.known.add(self._area.path(contract.name, name))
        self._note(landed, batch.topic, footer)
        return True

    def _footer(self, batch: Batch, name: str, known: int) -> Landed:
        position: dict[str, Any] = {
            TOPIC: batch.topic.name,
            RANGES: {str(p): [span.first, span.last] for p, span in sorted(batch.spans.items())},
            COMPLETE: True,
            DUPLICATES: batch.duplicates,
            ERASED: batch.erased,
            LATE: batch.late,
        }
        if batch.times:
            position[TIMES] = [moment.isoformat() for moment in batch.times]
        left_out = batch.duplicates + batch.erased + known
        rows, rejected = batch.rows.num_rows, batch.rejects.num_rows
        return Landed(
            table=batch.topic.contract.name,
            batch=name,
            source=self._source,
            rows=rows,
            read=rows + rejected + left_out,
            rejected=rejected,
            unchanged=left_out,
            position=position,
            drift=batch.drift,
            landed_at=footers.now_text(),
        )

    def _write_rejects(self, batch: Batch, name: str) -> None:
        table = batch.topic.contract.name
        rows = batch.rejects
        told = {"source": self._source, "batch": name}
        for place, column in enumerate(("source", "batch"), start=1):
            rows = rows.add_column(place, column, _constant(told[column], rows.num_rows))
        under = f"{table}/{name}"
        landed = Landed(
            QUARANTINE, under, self._source, len(rows), len(rows), landed_at=footers.now_text()
        )
        with self._area.writing(QUARANTINE, under) as path:
            _write(path, rows, landed, few=("table_name", "source", "batch", "rule"))

    def _without_known(self, batch: Batch, landed: _Landed) -> Batch:
        """The batch without the messages whose offset has landed with a dump."""
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


class _DumpLanded(Exception):
    """A dump of the topic has landed while the batch was written."""


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


def _complete(rows: pa.Table, contract: Contract, source: str, batch: str) -> pa.Table:
    """The rows with all columns of the contract that a landed file has, in its order."""
    added = {SOURCE: source, BATCH: batch}
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for column in contract.columns:
        if column.name == LOADED_AT:
            continue
        if column.name in added:
            columns[column.name] = _constant(added[column.name], rows.num_rows)
        else:
            columns[column.name] = rows.column(column.name)
    return pa.table(columns)


def _constant(text: str, count: int) -> pa.DictionaryArray:
    places = pa.array(bytes(4 * count), pa.int32()) if count == 0 else _zeros(count)
    return pa.DictionaryArray.from_arrays(places, pa.array([text]))


def _zeros(count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(bytes(4 * count))])


def _write(
    path: Path,
    rows: pa.Table,
    footer: Landed,
    few: Iterable[str] = (),
    looked_at: Iterable[str] = (),
) -> None:
    """Write a file; `few` are columns of few values, `looked_at` those that are searched by."""
    names = set(rows.column_names)
    # a dictionary pays where there are few values, statistics where somebody looks for a range
    with pq.ParquetWriter(
        path,
        rows.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in few if name in names],
        write_statistics=[name for name in looked_at if name in names],
        store_schema=False,
    ) as writer:
        writer.write_table(rows, row_group_size=_ROW_GROUP)
        told = json.dumps(asdict(footer), separators=(",", ":"))
        writer.add_key_value_metadata({footers.KEY: told})


def _few(contract: Contract) -> list[str]:
    return [c.name for c in contract.columns if c.name in (SOURCE, BATCH) or c.valid_values]


def _looked_at(contract: Contract) -> list[str]:
    times = [c.name for c in contract.columns if c.physical_type == "timestamp"]
    return ["_partition", "_offset", *times]


def _synced(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True


def _timestamp(moment: datetime) -> str:
    return f"timestamp {text_literal(moment.isoformat(sep=' '))}"

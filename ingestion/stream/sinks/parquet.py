"""The landing area as a sink: one Parquet file a batch, for all partitions in it.

The rename of the file is the commit of its offsets, which stand in its footer as one range for
each partition. Rejected rows land before it under the same batch id, and count with it. Files of a
stream stand below `<table>/stream/<day>/<hour>/`, by when they landed (UTC).

A writer of a partition writes its own name over that of the one before (`<state>/stream/`), and
looks whether it still stands there in the moment of each commit: who was replaced is fenced. That
moment is short and guarded by the lock on the table's folder, which landing a dump takes, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from ingestion.bookkeeping import QUARANTINE
from ingestion.landing import LandingArea
from ingestion.messages import Topic
from ingestion.stream.sinks import Batch, Channel, Committed, Fenced
from ingestion.stream.sinks.held import Held
from ingestion.stream.sinks.landed_batches import STREAM, LandedTopics
from ingestion.stream.sinks.parquet_files import (
    footer_of,
    write_rejects,
    write_rows,
)
from ingestion.stream.sinks.writers import Writers

#: Gives the last offset by partition of a topic that the warehouse has loaded from the stream.
Recovered = Callable[[Topic], Mapping[int, int]]


class ParquetSink:
    """`Sink` on a landing area; see the module."""

    def __init__(
        self, area: LandingArea, state: Path, source: str, recovered: Recovered | None = None
    ) -> None:
        """`state` is the project's folder of state, `source` what `_source` says of the rows.

        `recovered` tells what the warehouse knows of a topic of which no file is left.
        """
        self._area, self._source = area, source
        self._recovered = recovered
        self._writers = Writers(state / "stream")
        self._landed = LandedTopics(area, state / "spill")
        self._held = Held()
        self._number = 0

    def open(self, topic: Topic, partitions: Iterable[int]) -> Mapping[int, int | None]:
        wanted = sorted(partitions)
        table = topic.contract.name
        with self._area.deciding(table):
            landed = self._landed.refreshed(topic)
            if not landed.committed and self._recovered is not None:
                landed.committed.update(self._recovered(topic))
            self._writers.take_over(topic, wanted)
            self._clean(table)
        self._held.drop(topic, wanted)
        return {partition: landed.committed.get(partition) for partition in wanted}

    def append(self, batch: Batch) -> None:
        self._held.add(batch, self._writers.ours)

    def commit(self) -> Committed:
        offsets: dict[Channel, int] = {}
        known_rows: dict[str, int] = {}
        known_rejects: dict[str, int] = {}
        for batch in self._held.taken():
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
        return self._landed.keys(topic, columns, periods)

    def newest_time(self, topic: Topic) -> datetime | None:
        return self._landed.newest_time(topic)

    def close(self, topic: Topic, partitions: Iterable[int]) -> None:
        given_up = list(partitions)
        self._held.drop(topic, given_up)
        self._writers.give_up(topic, given_up)

    def _land(self, batch: Batch) -> tuple[int, int]:
        """Land one batch; how many rows and rejects had landed with a dump and were left out."""
        while True:
            left = self._landed.without_known(batch)
            known = (
                batch.rows.num_rows - left.rows.num_rows,
                batch.rejects.num_rows - left.rejects.num_rows,
            )
            if self._landed_once(left, sum(known)):
                return known
            # a dump has landed while the file was written
            self._landed.refreshed(batch.topic)

    def _landed_once(self, batch: Batch, known: int) -> bool:
        """Land the batch, unless a dump of the topic has landed since it was looked for one."""
        landed = self._landed.of(batch.topic)
        table = batch.topic.contract.name
        name = self._new_name()
        footer = footer_of(batch, name, self._source, known)
        if batch.rejects.num_rows:
            with self._area.writing(QUARANTINE, f"{table}/{name}") as path:
                write_rejects(path, batch, name, self._source)
        with ExitStack() as deciding:
            try:
                with self._area.writing(table, name) as path:
                    write_rows(path, batch, footer)
                    deciding.enter_context(self._area.deciding(table))
                    self._writers.refuse_fenced(batch.topic, batch.channels)
                    if self._landed.listed(table) - landed.listed:
                        raise _DumpLanded
            except (_DumpLanded, Fenced) as reason:
                self._area.path(QUARANTINE, f"{table}/{name}").unlink(missing_ok=True)
                if isinstance(reason, Fenced):
                    raise
                return False
        landed.known.add(self._area.path(table, name))
        self._landed.note(landed, batch.topic, footer)
        return True

    def _new_name(self) -> str:
        """What the next batch is called; it tells when it landed and whose it is."""
        self._number += 1
        moment = datetime.now(UTC)
        own = f"{moment:%M%S%f}-{self._writers.name}-{self._number}"
        return f"{STREAM}/{moment:%Y-%m-%d}/{moment:%H}/{own}"

    def _clean(self, table: str) -> None:
        """Remove the rejects of batches that killed writers did not get to commit."""
        folder = self._area.root / QUARANTINE / table
        for path in (folder / STREAM).rglob("*.parquet"):
            batch = path.relative_to(folder).with_suffix("").as_posix()
            if not self._area.has(table, batch) and not _is_running(path.name.split("-")[1]):
                path.unlink(missing_ok=True)


class _DumpLanded(Exception):
    """A dump of the topic has landed while the batch was written."""


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True

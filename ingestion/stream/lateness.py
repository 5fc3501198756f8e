"""Which rows came late: behind the newest event of their partition by more than the watermark.

Nothing is dropped for that. An event dated ahead of when it was produced makes no other one late.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.stream.deduplicating import Mask, Times

#: What is behind the newest event of its partition by more than this is late.
WATERMARK = timedelta(minutes=1)


class Lateness:
    """The newest event of each partition of a topic, as far as it was read."""

    def __init__(self, event_time: str | None) -> None:
        """`event_time` is the column that says when things happened; None where none does."""
        self._event_time = event_time
        self._newest: dict[int, int] = {}

    def forget(self, partition: int) -> None:
        """Begin anew with a partition."""
        self._newest.pop(partition, None)

    def of(self, rows: pa.Table) -> tuple[tuple[datetime, datetime] | None, Mask | None]:
        """The oldest and the newest event of rows, and which of them came late.

        None where nothing tells when things happened.
        """
        name = self._event_time
        if name is None or not rows.num_rows:
            return None, None
        column = rows.column(name)
        ends = pc.min_max(column).as_py()
        if ends["min"] is None:
            return None, np.zeros(rows.num_rows, dtype=np.bool_)
        produced = micros_of(rows.column("_kafka_timestamp"))
        times = micros_of(column)
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
            before = self._newest.get(int(partition))
            if before is not None:
                newest = np.maximum(newest, before)
            late[of_it] = own < newest - behind
            self._newest[int(partition)] = int(newest[-1])
        return (ends["min"], ends["max"]), late


def micros_of(column: pa.ChunkedArray) -> Times:
    """Times as microseconds since 1970; a missing one is the oldest there can be."""
    numbers = pc.fill_null(column.cast(pa.timestamp("us")).cast(pa.int64()), -(2**63))
    found: Times = numbers.to_numpy()
    return found

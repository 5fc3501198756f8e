"""Where a stream lands: one small interface, and one module for each kind of sink.

A channel is one partition of a topic and has one writer at a time. The sink is the only memory of
how far a channel has been read: the loader asks it when it takes a channel up, and never the
consumer group. So a batch counts when the sink has committed it, and not before, and a loader that
is killed at any point goes on after the last committed offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from ingestion.messages import Topic
from waypoint.errors import WaypointError


class Fenced(WaypointError):
    """Another writer has opened the channel since; nothing of the batch was committed.

    Not a failure of the loader: it drops what it holds of the channel.
    """


@dataclass(frozen=True, order=True)
class Channel:
    """One partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True)
class Span:
    """Offsets of one partition, both ends included.

    Every message in between is accounted for; offsets without a message (compacted away, the mark
    of a transaction) are covered too.
    """

    first: int
    last: int


@dataclass(frozen=True)
class Batch:
    """Messages of one topic, checked: `read` = rows + rejects + `duplicates` + `erased`.

    Attributes:
        topic: which topic, with the contract of the table that it lands in.
        spans: what the batch accounts for, by partition; it may have no rows at all.
        rows: what lands: the contract's columns in its order and with its types, without
            `_source`, `_batch` and `_loaded_at`, which the sink and the load add.
        rejects: what goes to quarantine: the columns of `raw.quarantine`
            (`ingestion.bookkeeping.TABLES`) without `source`, `batch` and `_loaded_at`.
        duplicates: messages whose identity had landed before under another offset.
        erased: messages about people who were erased (`ingestion.suppression`).
        late: rows among `rows` that came behind the watermark.
        drift: fields that the contract does not know, in people's words.
        times: the oldest and the newest event time (UTC, no zone) of `rows`, where they have one.
    """

    topic: Topic
    spans: Mapping[int, Span]
    rows: pa.Table
    rejects: pa.Table
    duplicates: int = 0
    erased: int = 0
    late: int = 0
    drift: tuple[str, ...] = ()
    times: tuple[datetime, datetime] | None = None

    @property
    def read(self) -> int:
        kept = int(self.rows.num_rows) + int(self.rejects.num_rows)
        return kept + self.duplicates + self.erased

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that the batch has something of, in order."""
        return tuple(Channel(self.topic.name, partition) for partition in sorted(self.spans))


@dataclass(frozen=True)
class Committed:
    """What one commit did.

    Attributes:
        offsets: the last committed offset of each channel that was appended to.
        known: messages by topic that were left out, because their offset had landed by another
            way meanwhile (with a dump): `known_rows` of the rows, `known_rejects` of the rejects.
    """

    offsets: Mapping[Channel, int]
    known_rows: Mapping[str, int] = field(default_factory=dict)
    known_rejects: Mapping[str, int] = field(default_factory=dict)


class Sink(Protocol):
    """Takes batches and commits them.

    Its methods are called by one thread at a time, but for `landed_keys`, which may be called
    while another thread is within `append` or `commit`. The order is: `open` the channels, then
    any number of `append` and `commit`, then `close`. The batches of one channel are appended in
    the order of their offsets.
    """

    def open(self, topic: Topic, partitions: Iterable[int]) -> Mapping[int, int | None]:
        """Become the one writer of these channels; what was written there before stays.

        Whoever had opened them before is fenced: its next commit raises `Fenced`. What the sink
        held uncommitted of these channels is dropped.

        Returns:
            the last committed offset by partition, None where nothing was committed yet.

        Raises:
            Unavailable: the sink cannot be reached; nothing was changed.
        """

    def append(self, batch: Batch) -> None:
        """Take a batch of channels that are open. It counts only when `commit` has returned.

        May wait where the sink is full (back-pressure).

        Raises:
            Fenced: one of the channels was opened by another writer.
            Unavailable: the sink cannot be reached.
        """

    def commit(self) -> Committed:
        """Make everything durable that was appended, rejects before the rows they belong to.

        A batch without rows (rejects only, duplicates only) moves the committed offset, too.

        Raises:
            Fenced: one of the channels was opened by another writer; of that batch nothing was
                committed, and what was appended is dropped: open the channels again.
            Unavailable: the sink cannot be reached, or is full; what was appended is dropped, and
                what of it was committed `open` tells.
        """

    def landed_keys(
        self,
        topic: Topic,
        columns: tuple[str, ...],
        periods: Iterable[tuple[datetime, datetime]],
    ) -> pa.Table:
        """These columns of the committed rows whose event time lies in one of `periods`.

        Both ends are included. What duplicates are found with that are too far apart for the
        loader's memory. A sink whose service drops duplicates by itself gives an empty table.
        """

    def newest_time(self, topic: Topic) -> datetime | None:
        """The newest event time that was committed of the topic, None where nothing was."""

    def close(self, topic: Topic, partitions: Iterable[int]) -> None:
        """Give channels up; what was appended of them and not committed is dropped."""

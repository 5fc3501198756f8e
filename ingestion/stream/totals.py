"""What became of the messages that a loader read, counted by topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingestion.stream.metrics import Metrics
from ingestion.stream.sinks import Batch, Committed


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

    def add(
        self, batch: Batch, done: Committed, drift: Mapping[str, int], metrics: Metrics | None
    ) -> None:
        """Count a batch that was committed, and with `metrics`, too, where there are some."""
        known_rows = done.known_rows.get(self.topic, 0)
        known_rejects = done.known_rejects.get(self.topic, 0)
        landed = batch.rows.num_rows - known_rows
        rejected = batch.rejects.num_rows - known_rejects
        known = known_rows + known_rejects
        self.read += batch.read
        self.landed += landed
        self.dead_letters += rejected
        self.duplicates += batch.duplicates
        self.known += known
        self.erased += batch.erased
        self.late += batch.late
        self.batches += 1
        self.drift.update(drift)
        if metrics:
            metrics.rows.labels(self.topic).inc(landed)
            metrics.rejects.labels(self.topic).inc(rejected)
            metrics.duplicates.labels(self.topic).inc(batch.duplicates)
            metrics.known.labels(self.topic).inc(known)
            metrics.late.labels(self.topic).inc(batch.late)
            metrics.drift.labels(self.topic).inc(sum(drift.values()))
            metrics.batches.labels(self.topic).inc()

    def lose(self, messages: int, metrics: Metrics | None) -> None:
        """Count messages that were gone before they were read."""
        self.lost += messages
        if metrics:
            metrics.lost.labels(self.topic).inc(messages)


@dataclass(frozen=True)
class Summary:
    """What a run of the loader did; `rejoined` is how often it had to begin anew."""

    topics: tuple[Totals, ...]
    seconds: float
    rejoined: int

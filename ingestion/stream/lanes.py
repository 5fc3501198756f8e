"""One topic on its way: what was consumed of it becomes a batch for the sink.

Checked against the contract, without what was there before, and with late rows marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.messages import Topic
from ingestion.stream.checking import LATE, Checked, Checker
from ingestion.stream.consuming import Consumed
from ingestion.stream.dead_letters import DeadLetter, letters
from ingestion.stream.deduplicating import Recent
from ingestion.stream.lateness import Lateness, micros_of
from ingestion.stream.sinks import Batch, Sink, Span


@dataclass(frozen=True)
class Prepared:
    """A checked batch on its way to the sink."""

    batch: Batch
    dead: list[DeadLetter]
    drift: Mapping[str, int]
    since: float


class Lane:
    """What is kept of one topic while it is read; used by one thread at a time."""

    def __init__(self, topic: Topic, checker: Checker, recent: Recent) -> None:
        self.topic = topic
        self._checker, self._recent = checker, recent
        self._lateness = Lateness(topic.event_time)
        self._marks = any(column.name == LATE for column in topic.contract.columns)

    def begin(self, partitions: Sequence[int], sink: Sink) -> None:
        """Go on with partitions that were taken up: what is known of the topic is learnt anew."""
        for partition in partitions:
            self._lateness.forget(partition)
        if self.topic.identity:
            self._recent.refill(sink.newest_time(self.topic))

    def prepared(self, parts: Sequence[Consumed]) -> Prepared:
        """What comes of messages that were consumed one part after the other."""
        consumed = joined(parts)
        checked = self._checker.check(consumed.messages)
        rows, duplicates = self._without_duplicates(checked)
        times, late = self._lateness.of(rows)
        if self._marks:
            mark = pa.nulls(rows.num_rows, pa.bool_()) if late is None else pa.array(late)
            rows = rows.append_column(LATE, mark)
        batch = Batch(
            topic=self.topic,
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
        return Prepared(batch, dead, checked.drift, consumed.since)

    def _without_duplicates(self, checked: Checked) -> tuple[pa.Table, int]:
        if checked.identities is None or checked.times is None or not checked.count:
            return checked.rows(), 0
        told = pc.is_valid(checked.identities).to_numpy(zero_copy_only=False)
        hashes = pc.fill_null(checked.identities, 0).to_numpy()
        times = micros_of(checked.times)
        if told.all():
            new = self._recent.first_seen(hashes, times)
        else:
            new = np.ones(len(hashes), dtype=np.bool_)
            new[told] = self._recent.first_seen(hashes[told], times[told])
        return checked.rows(new), int(len(new) - new.sum())


def joined(parts: Sequence[Consumed]) -> Consumed:
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

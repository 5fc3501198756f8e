"""Duplicates are found in whatever order events arrive, whenever a loader is restarted."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.stream import deduplicating
from ingestion.stream.deduplicating import Recent, micros

START = datetime(2026, 3, 1)

#: An event: an id, and when it happened, in seconds; far apart, ahead of the clock, in between.
EVENTS = st.tuples(
    st.integers(0, 12), st.sampled_from([0, 1, 59, 290, 310, 4_000, 86_400, 10**9, -(10**9)])
)


class Landed:
    """What has landed, and a loader's memory that is lost at each restart."""

    def __init__(self):
        self.events = []
        self.restart()

    def restart(self):
        self.recent = Recent(self.look_up, now=lambda: START + timedelta(days=2))
        self.recent.refill(max((t for _, t in self.events), default=None))

    def look_up(self, periods):
        found = [e for e in self.events if any(a <= e[1] <= b for a, b in periods)]
        return arrays(found)

    def take(self, events):
        moments = [(number, START + timedelta(seconds=at)) for number, at in events]
        new = self.recent.first_seen(*arrays(moments))
        fresh = [event for event, is_new in zip(moments, new, strict=True) if is_new]
        self.events += fresh
        return fresh


def arrays(events):
    times = np.array([micros(at) for _, at in events], dtype=np.int64)
    hashes = np.array([hash((number, at)) % 2**64 for number, at in events], dtype=np.uint64)
    return hashes, times


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(EVENTS, max_size=12), max_size=8),
    restarts=st.sets(st.integers(0, 8)),
    room=st.sampled_from([0, 3, 10, 1000]),
    again=st.randoms(use_true_random=False),
)
def test_any_order_of_arrival_and_any_replay_give_the_same_rows(batches, restarts, room, again):
    with pytest.MonkeyPatch.context() as patch:
        # so little room that the memory forgets in between
        patch.setattr(deduplicating, "ROOM", room)
        patch.setattr(deduplicating, "MOST", room + 1)
        landed = Landed()
        for number, batch in enumerate(batches):
            if number in restarts:
                landed.restart()
            landed.take(batch)
        everything = [event for batch in batches for event in batch]
        expected = {(n, START + timedelta(seconds=at)) for n, at in everything}
        assert len(landed.events) == len(set(landed.events))
        assert set(landed.events) == expected

        again.shuffle(everything)
        assert landed.take(everything) == []

        other = Landed()
        for event in everything:
            other.take([event])
        assert set(other.events) == expected
        assert len(other.events) == len(expected)


def test_of_the_same_event_the_first_one_is_new():
    landed = Landed()

    fresh = landed.recent.first_seen(*arrays([(1, START), (2, START), (1, START)]))

    assert fresh.tolist() == [True, True, False]


def test_what_lies_within_memory_is_not_looked_up():
    landed = Landed()
    landed.take([(1, 0)])
    landed.restart()
    asked = []
    landed.recent._look_up = lambda periods: asked.append(periods) or arrays([])

    landed.take([(1, 0), (2, 1), (3, 100)])
    assert asked == []

    landed.take([(4, -86_400)])
    (periods,) = asked
    assert periods == [(START - timedelta(days=1), START - timedelta(days=1))]

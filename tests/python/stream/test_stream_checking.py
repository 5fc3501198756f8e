"""Each row keeps its own place, key and payload, in whatever order the engine gives them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.messages import topic_of
from ingestion.stream.checking import MESSAGES, Checker
from waypoint.project import Project

TINY = Path(__file__).parents[1] / "tiny_project"
TOPIC = topic_of("lending-slips", Project(root=TINY, state=TINY).contracts)


def messages(count):
    """Messages of two partitions, every seventh of them broken, every eleventh no JSON at all."""

    def value(place):
        if place % 11 == 5:
            return '{"slip": '
        slip = {"slip": f"S{place}", "card": "C", "shelfmark": "A", "days": place % 7}
        return json.dumps(slip | {"lent": "2026-03-01T10:00:00Z"})

    places = range(count)
    return pa.table(
        [
            [place % 2 for place in places],
            [place // 2 for place in places],
            [1772323200000 + place for place in places],
            [f"k{place}" for place in places],
            [value(place) for place in places],
            [None] * count,
        ],
        schema=MESSAGES,
    )


def check(tmp_path, count, shuffle=False):
    with open_engine(tmp_path / "spill") as engine:
        checker = Checker(engine, TOPIC, LandingArea(tmp_path / "landing"))
        if shuffle:
            judged = checker._judged
            order = np.random.default_rng(1).permutation(count)
            checker._judged = lambda *given: judged(*given).take(pa.array(order))
        return checker.check(messages(count))


def good(place):
    return place % 7 != 0 and place % 11 != 5


def test_rows_keep_their_places(tmp_path):
    count = 25_000
    for shuffle in (False, True):
        checked = check(tmp_path, count, shuffle)
        kept = [place for place in range(count) if good(place)]

        rows = checked.rows()

        assert rows.column("slip").to_pylist() == [f"S{place}" for place in kept]
        assert rows.column("_partition").to_pylist() == [place % 2 for place in kept]
        assert rows.column("_offset").to_pylist() == [place // 2 for place in kept]
        assert rows.column("_key").to_pylist() == [f"k{place}" for place in kept]
        assert [json.loads(p)["slip"] for p in rows.column("_payload").to_pylist()] == [
            f"S{place}" for place in kept
        ]
        rejected = [place for place in range(count) if not good(place)]
        assert checked.rejected.to_pylist() == rejected
        places = zip(
            checked.rejects.column("partition").to_pylist(),
            checked.rejects.column("message_offset").to_pylist(),
            strict=True,
        )
        assert sorted(places) == sorted((place % 2, place // 2) for place in rejected)


def test_a_value_that_breaks_at_the_end_of_a_large_batch_is_rejected_alone(tmp_path):
    count = 60_000
    sound = {"slip": "S1", "card": "C" * 300, "shelfmark": "A", "days": 3}
    values = [json.dumps(sound | {"lent": "2026-03-01T10:00:00Z"})] * (count - 1)
    batch = messages(count).set_column(4, "value", pa.array([*values, '{"slip": }']))

    with open_engine(tmp_path / "spill") as engine:
        engine.execute("set threads = 1")  # as the loader does: then the first rows come early
        checked = Checker(engine, TOPIC, LandingArea(tmp_path / "landing")).check(batch)

    assert checked.count == count - 1
    assert checked.rejected.to_pylist() == [count - 1]
    assert checked.rejects.column("rule").to_pylist() == ["message_is_an_object"]


def test_of_the_good_rows_those_that_are_new_are_kept(tmp_path):
    checked = check(tmp_path, 1_000)
    new = np.arange(checked.count) % 3 == 0

    rows = checked.rows(new)

    kept = [place for place in range(1_000) if good(place)][::3]
    assert rows.column("slip").to_pylist() == [f"S{place}" for place in kept]

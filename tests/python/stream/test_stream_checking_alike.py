"""A message is judged alike whatever stands beside it, and however often statements have run."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.messages import topic_of
from ingestion.stream.checking import MESSAGES, Checker
from waypoint.project import Project

TINY = Path(__file__).parents[1] / "tiny_project"
TOPIC = topic_of("lending-slips", Project(root=TINY, state=TINY).contracts)

SLIP = {"slip": "S1", "card": "C", "shelfmark": "A", "days": 7, "lent": "2026-03-01T10:00:00Z"}
SOUND = json.dumps(SLIP)
VALUES = st.one_of(
    st.sampled_from(
        [
            SOUND,
            f"  {SOUND}\n",
            SOUND[:-9],
            # broken, and ends like an object all the same
            '{"slip": }',
            f"{SOUND}}}",
            '{"slip": "S1"} and {}',
            '{"a": "\\ud800"}',
            "{}",
            "[]",
            "",
            "null",
            None,
            "{" * 3000 + "}" * 3000,
        ]
    ),
    st.dictionaries(
        st.sampled_from(sorted(SLIP)),
        st.one_of(
            st.sampled_from(list(SLIP.values())),
            st.integers(-9, 2**70),
            st.sampled_from(["", "{", "[]", '{"x": 1}', "5.7", "0x10", "infinity", "2026-02-30"]),
            st.sampled_from([None, True, 1.5, {"x": [1]}, ["y"]]),
        ),
    ).map(lambda fields: json.dumps(SLIP | fields)),
    st.text(max_size=9),
)


def table(values, first=0):
    count = len(values)
    offsets = range(first, first + count)
    return pa.table(
        [[0] * count, offsets, [1772323200000] * count, [None] * count, values, [None] * count],
        schema=MESSAGES,
    )


def judged(checker, messages, guarded):
    """What became of each message: its row, or its reject."""
    checker._guards = 1 if guarded else 0
    checked = checker.check(messages)
    rows = {row["_offset"]: row for row in checked.rows().to_pylist()}
    rejects = {row["message_offset"]: row for row in checked.rejects.to_pylist()}
    rejected = messages.column("offset").take(checked.rejected).to_pylist()
    assert sorted(rejects) == sorted(rejected)
    assert rows.keys() | rejects.keys() == set(messages.column("offset").to_pylist())
    assert not rows.keys() & rejects.keys()
    return rows | rejects


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alike")
    with open_engine(folder / "spill") as engine:
        yield Checker(engine, TOPIC, LandingArea(folder / "landing"))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(VALUES, min_size=1, max_size=6))
def test_alone_and_among_others_a_message_is_judged_alike(checker, values):
    alone = {}
    for place, value in enumerate(values):
        alone |= judged(checker, table([value], place), guarded=True)

    assert judged(checker, table(values), guarded=False) == alone
    assert judged(checker, table(values), guarded=True) == alone

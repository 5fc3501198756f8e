"""One writer of a partition at a time; what it commits is there whole, and counted once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.messages import topic_of
from ingestion.stream.checking import MESSAGES, Checker
from ingestion.stream.sinks import Batch, Channel, Fenced, Span
from ingestion.stream.sinks.parquet import ParquetSink
from waypoint.project import Project

TINY = Path(__file__).parents[1] / "tiny_project"
TOPIC = topic_of("lending-slips", Project(root=TINY, state=TINY).contracts)


@pytest.fixture
def area(tmp_path):
    return LandingArea(tmp_path / "landing")


@pytest.fixture
def sink(area, tmp_path):
    return lambda: ParquetSink(area, tmp_path, "stream")


def batch(area, tmp_path, first, last, partition=0, value='{{"slip": "S{0}", "card": "C", '
          '"shelfmark": "A", "lent": "2026-03-01T10:00:00Z", "days": 7}}'):  # fmt: skip
    offsets = range(first, last + 1)
    messages = pa.table(
        [
            [partition] * len(offsets),
            offsets,
            [1772323200000] * len(offsets),
            ["k"] * len(offsets),
            [value.format(offset) for offset in offsets],
            [None] * len(offsets),
        ],
        schema=MESSAGES,
    )
    with open_engine(tmp_path / "spill") as engine:
        checked = Checker(engine, TOPIC, area).check(messages)
    return Batch(TOPIC, {partition: Span(first, last)}, checked.rows(), checked.rejects)


def test_an_older_writer_is_fenced_and_lands_nothing(area, sink, tmp_path):
    old, new = sink(), sink()
    assert old.open(TOPIC, [0, 1]) == {0: None, 1: None}
    old.append(batch(area, tmp_path, 0, 4))
    assert old.commit().offsets == {Channel(TOPIC.name, 0): 4}
    old.append(batch(area, tmp_path, 5, 9))

    assert new.open(TOPIC, [0]) == {0: 4}
    with pytest.raises(Fenced, match="another loader"):
        old.commit()

    assert len(area.files("lendings")) == 1
    assert new.open(TOPIC, [0]) == {0: 4}
    # the other partition is its own as before
    old.append(batch(area, tmp_path, 0, 1, partition=1))
    assert old.commit().offsets == {Channel(TOPIC.name, 1): 1}


def test_a_fenced_writer_leaves_no_rejects_behind(area, sink, tmp_path):
    old, new = sink(), sink()
    old.open(TOPIC, [0])
    old.append(batch(area, tmp_path, 0, 3, value="poison"))
    new.open(TOPIC, [0])

    with pytest.raises(Fenced):
        old.commit()

    assert area.files("quarantine") == []


def test_rejects_without_rows_move_the_offset(area, sink, tmp_path):
    first = sink()
    first.open(TOPIC, [0])
    first.append(batch(area, tmp_path, 0, 3, value="poison"))
    first.commit()

    assert sink().open(TOPIC, [0]) == {0: 3}


def test_what_is_not_committed_is_dropped_when_a_partition_is_given_up(area, sink, tmp_path):
    one = sink()
    one.open(TOPIC, [0])
    one.append(batch(area, tmp_path, 0, 3))
    one.close(TOPIC, [0])

    assert one.commit().offsets == {}
    with pytest.raises(Fenced):
        one.append(batch(area, tmp_path, 0, 3))


def test_a_killed_writer_between_rejects_and_rows_has_committed_nothing(
    area, sink, tmp_path, monkeypatch
):
    one = sink()
    one.open(TOPIC, [0])
    one.append(batch(area, tmp_path, 0, 3, value="poison"))
    writing = area.writing

    def killed(table, name):
        if table == TOPIC.contract.name:
            raise KeyboardInterrupt
        return writing(table, name)

    monkeypatch.setattr(LandingArea, "writing", lambda self, table, name: killed(table, name))
    with pytest.raises(KeyboardInterrupt):
        one.commit()
    monkeypatch.undo()

    assert sink().open(TOPIC, [0]) == {0: None}

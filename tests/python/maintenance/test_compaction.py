"""Landed files are put together; every batch is found as before, once, whoever is killed when."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys

import duckdb
import pytest

from ingestion import footers
from ingestion.compaction import compact
from ingestion.landing import LandingArea
from waypoint.maintenance import maintain

ROWS = "select * exclude (_loaded_at) from raw.lendings order by all"


@pytest.fixture
def many(kept):
    """Many small files of a topic, none of them past anything."""
    kept.set_clock("2026-01-09T12:00:00")
    return kept


def area_of(kept):
    return LandingArea(kept.project.landing_dir)


def told(kept):
    found = footers.history(area_of(kept), "lendings")
    return sorted((dataclasses.astuple(one) for one in found), key=str)


def landed_rows(kept):
    files = [str(path) for path in area_of(kept).files("lendings")]
    return sorted(duckdb.read_parquet(files, union_by_name=True).fetchall(), key=str)


def test_batches_keep_their_rows_and_what_they_said_of_themselves(many):
    area, before, rows = area_of(many), told(many), landed_rows(many)
    assert len(area.files("lendings")) == 9

    (compacted,) = [c for c in maintain(many.project).compacted if c.table == "lendings"]

    assert (compacted.files_before, compacted.files_after, compacted.removed) == (9, 1, 0)
    assert len(area.files("lendings")) == 1
    assert len(list((area.root / "lendings").rglob("*.parquet"))) == 1
    assert told(many) == before
    assert landed_rows(many) == rows
    for landed in footers.history(area, "lendings"):
        assert area.has("lendings", landed.batch)
        assert footers.of_batch(area, "lendings", landed.batch) == landed


def test_what_has_landed_is_not_landed_again_and_new_files_are(many):
    maintain(many.project)
    rows = many.ask(ROWS)

    again = many.bring()
    slips = [(f"J{day}", "C0001", "A 17", f"2026-01-{day:02}T09:00:00.000Z", 14) for day in (7, 8)]
    new = ("J9", "C0001", "A 17", "2026-01-09T09:00:00.000Z", 14)
    many.library.lend("overlapping.ndjson", *slips, new, offset=107)
    more = many.bring()

    assert all(counts["landed"] == 0 for counts in again.values())
    assert more["lendings"] == {"read": 3, "landed": 1, "unchanged": 2}
    assert len(many.ask(ROWS)) == len(rows) + 1


def test_a_new_warehouse_is_loaded_from_the_compacted_files_and_lists_their_batches(many):
    history = "select file, batch, row_count from raw.load_history order by file"
    rows, listed = many.ask(ROWS), many.ask(history)
    maintain(many.project)
    many.project.warehouse_file.unlink()

    many.bring()

    assert many.ask(ROWS) == rows
    assert many.ask(history) == listed


def test_a_warehouse_that_has_some_of_a_file_gets_the_rest(many):
    rows = many.ask(ROWS)
    maintain(many.project)
    with duckdb.connect(str(many.project.warehouse_file)) as warehouse:
        warehouse.execute("delete from raw.lendings where slip = 'J3'")
        warehouse.execute(
            "delete from raw.load_history where batch in"
            " (select batch from raw.load_history where table_name = 'lendings'"
            "  except select _batch from raw.lendings)"
        )

    many.bring()

    assert many.ask(ROWS) == rows


def test_what_is_not_loaded_yet_is_left_as_it_is(many):
    found = list(compact(area_of(many), many.project.state / "spill", frozenset(), {}))

    assert found == []
    assert len(area_of(many).files("lendings")) == 9


def test_compacted_files_are_put_together_with_newer_ones(many):
    maintain(many.project)
    many.library.lend("9.ndjson", ("J9", "C0001", "A", "2026-01-09T09:00:00.000Z", 14), offset=300)
    many.bring()
    before, rows = told(many), landed_rows(many)

    maintain(many.project)

    assert len(list((area_of(many).root / "lendings").rglob("*.parquet"))) == 1
    assert told(many) == before
    assert landed_rows(many) == rows


KILLED = """
import os, signal, sys
from pathlib import Path
from ingestion import compaction
from ingestion.landing import LandingArea

def die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)

area = LandingArea(Path(sys.argv[1]))
loaded = {f"{t}/{p.stem}.parquet" for t in area.tables() for p in area.files(t)}
if sys.argv[3] == "while it is written":
    compaction._check = die
elif sys.argv[3] == "before it counts":
    LandingArea.put_together = die
else:
    superseded = LandingArea.superseded
    LandingArea.superseded = lambda *a: superseded(*a) and die()
list(compaction.compact(area, Path(sys.argv[2]), loaded, {}))
"""


@pytest.mark.parametrize(
    "where", ["while it is written", "before it counts", "before the old files are removed"]
)
def test_a_reader_sees_every_batch_once_whenever_it_is_killed(many, where):
    before, rows = told(many), landed_rows(many)
    folders = [str(many.project.landing_dir), str(many.project.state / "spill")]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *folders, where],
        env={**os.environ, **many.library.environment},
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert told(many) == before
    assert landed_rows(many) == rows

    maintain(many.project)

    assert told(many) == before
    assert landed_rows(many) == rows
    assert len(list((area_of(many).root / "lendings").rglob("*.parquet*"))) == 1

"""Rows that are past their retention go, where nothing needs them any more, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import duckdb
import pytest

from ingestion.landing import LandingArea
from waypoint.maintenance import maintain
from waypoint.maintenance.archiving import Archive

RAW = "select slip from raw.lendings order by 1, _offset"
STAGED = "select * from staging.stg_lendings order by slip"
DAYS = "select * from marts.lendings_by_day order by 1"
JANUARY = [(f"J{day}",) for day in range(1, 9)]
MARCH = [("S1",), ("S2",), ("S2",), ("S3",)]


def of(maintained, table):
    (found,) = [one for one in maintained.retained if one.table == table]
    return found


def archiving(kept):
    """With a contract that wants expired rows archived."""
    path = kept.library.root / "contracts/raw/lendings.yaml"
    path.write_text(
        f"{path.read_text()}customProperties:\n  - property: expiredRows\n    value: archive\n"
    )
    kept.project = type(kept.project).find(kept.library.root)


def test_expired_rows_go_and_a_full_refresh_gives_what_was_there(kept):
    staged, days = kept.ask(STAGED), kept.ask(DAYS)
    assert kept.ask(RAW) == JANUARY + MARCH

    told = of(maintain(kept.project), "raw.lendings")

    assert (told.rows, told.expired, told.removed, told.held_by) == (12, 8, 8, ())
    assert kept.ask(RAW) == MARCH
    kept.build("--full-refresh")
    assert kept.ask(STAGED) == staged
    assert kept.ask(DAYS) == days


def test_rows_stay_while_something_keeps_what_is_made_of_them(kept):
    manifest = kept.library.root / "target/manifest.json"
    document = json.loads(manifest.read_text())
    document["nodes"]["model.library.stg_lendings"]["config"]["full_refresh"] = None
    manifest.write_text(json.dumps(document))

    told = of(maintain(kept.project), "raw.lendings")

    assert (told.expired, told.removed) == (8, 0)
    assert told.held_by == ("staging.stg_lendings keeps what is made of them for ever",)
    assert kept.ask(RAW) == JANUARY + MARCH


def test_rows_that_no_build_has_taken_in_wait_for_one(kept):
    late = ("J9", "C0001", "A 17", "2026-01-09T09:00:00.000Z", 14)
    kept.library.lend("late.ndjson", late, offset=200)
    kept.bring()

    told = of(maintain(kept.project), "raw.lendings")

    assert (told.removed, told.waiting) == (8, 1)
    assert kept.ask(RAW) == [("J9",), *MARCH]


def test_time_is_the_projects_own(kept):
    kept.set_clock("2026-02-04T12:00:00")  # of January, five days are older than thirty

    assert of(maintain(kept.project), "raw.lendings").removed == 5


def test_a_dry_run_says_all_of_it_and_changes_nothing(kept):
    archiving(kept)
    before, rows = kept.files(), kept.ask(RAW)

    told = maintain(kept.project, dry_run=True)

    found = of(told, "raw.lendings")
    assert (found.removed, found.archived) == (8, 8)
    assert sum(one.removed for one in told.compacted) == 8
    assert kept.files() == before
    assert kept.ask(RAW) == rows


def test_archived_rows_can_still_be_asked_for(kept):
    archiving(kept)
    january = "select * from raw.lendings where slip like 'J%' order by slip"
    before = kept.ask(january)

    assert of(maintain(kept.project), "raw.lendings").archived == 8

    archive = kept.project.state / "archive" / "raw" / "lendings"
    query = f"select * from read_parquet('{archive}/*.parquet') order by slip"
    assert duckdb.sql(query).fetchall() == before
    assert kept.library.waypoint("publish", "--force").code == 0
    ended = kept.library.waypoint("query", f"select count(*) as n from ({query})", "--json")
    assert ended.json == [{"n": 8}]


def test_the_second_time_there_is_nothing_to_do(kept):
    archiving(kept)
    maintain(kept.project)
    files, rows = kept.files(), kept.ask(RAW)

    again = maintain(kept.project)

    assert of(again, "raw.lendings").expired == 0
    assert again.compacted == ()
    assert kept.files() == files
    assert kept.ask(RAW) == rows


KILLED = """
import os, signal, sys
from pathlib import Path
import waypoint.maintenance as maintenance
from waypoint.maintenance import retention
from waypoint.maintenance.archiving import Archive
from waypoint.project import Project

def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

write = Archive.write
def written_and_killed(*arguments, **named):
    write(*arguments, **named)
    die()

where = sys.argv[2]
if where == "before the rows are deleted":
    Archive.write = written_and_killed
elif where == "after the rows are deleted":
    Archive.File.keep = die
else:
    maintenance.compact = die
maintenance.maintain(Project.find(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    "where", ["before the rows are deleted", "after the rows are deleted", "before compaction"]
)
def test_killed_at_any_point_and_run_again_each_row_is_in_one_place(kept, where):
    archiving(kept)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, kept.library.root, where],
        env={**os.environ, **kept.library.environment},
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr

    maintain(kept.project)

    assert kept.ask(RAW) == MARCH
    files = Archive(kept.project.state / "archive").files("raw.lendings")
    archived = duckdb.read_parquet([str(path) for path in files]).project("slip").order("slip")
    assert archived.fetchall() == JANUARY
    assert not list((kept.project.state / "archive").rglob("*.pending"))


def test_what_is_landed_goes_with_the_rows_and_does_not_come_back(kept):
    maintain(kept.project)

    landed = LandingArea(kept.project.landing_dir).files("lendings")
    slips = duckdb.read_parquet([str(path) for path in landed]).project("slip").order("slip")
    assert slips.fetchall() == MARCH
    # the same exports are still there, and stay accounted for
    assert kept.bring().get("lendings", {"landed": 0})["landed"] == 0
    assert kept.ask(RAW) == MARCH
    # nor does a warehouse that is made anew of what has landed know of them
    kept.project.warehouse_file.unlink()
    kept.bring()
    assert kept.ask(RAW) == MARCH


def test_rejected_rows_go_with_their_files_and_files_that_are_there_stay_listed(kept):
    listed = kept.ask("select count(*) from raw.load_history where table_name <> 'quarantine'")
    kept.set_clock("2026-08-01T12:00:00")

    maintain(kept.project)

    assert kept.ask("select count(*) from raw.quarantine") == [(0,)]
    assert not list((kept.project.landing_dir / "quarantine").rglob("*.parquet"))
    history = "select count(*) from raw.load_history where table_name <> 'quarantine'"
    assert kept.ask(history) == listed
    assert kept.bring().get("members", {"landed": 0})["landed"] == 0


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("value: burn", "expiredRows is 'burn'"),
        ("value: archive", "rows with personal data (card) cannot be archived"),
    ],
)
def test_what_a_contract_cannot_mean_is_said(kept, said, words):
    archiving(kept)
    path = kept.library.root / "contracts/raw/lendings.yaml"
    text = path.read_text().replace("value: archive", said)
    path.write_text(text.replace("name: card\n", "name: card\n        classification: pii\n"))

    ended = kept.library.waypoint("maintain")

    assert ended.code == 2
    assert f"lendings.yaml: {words}" in " ".join(ended.err.split())

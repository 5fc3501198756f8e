"""A batch lands whole or not at all, and its file says what became of every row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from ingestion.batches import land_query
from ingestion.engine import open_engine
from ingestion.footers import history, last_position, read_footer
from ingestion.landing import LandingArea, LandingAreaFull
from waypoint.errors import Unavailable, UnusableInput

GOOD_AND_BAD = (
    "select unnest(['1', '2', 'three', '4']) as id, unnest(['a', 'b', 'c', null]) as name"
)


@pytest.fixture
def members(world):
    return world.contract("members", {"id": "bigint required", "name": "varchar required"})


def test_good_rows_land_typed_with_their_source_and_batch(world, members):
    world.land(GOOD_AND_BAD, members)

    assert world.landed("members") == [(1, "a", "test", "b1"), (2, "b", "test", "b1")]


def test_the_footer_accounts_for_every_row(world, members):
    landed = world.land(GOOD_AND_BAD, members, position={"up_to": 4}, unchanged=3)

    assert (landed.rows, landed.rejected, landed.unchanged, landed.read) == (2, 2, 3, 7)
    assert read_footer(world.area.path("members", "b1")) == landed


def test_rejected_rows_are_kept_with_what_was_wrong(world, members):
    world.land(GOOD_AND_BAD, members)

    assert world.rejected("table_name, batch, field, value, rule, reason, payload") == [
        (
            "members", "b1", "id", "three", "id_is_integer", "id: 'three' is not a whole number",
            '{"id":"three","name":"c"}',
        ),
        (
            "members", "b1", "name", None, "name_is_required", "name: is missing",
            '{"id":"4","name":null}',
        ),
    ]  # fmt: skip


def test_rows_that_are_all_good_leave_no_quarantine_file(world, members):
    world.land("select 1 as id, 'a' as name", members)

    assert world.files() == ["members/b1.parquet"]


def test_a_batch_of_rejects_only_still_says_how_far_the_source_was_read(world, members):
    world.land("select 'x' as id, 'a' as name", members, position={"up_to": 1})

    assert world.landed("members") == []
    assert last_position(world.area, "members", "test") == {"up_to": 1}


def test_the_same_batch_again_changes_nothing(world, members):
    first = world.land(GOOD_AND_BAD, members)
    again = world.land("select 9 as id, 'other' as name", members)

    assert again == first
    assert len(world.landed("members")) == 2


def test_the_last_position_is_that_of_the_newest_batch_of_the_source(world, members):
    world.land("select 1 as id, 'a' as name", members, "z", position={"n": 1})
    world.land("select 2 as id, 'b' as name", members, "a", position={"n": 2})

    assert last_position(world.area, "members", "test") == {"n": 2}
    assert last_position(world.area, "members", "another") is None
    assert [landed.batch for landed in history(world.area, "members")] == ["z", "a"]


def test_columns_that_the_contract_lacks_are_drift_and_those_the_query_lacks_are_null(world):
    contract = world.contract("members", {"id": "bigint", "name": "varchar"})

    landed = world.land("select 1 as id, 2 as colour", contract)

    assert landed.drift == ("column 'colour' is not in the contract",)
    assert world.landed("members", "id, name") == [(1, None)]


def test_rows_marked_by_their_reader_are_rejected_with_its_words(world, members):
    problem = "{field: null, value: null, rule: 'row_is_whole', reason: 'half a row'}"
    query = f"select null as id, null as name, {problem} as _problem, 'f.txt' as _file, 7 as _line"

    world.land(query, members)

    assert world.rejected("file, line, field, rule, reason") == [
        ("f.txt", 7, None, "row_is_whole", "half a row")
    ]


def test_a_source_that_changes_between_its_two_readings_lands_nothing(world, members):
    # rows are read again where some are rejected; the first five numbers never come again
    query = "select case when nextval('n') <= 5 then 'x' else '1' end as id, 'a' as name"
    with open_engine(world.project.state / "spill") as engine:
        engine.execute("create sequence n")
        with pytest.raises(Unavailable, match="the source changed meanwhile"):
            land_query(
                engine,
                f"{query} from range(10)",
                contract=members,
                source="test",
                batch="b1",
                area=world.area,
            )

    assert world.files() == []


def test_a_rule_that_is_no_sql_for_its_table_is_said(world, with_rule):
    contract = with_rule(world.contract("members", {"id": "bigint"}), ("odd", "colour = 'red'"))

    with pytest.raises(UnusableInput, match=r"members\.yaml: what it demands.*colour"):
        world.land("select 1 as id", contract)
    assert world.files() == []


def test_a_position_may_be_long(world, members):
    position = {str(partition): [10**15, 10**15] for partition in range(10_000)}

    world.land("select 1 as id, 'a' as name", members, position=position)

    assert last_position(world.area, "members", "test") == position


def test_a_file_that_waypoint_did_not_land_is_told(world):
    stranger = world.area.path("members", "stranger")
    stranger.parent.mkdir(parents=True)
    duckdb.sql(f"copy (select 1 as id) to '{stranger}'")

    with pytest.raises(UnusableInput, match="has no Waypoint footer"):
        read_footer(stranger)


def child(world, body: str) -> subprocess.Popen[bytes]:
    """A process that lands a batch, with `body` run in it before."""
    script = f"""
        import os, signal, sys, time
        from pathlib import Path
        import ingestion.landing, ingestion.batches
        from ingestion.engine import open_engine
        from ingestion.landing import LandingArea
        from waypoint.contracts.model import Column, Contract
        {body}
        columns = (Column("id", "integer", "bigint"), Column("_batch", "string", "varchar"))
        contract = Contract(Path("x"), "raw", "members", "1", "", "", "", "", "", columns)
        with open_engine(Path({str(world.project.state)!r}) / "spill") as engine:
            ingestion.batches.land_query(
                engine, "select i as id from range(1000) t(i)", contract=contract, source="s",
                batch="b1", area=LandingArea(Path({str(world.area.root)!r})),
            )
        print("landed")
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_between_write_and_rename_leaves_no_row(world):
    dying = "ingestion.landing.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    killed = child(world, dying)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert world.landed("members") == []
    (leftover,) = world.files()
    assert ".tmp" in leftover

    removed = world.area.clean()

    assert [path.name for path in removed] == [Path(leftover).name]
    assert child(world, "pass").communicate()[0] == b"landed\n"
    assert len(world.landed("members")) == 1000


def test_files_of_a_writer_that_still_runs_are_left_alone(world):
    waiting = (
        "ingestion.landing.os.replace = lambda *_: (print('written', flush=True), time.sleep(60))"
    )
    writer = child(world, waiting)
    try:
        assert writer.stdout.readline() == b"written\n"
        assert world.area.clean() == []
        assert len(world.files()) == 1
    finally:
        writer.kill()
        writer.communicate()


def test_a_full_disk_lands_nothing_and_says_so(world, small_disk):
    small = type(world)(small_disk)
    contract = small.contract("members", {"id": "varchar"})

    with pytest.raises(LandingAreaFull, match="no room on the disk while landing members/b1"):
        small.land("select sha256(i::varchar) as id from range(100000) t(i)", contract)

    assert small.files() == []
    small.land("select 'x' as id", contract)
    assert len(small.landed("members")) == 1


def test_a_disk_that_is_full_of_rejects_lands_nothing(world, small_disk):
    small = type(world)(small_disk)
    contract = small.contract("members", {"id": "varchar in=none"})

    with pytest.raises(LandingAreaFull, match="while landing quarantine/members/b1"):
        small.land("select sha256(i::varchar) as id from range(50000) t(i)", contract)

    assert small.files() == []


def test_a_limit_on_the_size_of_files_is_a_full_disk(world):
    body = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"

    limited = child(world, body)
    out, err = limited.communicate()

    assert out == b""
    assert b"LandingAreaFull: no room on the disk while landing members/b1" in err
    assert world.files() == []


def test_full_disks_are_told_from_other_errors(tmp_path):
    area = LandingArea(tmp_path)
    for number, expected in ((28, LandingAreaFull), (27, LandingAreaFull), (13, PermissionError)):
        with pytest.raises(expected), area.writing("t", "b"):
            raise OSError(number, os.strerror(number))

"""A load brings all tables or none, once; what does not fit is said with file and column."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ingestion.bookkeeping import TABLES
from ingestion.loading import FileNotLoadable, RowsLost, raw_tables, raw_warehouse
from waypoint.contracts.reading import read_contracts
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

CLOCK = datetime(2026, 1, 31, 10)


@pytest.fixture
def landed(world):
    """Two tables with a batch each, one with a rejected row."""
    members = world.contract("members", {"id": "bigint required", "name": "varchar"})
    loans = world.contract("loans", {"book": "varchar", "price": "decimal(12,2)"})
    world.land("from (values ('1', 'a'), ('2', 'b'), ('x', 'c')) t(id, name)", members)
    world.land("select 'B' as book, '1.50' as price", loans)
    return world


def test_everything_that_landed_is_loaded_with_one_load_time(landed):
    loaded = landed.load(CLOCK)

    assert loaded.rows == {"loans": 1, "members": 2, "quarantine": 1}
    assert loaded.loaded_at == CLOCK
    assert landed.warehouse("from raw.loans") == [("B", Decimal("1.50"), "test", "b1", CLOCK)]
    assert landed.warehouse("select id, _loaded_at from raw.members") == [(1, CLOCK), (2, CLOCK)]
    assert landed.warehouse("select value, _loaded_at from raw.quarantine") == [("x", CLOCK)]


def test_the_history_lists_each_file_with_its_rows(landed):
    landed.load(CLOCK)

    assert landed.warehouse("from raw.load_history order by file") == [
        ("loans/b1.parquet", "loans", "b1", 1, CLOCK),
        ("members/b1.parquet", "members", "b1", 2, CLOCK),
        ("quarantine/members/b1.parquet", "quarantine", "members/b1", 1, CLOCK),
    ]


def test_nothing_is_loaded_twice(landed):
    landed.load(CLOCK)

    again = landed.load(CLOCK)

    assert (again.files, again.rows, again.loaded_at) == (0, {}, None)
    assert landed.warehouse("select count(id) from raw.members") == [(2,)]


def test_load_times_grow_even_where_the_clock_stands_still_or_goes_back(landed):
    landed.load(CLOCK)
    members = landed.contracts[0]
    times = []
    for number, clock in enumerate((CLOCK, CLOCK, CLOCK - timedelta(days=1))):
        landed.land(f"select {number} as id, 'n' as name", members, f"c{number}")
        times.append(landed.load(clock).loaded_at)

    tick = timedelta(microseconds=1)
    assert times == [CLOCK + tick, CLOCK + 2 * tick, CLOCK + 3 * tick]


def test_without_a_clock_the_load_time_is_now_and_none_is_stored(landed):
    before = datetime.now(UTC)
    loaded = landed.load()

    assert before <= loaded.loaded_at.replace(tzinfo=UTC) <= datetime.now(UTC)
    assert landed.warehouse("from raw.clock") == []


def test_the_clock_is_stored_and_follows(landed):
    landed.load(CLOCK)
    landed.load(CLOCK + timedelta(days=1))

    assert landed.warehouse("from raw.clock") == [(CLOCK + timedelta(days=1),)]

    landed.load(None)
    assert landed.warehouse("from raw.clock") == []


def test_rejected_rows_wait_for_the_good_rows_of_their_batch(landed):
    # as after a kill between the renames of the two files
    landed.area.path("members", "b1").unlink()

    assert landed.load(CLOCK).rows == {"loans": 1}


def test_a_column_that_the_contract_gained_is_null_in_older_rows(landed):
    landed.load(CLOCK)
    grown = landed.contract(
        "members", {"id": "bigint required", "colour": "varchar", "name": "varchar"}
    )
    landed.land("select 3 as id, 'c' as name, 'red' as colour", grown, "b2")

    landed.load(CLOCK)

    assert landed.warehouse("select id, colour from raw.members order by id") == [
        (1, None), (2, None), (3, "red"),
    ]  # fmt: skip


def test_a_column_that_the_contract_lost_stays_for_older_files(landed):
    shrunk = landed.contract("members", {"id": "bigint required"})
    with pytest.raises(FileNotLoadable, match=r"members/b1\.parquet: raw.members has no column"):
        landed.load(CLOCK)
    assert landed.warehouse("select count(book) from raw.loans") == [(0,)]  # all or nothing

    landed.contract("members", {"id": "bigint required", "name": "varchar"})
    landed.load(CLOCK)
    landed.contracts = [shrunk if c.name == "members" else c for c in landed.contracts]
    landed.land("select 3 as id", shrunk, "b2")
    landed.load(CLOCK)
    assert landed.warehouse("select id, name from raw.members order by id")[-1] == (3, None)


def test_a_type_grows_where_no_value_is_lost(landed):
    landed.load(CLOCK)
    wider = landed.contract("loans", {"book": "varchar", "price": "decimal(18,4)"})
    landed.land("select 'C' as book, '0.1234' as price", wider, "b2")

    landed.load(CLOCK)

    assert landed.warehouse("select price from raw.loans order by 1") == [
        (Decimal("0.1234"),), (Decimal("1.5000"),),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["decimal(12,0)", "decimal(10,2)", "bigint", "double", "varchar"])
def test_a_type_that_values_could_be_lost_by_is_refused(landed, kind):
    landed.load(CLOCK)
    landed.contract("loans", {"book": "varchar", "price": kind})

    with pytest.raises(UnusableInput, match=r"raw.loans.price is decimal\(12,2\) in the warehouse"):
        landed.load(CLOCK)


def test_a_file_whose_values_do_not_fit_is_named_with_its_column(landed):
    path = landed.area.path("loans", "foreign")
    duckdb.sql(f"copy (select 'B' as book, 'much' as price) to '{path}'")

    with pytest.raises(FileNotLoadable) as caught:
        landed.load(CLOCK)

    assert str(path) in str(caught.value)
    assert "column 'price' (varchar) does not fit raw.loans, where it is decimal(12,2)" in str(
        caught.value
    )
    assert landed.warehouse("select count(id) from raw.members") == [(0,)]


def test_a_file_that_is_no_parquet_is_named(landed):
    path = landed.area.path("loans", "broken")
    path.write_bytes(b"PAR1 no")

    with pytest.raises(FileNotLoadable, match=r"loans/broken\.parquet"):
        landed.load(CLOCK)


def test_a_folder_without_a_contract_is_said(landed):
    landed.contracts = [c for c in landed.contracts if c.name != "loans"]

    with pytest.raises(FileNotLoadable, match=r"there is no contract for raw\.loans"):
        landed.load(CLOCK)


def test_a_load_that_lost_rows_is_taken_back(landed, monkeypatch):
    from ingestion.loading.duckdb import DuckDBWarehouse

    honest = DuckDBWarehouse._scanned
    monkeypatch.setattr(DuckDBWarehouse, "_scanned", lambda *a: honest(*a) - 1)

    with pytest.raises(RowsLost, match="a scan finds 0"):
        landed.load(CLOCK)

    monkeypatch.undo()
    assert landed.warehouse("select count(book) from raw.loans") == [(0,)]
    assert landed.load(CLOCK).files == 3


def test_a_warehouse_that_is_held_by_another_process_is_said(landed):
    landed.load(CLOCK)
    file = landed.project.warehouse_file
    script = f"import duckdb; c = duckdb.connect({str(file)!r}); print('open', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(Unavailable) as caught:
            landed.load(CLOCK)
    finally:
        holder.communicate(b"\n")
    assert str(file) in str(caught.value)
    assert str(holder.pid) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("statement", ["insert into raw.loans", "insert into raw.load_history"])
def test_killed_while_loading_leaves_nothing_and_the_next_load_brings_all(landed, statement):
    warehouse = landed.project.warehouse_file
    script = f"""
        import os, signal
        from datetime import datetime
        from pathlib import Path
        from ingestion.landing import LandingArea
        from ingestion.loading import pending, duckdb as target, raw_tables
        from waypoint.project import Project
        import duckdb

        class Dying:
            def __init__(self, connection): self._connection = connection
            def __getattr__(self, name): return getattr(self._connection, name)
            def execute(self, query, *more):
                found = self._connection.execute(query, *more)
                if {statement!r} in query.replace('"', ''):
                    os.kill(os.getpid(), signal.SIGKILL)
                return found

        loading = target.DuckDBWarehouse(Dying(duckdb.connect({str(warehouse)!r})))
        files = pending(LandingArea(Path({str(landed.area.root)!r})), frozenset())
        loading.load(files, datetime(2026, 1, 1), None)
    """
    with raw_warehouse(landed.project) as opened:
        opened.prepare(raw_tables(landed.project.contracts))
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)])
    assert killed.returncode == -signal.SIGKILL
    assert landed.warehouse("select (select count(book) from raw.loans), count(file) from"
                            " raw.load_history") == [(0, 0)]  # fmt: skip

    assert landed.load(CLOCK).rows == {"loans": 1, "members": 2, "quarantine": 1}


def test_a_full_disk_leaves_the_warehouse_as_it_was(world, small_disk):
    small = type(world)(small_disk)
    contract = small.contract("members", {"id": "varchar"})
    small.land("select 'x' as id", contract)
    small.load(CLOCK)
    project = small.project
    # the landing area on another disk
    shutil.move(small.area.root, world.root / "landing")
    small.area.root.symlink_to(world.root / "landing")
    small.land("select sha256(i::varchar) as id from range(100000) t(i)", contract, "b2")

    with pytest.raises(Unavailable, match="the warehouse could not be written"):
        small.load(CLOCK)

    assert project.warehouse_file.exists()
    assert small.warehouse("select count(id) from raw.members") == [(1,)]


def test_row_counts_are_those_of_a_scan(landed):
    landed.load(CLOCK)

    with raw_warehouse(landed.project) as warehouse:
        counts = warehouse.row_counts()

    assert counts["members"] == 2
    assert counts["clock"] == 1


def test_an_unknown_target_is_said(landed):
    project = Project(landed.root, landed.root / "var", target="postgres")
    with pytest.raises(UnusableInput, match="target 'postgres'"), raw_warehouse(project):
        pass


def test_the_contracts_of_the_bookkeeping_say_what_is_written():
    contracts = read_contracts(Path(__file__).parents[3] / "contracts")
    for table, columns in TABLES.items():
        contract = contracts[f"raw.{table}"]
        assert {c.name: c.physical_type for c in contract.columns} == columns

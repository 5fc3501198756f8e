"""Every row that was read is somewhere: landed in its table, or in quarantine with a reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection
from real_input import database
from real_input.datasets import DataSets
from real_input.pipeline import Run, Sources

pytestmark = [pytest.mark.real_input, pytest.mark.timeout(900)]


def _said(run: Run, figure: str) -> Counter[str]:
    """A figure of the run's summary by raw table."""
    counts: Counter[str] = Counter()
    for outcome in run.summary["sources"]:
        counts[outcome["table"]] += outcome[figure]
    return counts


def test_all_rows_of_all_sets_are_read(data: DataSets, run: Run) -> None:
    assert _said(run, "read") == data.rows()


def test_what_is_read_has_landed_or_is_rejected(run: Run) -> None:
    assert all(
        outcome["read"] == outcome["landed"] + outcome["rejected"] + outcome["unchanged"]
        for outcome in run.summary["sources"]
    )
    assert _said(run, "unchanged").total() == 0


def test_the_raw_tables_hold_what_has_landed(run: Run, warehouse: DuckDBPyConnection) -> None:
    landed = _said(run, "landed")
    assert landed.total() > 0
    for table, rows in landed.items():
        ((there,),) = warehouse.execute(f"select count(*) from raw.{table}").fetchall()
        assert (table, there) == (table, rows)


def test_quarantine_holds_what_was_rejected(
    data: DataSets, run: Run, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select table_name, count(*) from raw.quarantine group by table_name"
    ).fetchall()
    assert dict(rows) == +_said(run, "rejected")
    assert dict(rows) == {
        "app_bookings": sum(data.hotel.refused().values()),
        "app_events": 1,
        "place_updates": len(data.foursquare.places_with_sentinels()),
    }


def test_rejected_rows_say_what_where_and_why(warehouse: DuckDBPyConnection) -> None:
    ((rows, explained, placed),) = warehouse.execute(
        "select count(*), count(*) filter (reason <> '' and rule <> '' and payload <> ''),"
        " count(*) filter (source = 'travel_booking' or (file is not null and line is not null))"
        " from raw.quarantine"
    ).fetchall()
    assert rows == explained == placed


def test_the_database_holds_what_was_read(sources: Sources, run: Run) -> None:
    dsn = sources.variables["WAYPOINT_TRAVEL_BOOKING_DSN"]
    tables = ("users", "products", "orders", "order_items", "bookings", "payments")
    read = _said(run, "read")
    assert database.counts(dsn, tables) == {table: read[f"app_{table}"] for table in tables}


def test_the_load_history_lists_each_landed_file_and_its_rows(
    run: Run, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute("select file, row_count from raw.load_history").fetchall()
    assert {file for file, _ in rows} == run.landed
    landed, rejected = _said(run, "landed").total(), _said(run, "rejected").total()
    assert sum(count for _, count in rows) == landed + rejected


def test_no_contract_is_broken_but_rules_that_warn_of_what_is_so(
    data: DataSets, run: Run, warehouse: DuckDBPyConnection
) -> None:
    broken = run.summary["build"]["broken_rules"]
    with_freight = {i["order_id"] for i in data.olist.items if float(i["freight_value"]) > 0}
    warned = {(rule["table"], rule["rule"]): rule["violations"] for rule in broken}
    assert {rule["severity"] for rule in broken} == {"warning"}
    # freight comes on top of the items
    assert warned["staging.stg_orders", "a_total_is_the_sum_of_its_items"] == len(with_freight)
    # two of the eight systems log no severity
    assert warned["staging.stg_app_logs", "severities_are_known"] == 2 * 2000
    # ratings of the nineties are old, but no clock was wrong
    assert ("staging.stg_user_interactions", "senders_clocks_are_right") not in warned


def test_the_page_shows_all_of_it_without_a_problem(run: Run) -> None:
    assert run.summary["page_problems"] == []
    assert Path(run.summary["page"]).stat().st_size > 0

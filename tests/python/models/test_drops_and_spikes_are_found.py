"""How many planted drops and spikes `volume_anomalies` finds, and how often it cries wolf.

Histories of ten weeks are made up with a level, a weekday pattern, a trend, noise and, in half of
them, a holiday or an outage in the past. On the last whole day a part of the rows is taken away or
added. `pytest -s` prints the table that stands in docs/quality-marts.md.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from models.dbt_warehouse import DbtWarehouse

pytestmark = pytest.mark.long

TODAY = date(2026, 3, 18)  # a Wednesday; six in the morning
DAYS = 70
PLANTED = {"none": 1.0, "-30%": 0.7, "-50%": 0.5, "-100%": 0.0, "+50%": 1.5, "+100%": 2.0}

LEVELS = (300, 2_000, 50_000)  # rows a day
WEEKS = {  # what share of its level a table has on each day, Monday first
    "even": (1, 1, 1, 1, 1, 1, 1),
    "office": (1.1, 1.15, 1.1, 1.1, 1.0, 0.35, 0.3),
    "leisure": (0.8, 0.8, 0.85, 0.9, 1.2, 1.6, 1.4),
}
TRENDS = (-0.01, 0.0, 0.015)  # a day
NOISE = (0.03, 0.06)  # standard deviation, as a share


def histories(seed: int) -> Iterator[tuple[str, str, date, int, bool]]:
    """Rows (table, what was planted, day, rows, whether the day is out of the ordinary)."""
    chance = random.Random(seed)
    shapes = itertools.product(LEVELS, WEEKS, TRENDS, NOISE, (False, True), PLANTED)
    for number, (level, week, trend, noise, outage, planted) in enumerate(shapes):
        odd = TODAY - timedelta(days=chance.randrange(3, 40)) if outage else None
        for back in range(DAYS, -1, -1):
            day = TODAY - timedelta(days=back)
            mean = level * WEEKS[week][day.weekday()] * math.exp(trend * (DAYS - back))
            mean *= math.exp(chance.gauss(0, noise))
            if day == odd:
                mean *= 0.2
            if back == 1:
                mean *= PLANTED[planted]
            if back == 0:
                mean *= 0.25  # the day is young
            rows = max(0, round(chance.gauss(mean, math.sqrt(mean))))
            yield f"staging.t{number:04}", planted, day, rows, day in (odd, TODAY) or back == 1


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The verdicts beside what was planted: (table_name, planted, data_day, odd, verdict)."""
    state: Path = tmp_path_factory.mktemp("state")
    made = list(zip(*histories(seed=11), strict=True))
    names = ("table_name", "planted", "data_day", "row_count", "odd")
    planted = pa.table({name: list(values) for name, values in zip(names, made, strict=True)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYPOINT_STATE", str(state))
        warehouse = DbtWarehouse.of_project(state)
        warehouse.invoke("run", "--select", "contracted_tables")  # and with it the raw tables
        with duckdb.connect(str(warehouse.file)) as connection:
            connection.register("planted", planted)
            connection.execute("create table planted_rows as select * from planted")
            connection.execute("insert into raw.clock values (?)", [datetime(2026, 3, 18, 6)])
            connection.execute(
                "create table marts.rows_checked_daily as select table_name, data_day, row_count,"
                " row_count as rows_passing, timestamp '2026-03-18 05:00:00' as newest_at,"
                " timestamp '2026-03-18 05:00:00' as loaded_at, 'r' as rules_version"
                " from planted_rows where row_count > 0"
            )
            connection.execute("drop view marts.contracted_tables")
            connection.execute(
                "create table marts.contracted_tables as select distinct table_name,"
                " true as is_counted, true as is_day_of_event, false as only_grows"
                " from planted_rows"
            )
        warehouse.invoke("run", "--select", "volume_anomalies")
    connection = duckdb.connect(str(warehouse.file))
    connection.execute(
        "create temp table judged as select v.*, p.planted, p.odd from marts.volume_anomalies v"
        " join planted_rows p using (table_name, data_day)"
    )
    return connection


@pytest.mark.parametrize(
    ("planted", "verdict", "least"),
    [
        ("-30%", "drop", 0.80),
        ("-50%", "drop", 0.98),
        ("-100%", "drop", 1.0),
        ("+50%", "spike", 0.90),
        ("+100%", "spike", 0.99),
    ],
)
def test_what_was_planted_is_found(
    judged: duckdb.DuckDBPyConnection, planted: str, verdict: str, least: float
) -> None:
    found, there = judged.execute(
        "select sum(case when verdict = ? then 1 else 0 end), count(*) from judged"
        " where planted = ? and data_day = ?",
        [verdict, planted, TODAY - timedelta(days=1)],
    ).fetchall()[0]
    print(f"\n{planted}: {found} of {there} found, {found / there:.1%}")
    assert found / there >= least


def test_ordinary_days_are_called_normal(judged: duckdb.DuckDBPyConnection) -> None:
    alarms, days = judged.execute(
        "select sum(case when verdict in ('drop', 'spike') then 1 else 0 end), count(*) from judged"
        " where (not odd or planted = 'none' and data_day = ?) and days_of_history = 35",
        [TODAY - timedelta(days=1)],
    ).fetchall()[0]
    print(f"\nfalse alarms: {alarms} of {days} ordinary days, {alarms / days:.2%}")
    assert alarms / days <= 0.01


def test_a_day_that_has_just_begun_is_no_drop(judged: duckdb.DuckDBPyConnection) -> None:
    verdicts = judged.execute(
        "select distinct verdict from judged where data_day = ?", [TODAY]
    ).fetchall()
    assert verdicts == [("day_not_over",)]


def test_an_outage_in_the_past_does_not_make_the_present_strange(
    judged: duckdb.DuckDBPyConnection,
) -> None:
    alarms, days = judged.execute(
        "select sum(case when verdict in ('drop', 'spike') then 1 else 0 end), count(*) from judged"
        " where not odd and table_name in"
        " (select table_name from planted_rows where odd and data_day < ?)",
        [TODAY - timedelta(days=1)],
    ).fetchall()[0]
    assert alarms / days <= 0.01

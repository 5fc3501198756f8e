"""The real-time tables equal a recomputation of what has arrived, in whatever order it did."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from models.dbt_warehouse import ROOT, DbtWarehouse
from realtime.recomputed import Table, recomputed
from realtime.stream_world import Message, Row, arrived, loaded_at, world

from ingestion.landing import LandingArea
from waypoint.project import Project
from waypoint.realtime.merging import merged

LOADS = 3

#: Of each table its key and the columns that are compared.
COLUMNS = {
    "app_event_counts_5m": (
        "window_start, event_type, app_type",
        "events, unique_users, unique_sessions",
    ),
    "event_latency_1m": (
        "window_start, app_type",
        "events, to_topic_ms_p50, to_topic_ms_p95, to_topic_ms_p99, to_topic_ms_max",
    ),
    "page_engagement_10m": (
        "window_start, page",
        "page_views, clicks, unique_users, users_who_clicked, users_who_booked,"
        " click_through_rate, conversion_rate",
    ),
    "order_activity_5m": (
        "user_id, window_start",
        "orders, cancelled_orders, currencies, currency, total_amount_cents, first_order_at,"
        " last_order_at",
    ),
    "conversion_funnel": (
        "day, app_type",
        "searches, views, bookings, payments, view_rate, booking_rate, payment_rate,"
        " conversion_rate",
    ),
    "fraud_signals": (
        "charge_id",
        "user_id, order_id, booking_id, status, currency, amount_cents, card_country,"
        " user_country, charges_in_hour, amount_ratio, has_velocity, has_amount, has_geography,"
        " score, is_suspicious, reasons, created_at",
    ),
    "user_activity_10m": (
        "user_id, window_start",
        "window_end, interactions, places, visits, ratings, mean_rating, recent_categories,"
        " session_seconds, last_geohash, last_interacted_at",
    ),
    "market_alerts": (
        "symbol, alerted_at, cast(price as double)",
        "cast(price_before as double), direction, move_percent, trailing_moves,"
        " trailing_mean_percent, trailing_deviation_percent, deviations",
    ),
}


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", [1, 2])
def test_they_equal_a_recomputation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path))
    warehouse = DbtWarehouse.of_project(tmp_path)
    build(warehouse, "stg_clicks")  # and with it the raw tables, with nothing in them
    loads = arrived(world(seed), LOADS + 1, random.Random(seed))
    for number in range(LOADS):
        for table, rows in by_table(loads[number]).items():
            warehouse.insert(table, rows, loaded_at(number))
        build(warehouse, *(f"+{name}" for name in COLUMNS))
        with duckdb.connect(str(warehouse.file)) as connection:
            compare(loads[: number + 1], lambda name: f"{schema_of(name)}.{name}", connection)

    # and what has landed since, which nobody has loaded
    with duckdb.connect(str(warehouse.file)) as connection:
        connection.execute("checkpoint")
    (tmp_path / "published").mkdir()
    shutil.copy(warehouse.file, tmp_path / "published" / "waypoint.duckdb")
    project = Project(root=ROOT, state=tmp_path)
    for table, rows in by_table(loads[LOADS]).items():
        land(project, warehouse.file, table, rows)
    with merged(project, list(COLUMNS)) as found:
        compare(loads, lambda name: f"realtime.{name}", found.connection)


def build(warehouse: DbtWarehouse, *models: str) -> None:
    warehouse.invoke(
        "build", "--exclude-resource-type", "test", "unit_test", "--threads", "2",
        "--select", *models,
    )  # fmt: skip


def compare(
    loads: list[list[Message]],
    relation: Callable[[str], str],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """All tables, row by row."""
    for name, expected in recomputed(loads).items():
        key, others = COLUMNS[name]
        rows = connection.execute(f"select {key}, {others} from {relation(name)}").fetchall()
        size = len(rows[0]) - len(others.split(", ")) if rows else 0
        found: Table = {row[:size]: row[size:] for row in rows}
        assert len(found) == len(rows), name
        assert set(found) == set(expected), name
        assert expected or len(loads) < LOADS, name
        for of, values in expected.items():
            assert [plain(value) for value in found[of]] == [
                pytest.approx(value, rel=1e-6, abs=1e-4) if isinstance(value, float) else value
                for value in values
            ], f"{name} {of}"


def plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def schema_of(name: str) -> str:
    return "ml_features" if name == "user_activity_10m" else "marts"


def by_table(load: list[Message]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for table, row in load:
        found.setdefault(table, []).append(row)
    return found


def land(project: Project, warehouse: Path, table: str, rows: list[Row]) -> None:
    """The rows as a file of the landing area, typed as the raw table is."""
    fields = dict.fromkeys(name for row in rows for name in row)
    given = pa.table({name: [row.get(name) for row in rows] for name in fields})
    with (
        duckdb.connect(str(warehouse)) as connection,
        LandingArea(project.landing_dir).writing(table, "late") as path,
    ):
        connection.execute(f"create temp table typed as from raw.{table} limit 0")
        connection.register("given", given)
        connection.execute("insert into typed by name select *, 'test' as _source from given")
        connection.execute(
            "copy (select * exclude (_loaded_at) replace ('late' as _batch) from typed)"
            f" to '{path}' (format parquet)"
        )

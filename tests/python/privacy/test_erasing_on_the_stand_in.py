"""Erasing runs on the stand-in for Snowflake, and leaves there what it leaves in DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytest.importorskip("fakesnow")
import snowflake.connector as connector

from waypoint.contracts.person_keys import people
from waypoint.privacy.person import Person, find
from waypoint.privacy.tables import TableErased, erase_tables, raw_rows
from waypoint.privacy.warehouses import (
    DuckDBWarehouse,
    SnowflakeWarehouse,
    Warehouse,
    fill_ids,
    fill_values,
)
from waypoint.project import Project
from waypoint.snowflake.rehearsal.standin import serving

pytestmark = pytest.mark.long  # what it runs is looked at in every run, statement by statement

ROOT = Path(__file__).parents[3]
Row = dict[str, Any]

GRACE, OTHER = 4711, 4712
#: What is Grace's: how she is called and reached, her order's charge, her visits.
THEIRS = ("grace@example.com", "Grace Hopperly", "+1555123", "ch_grace", "s-grace")


def _rows() -> dict[str, list[Row]]:
    """Grace and somebody else, in tables of every kind; whose they are is told in all ways."""
    users: list[Row] = [
        {"id": GRACE, "email": THEIRS[0], "full_name": THEIRS[1], "phone": THEIRS[2]},
        {"id": OTHER, "email": "alan@example.com", "full_name": "Alan Turning", "phone": "+44555"},
    ]
    orders: list[Row] = [{"id": 11, "user_id": GRACE}, {"id": 12, "user_id": OTHER}]
    charges: list[Row] = [
        {"id": THEIRS[3], "customer": "cus_grace", "metadata": json.dumps({"order_id": "11"})},
        {"id": "ch_alan", "customer": "cus_alan", "metadata": json.dumps({"order_id": "12"})},
    ]
    events: list[Row] = [
        {"event_id": "e1", "user_id": GRACE, "session_id": THEIRS[4]},
        {"event_id": "e2", "user_id": None, "session_id": THEIRS[4]},  # before she signed in
        {"event_id": "e3", "user_id": OTHER, "session_id": "s-alan"},
        {"event_id": "e4", "user_id": OTHER, "session_id": "s-alan", "properties": THEIRS[0]},
    ]
    changes: list[Row] = [
        {
            "change_id": f"c{row['id']}",
            "table_name": "public.users",
            "primary_key": json.dumps({"id": row["id"]}),
            "after_values": json.dumps(row),
        }
        for row in users
    ] + [
        {
            "change_id": f"c{row['id']}",
            "table_name": "public.orders",
            "primary_key": json.dumps({"id": row["id"]}),
            "after_values": json.dumps(row),
        }
        for row in orders
    ]
    rejected: list[Row] = [
        {
            "table_name": "app_events",
            "field": "timestamp",
            "value": "soon",
            "rule": "type",
            "reason": f"of {event['session_id']}",
            "payload": json.dumps(event),
        }
        for event in (events[0], events[2])
    ]
    staged: dict[str, list[Row]] = {
        "staging.stg_users": [{**row, "user_id": row.pop("id")} for row in map(dict, users)],
        "staging.users_history": [{**row, "user_id": row.pop("id")} for row in map(dict, users)],
        "staging.stg_orders": [{**row, "order_id": row.pop("id")} for row in map(dict, orders)],
        "staging.stg_payments": [
            {"charge_id": "ch_grace", "order_id": 11}, {"charge_id": "ch_alan", "order_id": 12},
        ],
        "marts.fct_payments": [{"charge_id": "ch_alan", "user_id": OTHER}],
        "marts.dim_users": [{"user_id": GRACE, "city": "Oslo"}, {"user_id": OTHER, "city": "Rome"}],
        "ml_features.user_features": [{"user_id": GRACE}, {"user_id": OTHER}],
    }  # fmt: skip
    return {
        "raw.app_users": users,
        "raw.app_orders": orders,
        "raw.stripe_charges": charges,
        "raw.app_events": events,
        "raw.cdc_changes": changes,
        "raw.quarantine": rejected,
        **staged,
    }


@dataclass(frozen=True)
class Erased:
    """What an erasure found and took out, and the rows that are left, by table."""

    person: Person
    would: list[TableErased]
    tables: list[TableErased]
    left: Mapping[str, list[tuple[str | None, ...]]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(root=ROOT, state=tmp_path_factory.mktemp("state"), target="snowflake")


@pytest.fixture(scope="module")
def on_duckdb(project: Project) -> Iterator[Erased]:
    with duckdb.connect() as connection:
        warehouse = DuckDBWarehouse(connection)
        for statement, parameters in _made(project, '"{}"."{}"'):
            warehouse.run(statement, parameters)
        yield _erase(project, warehouse)


@pytest.fixture(scope="module")
def on_the_stand_in(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erased]:
    with (
        serving(tmp_path_factory.mktemp("account")) as account,
        connector.connect(**account.connector, paramstyle="qmark") as connection,
    ):
        warehouse = SnowflakeWarehouse(connection, connector.errors.Error)
        for statement, parameters in _made(project, "{}.{}"):
            warehouse.run(statement, parameters)
        yield _erase(project, warehouse)


def test_the_same_person_is_found(on_duckdb: Erased, on_the_stand_in: Erased) -> None:
    ids = {kind: sorted(values) for kind, values in on_the_stand_in.person.ids.items()}

    assert ids == {
        "user": [str(GRACE)],
        "order": ["11"],
        "charge": ["ch_grace"],
        "customer": ["cus_grace"],
        "session": ["s-grace"],
    }
    assert on_the_stand_in.person == on_duckdb.person


def test_the_same_rows_and_values_are_taken_out(on_duckdb: Erased, on_the_stand_in: Erased) -> None:
    taken = {one.table: (one.rows, one.values) for one in on_the_stand_in.tables}

    assert taken["raw.app_events"] == (2, 1)
    assert taken["raw.cdc_changes"] == (2, 0)
    assert taken["raw.quarantine"] == (1, 0)
    assert set(taken) == {*_rows()} - {"marts.fct_payments"}
    by_table = {one.table: one for one in on_duckdb.tables}
    assert {one.table: one for one in on_the_stand_in.tables} == by_table
    assert {one.table: one.rows for one in on_the_stand_in.would} == {
        one.table: one.rows for one in on_duckdb.would
    }


def test_nothing_of_hers_is_left_and_all_else_is(
    on_duckdb: Erased, on_the_stand_in: Erased
) -> None:
    assert on_the_stand_in.left == on_duckdb.left
    texts = json.dumps(on_the_stand_in.left)
    assert not [value for value in (*THEIRS, str(GRACE), "cus_grace") if value in texts]
    assert {table: len(rows) for table, rows in on_the_stand_in.left.items()} == {
        **dict.fromkeys(_rows(), 1),
        "raw.app_events": 2,
        "raw.cdc_changes": 2,
        "raw.quarantine": 2,  # emptied, and in its place
    }
    assert "alan@example.com" in texts and "[erased]" in texts


def _made(project: Project, name: str) -> Iterator[tuple[str, list[Any]]]:
    """Statements that make the tables, as their contracts have them, with the rows."""
    for schema in ("raw", "staging", "marts", "ml_features"):
        yield f"create schema if not exists {schema}", []
    for full_name, rows in _rows().items():
        contract = project.contracts.get(full_name)
        assert contract is not None
        relation = name.format(contract.schema, contract.name)
        kinds = {column.name: column.physical_type for column in contract.columns}
        if not name.startswith('"'):
            kinds = {f'"{column.upper()}"': kind for column, kind in kinds.items()}
        columns = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
        yield f"create table {relation} ({columns})", []
        known = {column.name for column in contract.columns}
        for row in rows:
            named = {column: row[column] for column in row if column in known}
            listed = ", ".join(named)
            places = ", ".join("?" for _ in named)
            yield f"insert into {relation} ({listed}) values ({places})", list(named.values())


def _erase(project: Project, warehouse: Warehouse) -> Erased:
    known = people(project.contracts)
    assert known is not None
    person = find(list(raw_rows(warehouse, project.contracts)), known, [str(GRACE)])
    fill_ids(warehouse, person.ids)
    fill_values(warehouse, person.values)
    would = erase_tables(warehouse, project.contracts, person, known.kind, dry_run=True)
    tables = erase_tables(warehouse, project.contracts, person, known.kind, dry_run=False)
    return Erased(person, would, tables, {table: _left(warehouse, table) for table in _rows()})


def _left(warehouse: Warehouse, table: str) -> list[tuple[str | None, ...]]:
    rows: Sequence[tuple[Any, ...]] = warehouse.run(f"select * from {table}")
    return sorted((tuple(v if v is None else str(v) for v in row) for row in rows), key=repr)

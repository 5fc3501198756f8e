"""A person's ids are learned from rows that are theirs already, and only those that are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from waypoint.contracts.model import Column, Contract
from waypoint.contracts.person_keys import People
from waypoint.privacy.person import Person, Rows, find
from waypoint.privacy.warehouses import DuckDBWarehouse


def contract(table: str, /, **kinds: object) -> Contract:
    columns = tuple(
        Column(column, "string", "varchar", custom={"personKey": kind} if kind else {})
        for column, kind in kinds.items()
    )
    return Contract(Path(), "raw", table, "1.0.0", "active", "", "", "", "", columns)


MEMBERS = contract("members", id="member", name=None)
LOANS = contract("loans", loan="loan", member="member", desk="desk")
FEES = contract("fees", fee="fee", about={"loan": "of.loan"})
PEOPLE = People(MEMBERS, "member", "id", ("name",))


@pytest.fixture
def warehouse() -> Iterator[DuckDBWarehouse]:
    with duckdb.connect() as connection:
        yield DuckDBWarehouse(connection)


def learned(warehouse: DuckDBWarehouse, member: str, **tables: list[tuple[str | None, ...]]):
    rows = []
    for one in (MEMBERS, LOANS, FEES):
        names = [column.name for column in one.columns]
        listed = ", ".join(f"{name} varchar" for name in names)
        warehouse.run(f"create table {one.name} ({listed})")
        for row in tables[one.name]:
            warehouse.run(f"insert into {one.name} values ({', '.join('?' * len(row))})", row)
        rows.append(Rows(warehouse, one, one.name, frozenset(names)))
    return find(rows, PEOPLE, [member])


def test_ids_lead_to_ids_through_columns_and_documents(warehouse: DuckDBWarehouse) -> None:
    person = learned(
        warehouse,
        "7",
        members=[("7", "Grace Hopperly"), ("8", "Ada Byron")],
        loans=[("L1", "7", None), ("L2", "8", None)],
        fees=[("F1", '{"of": {"loan": "L1"}}'), ("F2", '{"of": {"loan": "L2"}}'), ("F3", "{")],
    )

    assert person == Person(
        {"member": frozenset("7"), "loan": frozenset({"L1"}), "fee": frozenset({"F1"})},
        ("Grace Hopperly",),
    )


def test_what_others_share_is_not_the_persons(warehouse: DuckDBWarehouse) -> None:
    person = learned(
        warehouse,
        "7",
        members=[("7", "Grace Hopperly"), ("8", "Grace Hopperly")],
        loans=[("L1", "7", "D1"), ("L2", "8", "D1"), ("L3", None, "D1"), ("L4", "7", "D2")],
        fees=[],
    )

    # the desk D1 is another member's, too, and so is the name
    assert person.ids["desk"] == {"D2"}
    assert person.ids["loan"] == {"L1", "L4"}
    assert (person.values, person.shared) == ((), 1)


def test_a_short_id_is_no_part_of_a_longer_one(warehouse: DuckDBWarehouse) -> None:
    person = learned(
        warehouse,
        "7",
        members=[("7", "Grace Hopperly"), ("77", "Ada Byron")],
        loans=[("L1", "77", None), ("17", "7", None), ("L3", "1", None)],
        fees=[("F1", '{"of": {"loan": "L1"}}'), ("F2", '{"of": {"loan": "17"}}')],
    )

    assert person.ids["loan"] == {"17"}
    assert person.ids["fee"] == {"F2"}

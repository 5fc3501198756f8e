"""The rules that come with a column's type catch what is never meant, and nothing else."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from waypoint.contracts.model import Column
from waypoint.contracts.plausible import plausible_rules


def conditions(column: Column) -> dict[str, str]:
    return {
        rule["name"]: rule["condition"] for rule in plausible_rules(column) if "condition" in rule
    }


def broken(column: Column, value: str) -> bool:
    """Whether any rule on rows is broken by a value, given as SQL."""
    found: Any = duckdb.sql(
        f"select coalesce({' or '.join(f'({c})' for c in conditions(column).values()) or 'false'},"
        f" false) from (select cast({value} as {column.physical_type}) as {column.name})"
    ).fetchone()
    return bool(found[0])


@pytest.mark.parametrize(
    ("kind", "physical", "bad", "good"),
    [
        ("timestamp", "timestamp", "'2999-01-01'", "'2026-01-31 10:00:00'"),
        ("timestamp", "timestamp", "'1970-01-01'", "'1999-12-31'"),
        ("date", "date", "'1900-01-01'", "'2026-01-31'"),
        ("integer", "bigint", "9223372036854775807", "999999999999"),
        ("integer", "integer", "2147483647", "-5"),
        ("number", "decimal(18,2)", "9999999999999999", "-12.50"),
        ("number", "double", "1e300", "0.5"),
        ("string", "varchar", "''", "'a'"),
        ("string", "varchar", "chr(65533) || 'x'", "'Zürich — 東京'"),
        ("object", "varchar", "'null'", "'{}'"),
        ("array", "varchar", "''", "'[]'"),
    ],
)
def test_what_is_never_meant(kind: str, physical: str, bad: str, good: str) -> None:
    column = Column("value", kind, physical)
    assert broken(column, bad)
    assert not broken(column, good)
    assert not broken(column, "null")


def test_what_the_contract_says_itself_comes_first() -> None:
    bounded = Column("value", "integer", "bigint", required=True, minimum=0, maximum=10)
    assert plausible_rules(bounded) == []
    listed = Column("value", "string", "varchar", required=True, valid_values=("a", "b"))
    assert plausible_rules(listed) == []


def test_an_optional_column_is_filled_somewhere() -> None:
    (rule,) = (r for r in plausible_rules(Column("note", "string", "varchar")) if "filled" in r)
    assert rule == {"name": "note_is_filled_somewhere", "filled": "note"}
    required = plausible_rules(Column("note", "string", "varchar", required=True))
    assert not [r for r in required if "filled" in r]


def test_a_column_may_be_otherwise() -> None:
    column = Column(
        "note", "string", "varchar", custom={"mayBe": ["blank", "implausible", "empty"]}
    )
    assert not broken(column, "''")
    assert broken(column, "chr(65533)")
    assert [rule["name"] for rule in plausible_rules(column)] == ["note_is_legible"]
    moment = Column("at", "timestamp", "timestamp", custom={"mayBe": ["implausible", "empty"]})
    assert plausible_rules(moment) == []

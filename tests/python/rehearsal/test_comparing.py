"""Rows of two warehouses compared: what counts as equal, and how a difference is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from waypoint.snowflake.rehearsal.comparing import Comparison, comparing

ROWS = "values (1, 'a', 0.3::double, timestamp '2026-01-31'), (2, null, null, null)"


@pytest.fixture
def comparison(tmp_path: Path) -> Iterator[Comparison]:
    warehouse = tmp_path / "waypoint.duckdb"
    with duckdb.connect(warehouse) as connection:
        connection.execute("create schema marts")
        connection.execute(
            f"create table marts.orders as select * from ({ROWS}) as o (id, name, share, seen)"
        )
        connection.execute("create view marts.latest as select * from marts.orders")
    with comparing(warehouse) as comparison:
        yield comparison


def there(rows: str = ROWS, names: str = "ID, NAME, SHARE, SEEN") -> pa.Table:
    with duckdb.connect() as connection:
        table: pa.Table = connection.execute(
            f"select * from ({rows}) as o ({names})"
        ).to_arrow_table()
        return table


@pytest.mark.parametrize("table", ["marts.orders", "marts.latest"])
def test_the_same_rows_are_equal_whatever_the_names_case_and_the_order(
    comparison: Comparison, table: str
) -> None:
    turned = "values (2, null, null, null), (1, 'a', 0.3::double, timestamp '2026-01-31')"
    compared = comparison.compare(table, there(turned), ["id"])
    assert compared.equal
    assert (compared.rows, compared.rows_there, compared.rounded) == (2, 2, 0)


def test_a_null_is_not_a_zero(comparison: Comparison) -> None:
    compared = comparison.compare(
        "marts.orders", there(ROWS.replace("2, null, null", "2, null, 0")), ["id"]
    )
    assert not compared.equal
    assert compared.columns == {"share": 1}
    assert "DuckDB: id=2, share=None" in compared.examples


def test_the_last_digits_of_a_float_do_not_count_but_are_told(comparison: Comparison) -> None:
    compared = comparison.compare(
        "marts.orders", there(ROWS.replace("0.3", "0.30000000000000004")), ["id"]
    )
    assert compared.equal
    assert compared.rounded == 1


def test_a_float_that_differs_by_more_counts(comparison: Comparison) -> None:
    compared = comparison.compare("marts.orders", there(ROWS.replace("0.3", "0.3000001")), ["id"])
    assert not compared.equal


def test_a_row_that_comes_twice_counts_twice(comparison: Comparison) -> None:
    compared = comparison.compare("marts.orders", there(f"{ROWS}, (2, null, null, null)"), ["id"])
    assert not compared.equal
    assert (compared.missing, compared.strange) == (0, 1)


def test_a_row_that_is_not_there_counts(comparison: Comparison) -> None:
    compared = comparison.compare("marts.orders", there(ROWS.partition(", (2")[0]), ["id"])
    assert (compared.equal, compared.missing, compared.strange) == (False, 1, 0)


def test_without_a_key_rows_are_compared_as_they_are(comparison: Comparison) -> None:
    compared = comparison.compare("marts.orders", there(ROWS.replace("'a'", "'b'")))
    assert (compared.equal, compared.missing, compared.strange) == (False, 1, 1)


def test_another_set_of_columns_is_a_difference(comparison: Comparison) -> None:
    compared = comparison.compare("marts.orders", there(names="ID, NAME, SHARE, WHEN_"), ["id"])
    assert "seen, when_" in compared.problem


def test_values_that_do_not_fit_the_column_are_a_difference(comparison: Comparison) -> None:
    compared = comparison.compare("marts.orders", there("values ('x', 'a', 0.3, null)"), ["id"])
    assert "types" in compared.problem


def test_a_column_can_be_left_out(comparison: Comparison) -> None:
    rows = ROWS.replace("2026-01-31", "2026-02-01")
    assert not comparison.compare("marts.orders", there(rows), ["id"]).equal
    assert comparison.compare("marts.orders", there(rows), ["id"], leave_out=["seen"]).equal

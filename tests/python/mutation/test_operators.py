"""What the operators do to rows and queries, and what they leave alone."""

from __future__ import annotations

import duckdb
import pytest

from waypoint.contracts.model import Column
from waypoint.contracts.mutation.model import Damage
from waypoint.contracts.mutation.operators import Facts, damages_of_column, damages_of_rows
from waypoint.contracts.mutation.queries import changed_queries

QUERY = """
with paid as (select * from orders where status = 'paid' and amount > 0)
select paid.id, users.name
from paid
left join users on paid.user_id = users.id and users.is_known
qualify row_number() over (partition by paid.id order by paid.amount) = 1
"""


@pytest.fixture
def hundred() -> duckdb.DuckDBPyConnection:
    """A table of 100 rows: an id, an amount, and a note in every second row."""
    connection = duckdb.connect()
    connection.execute(
        "create table base as select n as id, n * 10 as amount,"
        " case when n % 2 = 0 then 'note ' || n end as note, n as _n from range(100) as r (n)"
    )
    return connection


def rows(connection: duckdb.DuckDBPyConnection, damage: Damage) -> list[tuple[object, ...]]:
    return connection.execute(damage.query.replace("{base}", "base")).fetchall()


def of_column(column: Column, **facts: bool) -> dict[str, Damage]:
    found = damages_of_column(
        column, ["id", "amount", "note"], Facts(50, 3, negative=facts.get("negative", False)), True
    )
    return {f"{damage.operator}: {damage.detail}": damage for damage in found}


def test_rows_are_doubled_and_dropped(hundred: duckdb.DuckDBPyConnection) -> None:
    counted = {
        damage.operator: len(rows(hundred, damage))
        for damage in damages_of_rows(["id", "amount", "note"])
    }
    assert counted["doubled_rows"] == 200
    assert 100 < counted["duplicate"] < 120
    assert 80 < counted["dropped_rows"] < 100


def test_a_required_column_loses_some_values_and_an_optional_one_all(
    hundred: duckdb.DuckDBPyConnection,
) -> None:
    required = of_column(Column("amount", "integer", "bigint", required=True))
    lost = [row[1] for row in rows(hundred, required["null: null in some rows"])].count(None)
    assert 0 < lost < 20
    optional = of_column(Column("note", "string", "varchar"))
    assert {row[2] for row in rows(hundred, optional["null: null in every row"])} == {None}


def test_only_values_that_are_there_are_damaged(hundred: duckdb.DuckDBPyConnection) -> None:
    damage = of_column(Column("note", "string", "varchar"))["out_of_range: empty text in some rows"]
    notes = [row[2] for row in rows(hundred, damage)]
    assert notes.count(None) == 50
    assert 0 < notes.count("") < 10


def test_what_may_be_negative_is_not_damaged_by_being_so() -> None:
    amount = Column("amount", "integer", "bigint", required=True)
    negative = "out_of_range: negative in some rows"
    assert negative in of_column(amount)
    assert negative not in of_column(amount, negative=True)


def test_another_type_comes_as_text_among_the_numbers(hundred: duckdb.DuckDBPyConnection) -> None:
    damage = of_column(Column("amount", "integer", "bigint"))["wrong_type: text in some rows"]
    assert damage.retyped == "VARCHAR"
    assert "n/a" in {row[1] for row in rows(hundred, damage)}


def test_each_predicate_is_dropped_alone() -> None:
    dropped = [c.detail for c in changed_queries(QUERY) if c.operator == "dropped_filter"]
    assert sorted(dropped) == [
        "join without paid.user_id = users.id",
        "join without users.is_known",
        "without qualify ROW_NUMBER() OVER (PARTITION BY paid.id ORDER BY paid.amount) = 1",
        "without where amount > 0",
        "without where status = 'paid'",
    ]


def test_joins_change_their_kind_and_their_column() -> None:
    wrong = {c.detail: c.sql for c in changed_queries(QUERY) if c.operator == "wrong_join"}
    assert "INNER JOIN users" in wrong["inner join of users instead of left"]
    assert "paid.user_id = users.is_known" in wrong["join of users on is_known instead of id"]


def test_a_query_that_filters_nothing_is_left_alone() -> None:
    assert list(changed_queries("select * from orders where true")) == []
    assert list(changed_queries("this is no query at all (")) == []

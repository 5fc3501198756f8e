"""Batches: the rows of a table that Great Expectations looks at, as a pandas data frame.

GE 1.24 does not speak to DuckDB, so a batch is held in memory: all rows of a small table, and the
newest of a large one. What a batch cannot show, the test of the contract counts over all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from waypoint.contracts.derived.expectations import BATCH_TYPES
from waypoint.contracts.model import Contract

if TYPE_CHECKING:
    import duckdb
    import pandas
    import pyarrow

#: How many rows of a table are looked at, unless more are asked for.
ROWS = 50_000


@dataclass(frozen=True)
class Batch:
    """Rows of a table, and how many there are in all."""

    frame: pandas.DataFrame
    rows: int


def newest_rows(
    connection: duckdb.DuckDBPyConnection, contract: Contract, limit: int = ROWS
) -> Batch | None:
    """At most `limit` rows of the contract's table; None where the table is not there.

    The newest by the column that its freshness is measured by come first, and then those with the
    highest key, so that the same table gives the same rows.
    """
    columns = [
        name
        for (name,) in connection.execute(
            "select column_name from duckdb_columns()"
            " where database_name = current_database() and schema_name = ? and table_name = ?"
            " order by column_index",
            [contract.schema, contract.name],
        ).fetchall()
    ]
    if not columns:
        return None
    relation = f'"{contract.schema}"."{contract.name}"'
    (rows,) = connection.execute(f"select count(*) from {relation}").fetchall()[0]
    newest = [contract.freshness.element] if contract.freshness else []
    order = [f'"{name}" desc nulls last' for name in (*newest, *contract.key) if name in columns]
    ordered = f" order by {', '.join(order)}" if order and rows > limit else ""
    found = connection.execute(f"select * from {relation}{ordered} limit {limit}")
    return Batch(_frame(found.to_arrow_table()), rows)


def _frame(table: pyarrow.Table) -> pandas.DataFrame:
    """Each column in the pandas type that stands for its SQL type."""
    import pandas
    import pyarrow

    text = pandas.StringDtype("pyarrow")
    types = {
        pyarrow.string(): text,
        pyarrow.int64(): BATCH_TYPES["bigint"],
        pyarrow.int32(): BATCH_TYPES["integer"],
        pyarrow.float64(): BATCH_TYPES["double"],
        pyarrow.bool_(): BATCH_TYPES["boolean"],
        pyarrow.date32(): BATCH_TYPES["date"],
    }
    resolved = {kind: pandas.api.types.pandas_dtype(name) for kind, name in types.items()}
    return table.to_pandas(types_mapper=resolved.get)

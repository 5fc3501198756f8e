"""Asking the published warehouse: a query's rows, or why there are none, never a crash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from waypoint.warehouse import first_line

if TYPE_CHECKING:
    import duckdb

#: More rows than that belong into a query that aggregates them: all of them go into the file.
MOST_ROWS = 5000

_NUMBERS = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """The rows of a query. `kinds` says of each column: temporal, quantitative or nominal.

    `problem` says why there are no rows, where that is not just so.
    """

    columns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    problem: str = ""

    def kind(self, column: str) -> str:
        """The kind of a column; nominal where the query has no such column."""
        return dict(zip(self.columns, self.kinds, strict=True)).get(column, "nominal")

    def records(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def ask(connection: duckdb.DuckDBPyConnection, sql: str, needed: Sequence[str] = ()) -> Answer:
    """The answer to `sql`, which must have the columns `needed`.

    A table or column that is missing, a mistake in the query and too many rows are told in
    `problem`; nothing is raised for them.
    """
    import duckdb

    try:
        cursor = connection.execute(sql)
        described = cursor.description or []
        rows = cursor.fetchmany(MOST_ROWS + 1)
    except duckdb.CatalogException as error:
        return Answer(problem=f"What this is made from is not there: {first_line(str(error))}")
    except duckdb.Error as error:
        return Answer(problem=f"The query does not run: {first_line(str(error))}")
    columns = tuple(str(column[0]) for column in described)
    missing = [name for name in needed if name not in columns]
    if missing:
        return Answer(problem=f"The query gives no column {missing[0]!r}.")
    if len(rows) > MOST_ROWS:
        return Answer(
            problem=f"The query gives more than {MOST_ROWS:,} rows; aggregate or limit it."
        )
    return Answer(columns, tuple(_kind(str(column[1])) for column in described), rows)


def as_json(value: Any) -> Any:
    """A value as a chart takes it; times are UTC."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _kind(type_name: str) -> str:
    name = type_name.upper().partition("(")[0]
    if name.startswith(("DATE", "TIMESTAMP")):
        return "temporal"
    return "quantitative" if name in _NUMBERS else "nominal"

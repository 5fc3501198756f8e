"""The warehouse as erasing sees it: statements with bound parameters, and lists of what is sought.

Everything that erasing runs on a table is rendered by `waypoint.privacy.statements`, for both
warehouses; here stands how it is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import duckdb

from ingestion.belonging import DUCKDB, SNOWFLAKE, Dialect, Membership, in_table
from ingestion.engine import text_literal
from ingestion.snowflake_account import account_connection
from waypoint.errors import Unavailable
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED, first_line, writing

#: How many ids one statement brings in.
_LOT = 500


class Warehouse(Protocol):
    """Runs a statement with `?` for each parameter."""

    dialect: Dialect
    lists: str  # what the names of passing tables begin with

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


class DuckDBWarehouse:
    """`Warehouse` on a DuckDB connection: the embedded warehouse, or an engine over files."""

    dialect = DUCKDB
    lists = "temp."

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def expect(self, table: str, ids: Mapping[str, Iterable[str]]) -> None:
        """Keep the ids of a passing table as constants of the connection, and a pattern of them."""
        values = [value for some in ids.values() for value in some]
        listed = "|".join(re.escape(value) for value in values) or "[^\\s\\S]"
        whole = f"(?:^|[^0-9A-Za-z_])(?:{listed})(?:[^0-9A-Za-z_]|$)"
        self.run(f"set variable {_variable(table, 'pattern')} = ({text_literal(whole)})")
        for kind, some in ids.items():
            texts = ", ".join(map(text_literal, some))
            name = _variable(table, f"kind_{kind}")
            self.run(f"set variable {name} = (cast([{texts}] as varchar[]))")

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self.connection.execute(sql, list(parameters)).fetchall()
        except RuntimeError as error:
            if "interrupted" not in str(error):
                raise
            # Ctrl-C within a query
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            # DuckDB's words can quote values, and the rest of them the statement
            said = first_line(str(error)).split(":")[0]
            raise Unavailable(
                f"the warehouse refused a statement of the erasure ({said})",
                hint="make room on the disk if it is full, and run the same command again",
            ) from None


class SnowflakeWarehouse:
    """`Warehouse` on a connection of the Snowflake connector, with parameters bound as `?`."""

    dialect = SNOWFLAKE
    lists = "RAW."

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection, self._error = connection, error

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                return list(cursor.execute(sql, list(parameters) or None).fetchall())
        except self._error as error:
            number = getattr(error, "errno", None)
            raise Unavailable(
                f"Snowflake refused a statement of the erasure (error {number})",
                hint="the account's query history has it; run the same command again",
            ) from None


@contextmanager
def opened(project: Project) -> Iterator[Warehouse | None]:
    """The project's warehouse; None where the embedded one has not been made yet.

    Raises:
        Unavailable: it cannot be reached, or another process holds it.
        UnusableInput: a variable or the connector is missing.
    """
    if project.target != EMBEDDED:
        with _snowflake() as account:
            yield account
    elif project.warehouse_file.exists():
        with writing(project.warehouse_file) as connection:
            yield DuckDBWarehouse(connection)
    else:
        yield None


@contextmanager
def _snowflake() -> Iterator[SnowflakeWarehouse]:
    # qmark: ids are bound by the server and stand in no statement
    with account_connection("waypoint privacy", paramstyle="qmark") as (connection, error):
        yield SnowflakeWarehouse(connection, error)


def pattern_of(table: str, dialect: Dialect) -> str | None:
    """SQL for the pattern of the ids in a passing table; None where there is none."""
    return f"getvariable('{_variable(table, 'pattern')}')" if dialect.name == DUCKDB.name else None


def among(table: str, dialect: Dialect) -> Membership:
    """Membership in a passing table of ids, which DuckDB has as constants."""
    if dialect.name != DUCKDB.name:
        return in_table(table)

    def is_known(kind: str, text: str) -> str:
        known = f"getvariable('{_variable(table, 'kind_' + kind)}')"
        return f"coalesce(list_contains({known}, {text}), false)"

    return is_known


def _variable(table: str, what: str) -> str:
    return f"{table.rpartition('.')[2]}_{what}"


def id_list(warehouse: Warehouse) -> str:
    """The passing table of the ids that are sought: `kind`, `id`."""
    return f"{warehouse.lists}erased_ids"


def value_list(warehouse: Warehouse) -> str:
    """The passing table of the values that are sought: `n` (from 0), `value`."""
    return f"{warehouse.lists}erased_values"


def fill_ids(
    warehouse: Warehouse, ids: Mapping[str, Iterable[str]], table: str | None = None
) -> None:
    """Put ids by their kind in `id_list`, or in another passing table."""
    name = table or id_list(warehouse)
    if isinstance(warehouse, DuckDBWarehouse):
        warehouse.expect(name, {kind: sorted(values) for kind, values in ids.items()})
        return
    warehouse.run(f"create or replace temporary table {name} (kind varchar, id varchar)")
    rows = [(kind, value) for kind, values in sorted(ids.items()) for value in sorted(values)]
    for start in range(0, len(rows), _LOT):
        lot = rows[start : start + _LOT]
        places = ", ".join(["(?, ?)"] * len(lot))
        warehouse.run(f"insert into {name} values {places}", [part for row in lot for part in row])


def fill_values(warehouse: Warehouse, values: Sequence[str]) -> None:
    """Put values in `value_list`."""
    name = value_list(warehouse)
    warehouse.run(f"create or replace temporary table {name} (n integer, value varchar)")
    for number, value in enumerate(values):
        warehouse.run(f"insert into {name} values (?, ?)", [number, value])

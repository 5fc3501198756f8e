"""Two tables that should be the same, row by row: one of DuckDB, one fetched from Snowflake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingestion.engine import quoted, text_literal

#: Floats that differ by less than this part of them were added up in another order.
TOLERANCE = 1e-9
_SHOWN = 3  # rows of each kind of difference


@dataclass(frozen=True)
class Compared:
    """How a table of Snowflake stands to DuckDB's.

    `missing` rows are DuckDB's alone and `strange` ones Snowflake's alone, rows of one key that
    differ among them: `columns` says in what, and how often. `rounded` rows differ in the last
    digits of floats and count as equal.
    """

    rows: int
    rows_there: int
    missing: int = 0
    strange: int = 0
    rounded: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    problem: str = ""

    @property
    def equal(self) -> bool:
        return not (self.problem or self.missing or self.strange)


class Comparison:
    """Compares tables of a DuckDB warehouse with fetched ones."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, database: str) -> None:
        self._connection, self._database = connection, database

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table (`schema.name`) of DuckDB and their types; none: no such table."""
        schema, _, name = table.partition(".")
        rows = self._run(
            "select column_name, data_type from duckdb_columns() where database_name = ?"
            " and schema_name = ? and table_name = ? order by column_index",
            [self._database, schema, name],
        )
        return dict(rows)

    def compare(
        self, table: str, there: Any, key: Sequence[str] = (), leave_out: Sequence[str] = ()
    ) -> Compared:
        """Compare a table with `there`, an Arrow table in which the names' case does not matter.

        Args:
            key: columns that name a row, so that a difference can be told by column.
            leave_out: columns that are not looked at.
        """
        types = {n: t for n, t in self.columns(table).items() if n not in leave_out}
        names = {name.lower(): name for name in there.column_names}
        if set(types) != set(names) - set(leave_out):
            only = sorted(set(types).symmetric_difference(set(names) - set(leave_out)))
            return Compared(0, there.num_rows, problem=f"not in both: column {', '.join(only)}")
        schema, _, name = table.partition(".")
        self._connection.register("fetched", there)
        try:
            self._run(
                "create or replace temp table theirs as select "
                + ", ".join(
                    f"cast({quoted(names[n])} as {t}) as {quoted(n)}" for n, t in types.items()
                )
                + " from fetched"
            )
        except duckdb.Error as error:
            problem = str(error).splitlines()[0]
            return Compared(0, there.num_rows, problem=f"its types are others: {problem}")
        finally:
            self._connection.unregister("fetched")
        listed = ", ".join(map(quoted, types))
        self._run(
            f"create or replace temp table ours as"
            f" select {listed} from {quoted(self._database)}.{quoted(schema)}.{quoted(name)}"
        )
        for kind, one, other in (("missing", "ours", "theirs"), ("strange", "theirs", "ours")):
            self._run(
                f"create or replace temp table {kind} as"
                f" select {listed} from {one} except all select {listed} from {other}"
            )
        rows, rows_there = (self._count(one) for one in ("ours", "theirs"))
        if not self._count("missing") and not self._count("strange"):
            return Compared(rows, rows_there)
        return self._told(rows, rows_there, types, [c for c in key if c in types])

    def _told(
        self, rows: int, rows_there: int, types: Mapping[str, str], key: Sequence[str]
    ) -> Compared:
        rounded, columns = 0, {}
        if key:
            joined = " and ".join(
                f"missing.{quoted(c)} is not distinct from strange.{quoted(c)}" for c in key
            )
            differs = {
                name: _differs(f"missing.{quoted(name)}", f"strange.{quoted(name)}", type_)
                for name, type_ in types.items()
                if name not in key
            }
            any_differs = " or ".join(differs.values()) or "false"
            self._run(
                f"create or replace temp table close as select {_listed('missing', key)}"
                f" from missing join strange on {joined} where not ({any_differs})"
            )
            rounded = self._count("close")
            for kind in ("missing", "strange"):
                self._run(
                    f"delete from {kind} using close where "
                    + " and ".join(
                        f"{kind}.{quoted(c)} is not distinct from close.{quoted(c)}" for c in key
                    )
                )
            counts = ", ".join(f"count(*) filter ({d})" for d in differs.values()) or "0"
            (found,) = self._run(f"select {counts} from missing join strange on {joined}")
            columns = {name: n for name, n in zip(differs, found, strict=False) if n}
        examples = tuple(self._examples(types, key, columns))
        missing, strange = self._count("missing"), self._count("strange")
        return Compared(rows, rows_there, missing, strange, rounded, columns, examples)

    def _examples(
        self, types: Mapping[str, str], key: Sequence[str], columns: Mapping[str, int]
    ) -> Iterator[str]:
        shown = [*key, *(name for name in columns if name not in key)] if columns else list(types)
        listed, order = (", ".join(map(quoted, names)) for names in (shown, key or types))
        for kind, whose in (("missing", "DuckDB"), ("strange", "Snowflake")):
            rows = self._run(f"select {listed} from {kind} order by {order} limit {_SHOWN}")
            for row in rows:
                values = ", ".join(f"{n}={v}" for n, v in zip(shown, row, strict=True))
                yield f"{whose}: {values[:400]}"

    def _count(self, table: str) -> int:
        return int(self._run(f"select count(*) from {table}")[0][0])

    def _run(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(query, parameters).fetchall()


@contextmanager
def comparing(warehouse: Path) -> Iterator[Comparison]:
    """Comparisons with the tables of a warehouse file of DuckDB."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set memory_limit = '1500MB'")
        # by its own name, which its views name, too
        connection.execute(
            f"attach {text_literal(warehouse)} as {quoted(warehouse.stem)} (read_only)"
        )
        yield Comparison(connection, warehouse.stem)


def _listed(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{table}.{quoted(column)}" for column in columns)


def _differs(one: str, other: str, type_: str) -> str:
    different = f"{one} is distinct from {other}"
    if type_ not in ("DOUBLE", "FLOAT"):
        return f"({different})"
    apart = f"abs({one} - {other}) > {TOLERANCE} * greatest(abs({one}), abs({other}))"
    return f"({different} and coalesce({apart}, true))"

"""Tables of a PostgreSQL database, brought to the state that they have at the end of a play."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from waypoint.errors import Unavailable, UnusableInput
from waypoint.simulator.scenario import Database
from waypoint.simulator.tables import Tables

#: A query's column that is no column of the table: true where the row is to be deleted.
GONE = "_gone"
_NULL = r"\N"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Target:
    """A table to be changed, the query that says how, and their columns."""

    table: str
    query: str
    columns: list[str]
    key: list[str]
    loses_rows: bool  # the query has the column GONE

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.table)

    @property
    def changes(self) -> sql.Identifier:
        """The temporary table that the query's rows come into."""
        return sql.Identifier(f"changes_of_{self.table}")


def bring_up_to_date(tables: Tables, database: Database, dsn: str, scratch: Path) -> dict[str, int]:
    """Insert, update and delete what changed in the play, all of it or nothing.

    `scratch` is a folder for files that are gone afterwards.

    Returns:
        How many rows each table was given or lost.

    Raises:
        Unavailable: the database does not answer.
        UnusableInput: a query does not fit its table.
    """
    try:
        # timestamps are said without a zone and mean UTC
        with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
            connection.execute(database.schema.read_bytes())
            counts = {}
            for table, query in database.tables.items():
                target = _target(connection, tables, table, query)
                counts[table] = _copy(connection, tables, target, scratch / f"{table}.csv")
                if target.loses_rows:
                    _delete(connection, target)
                _upsert(connection, target)
            return counts
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database {database.name}: {error}") from None
    except psycopg.Error as error:
        raise UnusableInput(f"the database {database.name}: {error}") from None


def _target(connection: psycopg.Connection, tables: Tables, table: str, query: str) -> _Target:
    described = tables.execute(query, "describe select * from {query}").fetchall()
    columns = [name for name, *_ in described]
    return _Target(
        table=table,
        query=query,
        columns=[name for name in columns if name != GONE],
        key=_primary_key(connection, table),
        loses_rows=GONE in columns,
    )


def _primary_key(connection: psycopg.Connection, table: str) -> list[str]:
    found = connection.execute(
        "select attname from pg_index join pg_attribute on attrelid = indrelid "
        "and attnum = any(indkey) where indrelid = %s::regclass and indisprimary order by attnum",
        [f'"{table}"'],
    ).fetchall()
    if not found:
        raise UnusableInput(f"the scenario's table {table!r} has no primary key")
    return [name for (name,) in found]


def _copy(connection: psycopg.Connection, tables: Tables, target: _Target, path: Path) -> int:
    """Bring the query's rows into the temporary table, by way of a file; how many they are."""
    columns = [*target.columns, GONE] if target.loses_rows else target.columns
    listed, ordered = (", ".join(f'"{name}"' for name in names) for names in (columns, target.key))
    path.parent.mkdir(parents=True, exist_ok=True)
    file = str(path).replace("'", "''")
    (count,) = tables.execute(
        target.query,
        f"copy (select {listed} from {{query}} order by {ordered}) "
        f"to '{file}' (format csv, header false, nullstr '{_NULL}')",
    ).fetchone()
    connection.execute(
        sql.SQL(
            "create temp table {} on commit drop as select {}, false as {} from {} limit 0"
        ).format(target.changes, _listed(target.columns), sql.Identifier(GONE), target.name)
    )
    statement = sql.SQL("copy {} ({}) from stdin (format csv, null {})").format(
        target.changes, _listed(columns), sql.Literal(_NULL)
    )
    with path.open("rb") as rows, connection.cursor().copy(statement) as copy:
        while block := rows.read(_BLOCK):
            copy.write(block)
    path.unlink()
    return int(count)


def _delete(connection: psycopg.Connection, target: _Target) -> None:
    same = sql.SQL(" and ").join(
        sql.SQL("{0}.{1} = changes.{1}").format(target.name, sql.Identifier(name))
        for name in target.key
    )
    connection.execute(
        sql.SQL("delete from {} using {} as changes where changes.{} and {}").format(
            target.name, target.changes, sql.Identifier(GONE), same
        )
    )


def _upsert(connection: psycopg.Connection, target: _Target) -> None:
    updates = [
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
        for name in target.columns
        if name not in target.key
    ]
    action = sql.SQL("update set {}").format(sql.SQL(", ").join(updates)) if updates else None
    connection.execute(
        sql.SQL(
            "insert into {table} ({columns}) select {columns} from {changes} "
            "where {gone} is not true order by {key} on conflict ({key}) do {action}"
        ).format(
            table=target.name,
            columns=_listed(target.columns),
            changes=target.changes,
            gone=sql.Identifier(GONE),
            key=_listed(target.key),
            action=action or sql.SQL("nothing"),
        )
    )


def _listed(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))

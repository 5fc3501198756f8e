"""Tables of a PostgreSQL database, brought to the state that they have at the end of a play."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from waypoint.errors import Unavailable, UnusableInput
from waypoint.simulator.scenario import Database
from waypoint.simulator.tables import Tables

#: A query's column that is no column of the table: true where the row is to be deleted.
GONE = "_gone"
_NULL = r"\N"


def bring_up_to_date(
    tables: Tables, database: Database, dsn: str, scratch: Path
) -> dict[str, int]:
    """Insert, update and delete what changed in the play, all of it or nothing.

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
            return {
                table: _update(connection, tables, table, query, scratch)
                for table, query in database.tables.items()
            }
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database {database.name}: {error}") from None
    except psycopg.Error as error:
        raise UnusableInput(f"the database {database.name}: {error}") from None


def _update(
    connection: psycopg.Connection, tables: Tables, table: str, query: str, scratch: Path
) -> int:
    target, temporary = sql.Identifier(table), sql.Identifier(f"changed_{table}")
    key = _primary_key(connection, table)
    names = tables.execute(query, "describe select * from {query}").fetchall()
    columns = [name for name, *_ in names if name != GONE]
    has_gone = len(columns) < len(names)
    connection.execute(
        sql.SQL("create temp table {} on commit drop as select {}, {} as {} from {} limit 0").format(
            temporary,
            _identifiers(columns),
            sql.SQL("false"),
            sql.Identifier(GONE),
            target,
        )
    )
    count = _copy(connection, tables, query, [*columns, GONE] if has_gone else columns, key, table, scratch)
    connection.execute(
        sql.SQL("delete from {target} using {new} as new where new.{gone} and {same}").format(
            target=target,
            new=temporary,
            gone=sql.Identifier(GONE),
            same=sql.SQL(" and ").join(
                sql.SQL("{0}.{1} = new.{1}").format(target, sql.Identifier(name)) for name in key
            ),
        )
    )
    others = [name for name in columns if name not in key]
    connection.execute(
        sql.SQL(
            "insert into {target} ({columns}) select {columns} from {new} "
            "where {gone} is not true order by {key} on conflict ({key}) do {action}"
        ).format(
            target=target,
            new=temporary,
            columns=_identifiers(columns),
            gone=sql.Identifier(GONE),
            key=_identifiers(key),
            action=sql.SQL("update set {}").format(
                sql.SQL(", ").join(
                    sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others
                )
            )
            if others
            else sql.SQL("nothing"),
        )
    )
    return count


def _copy(
    connection: psycopg.Connection,
    tables: Tables,
    query: str,
    columns: list[str],
    key: list[str],
    table: str,
    scratch: Path,
) -> int:
    """Bring the query's rows into the temporary table, by way of a file; how many they are."""
    listed = ", ".join(f'"{name}"' for name in columns)
    ordered = ", ".join(f'"{name}"' for name in key)
    path = scratch / f"{table}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    target = str(path).replace("'", "''")
    (count,) = tables.execute(
        query,
        f"copy (select {listed} from {{query}} order by {ordered}) "
        f"to '{target}' (format csv, header false, nullstr '{_NULL}')",
    ).fetchone()
    statement = sql.SQL("copy {} ({}) from stdin (format csv, null {})").format(
        sql.Identifier(f"changed_{table}"), _identifiers(columns), sql.Literal(_NULL)
    )
    with path.open("rb") as rows, connection.cursor().copy(statement) as copy:
        while block := rows.read(1 << 20):
            copy.write(block)
    path.unlink()
    return int(count)


def _primary_key(connection: psycopg.Connection, table: str) -> list[str]:
    found = connection.execute(
        "select attname from pg_index join pg_attribute on attrelid = indrelid "
        "and attnum = any(indkey) where indrelid = %s::regclass and indisprimary order by attnum",
        [f'"{table}"'],
    ).fetchall()
    if not found:
        raise UnusableInput(f"the scenario's table {table!r} has no primary key")
    return [name for (name,) in found]


def _identifiers(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))

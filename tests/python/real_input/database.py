"""The operational database of the shop, filled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql


def fill(dsn: str, definition: Path, tables: dict[str, Iterable[dict[str, Any]]]) -> None:
    """Make the tables that the SQL file `definition` defines and put rows into some of them."""
    with psycopg.connect(dsn) as connection:
        connection.execute(definition.read_text(encoding="utf-8").encode())
        for table, rows in tables.items():
            _copy(connection, table, iter(rows))


def counts(dsn: str, tables: Iterable[str]) -> dict[str, int]:
    """How many rows stand in the tables."""
    with psycopg.connect(dsn) as connection:
        query = sql.SQL("select count(*) from {}")
        return {
            table: int(connection.execute(query.format(sql.Identifier(table))).fetchall()[0][0])
            for table in tables
        }


def _copy(connection: psycopg.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    rows = iter(rows)
    first = next(rows)
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, first))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in chain([first], rows):
            copy.write_row(list(row.values()))

"""Writing the embedded warehouse anew: the blocks of rows that went are not in the new file."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from waypoint.errors import Unavailable
from waypoint.warehouse import first_line, writing

_NEW = "written_anew"


def write_anew(file: Path) -> None:
    """Replace a DuckDB file by one with the same tables and views and nothing else.

    Deleted rows stay readable in free blocks of a file until these are used again. The new file
    takes the place of the old one when it is whole.

    Raises:
        Unavailable: another process has the file open, or the disk is full; it is as it was.
    """
    temporary = file.with_name(f"{file.name}.tmp{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with writing(file) as connection:
            connection.execute("set enable_progress_bar = false")
            connection.execute("checkpoint")
            connection.execute(f"attach '{_escaped(temporary)}' as {_NEW}")
            connection.execute(f'copy from database "{_escaped(file.stem)}" to {_NEW}')
            _compare(connection, file.stem)
            connection.execute(f"checkpoint {_NEW}")
            connection.execute(f"detach {_NEW}")
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, file)
        file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
    except duckdb.Error as error:
        raise Unavailable(
            f"{file} could not be written anew: {first_line(str(error))}",
            hint="make room on the disk, and run the same command again",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)


def _compare(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Make sure that the new file has every table, with its rows, and every view."""
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables()"
        " where database_name = ? and not internal",
        [catalog],
    ).fetchall()
    for schema, table in tables:
        name = f'"{_escaped(schema)}"."{_escaped(table)}"'
        (same,) = connection.execute(
            f'select (select count(*) from "{_escaped(catalog)}".{name})'
            f" = (select count(*) from {_NEW}.{name})"
        ).fetchall()[0]
        if not same:
            raise duckdb.IOException(f"{schema}.{table} did not come over whole")
    views = "select count(*) from duckdb_views() where database_name = ? and not internal"
    old, new = (connection.execute(views, [name]).fetchall() for name in (catalog, _NEW))
    if old != new:
        raise duckdb.IOException("not all views came over")


def _escaped(text: object) -> str:
    return str(text).replace('"', '""').replace("'", "''")

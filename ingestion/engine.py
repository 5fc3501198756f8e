"""The embedded engine that reads, types and writes batches: one in-memory DuckDB a process step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

#: What one engine may hold in memory before it spills to disk.
MEMORY_LIMIT = "1GB"


@contextmanager
def open_engine(
    spill: Path, memory_limit: str = MEMORY_LIMIT
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB in UTC that spills below `spill` and never fetches an extension."""
    spill.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="spill-", dir=spill) as folder:
        connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": folder,
                "autoinstall_known_extensions": False,
            }
        )
        try:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def quoted(name: str) -> str:
    """`name` as an identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str | Path) -> str:
    """`value` as a string literal."""
    return "'" + str(value).replace("'", "''") + "'"

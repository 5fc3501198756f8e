"""What a run leaves behind, to be compared with what another one left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb


def left_by_run(state: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """Every published table's rows, counted and summed up by a checksum, and the landed files."""
    published = state / "published" / "waypoint.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables order by all"
        ).fetchall()
        rows = {
            f"{schema}.{table}": connection.execute(
                f"select count(*), sum(hash(t)) from {schema}.{table} as t"
            ).fetchall()
            for schema, table in tables
        }
    landed = state / "landing"
    files = sorted(str(path.relative_to(landed)) for path in landed.rglob("*") if path.is_file())
    return rows, files

"""Run SQL statements in one DuckDB process: what a build costs without anything around it.

python bench/bare_statements.py warehouse.duckdb statements.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb


def main(warehouse: str, statements: str) -> None:
    with duckdb.connect(warehouse) as connection:
        # the settings of profiles.yml
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set preserve_insertion_order = false")
        for schema in ("staging", "marts", "ml_features"):
            connection.execute(f"create schema if not exists {schema}")
        for statement in json.loads(Path(statements).read_text()):
            connection.execute(statement).fetchall()


if __name__ == "__main__":
    main(*sys.argv[1:])

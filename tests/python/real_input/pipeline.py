"""The pipeline, run as its users run it, and what came of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from forking import run_waypoint
from real_input.datasets import ROOT

AS_OF = "2024-03-04T00:00:00"  # the newest of the data sets is of 2 March 2024


@dataclass(frozen=True)
class Sources:
    """The running sources, and the state of the project that reads them."""

    state: Path
    variables: dict[str, str]  # that connect the project to them

    def run(self, folder: Path) -> Run:
        """`waypoint run` as a user types it; what it publishes is copied to `folder`."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("WAYPOINT_", "STRIPE_", "DBT_"))
        }
        ended = run_waypoint(
            ["run", "--as-of", AS_OF, "--json"],
            ROOT,
            inherited | self.variables | {"WAYPOINT_STATE": str(self.state)},
        )
        assert ended.code == 0, f"{ended.out[-20_000:]}\n{ended.err[-20_000:]}"
        summary: dict[str, Any] = ended.json
        landing = self.state / "landing"
        landed = {str(path.relative_to(landing)) for path in landing.rglob("*") if path.is_file()}
        # whoever has the published file open in a process gets that one again, replaced or not
        return Run(summary, landed, Path(shutil.copy(summary["warehouse"], folder)))


@dataclass(frozen=True)
class Run:
    """What came of a run: its summary, the landed files, and a copy of what it published."""

    summary: dict[str, Any]
    landed: set[str]
    warehouse: Path

    def contents(self) -> dict[str, tuple[int, int]]:
        """By table of the warehouse: rows, and a checksum in which their order does not matter."""
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            tables = connection.execute(
                "select table_schema, table_name from information_schema.tables"
                " where table_type = 'BASE TABLE'"
            ).fetchall()
            return {
                f"{schema}.{table}": connection.execute(
                    f"select count(*), sum(hash(t)::hugeint) from {schema}.{table} as t"
                ).fetchall()[0]
                for schema, table in tables
            }

"""The project's warehouse in a state of its own, for tests that build models with dbt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dbt.cli.main import dbtRunner, dbtRunnerResult

ROOT = Path(__file__).resolve().parents[3]

Row = dict[str, Any]

#: The project as dbt read it, once in this process.
_READ: list[Any] = []


@dataclass(frozen=True)
class DbtWarehouse:
    """A warehouse below `state`, whose models are built by dbt in this process."""

    state: Path
    dbt: dbtRunner
    root: Path = ROOT

    @property
    def file(self) -> Path:
        return self.state / "warehouse" / "waypoint.duckdb"

    @classmethod
    def of_project(cls, state: Path) -> DbtWarehouse:
        """A warehouse with nothing in it; WAYPOINT_STATE has to name `state`."""
        (state / "warehouse").mkdir(parents=True)
        if not _READ:
            _READ.append(cls(state, dbtRunner()).invoke("parse").result)
        return cls(state, dbtRunner(manifest=_READ[0]))

    @classmethod
    def of_models(
        cls, state: Path, *models: str, instead: Mapping[str, str] | None = None
    ) -> DbtWarehouse:
        """The same for some models only, `<folders>/<name>` below models/: soon read by dbt.

        What they read has to be among them, or a raw table; `instead` has the SQL of those that
        stand in for the project's own.
        """
        (state / "warehouse").mkdir(parents=True)
        root = state / "project"
        (root / "models").mkdir(parents=True)
        for name in ("dbt_project.yml", "macros", "models/raw__sources.yml"):
            (root / name).symlink_to(ROOT / name)
        for name in models:
            (root / "models" / name).parent.mkdir(parents=True, exist_ok=True)
            for file in (f"models/{name}.sql", f"models/{name}.yml"):
                (root / file).symlink_to(ROOT / file)
        for name, sql in (instead or {}).items():
            (root / "models" / f"{name}.sql").write_text(sql, encoding="utf-8")
        parsed = cls(state, dbtRunner(), root).invoke("parse")
        return cls(state, dbtRunner(manifest=parsed.result), root)

    def invoke(self, *command: str) -> dbtRunnerResult:
        """A dbt command; fails the test with what dbt says where it does not succeed."""
        folders = {
            "--project-dir": self.root,
            "--profiles-dir": ROOT,
            "--target-path": self.state / "target",
            "--log-path": self.state / "logs",
        }
        options = [str(word) for option in folders.items() for word in option]
        ended = self.dbt.invoke([*command, "--quiet", *options])
        assert ended.success, ended.exception or [
            f"{r.node.name}: {r.message}" for r in ended.result if r.status != "success"
        ]
        return ended

    def insert(self, table: str, rows: Iterable[Row], loaded_at: datetime) -> None:
        """Rows of one load into a raw table; fields that a row does not have are null."""
        metadata = {"_source": "test", "_batch": "test", "_loaded_at": loaded_at}
        complete = [{**metadata, **row} for row in rows]
        fields = dict.fromkeys(field for row in complete for field in row)
        landed = pa.table({field: [row.get(field) for row in complete] for field in fields})
        with duckdb.connect(str(self.file)) as connection:
            connection.register("landed", landed)
            connection.execute(f"insert into raw.{table} by name select * from landed")

    def load(self, table: str, files: Sequence[Path], loaded_at: datetime) -> None:
        """Landed files into a raw table as one load; the table is made where it is not there."""
        landed = f"select *, $1 as _loaded_at from read_parquet({list(map(str, files))})"
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("create schema if not exists raw")
            connection.execute(
                f"create table if not exists raw.{table} as from ({landed}) limit 0", [loaded_at]
            )
            connection.execute(f"insert into raw.{table} by name {landed}", [loaded_at])

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of every table and view that dbt built, in an order that can be compared."""
        with duckdb.connect(str(self.file)) as connection:
            names = connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables"
                " where table_schema in ('staging', 'marts', 'ml_features')"
            ).fetchall()
            return {
                name: sorted(connection.execute(f"select * from {name}").fetchall(), key=repr)
                for (name,) in names
            }

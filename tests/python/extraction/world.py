"""What extraction is tried on: databases on a real server, small contracts, a landing area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import yaml

from ingestion.extraction import Context, Outcome, Source
from ingestion.extractors import extractor
from ingestion.footers import Landed, read_footer
from ingestion.landing import LandingArea
from waypoint.contracts.reading import read_contracts
from waypoint.services.postgres import Postgres

NOW = datetime(2026, 1, 31, 12)

_LOGICAL = {
    "bigint": "integer",
    "integer": "integer",
    "varchar": "string",
    "double": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """A property of a contract; `required`, `primaryKey`, `logicalTypeOptions` ... in `more`."""
    logical = _LOGICAL.get(kind, "number")
    return {"name": name, "logicalType": logical, "physicalType": kind, **more}


@dataclass
class Warehouse:
    """The receiving side: contracts, a landing area, and what has landed in it."""

    folder: Path
    now: datetime = NOW
    full_refresh: bool = False
    reported: list[tuple[str, int]] = field(default_factory=list)

    @property
    def area(self) -> LandingArea:
        return LandingArea(self.folder / "landing")

    def contract(self, table: str, columns: Sequence[dict[str, Any]], deleted: bool = True) -> None:
        """Write the contract of a raw table; the metadata columns are added."""
        extra = [column("_deleted", "boolean", required=True)] if deleted else []
        extra += [column("_source", "varchar"), column("_batch", "varchar")]
        extra += [column("_loaded_at", "timestamp")]
        document = {
            "apiVersion": "v3.1.0",
            "kind": "DataContract",
            "id": f"raw.{table}",
            "name": table,
            "version": "1.0.0",
            "status": "active",
            "schema": [{"name": table, "properties": [*columns, *extra]}],
        }
        path = self.folder / "contracts" / "raw" / f"{table}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def context(
        self, *, full_refresh: bool = False, tables: Sequence[str] | None = None
    ) -> Context:
        return Context(
            contracts=read_contracts(self.folder / "contracts"),
            area=self.area,
            state=self.folder / "state",
            now=self.now,
            full_refresh=full_refresh,
            tables=None if tables is None else frozenset(tables),
            report=lambda table, rows: self.reported.append((table, rows)),
        )

    def extract(self, source: Source, **options: Any) -> list[Outcome]:
        """Run one extraction to its end."""
        return list(extractor(source.kind)(source, self.context(**options)))

    def rows(self, table: str, columns: str = "*", order: str = "all") -> list[tuple[Any, ...]]:
        """What has landed, over all batches, sorted."""
        files = [str(path) for path in self.area.files(table)]
        if not files:
            return []
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            relation = f"read_parquet({files}, union_by_name = true)"
            return connection.execute(
                f"select {columns} from {relation} order by {order}"
            ).fetchall()

    def files(self, table: str) -> list[str]:
        return [path.stem for path in self.area.files(table)]

    def footers(self, table: str) -> list[Landed]:
        return [read_footer(path) for path in self.area.files(table)]

    def leftovers(self) -> list[Path]:
        """Files in the landing area that are no landed batch."""
        return [p for p in self.area.root.rglob("*") if p.is_file() and p.suffix != ".parquet"]


@dataclass
class Shop:
    """An empty database on the shared server, and the source that reads it."""

    server: Postgres
    dsn: str
    connection: psycopg.Connection[Any]

    def execute(self, statement: str) -> psycopg.Cursor[Any]:
        return self.connection.execute(statement)  # type: ignore[arg-type]

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of another user of the database, with transactions."""
        return psycopg.connect(self.dsn)

    def source(self, tables: dict[str, Any], **settings: Any) -> Source:
        entry = {"dsn": self.dsn, "cursor": "updated_at", "overlap": "10 minutes", "tables": tables}
        return Source("shop", "postgres", {**entry, **settings})

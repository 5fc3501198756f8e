"""A landing area, a warehouse and contracts of their own for each test."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.batches import land_query
from ingestion.engine import open_engine
from ingestion.extraction import Context, Outcome, Source
from ingestion.extractors import extractor
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.loading import Loaded, load_landed
from waypoint.contracts.model import Column, Contract, Contracts, Rule
from waypoint.project import Project
from waypoint.warehouse import reading

LOGICAL = {
    "varchar": "string",
    "bigint": "integer",
    "integer": "integer",
    "double": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
METADATA = {"_source": "varchar", "_batch": "varchar", "_loaded_at": "timestamp"}
FILE_METADATA = {"_file": "varchar", "_line": "bigint"}
TOPIC_METADATA = {
    "_partition": "integer required",
    "_offset": "bigint required",
    "_kafka_timestamp": "timestamp required",
    "_key": "varchar",
    "_payload": "varchar required",
}


def column(name: str, words: str) -> Column:
    """A column, e.g. `decimal(18,2) required min=0` or `varchar in=a|b`, or `object`."""
    kind, *more = shlex.split(words, posix=True)
    options: dict[str, Any] = {}
    for word in more:
        option, _, value = word.partition("=")
        if option == "required":
            options["required"] = True
        elif option == "in":
            options["valid_values"] = tuple(value.split("|"))
        elif option == "like":
            options["pattern"] = value
        else:
            options[{"min": "minimum", "max": "maximum"}[option]] = json.loads(value)
    logical = "number" if kind.startswith("decimal") else LOGICAL.get(kind, kind)
    return Column(name, logical, "varchar" if kind in ("object", "array") else kind, **options)


def nested(fields: dict[str, Any]) -> tuple[Column, ...]:
    """The fields of an object: words as in `column`, or a dict for an object of its own."""
    return tuple(
        replace(column(name, "object"), columns=nested(words))
        if isinstance(words, dict)
        else column(name, words)
        for name, words in fields.items()
    )


@dataclass
class World:
    """A project's state below `root`, and what tests do with it."""

    root: Path
    contracts: list[Contract] = field(default_factory=list)

    @property
    def project(self) -> Project:
        project = Project(root=self.root, state=self.root / "var")
        project.__dict__["contracts"] = Contracts(self.contracts)
        return project

    @property
    def area(self) -> LandingArea:
        return LandingArea(self.project.landing_dir)

    @property
    def context(self) -> Context:
        return Context(
            Contracts(self.contracts), self.area, self.project.state, datetime(2026, 1, 31)
        )

    def contract(
        self, name: str, columns: dict[str, str], schema: str = "raw", **options: Any
    ) -> Contract:
        """Put a table under contract, or anew; load metadata is added to its columns."""
        listed = columns | (METADATA if schema == "raw" else {})
        contract = Contract(
            path=self.root / f"{name}.yaml",
            schema=schema,
            name=name,
            version="1.0.0",
            status="active",
            owner="",
            domain="",
            description="",
            grain="",
            columns=tuple(column(*words) for words in listed.items()),
            **options,
        )
        self.contracts = [c for c in self.contracts if c.full_name != contract.full_name]
        self.contracts.append(contract)
        return contract

    def topic(
        self,
        name: str,
        table: str,
        columns: dict[str, str],
        within: dict[str, dict[str, Any]] | None = None,
        **custom: Any,
    ) -> None:
        """A topic and the table that it lands in; `_payload` may be given as optional.

        `within` tells the fields of columns that are objects or arrays of objects; those of an
        object in an object stand as `{"object": {...}}`.
        """
        self.contract(table, TOPIC_METADATA | columns)
        told = {k: v for k, v in columns.items() if not k.startswith("_")}
        topic = self.contract(name, told, schema="topics", custom={"landsIn": table, **custom})
        within = within or {}
        described = tuple(
            replace(c, columns=nested(within[c.name])) if c.name in within else c
            for c in topic.columns
        )
        self.contracts[-1] = replace(topic, columns=described)

    def land(self, query: str, contract: Contract, batch: str = "b1", **more: Any) -> Landed:
        """Land the rows of a query."""
        with open_engine(self.project.state / "spill") as engine:
            return land_query(
                engine,
                query,
                contract=contract,
                source="test",
                batch=batch,
                area=self.area,
                **more,
            )

    def extract(self, kind: str, **settings: Any) -> list[Outcome]:
        """What one extractor makes of a source; every row is accounted for."""
        source = Source("test", kind, {"settle": "0 s", **settings})
        outcomes = list(extractor(kind)(source, self.context))
        for outcome in outcomes:
            assert outcome.read == outcome.landed + outcome.rejected + outcome.unchanged
        return outcomes

    def load(self, clock: datetime | None = None) -> Loaded:
        return load_landed(self.project, clock)

    def landed(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """The landed rows of a table, sorted."""
        files = [str(path) for path in self.area.files(table)]
        if not files:
            return []
        rows = duckdb.sql(f"select {columns} from read_parquet({files}, union_by_name = true)")
        return sorted(rows.fetchall(), key=repr)

    def rejected(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """The quarantined rows, sorted."""
        return self.landed("quarantine", columns)

    def warehouse(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the warehouse."""
        with reading(self.project.warehouse_file) as connection:
            return connection.execute(query).fetchall()

    def files(self) -> list[str]:
        """Everything that stands in the landing area, temporary files included."""
        root = self.area.root
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass
class Drops:
    """A folder that files are dropped in."""

    folder: Path

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path


@pytest.fixture
def drops(tmp_path: Path) -> Drops:
    folder = tmp_path / "drops"
    folder.mkdir()
    return Drops(folder)


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """The Big List of Naughty Strings."""
    path = Path(__file__).parents[4] / "shared/data/conformance/blns/blns.json"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    strings: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return strings


def rule(name: str, condition: str, severity: str = "error") -> Rule:
    """A row rule."""
    return Rule(name, f"{name}.", f"select count(*) from {{object}} where {condition}",
                severity, condition)  # fmt: skip


@pytest.fixture
def with_rule() -> Any:
    """Adds row rules to a contract."""

    def add(contract: Contract, *rules: tuple[str, ...]) -> Contract:
        return replace(contract, rules=tuple(rule(*words) for words in rules))

    return add

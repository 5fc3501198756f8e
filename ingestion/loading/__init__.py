"""Loading landed files into the schema `raw`: one interface, one module for each warehouse.

A load is one transaction over all tables: killed at any point it leaves all of it or nothing, and
the next one takes the files that the history does not list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ingestion.bookkeeping import CLOCK, LOAD_HISTORY, LOADED_AT, QUARANTINE, TABLES
from ingestion.landing import LandingArea
from waypoint.contracts.model import RAW, Contracts
from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project

#: The target of profiles.yml, and the module whose `connected` opens its warehouse.
TARGETS = {
    "duckdb": "ingestion.loading.duckdb",
    "snowflake": "ingestion.loading.snowflake",
}
#: Load times of one warehouse are at least this far apart, so that each load is after the last.
TICK = timedelta(microseconds=1)


class FileNotLoadable(WaypointError):
    """A landed file does not fit its table; the message names the file, the column and the mend."""


class RowsLost(WaypointError):
    """The warehouse does not hold what was loaded into it; the load was taken back."""


@dataclass(frozen=True)
class LandedFile:
    """A file of the landing area that is to be loaded into `table`.

    `name` is its path relative to the landing area, which is what the history lists. A file of
    several batches is listed under the names that they had alone: `together` has those that are
    to be loaded from it, by batch.
    """

    name: str
    table: str
    batch: str
    path: Path
    together: tuple[tuple[str, str], ...] = ()  # batch, name


@dataclass(frozen=True)
class Loaded:
    """What one load brought: rows by table, and the load time they all carry (UTC, no zone)."""

    files: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    loaded_at: datetime | None = None  # None where there was nothing to load


class RawWarehouse(Protocol):
    """The schema `raw` of one warehouse."""

    def prepare(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        """Create the tables (name → column → type) that are missing, and their new columns."""

    def loaded_files(self) -> frozenset[str]:
        """The names of the files that the history lists."""

    def newest_load(self) -> datetime | None:
        """The latest load time (UTC, no zone); None before the first load."""

    def load(self, files: list[LandedFile], loaded_at: datetime, clock: datetime | None) -> Loaded:
        """Load `files`, list them in the history and set the clock, in one transaction.

        Raises:
            FileNotLoadable: a file does not fit its table; nothing was loaded.
            RowsLost: a scan found other row counts than the files have; nothing was loaded.
        """

    def row_counts(self) -> Mapping[str, int]:
        """The rows of each table of `raw`, by a scan."""


def load_landed(project: Project, now: datetime | None = None) -> Loaded:
    """Load everything that has landed and is not loaded yet into the project's warehouse.

    Args:
        project: whose landing area, contracts and target are meant.
        now: the stored clock (UTC, no zone) where a period is played; the real time is taken, and
            none stored, where it is None.

    Raises:
        Unavailable: the warehouse cannot be reached or is held by another process.
        FileNotLoadable, RowsLost: nothing was loaded.
    """
    with raw_warehouse(project) as warehouse:
        warehouse.prepare(raw_tables(project.contracts))
        files = pending(LandingArea(project.landing_dir), warehouse.loaded_files())
        _refuse_tables_without_contract(files, project.contracts)
        loaded_at = now or datetime.now(UTC).replace(tzinfo=None)
        newest = warehouse.newest_load()
        if newest is not None:
            loaded_at = max(loaded_at, newest + TICK)
        return warehouse.load(files, loaded_at, now)


@contextmanager
def raw_warehouse(project: Project) -> Iterator[RawWarehouse]:
    """The raw schema of the warehouse that `Project.target` names.

    Raises:
        UnusableInput: no such target.
        Unavailable: it cannot be reached or is held by another process.
    """
    if project.target not in TARGETS:
        raise UnusableInput(
            f"target {project.target!r} is none that raw data can be loaded into",
            hint=f"use one of {', '.join(TARGETS)}",
        )
    connected = import_module(TARGETS[project.target]).connected
    with cast("AbstractContextManager[RawWarehouse]", connected(project)) as warehouse:
        yield warehouse


def raw_tables(contracts: Contracts) -> dict[str, dict[str, str]]:
    """Columns and types of every table of `raw`: what the contracts say, and the bookkeeping."""
    tables = {name: dict(columns) for name, columns in TABLES.items()}
    for contract in contracts.in_schema(RAW):
        if contract.name not in tables:
            columns = {column.name: column.physical_type for column in contract.columns}
            tables[contract.name] = columns | {LOADED_AT: "timestamp"}
    return tables


def pending(area: LandingArea, loaded: frozenset[str]) -> list[LandedFile]:
    """The landed files that are not loaded yet, by table and name.

    Rejected rows land before the good rows of their batch, whose file commits both: until it is
    there, the batch may yet be read again and turn out otherwise.
    """
    files = []
    for table in area.tables():
        compacted: dict[Path, list[str]] = {}
        for batch, path in area.compacted(table).items():
            compacted.setdefault(path, []).append(batch)
        for path in area.files(table):
            name = path.relative_to(area.root).as_posix()
            batch = path.relative_to(area.root / table).with_suffix("").as_posix()
            if path in compacted:
                names = [(b, f"{table}/{b}.parquet") for b in sorted(compacted[path])]
                together = tuple(each for each in names if each[1] not in loaded)
                if together:
                    files.append(LandedFile(name, table, batch, path, together))
                continue
            if name in loaded:
                continue
            if table == QUARANTINE and not area.has(*batch.split("/", 1)):
                continue
            files.append(LandedFile(name, table, batch, path))
    return files


def _refuse_tables_without_contract(files: list[LandedFile], contracts: Contracts) -> None:
    for file in files:
        if file.table in (LOAD_HISTORY, CLOCK) or (
            file.table != QUARANTINE and f"{RAW}.{file.table}" not in contracts
        ):
            raise FileNotLoadable(
                f"{file.path}: there is no contract for {RAW}.{file.table}; nothing was loaded",
                hint=f"write contracts/{RAW}/{file.table}.yaml, or take the folder out of the"
                " landing area",
            )

"""Deleting the rows that are past the retention of their contract; archived first where it says so.

All tables are one transaction: killed at any point, all of it happened or nothing. What is deleted
was taken in before by everything that is built from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from ingestion.bookkeeping import LOAD_HISTORY
from ingestion.engine import quoted, text_literal
from ingestion.landing import LandingArea
from waypoint.clock import now
from waypoint.contracts.model import RAW, Contract
from waypoint.errors import UnusableInput
from waypoint.maintenance.archiving import Archive
from waypoint.maintenance.releasing import Releases
from waypoint.orchestration.manifest import read_manifest
from waypoint.orchestration.parts import manifest_file
from waypoint.project import Project

#: The custom property of a contract that says what becomes of expired rows: `remove` unless said.
WHEN_EXPIRED = "expiredRows"
ARCHIVE, REMOVE = "archive", "remove"

_LOAD_TIMES = ("_loaded_at", "loaded_at")
_TIMES = ("timestamp", "date")


@dataclass(frozen=True)
class Retained:
    """How a table stands against the retention of its contract, and what was done about it."""

    table: str
    owner: str
    retention_days: float
    by: str  # the column that rows age by
    rows: int
    expired: int  # rows that are older than they are kept
    removed: int = 0  # in a dry run: would be
    archived: int = 0
    held_by: tuple[str, ...] = ()  # why rows stay that are past their retention
    waiting: int = 0  # expired rows that the next build has to take in first


@dataclass(frozen=True)
class Aged:
    """A table whose contract promises a retention, and how its rows age."""

    contract: Contract
    said: str  # SQL: the time that a row itself says it is of
    loaded: str | None  # the column with its load time
    cutoff: datetime  # rows before it are past their retention (UTC)

    @property
    def relation(self) -> str:
        return f"{quoted(self.contract.schema)}.{quoted(self.contract.name)}"

    @property
    def age(self) -> str:
        """SQL: what a row's age counts from; its load, where it says no time of its own."""
        return f"coalesce({self.said}, {quoted(self.loaded)})" if self.loaded else self.said

    @property
    def expired(self) -> str:
        """An SQL condition over the table's columns."""
        return f"{self.age} < {self._limit}"

    @property
    def expired_as_landed(self) -> str:
        """The same over the columns of landed files, which know of no load."""
        return f"{self.said} < {self._limit}"

    @property
    def _limit(self) -> str:
        return f"timestamp '{self.cutoff.isoformat(sep=' ')}'"


def aged_tables(project: Project) -> list[Aged]:
    """The tables whose contracts promise a retention, by the project's clock.

    Raises:
        UnusableInput: a contract wants rows archived that hold personal data, or says what nothing
            knows.
    """
    as_of = now(project)
    return [
        _aged(contract, as_of)
        for contract in project.contracts.tables
        if contract.retention is not None
    ]


def _aged(contract: Contract, as_of: datetime) -> Aged:
    assert contract.retention is not None
    types = {column.name: column.physical_type for column in contract.columns}
    loaded = next((name for name in _LOAD_TIMES if name in types), None)
    element = contract.retention_element or loaded
    if element not in types:
        raise UnusableInput(
            f"{contract.path}: does not say by which column rows age",
            hint=f"give the promise `retention` an element: {contract.name}.<column>",
        )
    told = contract.custom.get(WHEN_EXPIRED, REMOVE)
    if told not in (ARCHIVE, REMOVE):
        raise UnusableInput(
            f"{contract.path}: {WHEN_EXPIRED} is {told!r}", hint=f"{ARCHIVE} or {REMOVE}"
        )
    personal = [c.name for c in contract.columns if c.classification == "pii"]
    if told == ARCHIVE and personal:
        raise UnusableInput(
            f"{contract.path}: rows with personal data ({personal[0]}) cannot be archived",
            hint="nobody could erase a person there; let them be removed",
        )
    said = quoted(element)
    if types[element] not in _TIMES:
        said = f"try_cast({said} as timestamp)"
    return Aged(contract, said, loaded, as_of - contract.retention)


def read_releases(project: Project) -> Releases | None:
    """What may go; None where nothing is known of what is built from what."""
    path = manifest_file(project)
    return Releases(read_manifest(path), project.contracts) if path.exists() else None


def apply_retention(
    project: Project, connection: duckdb.DuckDBPyConnection, dry_run: bool
) -> list[Retained]:
    """Delete what is past its retention and may go; what stays says why.

    Raises:
        UnusableInput: see `aged_tables`.
        Unavailable: the archive cannot be written.
    """
    releases = read_releases(project)
    archive = Archive(project.state / "archive")
    there = _columns(connection)
    tables = [aged for aged in aged_tables(project) if aged.contract.full_name in there]
    if not dry_run:
        for aged in tables:
            archive.settle(connection, aged.contract.full_name, aged.relation)
    found: list[Retained] = []
    written: list[Archive.File] = []
    connection.begin()
    try:
        for aged in tables:
            one, files = _apply(project, connection, aged, releases, there, archive, dry_run)
            found.append(one)
            written += files
        connection.commit()
    except BaseException:
        connection.rollback()
        for file in written:
            file.discard()
        raise
    for file in written:
        file.keep()
    return found


def _apply(
    project: Project,
    connection: duckdb.DuckDBPyConnection,
    aged: Aged,
    releases: Releases | None,
    there: dict[str, set[str]],
    archive: Archive,
    dry_run: bool,
) -> tuple[Retained, list[Archive.File]]:
    contract = aged.contract
    assert contract.retention is not None
    rows, expired = _counts(connection, aged, aged.expired)
    told = Retained(
        table=contract.full_name,
        owner=contract.owner,
        retention_days=contract.retention.total_seconds() / 86400,
        by=contract.retention_element or aged.loaded or "",
        rows=rows,
        expired=expired,
    )
    if not expired:
        return told, []
    if releases is None:
        return _with(told, held_by=("the project was not built yet",)), []
    if not releases.is_deletable(contract.full_name):
        return _with(told, held_by=("each build makes it anew of what its sources keep",)), []
    held = releases.held_by(contract.full_name)
    if held:
        return _with(told, held_by=held), []
    may_go = aged.expired + "".join(
        f" and {condition}" for condition in _conditions(project, aged, releases, there)
    )
    _, going = _counts(connection, aged, may_go)
    told = _with(told, removed=going, waiting=expired - going)
    wants_archive = contract.custom.get(WHEN_EXPIRED) == ARCHIVE
    if wants_archive:
        told = _with(told, archived=going)
    if dry_run or not going:
        return told, []
    files = []
    if wants_archive:
        query = f"select * from {aged.relation} where {may_go} order by {aged.age}"
        files = [archive.write(connection, contract.full_name, query, going)]
    connection.execute(f"delete from {aged.relation} where {may_go}")
    return told, files


def _conditions(
    project: Project, aged: Aged, releases: Releases, there: dict[str, set[str]]
) -> Iterator[str]:
    """What else has to hold of a row that goes: it was taken in, and nothing brings it back."""
    contract = aged.contract
    for reader in releases.readers(contract.full_name):
        if aged.loaded is None or "loaded_at" not in there.get(reader, ()):
            yield "false"  # nobody can say what it has taken in
        else:
            schema, name = map(quoted, reader.split("."))
            yield f"{quoted(aged.loaded)} <= (select max(loaded_at) from {schema}.{name})"
    if contract.full_name == f"{RAW}.{LOAD_HISTORY}":
        # a file that is not listed would be loaded again
        landed = ", ".join(text_literal(name) for name in _landed(project)) or "''"
        yield f"file not in ({landed})"


def _landed(project: Project) -> Sequence[str]:
    """The names of all batches of the landing area, as the load history lists them."""
    area = LandingArea(project.landing_dir)
    alone = {
        path.relative_to(area.root).as_posix() for t in area.tables() for path in area.files(t)
    }
    together = {f"{t}/{batch}.parquet" for t in area.tables() for batch in area.compacted(t)}
    return sorted(alone | together)


def _counts(connection: duckdb.DuckDBPyConnection, aged: Aged, condition: str) -> tuple[int, int]:
    row = connection.execute(
        f"select count(*), count(*) filter (where {condition}) from {aged.relation}"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """The columns of each table of the warehouse, by `schema.table`."""
    found: dict[str, set[str]] = {}
    rows = connection.execute(
        "select table_schema || '.' || table_name, column_name from information_schema.columns"
        " where table_catalog = current_database()"
    ).fetchall()
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def _with(told: Retained, **changes: object) -> Retained:
    return Retained(**{**told.__dict__, **changes})

"""How the published tables are: rows, newest load, and whether the freshness promise is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypoint.access.copies import copy_paths
from waypoint.clock import now
from waypoint.contracts.model import Contract, Freshness
from waypoint.project import Project
from waypoint.warehouse import published

if TYPE_CHECKING:
    import duckdb

#: Levels, best first: as promised, soon too old, promise broken, not there at all. A table that
#: promises nothing is fresh.
FRESH, WARN, LATE, MISSING = "fresh", "warn", "late", "missing"


@dataclass(frozen=True)
class TableStatus:
    """One table under contract as readers see it.

    `newest` is the newest value of the column that the freshness promise is about (UTC, no zone),
    `age_seconds` how old it is by the project's clock. `fresh` says that the promise is kept: a
    table at level `warn` keeps it still.
    """

    schema: str
    name: str
    rows: int | None  # None where the table is missing
    newest: datetime | None
    age_seconds: float | None
    fresh: bool
    level: str
    owner: str
    warn_after_seconds: float | None
    late_after_seconds: float | None


@dataclass(frozen=True)
class Status:
    """All tables under contract, and where readers find them.

    `copies` are the published copies that are cut to what a role may see, by role.
    """

    tables: tuple[TableStatus, ...]
    warehouse: Path
    page: Path
    as_of: datetime
    copies: Mapping[str, Path] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The status as `waypoint status --json` gives it."""
        return {
            "tables": [asdict(table) for table in self.tables],
            "warehouse": str(self.warehouse),
            "page": str(self.page),
            "as_of": self.as_of,
            "copies": {role: str(path) for role, path in self.copies.items()},
            **{f"{role}_copy": str(path) for role, path in self.copies.items()},
        }


def read_status(project: Project) -> Status:
    """The status of every table under contract, in the published copy.

    Raises:
        NothingPublished: there is no published copy yet.
    """
    as_of = now(project)
    with published(project) as connection:
        tables = tuple(_statuses(project, connection, as_of))
    copies = {role: path for role, path in copy_paths(project).items() if path.exists()}
    return Status(tables, project.published_file, project.page_file, as_of, copies)


def _statuses(
    project: Project, connection: duckdb.DuckDBPyConnection, as_of: datetime
) -> Iterator[TableStatus]:
    there = {
        (schema, name)
        for schema, name in connection.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
    }
    for contract in project.contracts.tables:
        if (contract.schema, contract.name) in there:
            rows, newest = _measured(connection, contract)
            yield _status(contract, rows, newest, as_of)
        else:
            yield _status(contract, None, None, as_of)


def _measured(
    connection: duckdb.DuckDBPyConnection, contract: Contract
) -> tuple[int, datetime | None]:
    newest = f'max("{contract.freshness.element}")' if contract.freshness else "null"
    row = connection.execute(
        f'select count(*), cast({newest} as timestamp) from "{contract.schema}"."{contract.name}"'
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _status(
    contract: Contract, rows: int | None, newest: datetime | None, as_of: datetime
) -> TableStatus:
    promise = contract.freshness
    age = (as_of - newest).total_seconds() if newest else None
    level = MISSING if rows is None else freshness_level(promise, age)
    return TableStatus(
        schema=contract.schema,
        name=contract.name,
        rows=rows,
        newest=newest,
        age_seconds=age,
        fresh=level in (FRESH, WARN),
        level=level,
        owner=contract.owner,
        warn_after_seconds=promise.warn_after.total_seconds() if promise else None,
        late_after_seconds=promise.error_after.total_seconds() if promise else None,
    )


def freshness_level(promise: Freshness | None, age_seconds: float | None) -> str:
    """How a table of that age keeps its promise; one that promises but is empty is late."""
    if promise is None:
        return FRESH
    if age_seconds is None or age_seconds > promise.error_after.total_seconds():
        return LATE
    return WARN if age_seconds > promise.warn_after.total_seconds() else FRESH

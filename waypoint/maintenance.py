"""Maintenance: what is older than contracts keep, a warehouse file without waste, tidy folders.

Nothing here removes rows that a contract still speaks for: what is past its retention is reported,
by table, for those who own it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestion.landing import LandingArea
from waypoint.clock import now
from waypoint.contracts.model import Contract
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED, reading, writing

#: Logs that nobody has written to for so long are removed.
LOG_DAYS = 30

_LOAD_TIMES = ("_loaded_at", "loaded_at")


@dataclass(frozen=True)
class Retained:
    """How a table stands against the retention of its contract, by when its rows were loaded."""

    table: str
    owner: str
    retention_days: float
    rows: int
    expired: int  # rows that were loaded longer ago than they are kept


@dataclass(frozen=True)
class Maintained:
    """What maintenance found and did; sizes in bytes."""

    retained: tuple[Retained, ...]
    size_before: int | None  # of the warehouse file; None where there is none
    size_after: int | None
    removed: tuple[str, ...]
    seconds: float


def maintain(project: Project, only_report: bool = False) -> Maintained:
    """Report what is past its retention, checkpoint the warehouse, remove old and half-made files.

    The caller holds the right to change the project's state, unless it asks for the report only.

    Raises:
        Unavailable: the warehouse is held by another process.
    """
    start = time.monotonic()
    file = project.warehouse_file
    embedded = project.target == EMBEDDED and file.exists()
    retained = tuple(_retained(project)) if embedded else ()
    before = file.stat().st_size if embedded else None
    removed: list[str] = []
    if not only_report:
        if embedded:
            # frees the blocks of deleted and replaced rows; they are used again
            with writing(file) as connection:
                connection.execute("force checkpoint")
        removed = [str(path.relative_to(project.state)) for path in _tidied(project)]
    return Maintained(
        retained=retained,
        size_before=before,
        size_after=file.stat().st_size if embedded else None,
        removed=tuple(removed),
        seconds=time.monotonic() - start,
    )


def _retained(project: Project) -> Iterator[Retained]:
    as_of = now(project)
    with reading(project.warehouse_file) as connection:
        there = set(
            connection.execute(
                "select table_schema, table_name from information_schema.tables"
            ).fetchall()
        )
        for contract in project.contracts.tables:
            column = _load_time(contract)
            if contract.retention is None or column is None:
                continue
            if (contract.schema, contract.name) not in there:
                continue
            row = connection.execute(
                f'select count(*), count(*) filter ("{column}" < ?)'
                f' from "{contract.schema}"."{contract.name}"',
                [as_of - contract.retention],
            ).fetchone()
            assert row is not None
            days = contract.retention.total_seconds() / 86400
            yield Retained(contract.full_name, contract.owner, days, row[0], row[1])


def _load_time(contract: Contract) -> str | None:
    names = {column.name for column in contract.columns}
    return next((name for name in _LOAD_TIMES if name in names), None)


def _tidied(project: Project) -> Iterator[Path]:
    """Remove what killed writers left and logs that are old; gives what was removed."""
    if project.landing_dir.is_dir():
        yield from LandingArea(project.landing_dir).clean()
    if project.published_file.parent.is_dir():
        yield from _removed(
            project.published_file.parent.glob(f"{project.published_file.name}.tmp*")
        )
    oldest = time.time() - LOG_DAYS * 86400
    for folder in (project.state / "logs", project.state / "airflow" / "logs"):
        files = (path for path in folder.rglob("*") if path.is_file())
        yield from _removed(path for path in files if path.stat().st_mtime < oldest)


def _removed(paths: Iterable[Path]) -> Iterator[Path]:
    for path in list(paths):
        path.unlink(missing_ok=True)
        yield path

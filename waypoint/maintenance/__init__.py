"""Maintenance, once a week: retention by contract, few large files, a warehouse without waste.

Nothing of it happens in `waypoint run` or a scheduled build. Killed at any point, it is run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb

from ingestion.bookkeeping import LOAD_HISTORY, QUARANTINE
from ingestion.compaction import Compacted, compact
from ingestion.landing import LandingArea
from waypoint.clock import now
from waypoint.contracts.model import RAW
from waypoint.maintenance.releasing import is_raw
from waypoint.maintenance.retention import (
    Aged,
    Retained,
    aged_tables,
    apply_retention,
    read_releases,
)
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED, reading, writing

#: Logs that nobody has written to for so long are removed.
LOG_DAYS = 30


@dataclass(frozen=True)
class Maintained:
    """What maintenance found and did (in a dry run: would do); sizes in bytes."""

    dry_run: bool
    retained: tuple[Retained, ...] = ()
    compacted: tuple[Compacted, ...] = ()
    size_before: int | None = None  # of the warehouse file; None where there is none
    size_after: int | None = None
    removed: tuple[str, ...] = ()  # files, relative to the state folder
    statements: tuple[str, ...] = field(default=())  # for a warehouse that is not a file
    seconds: float = 0.0


def maintain(project: Project, dry_run: bool = False) -> Maintained:
    """Apply the contracts' retention, put landed files together, checkpoint, remove old files.

    The caller holds the right to change the project's state, unless it is a dry run. For another
    warehouse than the embedded one, what is to be done there is given as statements and not run.

    Raises:
        UnusableInput: a contract's retention cannot be applied as it stands.
        Unavailable: the warehouse is held by another process, or the archive cannot be written.
    """
    start = time.monotonic()
    if project.target != EMBEDDED:
        from waypoint.maintenance.statements import statements

        removed = () if dry_run else tuple(_tidied(project))
        return Maintained(
            dry_run,
            removed=_relative(project, removed),
            statements=tuple(statements(project)),
            seconds=time.monotonic() - start,
        )
    file = project.warehouse_file
    retained: list[Retained] = []
    compacted: list[Compacted] = []
    before = after = None
    gone: list[Path] = []
    if file.exists():
        before = file.stat().st_size
        opened = reading(file) if dry_run else writing(file)
        with opened as connection:
            retained = apply_retention(project, connection, dry_run)
            loaded, old = _history(project, connection, retained)
            if not dry_run:
                # frees the blocks of deleted and replaced rows; they are used again
                connection.execute("force checkpoint")
        after = file.stat().st_size
        area = LandingArea(project.landing_dir)
        compacted = list(
            compact(area, project.state / "spill", loaded, _removable(project, retained), dry_run)
        )
        if not dry_run:
            gone += _removed(project.landing_dir / name for name in old)
    if not dry_run:
        gone += _tidied(project)
    return Maintained(
        dry_run=dry_run,
        retained=tuple(retained),
        compacted=tuple(compacted),
        size_before=before,
        size_after=after,
        removed=_relative(project, gone),
        seconds=time.monotonic() - start,
    )


def _removable(project: Project, retained: Iterable[Retained]) -> dict[str, str]:
    """Which rows of landed files may go, by raw table: those that the warehouse let go.

    A table in which an expired row waits for the next build keeps its files until then.
    """
    releases = read_releases(project)
    kept = {one.table for one in retained if one.held_by or one.waiting}
    measured = {one.table for one in retained}
    return {
        aged.contract.name: aged.expired_as_landed
        for aged in aged_tables(project)
        if releases is not None
        and is_raw(aged.contract.full_name)
        and aged.contract.full_name in measured - kept
        and not releases.held_by(aged.contract.full_name)
        and _is_landed_with(aged)
    }


def _is_landed_with(aged: Aged) -> bool:
    """Whether a landed row says how old it is; its load time is known to the warehouse only."""
    return aged.contract.retention_element != aged.loaded


def _history(
    project: Project, connection: duckdb.DuckDBPyConnection, retained: Iterable[Retained]
) -> tuple[frozenset[str], list[str]]:
    """The files that are loaded, and those of the quarantine that are past its retention."""
    oldest = None
    for one in retained:
        if one.table == f"{RAW}.{QUARANTINE}" and not (one.held_by or one.waiting):
            oldest = now(project) - timedelta(days=one.retention_days)
    there = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
        [RAW, LOAD_HISTORY],
    ).fetchone()
    if there is None:  # nothing was loaded yet
        return frozenset(), []
    rows = connection.execute(f"select file, loaded_at from {RAW}.{LOAD_HISTORY}").fetchall()
    old = [
        name
        for name, loaded_at in rows
        if oldest is not None and loaded_at < oldest and name.startswith(f"{QUARANTINE}/")
    ]
    return frozenset(name for name, _ in rows), old


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
        if path.exists():
            path.unlink(missing_ok=True)
            yield path


def _relative(project: Project, paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(str(path.relative_to(project.state)) for path in paths)

"""Opening the embedded warehouse and its published copy, with errors that say what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

if TYPE_CHECKING:
    import duckdb

#: The dbt target whose warehouse is a DuckDB file of the project's state.
EMBEDDED = "duckdb"

_LOCK_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>\S+)(?: \(PID (?P<pid>\d+)\))?")


class WarehouseLocked(Unavailable):
    """Another process has the warehouse file open for writing; the message names it."""


class NothingPublished(UnusableInput):
    """There is no published copy to read yet."""


def lock_conflict(path: Path, message: str) -> WarehouseLocked | None:
    """The error that DuckDB's `message` stands for, if it says that the file is locked."""
    if "Could not set lock on file" not in message:
        return None
    found = _LOCK_HOLDER.search(message)
    pid = found["pid"] if found else None
    holder = f"process {pid} ({found['program']})" if found and pid else "another process"
    return WarehouseLocked(
        f"{path} is held open by {holder}",
        hint="close it there (read the published copy instead: waypoint query), and run this again",
    )


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a DuckDB file, in UTC.

    Raises:
        WarehouseLocked: another process has it open for writing.
    """
    with _connected(path, read_only=True) as connection:
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can write to a DuckDB file, in UTC.

    Raises:
        WarehouseLocked: another process has it open.
    """
    with _connected(path, read_only=False) as connection:
        yield connection


def wait_for(path: Path, patience: float = 5.0) -> None:
    """Wait until nobody else has the DuckDB file open, for at most `patience` seconds.

    Raises:
        WarehouseLocked: somebody still has.
    """
    end = time.monotonic() + patience
    while True:
        try:
            with writing(path):
                return
        except WarehouseLocked:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@contextmanager
def _connected(path: Path, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        conflict = lock_conflict(path, str(error))
        if conflict is not None:
            raise conflict from None
        raise Unavailable(f"{path} cannot be opened: {first_line(str(error))}") from None
    try:
        connection.execute("set timezone = 'UTC'")
        yield connection
    finally:
        connection.close()


@contextmanager
def published(project: Project) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the project's published copy.

    Raises:
        NothingPublished: nothing was published yet.
    """
    if not project.published_file.exists():
        raise NothingPublished(
            f"nothing is published yet: {project.published_file} is not there",
            hint="`waypoint run` does everything up to there; `waypoint publish` the last step",
        )
    with reading(project.published_file) as connection:
        yield connection


def first_line(message: str) -> str:
    """A database's message in one line, without the excerpt of the statement."""
    lines = [line.strip() for line in message.strip().splitlines()]
    kept: list[str] = []
    for line in lines:
        if re.match(r"LINE \d+:", line):
            break
        if line:
            kept.append(line)
    return " ".join(kept)

"""One writer at a time: a lock on a project's state, held by the process that changes it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from waypoint.errors import Unavailable
from waypoint.project import Project

#: How long a command waits for the right to change the state, in seconds; it does not unless set.
PATIENCE_VARIABLE = "WAYPOINT_PATIENCE"

_POLL = 0.2  # seconds


class StateLocked(Unavailable):
    """Another process is changing the project's state; the message names it."""


def lock_file(project: Project) -> Path:
    """The file whose lock is the right to change the state; it holds the holder's pid and work."""
    return project.state / "run.lock"


@contextmanager
def changing_state(project: Project, work: str) -> Iterator[None]:
    """Hold the right to change the project's state while the block runs.

    The lock is the operating system's: it goes when the process ends, however it ends. `work` is
    what others are told, e.g. `waypoint build`.

    Raises:
        StateLocked: another process holds it.
    """
    with _locked(lock_file(project), fcntl.LOCK_EX, _patience()) as file:
        if file is None:
            raise _said(project, lock_file(project))
        with _named(file, work):
            yield


@contextmanager
def sharing_state(project: Project, work: str, patience: float) -> Iterator[None]:
    """Change the state together with others that share it, while no command has it for itself.

    For those who see by themselves that no two of them do the same: the tasks of a scheduler. A
    command that wants the state for itself is refused meanwhile.

    Raises:
        StateLocked: a command has held it for longer than `patience` seconds.
    """
    with _locked(lock_file(project), fcntl.LOCK_SH, patience) as file:
        if file is None:
            raise _said(project, lock_file(project))
        file.truncate(0)
        file.write(f"{work} (pid {os.getpid()})\n")
        file.flush()
        yield


@contextmanager
def writing_alone(project: Project, work: str, patience: float) -> Iterator[None]:
    """Be the one of those who share the state that opens the embedded warehouse.

    Raises:
        StateLocked: another has had it for longer than `patience` seconds.
    """
    path = project.state / "warehouse.lock"
    with _locked(path, fcntl.LOCK_EX, patience) as file:
        if file is None:
            raise _said(project, path)
        with _named(file, work):
            yield


def _patience() -> float:
    try:
        return float(os.environ.get(PATIENCE_VARIABLE) or 0)
    except ValueError:
        return 0.0


@contextmanager
def _locked(path: Path, kind: int, patience: float) -> Iterator[IO[str] | None]:
    """The file, locked; None where another has held it for longer than `patience` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    yield None
                    return
                time.sleep(_POLL)
                continue
            yield file
            return


@contextmanager
def _named(file: IO[str], work: str) -> Iterator[None]:
    """Say in the locked file who holds it."""
    file.truncate(0)
    file.write(f"{work} (pid {os.getpid()})\n")
    file.flush()
    yield
    file.truncate(0)


def _said(project: Project, path: Path) -> StateLocked:
    holder = path.read_text(encoding="utf-8").strip() or "another process"
    return StateLocked(
        f"{project.state} is being changed by {holder}",
        hint="wait until it has ended and run the same command again, or set WAYPOINT_STATE"
        " to a folder of your own",
    )

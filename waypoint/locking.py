"""One writer at a time: a lock on a project's state, held by the process that changes it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waypoint.errors import Unavailable
from waypoint.project import Project


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
    path = lock_file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise StateLocked(
                f"{project.state} is being changed by {holder}",
                hint="wait until it has ended and run the same command again, or set WAYPOINT_STATE"
                " to a folder of your own",
            ) from None
        file.truncate(0)
        file.write(f"{work} (pid {os.getpid()})\n")
        file.flush()
        yield
        file.truncate(0)

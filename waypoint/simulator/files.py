"""Files that appear whole or not at all, and what killed plays left of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_TMP = ".tmp"


@contextmanager
def appearing(path: Path, written_at: datetime) -> Iterator[Path]:
    """A path to write to; when the block ends well, the file is there under `path`.

    It is as old as it would be if it had been written at `written_at` (UTC, no zone), so nobody
    waits whether it still changes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # hidden, and of no known ending: whoever looks for files of the folder does not take it
    temporary = path.with_name(f".{path.name}{_TMP}{os.getpid()}")
    try:
        yield temporary
        age = written_at.replace(tzinfo=UTC).timestamp()
        os.utime(temporary, (age, age))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove what killed plays left below `folder`."""
    for leftover in folder.rglob(f".*{_TMP}*"):
        leftover.unlink(missing_ok=True)

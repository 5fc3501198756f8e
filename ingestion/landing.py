"""The landing area: immutable Parquet files, whole or not there at all.

A file appears under its final name only when its bytes are on the disk: written as
`<name>.tmp<pid>`, synced, renamed, and the folder synced. The rename is the commit; the name is
the batch. Landing a batch that is there already changes nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waypoint.errors import Unavailable

_TMP = ".tmp"
#: A full disk, a used-up quota, and a limit on the size of a file.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LandingAreaFull(Unavailable):
    """No room on the disk; the batch that was being written is not there."""


class LandingArea:
    """The folder of landed files: `<root>/<table>/<batch>.parquet`.

    A batch id may hold slashes (`dt=2026-01-31/hr=05/...`), which become folders.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, table: str, batch: str) -> Path:
        return self.root / table / f"{batch}.parquet"

    def has(self, table: str, batch: str) -> bool:
        return self.path(table, batch).exists()

    def files(self, table: str) -> list[Path]:
        """The landed files of `table`, sorted by name."""
        return sorted((self.root / table).rglob("*.parquet"))

    def tables(self) -> list[str]:
        """The tables that anything was ever landed for, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir())

    @contextmanager
    def writing(self, table: str, batch: str) -> Iterator[Path]:
        """A path to write the batch to; when the block ends well, the batch is landed.

        When the block fails, nothing is left behind. A batch that is there already is replaced by
        the same rows, so callers check `has` first to save the work.

        Raises:
            LandingAreaFull: no room on the disk.
        """
        final = self.path(table, batch)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f"{final.name}{_TMP}{os.getpid()}")
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, final)
            _sync(final.parent)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if _is_disk_full(error):
                raise LandingAreaFull(
                    f"no room on the disk while landing {table}/{batch}; nothing of it was landed",
                    hint=f"make room below {self.root} and run the same command again",
                ) from None
            raise

    @contextmanager
    def deciding(self, table: str) -> Iterator[None]:
        """Hold the right to say which messages of `table` are new, and to land them.

        Offsets that have not landed are looked for and then landed, which no two writers of a
        table may do at once. The lock is the operating system's: it goes with its holder.
        """
        folder = self.root / table
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def clean(self) -> list[Path]:
        """Remove what killed writers left behind, and say which files that were.

        Files of processes that still run are left alone.
        """
        removed = []
        for leftover in sorted(self.root.rglob(f"*{_TMP}*")):
            pid = leftover.name.rpartition(_TMP)[2]
            if not (pid.isdigit() and _is_running(int(pid))):
                leftover.unlink(missing_ok=True)
                removed.append(leftover)
        return removed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    # DuckDB wraps the errno in the text of its own exception
    return any(os.strerror(code) in str(error) for code in _FULL)

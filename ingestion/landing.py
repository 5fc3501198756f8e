"""The landing area: immutable Parquet files, whole or not there at all.

A file appears under its final name only when its bytes are on the disk: written as
`<name>.tmp<pid>`, synced, renamed, and the folder synced. The rename is the commit; the name is
the batch. Landing a batch that is there already changes nothing.

Where there are many, files are put together (`ingestion.compaction`): `<table>/compacted.json` says
which batches stand in which file below `<table>/compacted/`. Its rename is the commit: from then on
the batches' own files are not looked at, whether they are still there or not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from waypoint.errors import Unavailable

_TMP = ".tmp"
#: Within a table's folder: which batches were put together, and the folder of those files.
_INDEX, _TOGETHER = "compacted.json", "compacted"
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
        """The file that holds the batch, alone or with others (whose rows say `_batch`)."""
        return self.compacted(table).get(batch) or self._own_path(table, batch)

    def has(self, table: str, batch: str) -> bool:
        return batch in self.compacted(table) or self._own_path(table, batch).exists()

    def files(self, table: str) -> list[Path]:
        """The landed files of `table`, sorted by name; every batch is in one of them."""
        superseded = self._is_superseded(table)
        return [path for path in self._found(table) if not superseded(path)]

    def compacted(self, table: str) -> Mapping[str, Path]:
        """The batches that were put together with others, and the files that they stand in."""
        index = self.root / table / _INDEX
        try:
            stat = index.stat()
        except FileNotFoundError:
            return {}
        return _index(index, stat.st_mtime_ns, stat.st_ino)

    def together(self, table: str, name: str) -> Path:
        """Where a file of several batches is written; nobody reads it before `put_together`."""
        return self.root / table / _TOGETHER / f"{name}.parquet"

    def put_together(self, table: str, batches: Mapping[str, Path]) -> None:
        """From now on read these batches from the files given, which are on the disk already."""
        known = {**self.compacted(table), **batches}
        text = json.dumps({batch: path.name for batch, path in sorted(known.items())}, indent=0)
        index = self.root / table / _INDEX
        temporary = index.with_name(f"{index.name}{_TMP}{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        os.replace(temporary, index)
        _sync(index.parent)

    def superseded(self, table: str) -> list[Path]:
        """The files that nobody reads any more: their batches were put together."""
        superseded = self._is_superseded(table)
        return [path for path in self._found(table) if superseded(path)]

    def _found(self, table: str) -> list[Path]:
        return sorted((self.root / table).rglob("*.parquet"))

    def _is_superseded(self, table: str) -> Callable[[Path], bool]:
        folder, known = self.root / table, self.compacted(table)
        read = frozenset(known.values())

        def judge(path: Path) -> bool:
            if path.parent == folder / _TOGETHER:
                return path not in read
            return path.relative_to(folder).with_suffix("").as_posix() in known

        return judge

    def _own_path(self, table: str, batch: str) -> Path:
        return self.root / table / f"{batch}.parquet"

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
        final = self._own_path(table, batch)
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


@lru_cache(maxsize=256)
def _index(path: Path, _written: int, _inode: int) -> Mapping[str, Path]:
    found = json.loads(path.read_text(encoding="utf-8"))
    return {batch: path.parent / _TOGETHER / name for batch, name in found.items()}


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

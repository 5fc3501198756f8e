"""Files that people and other systems drop in a folder, and what has become of each.

A file is known by its content: dropped again, under whatever name, it is the same file. What was
landed of it stands in the footers of its batches, which are numbered parts of the file; the
newest part of a file that was read to its end says so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from ingestion import footers
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from waypoint.contracts.reading import duration
from waypoint.errors import Unavailable, UnusableInput

#: How long a file must have been left alone before it is read, unless the source says otherwise.
SETTLE = "2 seconds"

#: The setting that says that the folder is one that Waypoint provides.
OWN = "own_inbox"

Part = TypeVar("Part")

# what a batch's position says of the file that it is a part of
_HASH, _PART, _LAST, _STAT = "hash", "part", "last", "stat"


@dataclass(frozen=True)
class Dropped:
    """A file in an inbox; `name` is its path relative to the inbox."""

    path: Path
    name: str
    size: int
    modified: int  # nanoseconds since the epoch

    @property
    def stat(self) -> list[Any]:
        """What changes when somebody writes to the file."""
        return [self.name, self.size, self.modified]


@dataclass(frozen=True)
class Parts:
    """The batches that one file's rows land in, numbered from 1, and those that have landed."""

    prefix: str
    content: str  # the content's hash
    file: Dropped

    def batch(self, number: int) -> str:
        """The id of part `number`: the same content gives the same ids."""
        return f"{self.prefix}-{self.content}-{number:05d}"

    def position(self, number: int, last: bool) -> dict[str, Any]:
        """What the footer of part `number` says of the file."""
        return {_HASH: self.content, _PART: number, _LAST: last, _STAT: self.file.stat}

    def landed(self, area: LandingArea, table: str) -> list[Landed]:
        """What has landed of the file already, part by part."""
        found: list[Landed] = []
        while area.has(table, self.batch(len(found) + 1)):
            found.append(footers.of_batch(area, table, self.batch(len(found) + 1)))
        return found

    @staticmethod
    def complete(landed: list[Landed]) -> bool:
        """Whether the parts that have landed are the whole file."""
        return bool(landed) and bool(landed[-1].position.get(_LAST))


def open_inbox(settings: Mapping[str, Any]) -> Path:
    """The source's folder; made where it is the one that Waypoint provides.

    Raises:
        UnusableInput: there is no such folder.
    """
    folder = Path(settings["folder"])
    if settings.get(OWN):
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise UnusableInput(
            f"{folder} is not a folder", hint="create it, or mend the source's `folder`"
        )
    return folder


def dropped_files(folder: Path, patterns: Iterable[str]) -> list[Dropped]:
    """The files below `folder` that match one of `patterns`, by name; hidden ones are left out."""
    paths = {path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}
    found = []
    for path in sorted(paths):
        name = path.relative_to(folder)
        if not any(part.startswith(".") for part in name.parts):
            found.append(dropped(path, name.as_posix()))
    return found


def dropped(path: Path, name: str | None = None) -> Dropped:
    """A file as it is now.

    Raises:
        UnusableInput: there is no such file.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from None
    return Dropped(path, name or path.name, stat.st_size, stat.st_mtime_ns)


def settled(files: Iterable[Dropped], settle: timedelta) -> Iterator[Dropped]:
    """Of `files` those that nobody is writing to: the ones left alone for `settle`.

    Older files come at once; for the others the rest of the time is waited, and those that
    changed meanwhile are left for the next run.
    """
    fresh = []
    for file in files:
        age = time.time() - file.modified / 1e9
        if 0 <= age < settle.total_seconds():
            fresh.append(file)
        else:
            yield file
    if not fresh:
        return
    youngest = max(file.modified for file in fresh) / 1e9
    time.sleep(max(0.0, youngest + settle.total_seconds() - time.time()))
    for file in fresh:
        try:
            now = dropped(file.path, file.name)
        except UnusableInput:
            continue  # taken away again
        if now.stat == file.stat:
            yield file


def checked_unchanged(file: Dropped) -> None:
    """Make sure that `file` is as it was.

    Raises:
        Unavailable: somebody writes to it; it is to be read again from its start.
    """
    if dropped(file.path, file.name).stat != file.stat:
        raise Unavailable(
            f"{file.path} was changed while it was read",
            hint="wait until it is written, and run the same command again",
        )


def last_told(parts: Iterable[Part]) -> Iterator[tuple[int, Part, bool]]:
    """`parts` numbered from 1, each with whether it is the last."""
    held: list[Part] = []
    number = 0
    for part in parts:
        for before in held:
            number += 1
            yield number, before, False
        held = [part]
    for part in held:
        yield number + 1, part, True


def settle_time(settings: Mapping[str, Any]) -> timedelta:
    """The source's `settle` setting.

    Raises:
        UnusableInput: not a duration.
    """
    try:
        return duration(str(settings.get("settle", SETTLE)))
    except ValueError as error:
        raise UnusableInput(f"settle: {error}") from None


def content_hash(path: Path) -> str:
    """A file's content as 24 hexadecimal digits.

    Raises:
        Unavailable: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:24]
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read: {error.strerror}",
            hint="give the user that runs Waypoint the right to read it",
        ) from None


def known_stats(landed: Iterable[Landed]) -> frozenset[tuple[Any, ...]]:
    """The `Dropped.stat` of the files that had been read to their end when they last changed."""
    return frozenset(
        tuple(footer.position[_STAT]) for footer in landed if footer.position.get(_LAST)
    )

"""The repository's history: contracts as they were at a git reference, without a checkout."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath

from waypoint.errors import UnusableInput


class UnusableRepository(UnusableInput):
    """No git repository, or no such reference in it."""


@dataclass(frozen=True)
class Commit:
    """A commit, and the day (UTC) that its committer's clock showed."""

    name: str
    day: date


@dataclass(frozen=True)
class Base:
    """A folder as it was at a commit: `files` are blob names by path relative to `folder`."""

    folder: Path
    reference: str
    commit: str
    files: dict[str, str]

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The bytes of some of the files, by path, in one call of git."""
        wanted = list(paths)
        if not wanted:
            return {}
        names = "".join(f"{self.files[path]}\n" for path in wanted)
        output = _git(self.folder, "cat-file", "--batch", standard_input=names.encode())
        found, position = {}, 0
        for path in wanted:
            end = output.index(b"\n", position)
            size = int(output[position:end].split()[2])
            found[path] = output[end + 1 : end + 1 + size]
            position = end + 1 + size + 1
        return found

    def holds(self, path: str, data: bytes) -> bool:
        """Whether the file is there with exactly this content."""
        name = self.files.get(path)
        if name is None:
            return False
        algorithm = "sha256" if len(name) == 64 else "sha1"
        blob = b"blob %d\0" % len(data) + data
        return hashlib.new(algorithm, blob, usedforsecurity=False).hexdigest() == name


def base(folder: Path, reference: str) -> Base:
    """`folder` as it was where the working tree's history left `reference`'s.

    That is the merge base: what others have changed on the base branch since is not this branch's
    doing. Without a common commit, the reference itself.

    Raises:
        UnusableRepository: `folder` is in no git repository, or there is no such reference.
    """
    tip = _commit(folder, reference)
    shared = _try_git(folder, "merge-base", tip, "HEAD")
    commit = shared.decode().strip() if shared else tip
    listing = _git(folder, "ls-tree", "-r", "-z", "--full-tree", commit, "--", _prefix(folder))
    return Base(folder, reference, commit, dict(_files(listing, _prefix(folder))))


def commits_since(base: Base, path: Path) -> Iterator[Commit]:
    """The commits on the first parent's line since the base that changed a file, newest first.

    A merge counts as one commit, with the day of the merge: that is when the change went in.
    """
    lines = _git(
        base.folder,
        "log",
        "--first-parent",
        "--format=%H %ct",
        f"{base.commit}..HEAD",
        "--",
        str(path),
    )
    for line in lines.decode().splitlines():
        name, seconds = line.split()
        yield Commit(name, datetime.fromtimestamp(int(seconds), UTC).date())


def content_at(folder: Path, commit: str, path: Path) -> bytes | None:
    """A file's bytes at a commit; None where there was none."""
    place = PurePosixPath(_prefix(folder)) / path.relative_to(folder).as_posix()
    return _try_git(folder, "cat-file", "blob", f"{commit}:{place}")


def author(folder: Path) -> str:
    """Who works here, by git's settings; empty where they do not say."""
    name = _try_git(folder, "config", "user.name") or b""
    return name.decode(errors="replace").strip()


def _commit(folder: Path, reference: str) -> str:
    found = _try_git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"
    )
    if found:
        return found.decode().strip()
    _prefix(folder)  # says so if this is no repository at all
    raise UnusableRepository(
        f"git knows no commit {reference!r}",
        hint="fetch it first (in a pipeline: fetch-depth: 0), or name another with --base",
    )


def _prefix(folder: Path) -> str:
    """The folder's path from the repository's root, as git writes it."""
    return _git(folder, "rev-parse", "--show-prefix").decode().rstrip("\n").rstrip("/") or "."


def _files(listing: bytes, prefix: str) -> Iterator[tuple[str, str]]:
    for line in listing.split(b"\0"):
        if not line:
            continue
        facts, _, name = line.partition(b"\t")
        kind, blob = facts.split()[1:3]
        path = PurePosixPath(name.decode(errors="surrogateescape"))
        if kind == b"blob":
            inside = path if prefix == "." else path.relative_to(prefix)
            yield str(inside), blob.decode()


def _git(folder: Path, *arguments: str, standard_input: bytes | None = None) -> bytes:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=standard_input,
            capture_output=True,
            check=True,
        ).stdout
    except FileNotFoundError:
        raise UnusableRepository("git is not installed", hint="install git") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise UnusableRepository(
            f"{folder}: git {arguments[0]} failed: {said[0] if said else error.returncode}",
            hint="run it inside the git repository that holds the contracts",
        ) from None


def _try_git(folder: Path, *arguments: str) -> bytes | None:
    try:
        return _git(folder, *arguments)
    except UnusableRepository:
        return None

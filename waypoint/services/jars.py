"""Jars from Maven repositories, by committed lists that hold the checksum of every file.

A list stands in `locked/<name>.txt`, a line for each file:

    group:artifact:version sha256
    group:artifact:version:packaging:classifier sha256

What has been fetched and found to be what the list says is kept below the user's cache folder
under its checksum, so that no second process, project or version of a list fetches it again.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from waypoint.errors import Unavailable, UnusableInput

#: Another Maven repository than Maven Central, e.g. a company's mirror: its URL.
REPOSITORY_VARIABLE = "WAYPOINT_MAVEN_REPOSITORY"

_LISTS = Path(__file__).with_name("locked")
_TIMEOUT = 60  # seconds without a byte
_TRIES = 3
_AT_ONCE = 8
_LINE = re.compile(r"(?P<coordinate>[^\s:]+(:[^\s:]+){2,4})\s+(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Locked:
    """One file of a Maven repository, and what its content must be."""

    group: str
    artifact: str
    version: str
    packaging: str
    classifier: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """What it is called in a list."""
        more = f":{self.packaging}:{self.classifier}" if self.classifier else ""
        return f"{self.group}:{self.artifact}:{self.version}{more}"

    @property
    def file_name(self) -> str:
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.packaging}"


def cache_folder() -> Path:
    """Where Waypoint keeps for this user what can be fetched again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waypoint"


def locked(name: str) -> list[Locked]:
    """The files of the list `name`.

    Raises:
        UnusableInput: there is no such list, or it has a line that is none.
    """
    path = _LISTS / f"{name}.txt"
    if not path.is_file():
        raise UnusableInput(f"{path}: there is no such list of jars")
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise UnusableInput(
                f"{path}:{number}: {text!r} is no line of a list of jars",
                hint="write group:artifact:version sha256",
            )
        group, artifact, version, *rest = match["coordinate"].split(":")
        packaging, classifier = [*rest, "", ""][:2]
        found.append(
            Locked(group, artifact, version, packaging or "jar", classifier, match["sha256"])
        )
    return found


def jars(*names: str) -> list[Path]:
    """The files of the lists `names`, fetched where they are not in the cache.

    Raises:
        Unavailable: some could not be fetched, or are not what the list says they are.
        UnusableInput: there is no such list, or the program that fetches is not installed.
    """
    wanted = [file for name in names for file in locked(name)]
    missing = [file for file in wanted if not _place(file).exists()]
    if missing:
        with _fetching():
            missing = [file for file in missing if not _place(file).exists()]
            _fetch(missing)
    return [_place(file) for file in wanted]


def classpath(*names: str) -> str:
    """The files of the lists `names` as Java's class path; see `jars`."""
    return os.pathsep.join(map(str, jars(*names)))


def _place(file: Locked) -> Path:
    return cache_folder() / "jars" / file.sha256[:16] / file.file_name


@contextmanager
def _fetching() -> Iterator[None]:
    """While no other process fetches: it would be the same files."""
    folder = cache_folder() / "jars"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".fetching").open("a")
    except OSError as error:
        raise Unavailable(
            f"{folder}: cannot be written to: {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder that can",
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(files: Sequence[Locked]) -> None:
    try:
        import jgo.maven
    except ImportError:
        raise UnusableInput(
            "the package jgo, which fetches jars, is not installed", hint="run make setup"
        ) from None
    logging.getLogger("jgo").setLevel(logging.ERROR)
    remote = os.environ.get(REPOSITORY_VARIABLE)
    repositories = {"configured": remote.rstrip("/")} if remote else None
    with tempfile.TemporaryDirectory(dir=cache_folder() / "jars", prefix=".new-") as temporary:

        def fetched(file: Locked) -> str | None:
            # a context of its own, and a folder of its own: what a broken try left is not reused
            said = ""
            for number in range(_TRIES):
                folder = Path(temporary) / file.sha256 / str(number)
                context = jgo.maven.MavenContext(
                    repo_cache=folder, remote_repos=repositories, timeout=_TIMEOUT
                )
                component = context.project(file.group, file.artifact).at_version(file.version)
                try:
                    got = component.artifact(file.classifier, file.packaging).resolve()
                except Exception as error:  # jgo raises what its HTTP client and itself raise
                    said = str(error) or type(error).__name__
                    continue
                found = _sha256(got)
                if found == file.sha256:
                    place = _place(file)
                    place.parent.mkdir(exist_ok=True)
                    os.replace(got, place)
                    shutil.rmtree(folder, ignore_errors=True)
                    return None
                said = f"has the checksum {found}, not {file.sha256}"
            return f"{file.coordinate}: {said}"

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            failures = [said for said in pool.map(fetched, files) if said]
    if failures:
        raise Unavailable(
            f"{len(failures)} of {len(files)} jars could not be had: {failures[0]}",
            hint=f"is the Maven repository within reach? {REPOSITORY_VARIABLE} names a mirror",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

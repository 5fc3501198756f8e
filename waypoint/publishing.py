"""Publishing: a copy of the built warehouse that readers open while the next run writes.

The copy appears under its name whole or not at all, and a reader that has the old one open goes
on reading it. In the warehouse views name its catalog, which is called after the file; in the copy
they do not, so that it can be renamed and attached under any name.

Beside it stand the copies that are cut to what a role may see, for the roles whose policy says so,
and in `state/` the manifest of what is published, which a pull request is compared with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from waypoint.access.copies import copy_paths, cut, roles_with_a_copy
from waypoint.building import last_build
from waypoint.dbt_running import target_dir
from waypoint.errors import Unavailable, UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.views import name_no_catalog
from waypoint.warehouse import EMBEDDED, first_line, writing


class NotPublishable(WaypointError):
    """The warehouse is not in a state that readers should see; the published copy is as it was."""


@dataclass(frozen=True)
class Published:
    """The published copy: where it is, its size and how long it took, in seconds.

    `copies` are those that were cut for a role, by role.
    """

    path: Path
    size: int
    seconds: float
    copies: Mapping[str, Path] = field(default_factory=dict)


def publish(project: Project, force: bool = False) -> Published:
    """Copy the warehouse to where readers look; only after a whole build without failures.

    With `force`, whatever the warehouse holds is published.

    Raises:
        UnusableInput: there is no warehouse yet, or the target is not the embedded one.
        NotPublishable: the last build failed, was partial or never ended.
        Unavailable: another process has the warehouse open, or the disk is full.
    """
    if project.target != EMBEDDED:
        raise UnusableInput(
            f"target {project.target}: only the embedded warehouse has a published copy",
            hint="readers of other warehouses read their tables as they are",
        )
    if not project.warehouse_file.exists():
        raise UnusableInput(
            f"there is no warehouse yet: {project.warehouse_file} is not there",
            hint="`waypoint run` makes one",
        )
    if not force:
        _refuse_unbuilt(project)
    start = time.monotonic()
    # held open while it is copied, so that nobody writes meanwhile
    with writing(project.warehouse_file) as connection:
        connection.execute("checkpoint")
        with _cut_copies(connection, project) as copies:
            size = _replace(project.warehouse_file, project.published_file)
            for cut_file, path in copies.values():
                os.replace(cut_file, path)
        _publish_manifest(project)
    paths = {role: path for role, (_, path) in copies.items()}
    return Published(project.published_file, size, time.monotonic() - start, paths)


@contextmanager
def _cut_copies(
    connection: duckdb.DuckDBPyConnection, project: Project
) -> Iterator[dict[str, tuple[Path, Path]]]:
    """Each role's copy under a passing name, and where it is to stand."""
    paths = copy_paths(project)
    for path in paths.values():
        _clear(path)
    copies = {role: (_temporary(path), path) for role, path in paths.items()}
    try:
        for role in roles_with_a_copy(project):
            temporary, path = copies[role.name]
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                cut(connection, project, role, temporary)
            except duckdb.Error as error:
                raise Unavailable(
                    f"the copy for {role.name} could not be written to {path.parent}:"
                    f" {first_line(str(error))}",
                    hint="make room there and run `waypoint publish` again;"
                    " readers keep the old copy",
                ) from None
            _sync(temporary)
        yield copies
    finally:
        for temporary, _ in copies.values():
            _remove(temporary)


def _refuse_unbuilt(project: Project) -> None:
    build = last_build(project)
    if build is None:
        problem = "was not built by a `waypoint build` that ran to its end"
    elif build.failures:
        problem = f"has failures from its last build ({build.failures})"
    elif build.partial:
        problem = "was last built in part only"
    else:
        return
    raise NotPublishable(
        f"the warehouse {problem}; readers keep the copy that they have",
        hint="run `waypoint build`, or `waypoint publish --force` to publish it as it is",
    )


def _replace(source: Path, target: Path) -> int:
    """Put a copy of `source` in the place of `target` in one step; returns its size in bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear(target)
    temporary = _temporary(target)
    try:
        _copy(source, temporary)
        _free_of_its_name(temporary, source.stem)
        size = temporary.stat().st_size
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        _remove(temporary)
    return size


def _publish_manifest(project: Project) -> None:
    """What dbt knows of the models as they were built, for `dbt build --defer --state`."""
    manifest = target_dir(project) / "manifest.json"
    if not manifest.exists():
        return
    target = project.published_file.parent / "state" / manifest.name
    target.parent.mkdir(exist_ok=True)
    _clear(target)
    temporary = _temporary(target)
    try:
        _copy(manifest, temporary)
        os.replace(temporary, target)
    finally:
        _remove(temporary)


def _temporary(target: Path) -> Path:
    return target.with_name(f"{target.name}.tmp{os.getpid()}")


def _clear(target: Path) -> None:
    """Remove what a killed publisher left."""
    for leftover in target.parent.glob(f"{target.name}.tmp*"):
        leftover.unlink()


def _remove(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
    temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)


def _free_of_its_name(copy: Path, catalog: str) -> None:
    try:
        name_no_catalog(copy, catalog)
    except duckdb.Error as error:
        raise Unavailable(
            f"the views of the copy in {copy.parent} could not be written: {error}",
            hint="make room there and run `waypoint publish` again; readers keep the old copy",
        ) from None
    _sync(copy)


def _copy(source: Path, target: Path) -> None:
    # in a process of its own: closing a second handle on the file in this one would drop the
    # lock that DuckDB holds on it
    share_blocks = ["--reflink=auto"] if sys.platform == "linux" else []
    copy = subprocess.run(
        ["cp", *share_blocks, "--", str(source), str(target)], capture_output=True, text=True
    )
    if copy.returncode != 0 or target.stat().st_size != source.stat().st_size:
        raise Unavailable(
            f"{source.name} could not be copied to {target.parent}: {copy.stderr.strip()}",
            hint="make room there and run `waypoint publish` again; readers keep the old copy",
        )
    _sync(target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

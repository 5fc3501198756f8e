"""What a rehearsal is played with: landed files, in two loads, the same for both warehouses."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion.extraction import Context
from ingestion.landing import LandingArea
from ingestion.loading import LandedFile, pending
from ingestion.pull import FailedSource, pull
from ingestion.sources import read_sources
from waypoint.clock import read_clock
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: A simulated world of this part of the usual size, up to this time, and then a little longer.
SCALE = 0.02
OPENED = datetime(2026, 1, 31, 10)
LATER = timedelta(hours=2)
SEED = 5
#: Of a table that landed in one file, this part of its rows is loaded first.
_FIRST_PART = 2 / 3


@dataclass(frozen=True)
class Load:
    """Files that are loaded in one go, and the clock (UTC, no zone) that stands meanwhile."""

    files: tuple[LandedFile, ...]
    clock: datetime


def simulated(project: Project, folder: Path) -> Iterator[Load]:
    """The project's scenario, small, played into `folder`: what was, and two hours more.

    Raises:
        UnusableInput: the project has no scenario.
    """
    from waypoint.simulator.play import play
    from waypoint.simulator.sources import simulated_sources

    world = Project(project.root, folder)
    area = LandingArea(world.landing_dir)
    loaded: set[str] = set()
    for until in (OPENED, OPENED + LATER):
        play(world, until, SEED, SCALE)
        with simulated_sources(world) as variables:
            sources = [s for s in read_sources(world, {**os.environ, **variables}) if s.connected]
            context = Context(contracts=world.contracts, area=area, state=world.state, now=until)
            for result in pull(sources, context):
                if isinstance(result, FailedSource):
                    raise UnusableInput(f"the simulated source {result.source}: {result.error}")
        files = pending(area, frozenset(loaded))
        loaded.update(file.name for file in files)
        yield Load(tuple(files), until)


def landed(folder: Path, scratch: Path) -> Iterator[Load]:
    """What has landed in a folder: a landing area, or a state that holds one.

    The later half of each table's files is the second load; a single file is cut in two, whose
    parts are written below `scratch`.

    Raises:
        UnusableInput: nothing has landed there.
    """
    state = folder if (folder / "landing").is_dir() else folder.parent
    root = folder / "landing" if (folder / "landing").is_dir() else folder
    files = pending(LandingArea(root), frozenset()) if root.is_dir() else []
    if not files:
        raise UnusableInput(
            f"{folder}: nothing has landed there",
            hint="name a landing area, or the state (WAYPOINT_STATE) of a run",
        )
    clock = read_clock(Project(folder, state)) or datetime.now(UTC).replace(tzinfo=None)
    first: list[LandedFile] = []
    second: list[LandedFile] = []
    for _, group in itertools.groupby(files, key=lambda file: file.table):
        of_table = list(group)
        if len(of_table) == 1:
            of_table = _in_two(of_table[0], scratch)
        half = (len(of_table) + 1) // 2
        first += of_table[:half]
        second += of_table[half:]
    yield Load(tuple(first), clock)
    yield Load(tuple(second), clock)


def _in_two(file: LandedFile, scratch: Path) -> list[LandedFile]:
    """A file's rows in two files; one that has a single row as it is."""
    import pyarrow.parquet as pq

    rows = pq.read_table(file.path)
    cut = int(rows.num_rows * _FIRST_PART)
    if cut == 0:
        return [file]
    parts = []
    for number, part in enumerate((rows.slice(0, cut), rows.slice(cut)), 1):
        name = Path(file.name).with_suffix(f".{number}.parquet")
        path = scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path)
        parts.append(LandedFile(name.as_posix(), file.table, f"{file.batch}.{number}", path))
    return parts


def rows_of(loads: Sequence[Load]) -> list[int]:
    """The rows of each load."""
    import pyarrow.parquet as pq

    return [sum(pq.read_metadata(file.path).num_rows for file in one.files) for one in loads]

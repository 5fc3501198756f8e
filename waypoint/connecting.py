"""Which sources a run reads: the real ones that are connected, or else the simulated ones.

Real and simulated data never meet: a state that holds the one refuses the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ingestion.blocks import Broken
from ingestion.extraction import Source
from ingestion.landing import LandingArea
from ingestion.sources import declared_sources, read_sources
from waypoint.errors import UnusableInput
from waypoint.project import Project


@dataclass(frozen=True)
class Connected:
    """The sources to read, and those that are left out since a variable of theirs is not set."""

    sources: tuple[Source, ...]
    left_out: tuple[Source, ...] = ()
    simulated: bool = False


def is_simulated(project: Project, despite_broken: bool = False) -> bool:
    """Whether the project's sources are to be simulated.

    They are where none is connected, the project has a scenario, and nothing real has landed.
    With `despite_broken`, entries of sources.yml that cannot be understood stand in nobody's way,
    unless one of them may be the only real source.

    Raises:
        UnusableInput: the sources cannot be read; one is connected while the state holds simulated
            data; or nothing is connected, nothing has landed and there is no scenario.
    """
    from waypoint.simulator.play import played_until

    sources, broken = _declared(project, despite_broken)
    real = [source.name for source in sources if source.connected]
    played = played_until(project) is not None
    if real and played:
        raise UnusableInput(
            f"{', '.join(real)} is connected, but {project.state} holds simulated data",
            hint="set WAYPOINT_STATE to another folder for real data",
        )
    if real or _holds_real_data(project):
        return False  # what has landed before can be built without any source
    for entry in broken:
        if not entry.missing and not played:
            raise UnusableInput(entry.problem)
    if not project.scenario_dir.is_dir():
        missing = ", ".join(name for source in sources for name in source.missing)
        raise UnusableInput(
            "no source is connected" if sources else f"{project.sources_file} declares no source",
            hint=f"set the variables that connect them: {missing}" if missing else "",
        )
    return True


def refuse_to_simulate(project: Project) -> None:
    """Keep simulated data out of a state that holds real data.

    Raises:
        UnusableInput: it does.
    """
    if _holds_real_data(project):
        raise UnusableInput(
            f"{project.state} holds real data, to which nothing simulated is added",
            hint="set WAYPOINT_STATE to another folder for simulated data",
        )


def _holds_real_data(project: Project) -> bool:
    from waypoint.simulator.play import played_until

    return played_until(project) is None and bool(LandingArea(project.landing_dir).tables())


@contextmanager
def connected_sources(project: Project, despite_broken: bool = False) -> Iterator[Connected]:
    """The sources to read; simulated ones run while the block does.

    Raises:
        UnusableInput: as `is_simulated`.
        Unavailable: a simulated source did not start.
    """
    if not is_simulated(project, despite_broken):
        yield _connected(_declared(project, despite_broken)[0], simulated=False)
        return
    from waypoint.simulator.sources import simulated_sources

    with simulated_sources(project) as variables:
        environment = {**os.environ, **variables}
        yield _connected(_declared(project, despite_broken, environment)[0], simulated=True)


def _declared(
    project: Project, despite_broken: bool, environment: Mapping[str, str] | None = None
) -> tuple[Sequence[Source], Sequence[Broken]]:
    """The sources of sources.yml, and the entries that are no source, if that may be."""
    if despite_broken:
        declared = declared_sources(project, environment)
        return declared.sources, declared.broken
    return read_sources(project, environment), ()


def _connected(sources: Sequence[Source], simulated: bool) -> Connected:
    return Connected(
        sources=tuple(source for source in sources if source.connected),
        left_out=tuple(source for source in sources if not source.connected),
        simulated=simulated,
    )

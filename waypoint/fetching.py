"""Where what is fetched from services of other parties goes, and whether from the real ones.

Real and simulated data never meet: into a state that holds simulated data goes what the sandbox
says, which stands for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.external.entries import External
from ingestion.sources import declared_sources
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

#: The address of a sandbox that runs already (`waypoint sandbox`).
SANDBOX_VARIABLE = "WAYPOINT_SANDBOX"

_DUMPS = "dumps"


class NowhereToPublish(UnusableInput):
    """The source that reads the topic is not connected."""


@dataclass(frozen=True)
class Destination:
    """Where the topics are, None where nothing is kept; the sandbox, None: real services."""

    topics: TopicsPlace | None
    sandbox: str | None


@dataclass(frozen=True)
class TopicsPlace:
    """The broker, by the settings of its clients, and a folder for what belongs to it; without a
    broker the folder of the topics themselves."""

    folder: Path
    broker: Mapping[str, str] | None = field(default=None, repr=False)


@contextmanager
def destination(
    project: Project, external: External, *, dry_run: bool = False, sandbox: bool = False
) -> Iterator[Destination]:
    """Where to publish and whom to ask; a sandbox runs while the block does, where one is needed.

    It is where the state holds simulated data, or `sandbox` says so.

    Raises:
        UnusableInput: there is nowhere to publish, or `sandbox` is to fill a state for real data.
    """
    simulated = is_simulated(project)
    if sandbox and not simulated and not dry_run:
        raise UnusableInput(
            f"{project.state} holds no simulated data, to which a sandbox's could be added",
            hint="run `waypoint simulate` first, or fetch with --dry-run",
        )
    topics = None if dry_run else topics_place(project, external)
    running = os.environ.get(SANDBOX_VARIABLE)
    if running or not (simulated or sandbox):
        yield Destination(topics, running or None)
        return
    from waypoint.simulator.sandbox import sandbox_running

    with sandbox_running(project) as server:
        yield Destination(topics, server.url)


def topics_place(project: Project, external: External) -> TopicsPlace:
    """Where to publish: the broker where one is configured or runs here, else a folder of files.

    A state that holds simulated data knows no broker but its own local one.

    Raises:
        UnusableInput: the settings of the broker cannot be read, or there is neither.
    """
    try:
        broker = broker_settings(project)
    except Unavailable:
        return TopicsPlace(topics_folder(project, external))
    return TopicsPlace(project.state / "external" / "topics", broker)


def broker_settings(project: Project) -> dict[str, str]:
    """The settings of a client of the broker; where the state is simulated, of its own local one.

    Raises:
        Unavailable: there is no broker.
        UnusableInput: the settings cannot be read.
    """
    from ingestion.stream.connection import kafka_settings

    return kafka_settings(project, {} if is_simulated(project) else os.environ)


def topics_folder(project: Project, external: External) -> Path:
    """The folder in which the source that reads the topic looks for it.

    Raises:
        UnusableInput: there is no such source, or it is not connected.
    """
    if is_simulated(project):
        from waypoint.simulator.sources import Places

        return Places.of(project).dumps
    if external.publishing is None:
        raise UnusableInput(f"{external.path} declares no sources, so there is nothing to fetch")
    name = external.publishing.into
    declared = declared_sources(project)
    found = [source for source in declared.sources if source.name == name]
    for broken in declared.broken:
        if broken.name == name:
            raise UnusableInput(broken.problem)
    if not found or found[0].kind != _DUMPS:
        raise UnusableInput(
            f"{external.path}: publishes into {name!r}, which is no source of kind {_DUMPS}",
            hint=f"name one of {project.sources_file}",
        )
    if not found[0].connected:
        raise NowhereToPublish(
            f"there is nowhere to publish: the source {name} is not connected",
            hint=f"set {', '.join(found[0].missing)} to a folder; or run `waypoint simulate`"
            " first, to fetch from a sandbox",
        )
    return Path(found[0].settings["folder"])


def is_simulated(project: Project) -> bool:
    """Whether the project's state holds what a scenario played."""
    from waypoint.simulator.play import played_until

    return played_until(project) is not None

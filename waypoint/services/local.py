"""The servers that run on this machine for a project: started, stopped and looked at together.

A service is a module with an object that follows `Service`, and a line in `SERVICES`. What it keeps
stands in `<state>/services/<name>/`; once it serves, `<state>/services/<name>.json` says where, and
is what others look for. Both outlive the command that started it; the record goes when it stops.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.services.kafka import write_whole


@dataclass(frozen=True)
class Process:
    """A process of a service; `pid` is None where it was never started."""

    name: str
    pid: int | None
    running: bool


@dataclass(frozen=True)
class Status:
    """What a service is, where it can be reached, and whether it can be used now."""

    service: str
    program: str
    address: str
    ready: bool
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class Wanted:
    """What was asked of services that come in sizes. None: as it was, else one."""

    brokers: int | None = None


class Service(Protocol):
    """A server, or several that belong together. It knows by its files what runs."""

    #: Started only where it is asked for by name.
    on_request: bool

    def up(self, place: Place, wanted: Wanted) -> None:
        """Start what does not run, and return when it can be used; then keep the record.

        Raises:
            Unavailable: it did not start.
            UnusableInput: it cannot be what was asked for.
        """

    def down(self, place: Place) -> None:
        """Stop what runs, also what a killed `up` left; nothing where nothing does."""

    def status(self, place: Place) -> Status | None:
        """How it is; None where it was not started, or was stopped."""


@dataclass(frozen=True)
class Place:
    """Where a service of a project has its files."""

    project: Project
    name: str

    @property
    def folder(self) -> Path:
        """Its data, configuration and logs."""
        return self.project.state / "services" / self.name

    @property
    def record_file(self) -> Path:
        return self.folder.with_name(f"{self.name}.json")

    def record(self) -> dict[str, Any] | None:
        """Where it serves; None where it was not started, or was stopped."""
        try:
            found = json.loads(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def keep(self, record: dict[str, Any]) -> None:
        """Say where it serves."""
        write_whole(self.record_file, json.dumps(record, indent=1) + "\n")

    def forget(self) -> None:
        """Say that it serves no more."""
        self.record_file.unlink(missing_ok=True)


#: In the order in which they start; a service may use those before it.
SERVICES = {
    "kafka": "waypoint.services.local_kafka:service",
    "connect": "waypoint.services.local_connect:service",
    "postgres": "waypoint.services.local_postgres:service",
    "redis": "waypoint.services.local_redis:service",
    "registry": "waypoint.services.local_registry:service",
}


def service(name: str) -> Service:
    """The service called `name`.

    Raises:
        UnusableInput: there is none.
    """
    if name not in SERVICES:
        raise UnusableInput(
            f"there is no service {name!r}", hint=f"there are {', '.join(SERVICES)}"
        )
    module, _, attribute = SERVICES[name].partition(":")
    found: Service = getattr(import_module(module), attribute)
    return found


def bring_up(
    project: Project,
    names: Sequence[str] = (),
    wanted: Wanted | None = None,
    only: bool = False,
) -> list[Status]:
    """Start the services that always run, unless `only`, and those called `names`.

    What runs already is left alone.

    Raises:
        Unavailable: one did not start; those before it run.
        UnusableInput: one is not known, or cannot be what was asked for.
    """
    for name in names:
        service(name)
    with _alone(project):
        for name in SERVICES:
            if name in names or not (only or service(name).on_request):
                service(name).up(Place(project, name), wanted or Wanted())
    return statuses(project)


def take_down(project: Project, discard: bool = False) -> list[str]:
    """Stop all services, the last first; with `discard` their data goes, too. Gives their names."""
    stopped = []
    with _alone(project):
        for name in reversed(SERVICES):
            place = Place(project, name)
            if place.folder.exists() or place.record() is not None:
                service(name).down(place)
                stopped.append(name)
            if discard:
                shutil.rmtree(place.folder, ignore_errors=True)
    return stopped


def statuses(project: Project) -> list[Status]:
    """How the services are that were started and not stopped."""
    found = (service(name).status(Place(project, name)) for name in SERVICES)
    return [status for status in found if status is not None]


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """While no other process starts or stops services of the project."""
    folder = project.state / "services"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be written to: {error.strerror}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Change capture as sources.yml has it: what differs, making it so, and how it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestion.capture import database
from ingestion.capture.connector import connector_config
from ingestion.capture.tracked import Tracked
from ingestion.capture.worker import Worker, failure, is_running
from ingestion.redaction import HIDDEN
from waypoint.errors import UnusableInput
from waypoint.services.connect import read_secrets, write_secrets

DATABASE, SECRET, CONNECTOR = "database", "secret", "connector"

#: Settings whose values may be secret, whoever wrote them.
_SECRETIVE = ("password", "secret", "jaas", "private.key", "passphrase", "token")


@dataclass(frozen=True)
class Change:
    """Something that apply would do. `was` is None where there is nothing yet."""

    source: str
    part: str
    what: str
    was: str | None
    becomes: str | None


@dataclass(frozen=True)
class Left:
    """A difference that apply does not touch, in people's words."""

    source: str
    problem: str


@dataclass(frozen=True)
class Plan:
    """What differs for one database; empty where nothing does."""

    tracked: Tracked
    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    steps: tuple[database.Step, ...] = field(default=(), repr=False)
    config: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.left)


@dataclass(frozen=True)
class Status:
    """How the capture of one database does."""

    source: str
    connector: str
    state: str  # running, failed, paused ..., missing
    problem: str | None
    slot_active: bool
    lag_bytes: int | None

    @property
    def is_well(self) -> bool:
        return self.state == "running" and self.slot_active


def plan(tracked: Tracked, worker: Worker) -> Plan:
    """What apply would do for one database.

    Raises:
        Unavailable: the database or the worker does not answer.
        UnusableInput: the database refuses the role, or nothing says where the password is.
    """
    found = database.inspect(tracked)
    steps = database.steps(tracked, found)
    changes = [Change(tracked.source, DATABASE, s.what, s.was, s.becomes) for s in steps]
    changes += _secret(tracked, worker)
    config = connector_config(tracked, worker.secrets)
    has = worker.config(tracked.connector)
    differences = list(_drift(tracked, has, config))
    return Plan(
        tracked=tracked,
        changes=(*changes, *differences),
        left=tuple(Left(tracked.source, problem) for problem in found.problems),
        steps=tuple(steps),
        config=config if differences else None,
    )


def apply(made: Plan, worker: Worker) -> None:
    """Do what the plan says, and wait until the connector runs.

    Raises:
        UnusableInput: the database is not ready to be captured, nothing was done; or it, the worker
            or the connector refuses.
        Unavailable: the database or the worker does not answer; the rest is planned again.
    """
    if made.left:
        raise UnusableInput(
            f"{made.tracked.source}: {'; '.join(left.problem for left in made.left)}",
            hint="waypoint capture render prints what its administrator has to do",
        )
    if made.steps:
        database.prepare(made.tracked, list(made.steps))
    if any(change.part == SECRET for change in made.changes) and worker.secrets is not None:
        kept = read_secrets(worker.secrets)
        write_secrets(worker.secrets, kept | {made.tracked.secret: made.tracked.password or ""})
    if made.config is not None:
        worker.configure(made.tracked.connector, made.config)
    worker.restart(made.tracked.connector)
    worker.wait_until_running(made.tracked.connector)


def status(tracked: Tracked, worker: Worker) -> Status:
    """How the capture of one database does.

    Raises:
        Unavailable: the database or the worker does not answer.
    """
    found = worker.status(tracked.connector)
    slot = database.slot(tracked)
    return Status(
        source=tracked.source,
        connector=tracked.connector,
        state=_state(found),
        problem=failure(found),
        slot_active=slot is not None and slot.active,
        lag_bytes=slot.lag_bytes if slot else None,
    )


def _state(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "missing"
    if failure(found) is not None:
        return "failed"
    if is_running(found):
        return "running"
    state = str(found.get("connector", {}).get("state", "unknown")).lower()
    return "starting" if state == "running" else state


def _secret(tracked: Tracked, worker: Worker) -> Sequence[Change]:
    """The password, where the worker is the project's own and looks it up in its file."""
    if tracked.password is None or tracked.password_reference or worker.secrets is None:
        return []
    kept = read_secrets(worker.secrets).get(tracked.secret)
    if kept == tracked.password:
        return []
    return [
        Change(tracked.source, SECRET, tracked.secret, None if kept is None else HIDDEN, HIDDEN)
    ]


def _drift(
    tracked: Tracked, has: Mapping[str, str] | None, wanted: Mapping[str, str]
) -> Iterator[Change]:
    if has is None:
        route = f"{', '.join(tracked.tables)} → {tracked.topic}"
        yield Change(tracked.source, CONNECTOR, tracked.connector, None, route)
        return
    for name in sorted(has.keys() | wanted.keys()):
        was, becomes = has.get(name), wanted.get(name)
        if was != becomes:
            yield Change(tracked.source, CONNECTOR, name, _shown(name, was), _shown(name, becomes))


def _shown(name: str, value: str | None) -> str | None:
    if value is None or value.startswith("${"):
        return value
    return HIDDEN if any(word in name for word in _SECRETIVE) else value

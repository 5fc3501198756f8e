"""The clock of a project: the stored `as_of` where a period is played, the real time otherwise.

Models, freshness and load times all read it, so that a simulated or historic period stays as
fresh as it was, however often it is run again.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from waypoint.contracts.reading import duration
from waypoint.errors import UnusableInput
from waypoint.project import Project


def clock_file(project: Project) -> Path:
    """Where the project's `as_of` is stored; not there where the real time is meant."""
    return project.state / "clock.json"


def read_clock(project: Project) -> datetime | None:
    """The stored `as_of` (UTC, no zone), or None where there is none.

    Raises:
        UnusableInput: the file is there but does not hold a time.
    """
    path = clock_file(project)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["as_of"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableInput(
            f"{path}: holds no as_of time: {error}",
            hint='write {"as_of": "2026-01-31T10:00:00"} into it, or remove it for the real time',
        ) from None
    return None if stored is None else parse_time(stored, f"{path}, as_of")


def now(project: Project) -> datetime:
    """What the project takes for now (UTC, no zone)."""
    return read_clock(project) or datetime.now(UTC).replace(tzinfo=None)


def store_clock(project: Project, as_of: datetime) -> None:
    """Store `as_of` (UTC, no zone), whole or not at all."""
    path = clock_file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    temporary.write_text(json.dumps({"as_of": as_of.isoformat()}) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def parse_time(text: str, where: str) -> datetime:
    """`2026-01-31`, `2026-01-31T10:00:00` or the same with a zone, as UTC without zone.

    `where` names the value's origin in the error.

    Raises:
        UnusableInput: not an ISO 8601 date or time.
    """
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UnusableInput(
            f"{where}: {text!r} is not a time",
            hint="expected e.g. 2026-01-31T10:00:00, in UTC",
        ) from None
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def advanced(time: datetime, by: str, where: str) -> datetime:
    """`time` moved on by a duration such as `1d` or `90 minutes`.

    Raises:
        UnusableInput: `by` is no duration, or not a positive one.
    """
    try:
        step = duration(by)
    except ValueError as error:
        raise UnusableInput(f"{where}: {error}") from None
    if step.total_seconds() <= 0:
        raise UnusableInput(f"{where}: {by!r} does not go forward; the clock never goes back")
    return time + step

"""What the contracts say of the gateway: its endpoints, what each takes, and where it goes.

A topic's contract lists them as the custom property `endpoints`:

    - property: endpoints
      value:
        - path: desk                        # POST /events/desk
          takes:                            # none: events of every type
            field: kind                     # the field that says an event's type
            listed: ref_kinds               # the seed with a column of that name
            where: {at_the_desk: true}      # and the rows of it that this endpoint takes
        - path: batch
          many: true                        # takes a list of events, and answers for each
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waypoint.contracts.model import Contract
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: The custom property of a topic that lists its endpoints.
ENDPOINTS = "endpoints"
ROOT = "/events"

_PATH = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SEEDS = "seeds"


@dataclass(frozen=True)
class Types:
    """The types of event that an endpoint takes, and the field that says an event's type."""

    field: str
    allowed: tuple[str, ...]


@dataclass(frozen=True)
class Endpoint:
    """One address that events are sent to. `types` is None where it takes every type."""

    path: str
    topic: Contract
    key: str
    types: Types | None = None
    many: bool = False

    @property
    def address(self) -> str:
        return f"{ROOT}/{self.path}"


def read_endpoints(project: Project) -> list[Endpoint]:
    """All endpoints of the project, in the order of their topics' names.

    Raises:
        UnusableInput: no topic has any, two have the same address, or a contract says something of
            them that cannot be.
    """
    found: dict[str, Endpoint] = {}
    for topic in project.contracts.topics:
        for entry in topic.custom.get(ENDPOINTS) or ():
            endpoint = _endpoint(project, topic, entry)
            other = found.setdefault(endpoint.path, endpoint)
            if other is not endpoint:
                raise _wrong(topic, f"{endpoint.address} is said twice, by {other.topic.path} too")
    if not found:
        raise UnusableInput(
            f"no contract in {project.contracts_dir / 'topics'} has endpoints",
            hint=f"list them in a topic's contract as the custom property {ENDPOINTS}",
        )
    return list(found.values())


def _endpoint(project: Project, topic: Contract, entry: Any) -> Endpoint:
    if not isinstance(entry, Mapping) or set(entry) - {"path", "takes", "many"}:
        raise _wrong(topic, f"{entry!r} is not made of path, takes and many")
    path, many = entry.get("path"), entry.get("many", False)
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise _wrong(topic, f"path: {path!r} is no word in small letters")
    if not isinstance(many, bool):
        raise _wrong(topic, f"{path}, many: {many!r} is neither true nor false")
    if topic.custom.get("format") != "json":
        raise _wrong(topic, f"{path}: the gateway sends JSON, and the topic's format is another")
    return Endpoint(path, topic, _key(topic), _types(project, topic, path, entry), many)


def _key(topic: Contract) -> str:
    key = str(topic.custom.get("key"))
    column = next((one for one in topic.columns if one.name == key), None)
    if column is None or not column.required:
        raise _wrong(topic, f"its key {key!r} is no required field, so messages cannot be keyed")
    return key


def _types(project: Project, topic: Contract, path: str, entry: Mapping[str, Any]) -> Types | None:
    takes = entry.get("takes")
    if takes is None:
        return None
    if not isinstance(takes, Mapping) or set(takes) - {"field", "listed", "where"}:
        raise _wrong(topic, f"{path}, takes: {takes!r} is not made of field, listed and where")
    field, seed, where = takes.get("field"), takes.get("listed"), takes.get("where") or {}
    if field not in {column.name for column in topic.columns}:
        raise _wrong(topic, f"{path}, takes: {field!r} is no field of the topic")
    file = _seed_file(project, topic, path, seed)
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    missing = ({field, *where}) - set(rows[0] if rows else ())
    if missing:
        raise _wrong(topic, f"{path}, takes: {file} has no column {', '.join(sorted(missing))}")
    wanted = {column: str(value).lower() for column, value in where.items()}
    allowed = tuple(
        str(row[field])
        for row in rows
        if all(str(row[column]).strip().lower() == value for column, value in wanted.items())
    )
    if not allowed:
        raise _wrong(topic, f"{path}, takes: no row of {file} is so")
    return Types(field, allowed)


def _seed_file(project: Project, topic: Contract, path: str, seed: Any) -> Path:
    found = sorted((project.root / _SEEDS).rglob(f"{seed}.csv")) if isinstance(seed, str) else []
    if len(found) != 1:
        raise _wrong(topic, f"{path}, takes, listed: {seed!r} is no seed below {_SEEDS}/")
    return found[0]


def _wrong(topic: Contract, what: str) -> UnusableInput:
    return UnusableInput(f"{topic.path}: {ENDPOINTS}: {what}")

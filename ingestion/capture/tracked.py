"""Which databases are captured: the `postgres` sources of sources.yml that say `capture`.

    shop:
      kind: postgres
      dsn: ${SHOP_DSN}
      tables: {users: app_users}          # the tracked tables are those that are extracted
      capture:
        topic: topic_cdc_changes          # a topic under contract: all tables' changes go into it
        name: shop                        # default: the source's; see below
        dsn: ${SHOP_CAPTURE_DSN:-}        # default: the source's; of a role that may replicate
        password: ${file:/etc/connect/secrets.properties:shop}   # what the worker looks up
        snapshot: initial                 # Debezium's snapshot.mode

By `name` the slot, the publication, the connector and the changes themselves are called. Places in
a log can be compared within one name only: a database that was restored, or replaced by another,
gets a new one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ingestion.extraction import Source
from ingestion.extractors.postgres import DEFAULT_SCHEMA
from ingestion.sources import read_sources
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: The entry of a source, and what it may hold.
CAPTURE = "capture"
_SETTINGS = ("topic", "name", "dsn", "password", "snapshot")

#: The table whose one row is touched now and then, so that a slot moves on while nothing changes.
HEARTBEATS = "waypoint_heartbeat"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True)
class Tracked:
    """A captured database. `address` is how to connect to it, without the password."""

    source: str
    name: str
    topic: str
    schema: str
    tables: tuple[str, ...]
    address: Mapping[str, str]
    dsn: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    password_reference: str | None = None
    snapshot: str = "initial"

    @property
    def slot(self) -> str:
        """The replication slot, and the publication."""
        return f"waypoint_{self.name}"

    @property
    def connector(self) -> str:
        return f"waypoint-capture-{self.name}"

    @property
    def secret(self) -> str:
        """What the password is called in the local worker's file of secrets."""
        return f"{self.name}.password"


def tracked_databases(
    project: Project, environment: Mapping[str, str] = os.environ
) -> tuple[list[Tracked], list[Source]]:
    """The captured databases, and the sources that would be captured if they were connected.

    Raises:
        UnusableInput: a source says `capture`, and something in it cannot be used.
    """
    asked = [s for s in read_sources(project, environment) if CAPTURE in s.settings]
    topics = frozenset(topic.name for topic in project.contracts.topics)
    return (
        [tracked(source, topics) for source in asked if source.connected],
        [source for source in asked if not source.connected],
    )


def tracked(source: Source, topics: frozenset[str]) -> Tracked:
    """The database of one source.

    Raises:
        UnusableInput: it is no `postgres` source, or a setting cannot be used.
    """
    if source.kind != "postgres":
        raise _wrong(source, f"is of kind {source.kind}, and only postgres is captured")
    said = source.settings[CAPTURE]
    if not isinstance(said, Mapping) or set(said) - set(_SETTINGS):
        raise _wrong(source, f"capture may say {', '.join(_SETTINGS)}")
    topic = str(said.get("topic") or "")
    if topic not in topics:
        raise _wrong(source, f"capture names {topic or 'no'} topic, which has no contract")
    name = str(said.get("name") or source.name).lower().replace("-", "_")
    if not _NAME.fullmatch(name):
        raise _wrong(source, f"capture's name {name!r} is not letters, digits and underscores")
    tables = source.settings.get("tables")
    if not isinstance(tables, Mapping) or not tables:
        raise _wrong(source, "tracks no table")
    dsn = str(said.get("dsn") or source.settings["dsn"])
    address = _address(source, dsn)
    return Tracked(
        source=source.name,
        name=name,
        topic=topic,
        schema=str(source.settings.get("schema") or DEFAULT_SCHEMA),
        tables=tuple(sorted(map(str, tables))),
        address={key: value for key, value in address.items() if key != "password"},
        dsn=dsn,
        password=address.get("password"),
        password_reference=said.get("password"),
        snapshot=str(said.get("snapshot") or "initial"),
    )


def _address(source: Source, dsn: str) -> dict[str, str]:
    try:
        found: dict[str, Any] = conninfo_to_dict(dsn)
    except ProgrammingError:
        # what it says would hold the password
        raise _wrong(source, "has a DSN that cannot be read") from None
    address = {key: str(value) for key, value in found.items() if value is not None}
    host = address.get("host", "")
    if not host or host.startswith("/") or "," in host:
        raise UnusableInput(
            f"{source.name}: change capture connects by TCP to one host, and the DSN names"
            f" {'a socket' if host.startswith('/') else 'several' if host else 'none'}",
            hint=f"give {source.name}'s capture a dsn of its own",
        )
    if "dbname" not in address or "user" not in address:
        raise _wrong(source, "its DSN lacks a user or a database")
    return address


def _wrong(source: Source, problem: str) -> UnusableInput:
    return UnusableInput(f"{source.name}: {problem}", hint="mend it in ingestion/sources.yml")

"""A project's scenario: what is played, read from `scenario/scenario.yml`.

The file says how long the first play is, the numbers that the SQL works with, and which query
feeds which table, topic, folder or API. The queries are the `*.sql` files below `scenario/`, each
one select, named by its file; see `waypoint.simulator.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.reading import duration
from waypoint.errors import UnusableInput
from waypoint.project import Project

FILE = "scenario.yml"
FORMATS = ("parquet", "ndjson.gz")

Setting = bool | int | float | str | list[Any]


@dataclass(frozen=True)
class Period:
    """How far back the first play reaches: `history` thinned, then `full` up to its end."""

    history: timedelta
    full: timedelta


@dataclass(frozen=True)
class Database:
    """Tables of an embedded PostgreSQL database, each kept up by a query.

    `schema` holds the statements that create what is not there. A query's columns are the table's,
    and where it has one more, `_gone`, the rows with a true in it are deleted.
    """

    name: str
    dsn_variable: str
    schema: Path
    tables: Mapping[str, str]  # table -> query


@dataclass(frozen=True)
class Topics:
    """Kafka topics, exported as dump files. A query gives `arrived_at`, `key` and `value`."""

    folder_variable: str
    topics: Mapping[str, Topic]


@dataclass(frozen=True)
class Topic:
    """One topic: the query behind it, and what goes wrong on its way, as shares of its messages."""

    query: str
    format: str = FORMATS[0]
    duplicates: float = 0.0  # delivered twice
    poison: float = 0.0  # followed by a message that nothing can be made of


@dataclass(frozen=True)
class Drops:
    """Files dropped into a folder. The query gives `file`, `position` and `line`."""

    folder_variable: str
    query: str
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Charges:
    """Charges behind a local server that speaks Stripe's API. The query gives `charge` (JSON)."""

    address_variable: str
    key_variable: str
    query: str


@dataclass(frozen=True)
class Scenario:
    """All that is played for a project."""

    folder: Path
    period: Period
    settings: Mapping[str, Setting] = field(default_factory=dict)
    database: Database | None = None
    topics: Topics | None = None
    files: Drops | None = None
    charges: Charges | None = None


def read_scenario(project: Project) -> Scenario:
    """The scenario of `project`.

    Raises:
        UnusableInput: there is none, or its file cannot be understood.
    """
    path = project.scenario_dir / FILE
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableInput(
            f"{path}: not there, so there is nothing to simulate",
            hint="connect real sources through their environment variables, or write a scenario",
        ) from None
    except yaml.YAMLError as error:
        raise UnusableInput(f"{path}: {' '.join(str(error).split())}") from None
    return _Reader(path).scenario(document)


class _Reader:
    """Turns the file's mapping into values, and says where it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def scenario(self, document: Any) -> Scenario:
        whole = self._mapping(document, "the file")
        known = {"period", "settings", "database", "topics", "files", "charges"}
        self._no_others(whole, known, "the file")
        return Scenario(
            folder=self.path.parent,
            period=self._period(self._entry(whole, "period", "the file")),
            settings=self._settings(whole.get("settings") or {}),
            database=self._database(whole["database"]) if "database" in whole else None,
            topics=self._topics(whole["topics"]) if "topics" in whole else None,
            files=self._files(whole["files"]) if "files" in whole else None,
            charges=self._charges(whole["charges"]) if "charges" in whole else None,
        )

    def _period(self, value: Any) -> Period:
        entry = self._mapping(value, "period")
        self._no_others(entry, {"history", "full"}, "period")
        spans = {}
        for name in ("history", "full"):
            try:
                spans[name] = duration(self._entry(entry, name, "period"))
            except ValueError as error:
                raise self._wrong(f"period, {name}", str(error)) from None
        return Period(**spans)

    def _settings(self, value: Any) -> dict[str, Setting]:
        settings = self._mapping(value, "settings")
        for name, setting in settings.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise self._wrong("settings", f"{name!r} is no name for SQL")
            if not isinstance(setting, bool | int | float | str | list):
                raise self._wrong(f"settings, {name}", f"{setting!r} is no number, text or list")
        return settings

    def _database(self, value: Any) -> Database:
        entry = self._mapping(value, "database")
        self._no_others(entry, {"name", "dsn", "schema", "tables"}, "database")
        schema = self.path.parent / self._text(entry, "schema", "database")
        if not schema.is_file():
            raise self._wrong("database, schema", f"{schema} is not there")
        return Database(
            name=self._text(entry, "name", "database"),
            dsn_variable=self._text(entry, "dsn", "database"),
            schema=schema,
            tables=self._names(self._entry(entry, "tables", "database"), "database, tables"),
        )

    def _topics(self, value: Any) -> Topics:
        entry = self._mapping(value, "topics")
        self._no_others(entry, {"folder", "messages"}, "topics")
        messages = self._mapping(self._entry(entry, "messages", "topics"), "topics, messages")
        return Topics(
            folder_variable=self._text(entry, "folder", "topics"),
            topics={name: self._topic(name, settings) for name, settings in messages.items()},
        )

    def _topic(self, name: str, value: Any) -> Topic:
        where = f"topics, messages, {name}"
        entry = {"query": value} if isinstance(value, str) else self._mapping(value, where)
        self._no_others(entry, {"query", "format", "duplicates", "poison"}, where)
        form = entry.get("format", FORMATS[0])
        if form not in FORMATS:
            raise self._wrong(f"{where}, format", f"{form!r} is none of {', '.join(FORMATS)}")
        return Topic(
            query=self._text(entry, "query", where),
            format=form,
            duplicates=self._share(entry, "duplicates", where),
            poison=self._share(entry, "poison", where),
        )

    def _files(self, value: Any) -> Drops:
        entry = self._mapping(value, "files")
        self._no_others(entry, {"folder", "query", "encoding"}, "files")
        return Drops(
            folder_variable=self._text(entry, "folder", "files"),
            query=self._text(entry, "query", "files"),
            encoding=str(entry.get("encoding", "utf-8")),
        )

    def _charges(self, value: Any) -> Charges:
        entry = self._mapping(value, "charges")
        self._no_others(entry, {"address", "key", "query"}, "charges")
        return Charges(
            address_variable=self._text(entry, "address", "charges"),
            key_variable=self._text(entry, "key", "charges"),
            query=self._text(entry, "query", "charges"),
        )

    def _mapping(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, f"{value!r} is no mapping")
        return value

    def _names(self, value: Any, where: str) -> dict[str, str]:
        names = self._mapping(value, where)
        for name, query in names.items():
            if not isinstance(query, str):
                raise self._wrong(f"{where}, {name}", f"{query!r} is no query's name")
        return names

    def _entry(self, mapping: Mapping[str, Any], name: str, where: str) -> Any:
        if name not in mapping:
            raise self._wrong(where, f"has no {name!r}")
        return mapping[name]

    def _text(self, mapping: Mapping[str, Any], name: str, where: str) -> str:
        value = self._entry(mapping, name, where)
        if not isinstance(value, str) or not value:
            raise self._wrong(f"{where}, {name}", f"{value!r} is no text")
        return value

    def _share(self, mapping: Mapping[str, Any], name: str, where: str) -> float:
        value = mapping.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self._wrong(f"{where}, {name}", f"{value!r} is no share between 0 and 1")
        return float(value)

    def _no_others(self, mapping: Mapping[str, Any], known: set[str], where: str) -> None:
        for name in mapping:
            if name not in known:
                known_names = ", ".join(sorted(known))
                raise self._wrong(where, f"{name!r} is not known there (but {known_names} are)")

    def _wrong(self, where: str, what: str) -> UnusableInput:
        return UnusableInput(f"{self.path}, {where}: {what}")

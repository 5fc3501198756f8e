"""How the account is to be, as a person writes it: `dbt_project/snowflake.yml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waypoint.contracts.documents import Entry, Misread, invalid, read_document
from waypoint.errors import UnusableInput
from waypoint.project import Project

SIZES = ("xsmall", "small", "medium", "large", "xlarge", "xxlarge", "xxxlarge", "x4large")
FREQUENCIES = ("daily", "weekly", "monthly", "yearly", "never")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LAG = re.compile(r"\d+ (second|minute|hour|day)s?")


@dataclass(frozen=True)
class Monitor:
    """A resource monitor: credits in a period, and what happens at shares of them, in percent."""

    name: str
    credits: int
    every: str = "monthly"
    notify: tuple[int, ...] = ()
    suspend: int | None = None
    suspend_at_once: int | None = None


@dataclass(frozen=True)
class Warehouse:
    """A virtual warehouse, and the roles that may use it."""

    name: str
    size: str = "xsmall"
    idle_seconds: int = 60
    longest_seconds: int = 3600
    monitor: str | None = None
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """A database. One with `raw_from` begins with a clone of another environment's raw schema.

    In a `shared` one everybody builds into schemas of their own, which have a prefix.
    """

    name: str
    database: str
    kept_days: int = 1
    transient: bool = False
    raw_from: str | None = None
    shared: bool = False
    built_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Realtime:
    """Models that are kept up to date as dynamic tables, in a schema of their own."""

    schema: str = "REALTIME"
    warehouse: str = ""
    lag: str = "1 minute"
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The whole file."""

    builder: str
    environments: Mapping[str, Environment]
    warehouses: tuple[Warehouse, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    realtime: Realtime = field(default_factory=Realtime)

    @property
    def production(self) -> Environment:
        """The environment that sources land in: the first one."""
        return next(iter(self.environments.values()))


def settings_file(project: Project) -> Path:
    return project.root / "dbt_project" / "snowflake.yml"


def read_settings(project: Project) -> Settings:
    """The project's settings.

    Raises:
        UnusableInput: there are none, or they are malformed; the line is named.
    """
    path = settings_file(project)
    if not path.exists():
        raise UnusableInput(
            f"{path} is not there: nothing says how the account is to be",
            hint="docs/snowflake.md shows one",
        )
    return _Reader(path).read()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._document = read_document(path)

    def read(self) -> Settings:
        known = ("builder", "resource_monitors", "warehouses", "environments", "realtime")
        document = self._document
        self._only(document, known)
        monitors = tuple(
            Monitor(
                name,
                credits=self._whole(said, "credits"),
                every=self._one_of(said, "every", FREQUENCIES, "monthly"),
                notify=tuple(int(share) for share in said.get("notify", ())),
                suspend=said.get("suspend"),
                suspend_at_once=said.get("suspend_at_once"),
            )
            for name, said in self._entries("resource_monitors", Monitor)
        )
        warehouses = tuple(
            Warehouse(
                name,
                size=self._one_of(said, "size", SIZES, "xsmall"),
                idle_seconds=self._whole(said, "idle_seconds", 60),
                longest_seconds=self._whole(said, "longest_seconds", 3600),
                monitor=self._name_among(said, "monitor", [m.name for m in monitors]),
                used_by=tuple(self._names(said, "used_by")),
            )
            for name, said in self._entries("warehouses", Warehouse)
        )
        environments: dict[str, Environment] = {}
        for name, said in self._entries("environments", Environment):
            environments[name] = Environment(
                name,
                database=self._name(said, "database"),
                kept_days=self._whole(said, "kept_days", 1),
                transient=bool(said.get("transient", False)),
                raw_from=self._name_among(said, "raw_from", list(environments)),
                shared=bool(said.get("shared", False)),
                built_by=tuple(self._names(said, "built_by")),
            )
        if not environments:
            raise self._wrong(document, "environments", "there is no environment", "name one")
        return Settings(
            builder=self._name(document, "builder"),
            environments=environments,
            warehouses=warehouses,
            monitors=monitors,
            realtime=self._realtime([warehouse.name for warehouse in warehouses]),
        )

    def _realtime(self, warehouses: list[str]) -> Realtime:
        said = self._document.get("realtime")
        if said is None:
            return Realtime()
        self._only(said, tuple(Realtime.__dataclass_fields__))
        lag = str(said.get("lag", "1 minute"))
        if not _LAG.fullmatch(lag):
            raise self._wrong(said, "lag", f"{lag!r} is no time", "write e.g. 1 minute")
        warehouse = self._name_among(said, "warehouse", warehouses)
        if warehouse is None:
            raise self._wrong(said, "models", "there is no warehouse to run them", "name one")
        schema = self._name(said, "schema") if "schema" in said else "REALTIME"
        return Realtime(schema, warehouse, lag, tuple(self._names(said, "models")))

    # values

    def _entries(self, key: str, kind: type) -> list[tuple[str, Any]]:
        said = self._document.get(key, {})
        found = []
        for name, entry in said.items():
            if not isinstance(entry, Entry):
                raise self._wrong(said, name, f"{name} says nothing", "write its settings below it")
            if not _NAME.fullmatch(name):
                raise self._wrong(said, name, f"{name!r} is no name", "write letters, digits and _")
            self._only(entry, tuple(kind.__dataclass_fields__))  # type: ignore[attr-defined]
            found.append((name, entry))
        return found

    def _only(self, said: Any, known: tuple[str, ...]) -> None:
        for key in said:
            if key not in known:
                known_ones = ", ".join(name for name in known if name != "name")
                raise self._wrong(said, key, f"{key!r} is not known", f"known: {known_ones}")

    def _whole(self, said: Any, key: str, default: int | None = None) -> int:
        value = said.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(said, key, f"{key} is no whole number", "write e.g. 60")
        return value

    def _name(self, said: Any, key: str) -> str:
        value = said.get(key)
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self._wrong(said, key, f"{key} is no name", "write letters, digits and _")
        return value

    def _names(self, said: Any, key: str) -> list[str]:
        values = said.get(key, [])
        for value in values:
            if not isinstance(value, str) or not _NAME.fullmatch(value):
                raise self._wrong(said, key, f"{value!r} is no name", "write letters, digits and _")
        return list(values)

    def _name_among(self, said: Any, key: str, known: list[str]) -> str | None:
        value: str | None = said.get(key)
        if value is not None and value not in known:
            raise self._wrong(said, key, f"{value!r} is none of them", f"known: {', '.join(known)}")
        return value

    def _one_of(self, said: Any, key: str, known: tuple[str, ...], default: str) -> str:
        value = str(said.get(key, default)).lower()
        if value not in known:
            raise self._wrong(said, key, f"{value!r} is none", f"write one of {', '.join(known)}")
        return value

    def _wrong(self, said: Any, key: str, problem: str, hint: str) -> UnusableInput:
        line = said.line_of(key) if isinstance(said, Entry) and key in said else 1
        return invalid(self._path, Misread(line, problem, hint))

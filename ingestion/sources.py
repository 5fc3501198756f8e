"""The sources of a project: `ingestion/sources.yml`, with `${VARIABLES}` from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ingestion.blocks import Broken, blocks
from ingestion.extraction import Source
from ingestion.extractors import KINDS
from ingestion.inbox import OWN
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: Kinds that read a folder; where an entry names none, it is `<inbox>/<name of the source>`.
FOLDER_KINDS = frozenset({"files", "dumps"})

#: What stands for a cron expression.
PRESETS = ("@hourly", "@daily", "@weekly", "@monthly")

#: What an entry may say whatever its kind; the rest are settings of the kind.
_NOT_SETTINGS = ("kind", "schedule")

_CRON = re.compile(r"[\d*/,-]+ [\d*/,-]+ [\d*/,-]+ [\w*/,-]+ [\w*/,-]+")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


@dataclass(frozen=True)
class Declared:
    """What sources.yml says: its sources in order, and the entries that cannot be understood."""

    sources: tuple[Source, ...]
    broken: tuple[Broken, ...] = ()


def read_sources(project: Project, environment: Mapping[str, str] | None = None) -> list[Source]:
    """The sources that `ingestion/sources.yml` declares, in its order.

    `${NAME}` stands for a variable of `environment` (this process's unless given) and
    `${NAME:-default}` for the variable or a default. A source with a variable that is neither set
    nor has a default is not connected. Relative folders are below the project's root.

    Raises:
        UnusableInput: the file is missing or malformed, or an entry's kind is unknown.
    """
    declared = declared_sources(project, environment)
    for broken in declared.broken:
        problem, _, hint = broken.problem.partition("\n")
        raise UnusableInput(problem, hint=hint)
    return list(declared.sources)


def declared_sources(project: Project, environment: Mapping[str, str] | None = None) -> Declared:
    """As `read_sources`, but entries that cannot be understood are told, not raised.

    For a scheduler, in which one entry stops no other.

    Raises:
        UnusableInput: the file is missing, or nothing in it can be read.
    """
    path = project.sources_file
    values = os.environ if environment is None else environment
    sources, broken = [], []
    texts: dict[str, str] = {}
    for name, line, entry in _entries(path, texts):
        try:
            if isinstance(entry, _NoYaml):
                raise UnusableInput(f"{path}, {name}: not readable as YAML: {entry.why}")
            source = _source(path, project, name, entry, values)
            _check_tables(path, source)
        except UnusableInput as error:
            hint = f"\n{error.hint}" if error.hint else ""
            missing: list[str] = []
            filled(texts.get(name, ""), values, missing)
            broken.append(Broken(name, line, f"{error}{hint}", tuple(dict.fromkeys(missing))))
        else:
            sources.append(source)
    return Declared(tuple(sources), tuple(broken))


@dataclass(frozen=True)
class _NoYaml:
    """What stands under a key that cannot be read."""

    why: str


def _entries(path: Path, texts: dict[str, str]) -> Iterator[tuple[str, int, Any]]:
    """The file's entries with their lines; where it is no YAML as a whole, read key by key.

    `texts` is filled with what is written of each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnusableInput(
            f"{path} is not there", hint="declare the project's sources in it, one entry each"
        ) from None
    except UnicodeDecodeError as error:
        raise UnusableInput(f"{path}: not readable as YAML: {error}") from None
    parts = list(blocks(path))
    lines = {name: line for name, line, _ in parts}
    texts.update((name, part.decode()) for name, _, part in parts)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if len(parts) < 2:
            raise UnusableInput(f"{path}: not readable as YAML: {error}") from None
        for name, line, part in parts:
            try:
                yield name, line, (yaml.safe_load(part) or {}).get(name)
            except (yaml.YAMLError, AttributeError) as problem:
                yield name, line, _NoYaml(" ".join(str(problem).split()))
        return
    if document is None:
        return
    if not isinstance(document, dict):
        raise UnusableInput(f"{path}: expected `<name>: {{kind: ..., ...}}` entries")
    for name, entry in document.items():
        yield str(name), lines.get(str(name), 1), entry


def _check_tables(path: Path, source: Source) -> None:
    """That what a source says of its tables can be listed; its extractor looks closer."""
    tables, resources = (source.settings.get(key) for key in ("tables", "resources"))
    if source.kind == "postgres" and not isinstance(tables, dict | None):
        raise UnusableInput(
            f"{path}, {source.name}: tables is no mapping",
            hint="tables: {<table of the database>: <raw table>, ...}",
        )
    if source.kind == "rest" and not (
        resources is None
        or (
            isinstance(resources, list)
            and all(isinstance(found, dict) and found.get("table") for found in resources)
        )
    ):
        raise UnusableInput(
            f"{path}, {source.name}: resources is no list of resources, each with a table",
            hint="resources: [{path: /..., table: <raw table>}, ...]",
        )


def _source(
    path: Path, project: Project, name: str, entry: Any, environment: Mapping[str, str]
) -> Source:
    if not isinstance(entry, dict) or "kind" not in entry:
        raise UnusableInput(
            f"{path}, {name}: has no kind", hint=f"kind is one of {', '.join(KINDS)}"
        )
    kind = str(entry["kind"])
    if kind not in KINDS:
        raise UnusableInput(
            f"{path}, {name}: unknown kind {kind!r}", hint=f"kind is one of {', '.join(KINDS)}"
        )
    missing: list[str] = []
    settings = {
        key: filled(value, environment, missing)
        for key, value in entry.items()
        if key not in _NOT_SETTINGS
    }
    if kind in FOLDER_KINDS and not missing:
        settings[OWN] = not settings.get("folder")
        folder = settings.get("folder") or project.inbox_dir / name
        settings["folder"] = str(project.root / Path(folder).expanduser())
    return Source(
        name=name,
        kind=kind,
        settings=settings,
        connected=not missing,
        missing=tuple(dict.fromkeys(missing)),
        schedule=schedule_of(path, name, entry.get("schedule")),
    )


def schedule_of(path: Path, name: str, schedule: Any) -> str | None:
    """When a scheduler reads the source, None: on request only.

    Raises:
        UnusableInput: neither a cron expression nor what stands for one.
    """
    if schedule is None:
        return None
    if isinstance(schedule, str) and (
        schedule in PRESETS or _CRON.fullmatch(" ".join(schedule.split()))
    ):
        return " ".join(schedule.split())
    raise UnusableInput(
        f"{path}, {name}: schedule {schedule!r} is none",
        hint=f"a cron expression (minute hour day month weekday), or {', '.join(PRESETS)}",
    )


def filled(value: Any, environment: Mapping[str, str], missing: list[str]) -> Any:
    """`value` with its variables filled in, lists and mappings within it included.

    The names of variables that are neither set nor have a default are appended to `missing`.
    """
    if isinstance(value, dict):
        return {key: filled(inner, environment, missing) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, environment, missing) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        given = environment.get(match["name"]) or match["default"]
        if given is None:
            missing.append(match["name"])
            return ""
        return given

    return _VARIABLE.sub(fill, value)

"""The sources of a project: `ingestion/sources.yml`, with `${VARIABLES}` from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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


def read_sources(project: Project, environment: Mapping[str, str] | None = None) -> list[Source]:
    """The sources that `ingestion/sources.yml` declares, in its order.

    `${NAME}` stands for a variable of `environment` (this process's unless given) and
    `${NAME:-default}` for the variable or a default. A source with a variable that is neither set
    nor has a default is not connected. Relative folders are below the project's root.

    Raises:
        UnusableInput: the file is missing or malformed, or an entry's kind is unknown.
    """
    path = project.sources_file
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableInput(
            f"{path} is not there", hint="declare the project's sources in it, one entry each"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{path}: not readable as YAML: {error}") from None
    if document is None:
        return []
    if not isinstance(document, dict):
        raise UnusableInput(f"{path}: expected `<name>: {{kind: ..., ...}}` entries")
    values = os.environ if environment is None else environment
    return [_source(path, project, str(n), entry, values) for n, entry in document.items()]


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

"""What a sandbox answers: `scenario/sandbox.yml`.

    - host: [api.example.com, api.example.org]     # or one
      path: /v1/{station}/readings     # {rest*} takes slashes, too
      query: readings            # scenario/**/readings.sql, one select; see below
      shape: list                # or one (the first row is the answer), rss, atom
      within: data.items         # where the list stands in the answer, else it is the answer
      around: {version: 2}       # other fields of the answer
      paging: {style: page, parameter: page, size_parameter: limit, size: 20, most: 100}
      key: {parameter: appid}    # or {header: X-Key}, {bearer: true}: 401 without one

A query gives a column `item`, JSON, in the order of the list; of feeds the columns `id`, `title`,
`link`, `summary`, `published` (a time), `language`. `asked('station')` is what was asked: a part
of the path, a parameter, or `host`; NULL where it was not. Styles of paging: `page` (from 1),
`offset`, and `link`, where the header Link names the next page by the `id` of the last item.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from waypoint.errors import UnusableInput
from waypoint.project import Project

FILE = "sandbox.yml"
SHAPES = ("list", "one", "rss", "atom")
STYLES = ("page", "offset", "link")

_KEYS = {"host", "path", "query", "shape", "within", "around", "paging", "key"}
_PAGING = {"style", "parameter", "size_parameter", "size", "most"}
_HOLE = re.compile(r"\\\{(\w+)(\\\*)?\\\}")


@dataclass(frozen=True)
class Pages:
    """How a list is cut into pages."""

    style: str
    parameter: str
    size_parameter: str | None = None
    size: int = 20
    most: int = 100


@dataclass(frozen=True)
class Route:
    """One address that is answered, and how."""

    hosts: tuple[str, ...]
    path: re.Pattern[str]
    query: str
    shape: str = "list"
    within: str | None = None
    around: Mapping[str, Any] = field(default_factory=dict)
    paging: Pages | None = None
    key: Mapping[str, Any] = field(default_factory=dict)


def read_routes(project: Project) -> list[Route]:
    """The routes of the project's sandbox.

    Raises:
        UnusableInput: there is no such file, or it cannot be understood.
    """
    path = project.scenario_dir / FILE
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableInput(
            f"{path}: not there, so there is no sandbox",
            hint="write down what it is to answer, or fetch from the real services",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(document, list):
        raise UnusableInput(f"{path}: is no list of routes")
    return [_route(path, number, entry) for number, entry in enumerate(document, start=1)]


def _route(path: Path, number: int, entry: Any) -> Route:
    where = f"{path}, route {number}"
    if not isinstance(entry, Mapping):
        raise UnusableInput(f"{where}: {entry!r} is no mapping")
    _known(where, entry, _KEYS)
    for name in ("host", "path", "query"):
        if not entry.get(name):
            raise UnusableInput(f"{where}: has no {name}")
    shape = entry.get("shape", "list")
    if shape not in SHAPES:
        raise UnusableInput(f"{where}: shape {shape!r} is none of {', '.join(SHAPES)}")
    hosts = entry["host"] if isinstance(entry["host"], list) else [entry["host"]]
    pattern = _HOLE.sub(
        lambda hole: f"(?P<{hole[1]}>{'.+' if hole[2] else '[^/]+'})", re.escape(str(entry["path"]))
    )
    return Route(
        hosts=tuple(map(str, hosts)),
        path=re.compile(pattern),
        query=str(entry["query"]),
        shape=shape,
        within=entry.get("within"),
        around=dict(entry.get("around") or {}),
        paging=_paging(where, entry.get("paging")),
        key=dict(entry.get("key") or {}),
    )


def _paging(where: str, entry: Any) -> Pages | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping) or not {"style", "parameter"} <= set(entry):
        raise UnusableInput(f"{where}: paging needs a style and a parameter")
    _known(where, entry, _PAGING)
    if entry["style"] not in STYLES:
        raise UnusableInput(f"{where}: style {entry['style']!r} is none of {', '.join(STYLES)}")
    return Pages(**entry)


def _known(where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    for name in entry:
        if name not in known:
            raise UnusableInput(f"{where}: {name!r} is not known (but {', '.join(sorted(known))})")

"""One source of `ingestion/external.yml`, field by field; `entries` shows how it is written."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ingestion.external.mapping import InvalidRule, Rule, read_rule, read_rules
from ingestion.http_requests import Patience
from ingestion.sources import filled, schedule_of
from waypoint.contracts.reading import duration
from waypoint.errors import UnusableInput

FORMATS = ("json", "rss")
STYLES = ("none", "page", "offset", "cursor", "link")
HOLE = re.compile(r"\{(?P<what>each\.\w+|now|since)(?::(?P<form>[^{}]*))?\}")

_KEYS = frozenset(
    (
        *("schedule", "url", "parameters", "each", "window", "headers", "auth", "paging"),
        *("parallel", "patience", "format", "items", "pairs", "incomplete"),
        *("id", "time", "data", "required"),
    )
)
_MOST_PARALLEL = 32
#: Sources of other parties are asked again soon: what fails now waits for the next time.
_PATIENCE = Patience(attempts=4, timeout=20.0)


@dataclass(frozen=True)
class Paging:
    """How one page leads to the next, at most `most_pages` of them.

    Styles: `page`, where `parameter` counts from `first`; `offset`, where it counts records from
    0; `cursor`, where it is given what stands at the path `next` of the answer; `link`, where the
    header Link names the next page. Pages that are counted end with one that is not full.
    """

    style: str = "none"
    parameter: str | None = None
    first: int = 1
    size: int | None = None
    size_parameter: str | None = None
    next: str | None = None
    most_pages: int = 10


@dataclass(frozen=True)
class Auth:
    """The key that goes with each request, and where: a parameter, a header, or as bearer."""

    connection: str | None = None  # the name of an Airflow connection, whose password is the key
    key: str | None = None
    parameter: str | None = None
    header: str | None = None
    bearer: bool = False


@dataclass(frozen=True)
class Entry:
    """One source of the file, understood."""

    name: str
    where: str  # file and line
    url: str
    data: Mapping[str, Rule]
    id: tuple[Rule, ...]
    time: Rule
    schedule: str | None = None
    parameters: Mapping[str, Any] | None = None
    each: tuple[Mapping[str, Any], ...] = ({},)
    window: timedelta = timedelta(days=1)
    headers: Mapping[str, str] | None = None
    auth: Auth | None = None
    paging: Paging = Paging()
    parallel: int = 4
    patience: Patience = _PATIENCE
    format: str = "json"
    items: str | None = None
    pairs: str | None = None
    incomplete: str | None = None
    required: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # variables that are not set


class WrongField(ValueError):
    """What is wrong with a field of an entry."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field


def read_entry(
    path: Path, root: Path, name: str, line: int, written: Any, environment: Mapping[str, str]
) -> Entry:
    """The source `name`, as it is `written` from `line` of the file `path` on.

    `${NAME}` is filled in from `environment`; files that it names stand below `root`.

    Raises:
        WrongField: a field cannot be understood.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name):
        raise WrongField("", "a source's name is made of letters, digits, '_', '-' and '.'")
    if not isinstance(written, Mapping):
        raise WrongField("", f"{written!r} is no mapping")
    for key in written:
        if key not in _KEYS:
            raise WrongField(str(key), f"is not known (but {', '.join(sorted(_KEYS))} are)")
    missing: list[str] = []
    given = {key: filled(value, environment, missing) for key, value in written.items()}
    for key in ("url", "id", "time", "data"):
        if not given.get(key):
            raise WrongField(key, "is missing")
    try:
        schedule = schedule_of(path, name, given.get("schedule"))
    except UnusableInput as error:
        raise WrongField("schedule", f"{given['schedule']!r} is none: {error.hint}") from None
    entry = Entry(
        name=name,
        where=f"{path}, line {line}",
        url=_url(given["url"]),
        data=_rules("data", given["data"]),
        id=_listed_rules("id", given["id"]),
        time=_rule("time", given["time"]),
        schedule=schedule,
        parameters=_mapping("parameters", given.get("parameters")),
        each=_each(root, given.get("each")),
        window=read_duration("window", given.get("window", "1 day")),
        headers={k: str(v) for k, v in _mapping("headers", given.get("headers")).items()},
        auth=_auth(given.get("auth")),
        paging=_paging(given.get("paging")),
        parallel=_whole("parallel", given.get("parallel", 4), _MOST_PARALLEL),
        patience=_patience(given.get("patience")),
        format=_one_of("format", given.get("format", "json"), FORMATS),
        items=_optional_text("items", given.get("items")),
        pairs=_optional_text("pairs", given.get("pairs")),
        incomplete=_optional_text("incomplete", given.get("incomplete")),
        required=_names("required", given.get("required")),
        missing=tuple(dict.fromkeys(missing)),
    )
    _check_together(entry)
    return entry


def _check_together(entry: Entry) -> None:
    """What no field can say alone."""
    if entry.items and entry.pairs:
        raise WrongField("pairs", "stands beside items; a source has one of them")
    for name in entry.required:
        if name not in entry.data:
            raise WrongField("required", f"{name!r} is no field of data")
    known = set(entry.each[0])
    texts = {"url": entry.url}
    for name, value in (entry.parameters or {}).items():
        texts[f"parameters.{name}"] = str(value)
    for field, text in texts.items():
        for hole in HOLE.finditer(text):
            part = hole["what"].partition(".")[2]
            if part and part not in known:
                raise WrongField(field, f"{hole[0]} is not in each, which has {_told(known)}")


def _told(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _url(value: Any) -> str:
    if not isinstance(value, str) or not re.match(r"https?://[^/\s{}]+|\{each\.\w+\}", value):
        raise WrongField("url", f"{value!r} is no http(s) address")
    return value


def _mapping(field: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WrongField(field, f"{value!r} is no mapping")
    for name, inner in value.items():
        if isinstance(inner, Mapping | list) or inner is None:
            raise WrongField(f"{field}.{name}", f"{inner!r} is no single value")
    return {str(name): inner for name, inner in value.items()}


def _each(root: Path, value: Any) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ({},)
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in ("file", "first")]
        if unknown or not isinstance(value.get("file"), str):
            raise WrongField("each", "write {file: <a CSV file of the project>, first: <how many>}")
        rows = _rows(root / value["file"])
        if value.get("first") is not None:
            rows = rows[: _whole("each", value["first"], 1_000_000)]
    elif isinstance(value, list):
        rows = [dict(row) for row in value if isinstance(row, Mapping)]
        if len(rows) != len(value):
            raise WrongField("each", "is no list of mappings")
    else:
        raise WrongField("each", f"{value!r} is neither a list nor {{file: ...}}")
    if not rows:
        raise WrongField("each", "holds nothing, so nothing would be asked")
    names = set(rows[0])
    for number, row in enumerate(rows, start=1):
        if set(row) != names:
            raise WrongField(
                "each", f"row {number} has not the fields of the first: {_told(names)}"
            )
    return tuple(rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WrongField("each", f"{path} cannot be read: {error}") from None


def _auth(value: Any) -> Auth | None:
    if value is None:
        return None
    given = _settings("auth", value, Auth)
    found = Auth(**given)
    if (found.connection is None) == (found.key is None):
        raise WrongField("auth", "says not one of connection and key")
    if sum((bool(found.parameter), bool(found.header), found.bearer is True)) != 1:
        raise WrongField("auth", "says not one of parameter, header and bearer: where the key goes")
    return found


def _paging(value: Any) -> Paging:
    if value is None:
        return Paging()
    found = Paging(**_settings("paging", value, Paging))
    _one_of("paging", found.style, STYLES)
    _whole("paging", found.most_pages, 10_000)
    if found.style in ("page", "offset", "cursor") and not found.parameter:
        raise WrongField("paging", f"style {found.style} needs a parameter")
    if found.style == "offset" and not found.size:
        raise WrongField("paging", "style offset needs a size")
    if found.style == "cursor" and not found.next:
        raise WrongField("paging", "style cursor needs next, the path of the cursor in the answer")
    if found.size is not None:
        _whole("paging", found.size, 1_000_000)
    return found


def _patience(value: Any) -> Patience:
    given = _settings("patience", value or {}, Patience)
    for name, number in given.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
            raise WrongField("patience", f"{name}: {number!r} is no number from 0")
    _whole("patience", given.get("attempts", 1), 100)
    return replace(_PATIENCE, **given)


def _settings(field: str, value: Any, kind: type) -> dict[str, Any]:
    """The settings of `value`, which are fields of the dataclass `kind`."""
    known = [entry.name for entry in fields(kind)]
    if not isinstance(value, Mapping):
        raise WrongField(field, f"{value!r} is no mapping")
    for name in value:
        if name not in known:
            raise WrongField(field, f"{name!r} is not known there (but {', '.join(known)} are)")
    return dict(value)


def _rules(field: str, value: Any) -> dict[str, Rule]:
    try:
        return read_rules(value)
    except InvalidRule as error:
        raise WrongField(field, str(error)) from None


def _rule(field: str, value: Any) -> Rule:
    try:
        return read_rule(value)
    except InvalidRule as error:
        raise WrongField(field, str(error)) from None


def _listed_rules(field: str, value: Any) -> tuple[Rule, ...]:
    return tuple(_rule(field, item) for item in (value if isinstance(value, list) else [value]))


def read_duration(field: str, value: Any) -> timedelta:
    """A time such as `30 s`.

    Raises:
        WrongField: `value` is none.
    """
    try:
        return duration(str(value))
    except ValueError as error:
        raise WrongField(field, str(error)) from None


def _whole(field: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise WrongField(field, f"{value!r} is no whole number from 1 to {most:,}")
    return int(value)


def _one_of(field: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise WrongField(field, f"{value!r} is none of {', '.join(known)}")
    return str(value)


def _optional_text(field: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise WrongField(field, f"{value!r} is no path")
    return value


def _names(field: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise WrongField(field, f"{value!r} is no list of names")
    return tuple(value)

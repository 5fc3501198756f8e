"""`ingestion/external.yml`: which services are asked, for what, when, and what is made of answers.

    publish:                     # how the messages look and where they go
      topic: readings
      into: dumps                # the source of kind `dumps` in sources.yml that reads the topic
      message: {id: $id, said_by: $name, at: $time, data: $data}

    stations:                    # every other key is a source
      schedule: "@hourly"
      url: https://api.example.com/v1/{each.station}       # or {each.url}, all of it
      parameters: {from: "{since:%Y-%m-%d}", limit: 50}
      each: {file: seeds/stations.csv}       # or a list of mappings: one request for each
      window: 2 days             # {since} is so long before {now}; {each.name:_} has no blanks
      headers: {Accept-Language: en}
      auth: {connection: example, parameter: key}  # or header: X-Key, or bearer: true
      paging: {style: page, parameter: page, size_parameter: limit, size: 50, most_pages: 10}
      parallel: 4                # requests at a time
      patience: {attempts: 4, timeout: 20}   # see `ingestion.http_requests.Patience`
      format: json               # or rss, for RSS and Atom feeds
      items: data.readings       # where the records are; else the answer is the list, or the one
      pairs: rates               # or: an object, each of whose fields is a record {key, value}
      incomplete: remark         # where the answer has this, it is not whole
      id: [$each.station, at]    # what names a record: the same ones give the same id
      time: at                   # when it was said
      data: {warmth: {path: t, as: number, plus: -273.15}}     # rules: see `mapping`
      required: [warmth]

An entry that cannot be understood stops no other. The key `poll` is for `waypoint poll`, which asks
again and again; what stands below its `sources` is written as above, and `data` is the message:

    poll:
      topic: quotes
      every: 30 s
      sources: {exchange: {url: ..., id: ..., time: ..., data: ...}}
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ingestion.blocks import Broken, blocks
from ingestion.external.mapping import InvalidRule, Rule, read_rule, read_rules
from ingestion.http_requests import Patience
from ingestion.sources import filled, schedule_of
from waypoint.contracts.documents import Entry as Lines
from waypoint.contracts.documents import InvalidContract, read_document
from waypoint.contracts.reading import duration
from waypoint.errors import UnusableInput
from waypoint.project import Project

FILE = "external.yml"
FORMATS = ("json", "rss")
STYLES = ("none", "page", "offset", "cursor", "link")
HOLE = re.compile(r"\{(?P<what>each\.\w+|now|since)(?::(?P<form>[^{}]*))?\}")

_PUBLISH = "publish"
_POLL = "poll"
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


@dataclass(frozen=True)
class Publishing:
    """Which topic the messages go to, which source reads it, and how a message looks."""

    topic: str
    into: str
    message: Mapping[str, Rule]


@dataclass(frozen=True)
class Polling:
    """What `waypoint poll` asks for, how often, and to which topic it goes."""

    topic: str
    every: timedelta
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class External:
    """What the file says. Without the file, nothing is to be fetched."""

    path: Path
    publishing: Publishing | None = None
    entries: tuple[Entry, ...] = ()
    broken: tuple[Broken, ...] = ()


class _Wrong(ValueError):
    """What is wrong with a field of an entry."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field


def external_file(project: Project) -> Path:
    """Where a project's external sources are declared; it need not be there."""
    return project.sources_file.with_name(FILE)


def read_external(project: Project, environment: Mapping[str, str] | None = None) -> External:
    """What `ingestion/external.yml` declares; entries that are broken are told, not raised.

    `${NAME}` and `${NAME:-default}` are filled in as in sources.yml.

    Raises:
        UnusableInput: the file cannot be read at all, or `publish` cannot be understood.
    """
    path = external_file(project)
    if not path.is_file():
        return External(path)
    values = os.environ if environment is None else environment
    entries, broken = [], []
    publishing = None
    for name, line, found in _documents(path):
        if name == _PUBLISH:
            publishing = _publishing(path, line, found)
            continue
        if name == _POLL:
            continue
        try:
            if isinstance(found, str):
                raise _Wrong("", found)
            entries.append(_entry(path, project.root, name, line, found, values))
        except _Wrong as error:
            at = found.line_of(error.field.split(".")[0]) if isinstance(found, Lines) else line
            broken.append(Broken(name, at, f"{path}, line {at}: {name}: {error}"))
    if publishing is None and (entries or broken):
        raise UnusableInput(
            f"{path}: does not say where to publish",
            hint="publish: {topic: ..., into: <source of kind dumps>, message: {...}}",
        )
    return External(path, publishing, tuple(entries), tuple(broken))


def read_polling(project: Project, environment: Mapping[str, str] | None = None) -> Polling:
    """What `poll` in `ingestion/external.yml` declares.

    Raises:
        UnusableInput: there is no such key, or it cannot be understood.
    """
    path = external_file(project)
    values = os.environ if environment is None else environment
    documents = _documents(path) if path.is_file() else iter(())
    for name, line, found in documents:
        if name != _POLL:
            continue
        where = f"{path}, line {line}: {_POLL}"
        if not isinstance(found, Mapping):
            raise UnusableInput(f"{where}: {found!r} is no mapping")
        wrong = set(found) ^ {"topic", "every", "sources"}
        if wrong or not isinstance(found.get("sources"), Mapping):
            raise UnusableInput(
                f"{where}: has not just topic, every and sources",
                hint=f"{', '.join(sorted(wrong)) or 'sources'} is not right",
            )
        entries = []
        try:
            every = _duration("every", found["every"])
            for source, written in found["sources"].items():
                at = found["sources"].line_of(source)
                try:
                    entries.append(_entry(path, project.root, str(source), at, written, values))
                except _Wrong as error:
                    raise UnusableInput(f"{path}, line {at}: {source}: {error}") from None
        except _Wrong as error:
            raise UnusableInput(f"{where}: {error}") from None
        return Polling(str(found["topic"]), every, tuple(entries))
    raise UnusableInput(
        f"{path} declares nothing to be polled", hint="poll: {topic: ..., every: ..., sources: ...}"
    )


def _documents(path: Path) -> Iterator[tuple[str, int, Any]]:
    """The file's keys, their lines, and what stands below, or a text that says what is wrong.

    Where the file as a whole is no YAML, it is read key by key.
    """
    try:
        document = read_document(path)
    except InvalidContract as whole:
        parts = list(blocks(path))
        if len(parts) < 2:
            raise UnusableInput(f"{path}, line {whole.line}: {whole.problem}") from None
        for name, line, text in parts:
            try:
                document = read_document(path, text)
                yield name, line, document.get(name)
            except InvalidContract as error:
                yield name, error.line, f"not readable as YAML: {error.problem}"
        return
    for name, value in document.items():
        yield str(name), document.line_of(name), value


def _publishing(path: Path, line: int, found: Any) -> Publishing:
    where = f"{path}, line {line}: {_PUBLISH}"
    if not isinstance(found, Mapping):
        raise UnusableInput(f"{where}: {found!r} is no mapping")
    unknown = [key for key in found if key not in ("topic", "into", "message")]
    missing = [key for key in ("topic", "into", "message") if not found.get(key)]
    if unknown or missing:
        problem = f"{unknown[0]!r} is not known there" if unknown else f"has no {missing[0]!r}"
        raise UnusableInput(f"{where}: {problem}", hint="topic, into and message are")
    try:
        return Publishing(str(found["topic"]), str(found["into"]), read_rules(found["message"]))
    except InvalidRule as error:
        raise UnusableInput(f"{where}: message: {error}") from None


def _entry(
    path: Path, root: Path, name: str, line: int, written: Any, environment: Mapping[str, str]
) -> Entry:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name):
        raise _Wrong("", "a source's name is made of letters, digits, '_', '-' and '.'")
    if not isinstance(written, Mapping):
        raise _Wrong("", f"{written!r} is no mapping")
    for key in written:
        if key not in _KEYS:
            raise _Wrong(str(key), f"is not known (but {', '.join(sorted(_KEYS))} are)")
    missing: list[str] = []
    given = {key: filled(value, environment, missing) for key, value in written.items()}
    for key in ("url", "id", "time", "data"):
        if not given.get(key):
            raise _Wrong(key, "is missing")
    try:
        schedule = schedule_of(path, name, given.get("schedule"))
    except UnusableInput as error:
        raise _Wrong("schedule", f"{given['schedule']!r} is none: {error.hint}") from None
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
        window=_duration("window", given.get("window", "1 day")),
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
        raise _Wrong("pairs", "stands beside items; a source has one of them")
    for name in entry.required:
        if name not in entry.data:
            raise _Wrong("required", f"{name!r} is no field of data")
    known = set(entry.each[0])
    texts = {"url": entry.url}
    for name, value in (entry.parameters or {}).items():
        texts[f"parameters.{name}"] = str(value)
    for field, text in texts.items():
        for hole in HOLE.finditer(text):
            part = hole["what"].partition(".")[2]
            if part and part not in known:
                raise _Wrong(field, f"{hole[0]} is not in each, which has {_told(known)}")


def _told(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _url(value: Any) -> str:
    if not isinstance(value, str) or not re.match(r"https?://[^/\s{}]+|\{each\.\w+\}", value):
        raise _Wrong("url", f"{value!r} is no http(s) address")
    return value


def _mapping(field: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _Wrong(field, f"{value!r} is no mapping")
    for name, inner in value.items():
        if isinstance(inner, Mapping | list) or inner is None:
            raise _Wrong(f"{field}.{name}", f"{inner!r} is no single value")
    return {str(name): inner for name, inner in value.items()}


def _each(root: Path, value: Any) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ({},)
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in ("file", "first")]
        if unknown or not isinstance(value.get("file"), str):
            raise _Wrong("each", "write {file: <a CSV file of the project>, first: <how many>}")
        rows = _rows(root / value["file"])
        if value.get("first") is not None:
            rows = rows[: _whole("each", value["first"], 1_000_000)]
    elif isinstance(value, list):
        rows = [dict(row) for row in value if isinstance(row, Mapping)]
        if len(rows) != len(value):
            raise _Wrong("each", "is no list of mappings")
    else:
        raise _Wrong("each", f"{value!r} is neither a list nor {{file: ...}}")
    if not rows:
        raise _Wrong("each", "holds nothing, so nothing would be asked")
    names = set(rows[0])
    for number, row in enumerate(rows, start=1):
        if set(row) != names:
            raise _Wrong("each", f"row {number} has not the fields of the first: {_told(names)}")
    return tuple(rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _Wrong("each", f"{path} cannot be read: {error}") from None


def _auth(value: Any) -> Auth | None:
    if value is None:
        return None
    given = _settings("auth", value, Auth)
    found = Auth(**given)
    if (found.connection is None) == (found.key is None):
        raise _Wrong("auth", "says not one of connection and key")
    if sum((bool(found.parameter), bool(found.header), found.bearer is True)) != 1:
        raise _Wrong("auth", "says not one of parameter, header and bearer: where the key goes")
    return found


def _paging(value: Any) -> Paging:
    if value is None:
        return Paging()
    found = Paging(**_settings("paging", value, Paging))
    _one_of("paging", found.style, STYLES)
    _whole("paging", found.most_pages, 10_000)
    if found.style in ("page", "offset", "cursor") and not found.parameter:
        raise _Wrong("paging", f"style {found.style} needs a parameter")
    if found.style == "offset" and not found.size:
        raise _Wrong("paging", "style offset needs a size")
    if found.style == "cursor" and not found.next:
        raise _Wrong("paging", "style cursor needs next, the path of the cursor in the answer")
    if found.size is not None:
        _whole("paging", found.size, 1_000_000)
    return found


def _patience(value: Any) -> Patience:
    given = _settings("patience", value or {}, Patience)
    for name, number in given.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
            raise _Wrong("patience", f"{name}: {number!r} is no number from 0")
    _whole("patience", given.get("attempts", 1), 100)
    return replace(_PATIENCE, **given)


def _settings(field: str, value: Any, kind: type) -> dict[str, Any]:
    """The settings of `value`, which are fields of the dataclass `kind`."""
    known = [entry.name for entry in fields(kind)]
    if not isinstance(value, Mapping):
        raise _Wrong(field, f"{value!r} is no mapping")
    for name in value:
        if name not in known:
            raise _Wrong(field, f"{name!r} is not known there (but {', '.join(known)} are)")
    return dict(value)


def _rules(field: str, value: Any) -> dict[str, Rule]:
    try:
        return read_rules(value)
    except InvalidRule as error:
        raise _Wrong(field, str(error)) from None


def _rule(field: str, value: Any) -> Rule:
    try:
        return read_rule(value)
    except InvalidRule as error:
        raise _Wrong(field, str(error)) from None


def _listed_rules(field: str, value: Any) -> tuple[Rule, ...]:
    return tuple(_rule(field, item) for item in (value if isinstance(value, list) else [value]))


def _duration(field: str, value: Any) -> timedelta:
    try:
        return duration(str(value))
    except ValueError as error:
        raise _Wrong(field, str(error)) from None


def _whole(field: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise _Wrong(field, f"{value!r} is no whole number from 1 to {most:,}")
    return int(value)


def _one_of(field: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise _Wrong(field, f"{value!r} is none of {', '.join(known)}")
    return str(value)


def _optional_text(field: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise _Wrong(field, f"{value!r} is no path")
    return value


def _names(field: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _Wrong(field, f"{value!r} is no list of names")
    return tuple(value)

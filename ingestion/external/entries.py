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

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ingestion.blocks import Broken, blocks
from ingestion.external.entry import Entry, WrongField, read_duration, read_entry
from ingestion.external.mapping import InvalidRule, Rule, read_rules
from waypoint.contracts.documents import Entry as Lines
from waypoint.contracts.documents import InvalidContract, read_document
from waypoint.errors import UnusableInput
from waypoint.project import Project

FILE = "external.yml"
_PUBLISH = "publish"
_POLL = "poll"


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
                raise WrongField("", found)
            entries.append(read_entry(path, project.root, name, line, found, values))
        except WrongField as error:
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
            every = read_duration("every", found["every"])
            for source, written in found["sources"].items():
                at = found["sources"].line_of(source)
                try:
                    entries.append(read_entry(path, project.root, str(source), at, written, values))
                except WrongField as error:
                    raise UnusableInput(f"{path}, line {at}: {source}: {error}") from None
        except WrongField as error:
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

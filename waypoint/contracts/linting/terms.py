"""The terms of a contract: who it is, who answers for it, what it promises, who may use it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from waypoint.contracts.documents import Entry
from waypoint.contracts.linting.finding import (
    ContractFile,
    Finding,
    custom,
    inner,
    maps,
    with_inner_columns,
    words,
)
from waypoint.contracts.linting.personal import WAIVER
from waypoint.contracts.model import CONSENT, ML_FEATURES, NEEDS_CONSENT, STATUSES, TOPICS
from waypoint.contracts.person_keys import PEOPLE, PERSON_KEY
from waypoint.contracts.reading import duration
from waypoint.contracts.roles import RolePolicy

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?")
#: Marks what a person must still decide.
TODO = "TODO"
_TODO_PROPERTY = "todo"
_PROMISES = ("freshness", "retention", "endOfLife")
_LONGEST = timedelta(days=365 * 100)
#: The custom properties that something reads; others are free, unless they are nearly one of these.
_READ = (
    "freshnessWarnAfter",
    "format",
    "key",
    "partitions",
    "replication",
    "cleanup",
    "largestMessage",
    "landsIn",
    "publishedFrom",
    "deadLetter",
    "payloadOnlyFields",
    "endpoints",
    "expiredRows",
    CONSENT,
    NEEDS_CONSENT,
    PEOPLE,
    PERSON_KEY,
    WAIVER,
    "notPersonalFields",
    _TODO_PROPERTY,
)
_GRAIN_STATED = ("marts", ML_FEATURES)


def identity(file: ContractFile) -> Iterator[Finding]:
    """Names that agree with each other, a version, an owner, and what it is all about."""
    document, table = file.document, file.table
    wanted = f"{file.folder}.{file.family}"
    if document.get("id") != wanted:
        problem = f"the id is {document.get('id')!r}, and the file stands for {wanted}"
        yield file.finding(document, "id", "id", problem, f"write id: {wanted}")
    if words(table, "name") and words(table, "name") != file.family:
        problem = f"the table is called {words(table, 'name')}, and the file {file.path.name}"
        mend = "call the file as the table; another name in the warehouse is physicalName"
        yield file.finding(table, "name", "name", problem, mend)
    if len(maps(document, "schema")) > 1:
        second = maps(document, "schema")[1]
        problem = "a second table is described, which nothing reads"
        yield file.finding(second, "name", "one table", problem, "give it a file of its own")
    version = document.get("version")
    if not isinstance(version, str) or not _SEMVER.fullmatch(version):
        problem = f"version {version!r} is not of the form 1.2.3"
        yield file.finding(document, "version", "version", problem, "write version: 1.0.0")
    if document.get("status") not in STATUSES:
        problem = f"status {document.get('status')!r} is none"
        mend = f"write one of {', '.join(STATUSES)}"
        yield file.finding(document, "status", "status", problem, mend)
    if not words(inner(document, "team"), "name"):
        problem = "nobody owns the contract"
        mend = "write `team:` and below it `name:` with the team that answers for it"
        yield file.finding(document, "team", "owner", problem, mend)
    for entry, key, what in (
        (document, "name", "no name for people"),
        (document, "domain", "no domain: which part of the business it belongs to"),
        (inner(document, "description"), "purpose", "no purpose: why the table exists"),
        (table, "description", "the table is not described"),
    ):
        if not words(entry, key):
            yield file.finding(entry, key, "description", what, f"add `{key}:`")
    if file.folder in _GRAIN_STATED and not words(table, "dataGranularityDescription"):
        mend = "add `dataGranularityDescription: One row per ...`"
        problem = "it does not say what one row is"
        yield file.finding(table, "dataGranularityDescription", "grain", problem, mend)


def unfinished(file: ContractFile) -> Iterator[Finding]:
    """What a person must still decide; a draft is not a contract."""
    document = file.document
    if document.get("status") == "draft":
        problem = "a draft, which nobody has finished"
        mend = "decide what is marked TODO, then write `status: active`"
        yield file.finding(document, "status", "draft", problem, mend)
    yield from _marked(file, document, document.line)


def _marked(file: ContractFile, value: Any, line: int) -> Iterator[Finding]:
    if isinstance(value, Entry):
        for key, item in value.items():
            yield from _marked(file, item, value.line_of(key))
    elif isinstance(value, list):
        for item in value:
            yield from _marked(file, item, item.line if isinstance(item, Entry) else line)
    elif isinstance(value, str) and value.lstrip().startswith(TODO):
        what = " ".join(value.split()).removeprefix(TODO).lstrip(": ") or "something"
        problem = f"still to decide: {what[:120]}"
        yield Finding(file.path, line, "draft", problem, "decide it, and write what holds")


def promises(file: ContractFile) -> Iterator[Finding]:
    """Freshness, retention and end of life: of columns that are there, and of sane lengths."""
    document, seen = file.document, dict[str, int]()
    slas = maps(document, "slaProperties")
    for sla in slas:
        name = words(sla, "property")
        if name in seen:
            problem = f"{name} is promised twice; the first time on line {seen[name]}"
            yield file.finding(sla, "property", "promise", problem, "keep one of them")
        seen.setdefault(name, sla.line_of("property"))
        if name not in _PROMISES:
            close = get_close_matches(name, _PROMISES, 1)
            problem = f"nothing keeps the promise {name!r}"
            mend = f"write {close[0]}" if close else f"known are {', '.join(_PROMISES)}"
            yield file.finding(sla, "property", "promise", problem, mend)
        elif name != "endOfLife":
            yield from _element(file, sla, name)
            yield from _length(file, sla, name)
    yield from _ending(file, seen)
    yield from _warning(file, slas)


def _element(file: ContractFile, sla: Entry, promise: str) -> Iterator[Finding]:
    element = words(sla, "element")
    if not element:
        if not file.is_topic:
            problem = f"{promise} does not say of which column"
            mend = f"add `element: {file.family}.<column>`"
            yield file.finding(sla, "element", "promise", problem, mend)
        return
    for one in (part.strip() for part in element.split(",")):
        table, _, column = one.rpartition(".")
        if table not in ("", file.family, file.table_name):
            problem = f"{promise} is promised of another table, {table}"
            yield file.finding(sla, "element", "promise", problem, f"write {file.family}.{column}")
        elif column not in file.types:
            close = get_close_matches(column, file.types, 1)
            problem = f"{promise} is promised of {column}, which is no column"
            mend = f"write {file.family}.{close[0]}" if close else "name a column of the table"
            yield file.finding(sla, "element", "promise", problem, mend)
        elif file.types[column] not in ("timestamp", "date"):
            problem = f"{promise} is promised of {column}, which is no time"
            yield file.finding(sla, "element", "promise", problem, "name a timestamp or a date")


def _length(file: ContractFile, sla: Entry, promise: str) -> Iterator[Finding]:
    value = sla.get("value")
    if promise == "retention" and value == -1:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        problem = f"{promise}: {value!r} is no number"
        yield file.finding(sla, "value", "promise", problem, "write `value: 4` and `unit: h`")
        return
    try:
        length = duration(value, words(sla, "unit"))
    except (ValueError, OverflowError) as error:
        yield file.finding(sla, "unit", "promise", f"{promise}: {error}", "write e.g. `unit: h`")
        return
    if not timedelta() < length <= _LONGEST:
        problem = f"{promise} of {value} {words(sla, 'unit')} makes no sense"
        mend = "write a length above 0" + (", or -1 for ever" if promise == "retention" else "")
        yield file.finding(sla, "value", "promise", problem, mend)


def _ending(file: ContractFile, promised: Mapping[str, int]) -> Iterator[Finding]:
    document = file.document
    ends, status = "endOfLife" in promised, document.get("status")
    if status == "deprecated" and not ends:
        problem = "deprecated, and nobody knows until when"
        mend = "add the slaProperty endOfLife with the day"
        yield file.finding(document, "status", "promise", problem, mend)
    if ends and status not in ("deprecated", "retired"):
        problem = f"it has an end of life, and its status is {status}"
        mend = "write `status: deprecated`, or take endOfLife away"
        yield Finding(file.path, promised["endOfLife"], "promise", problem, mend)


def _warning(file: ContractFile, slas: list[Entry]) -> Iterator[Finding]:
    warning = custom(file.document, "freshnessWarnAfter") or custom(
        file.table, "freshnessWarnAfter"
    )
    freshness = [sla for sla in slas if sla.get("property") == "freshness"]
    if warning is None:
        return  # half of the time then
    try:
        warn_after = duration(warning.get("value", ""))
    except (ValueError, OverflowError) as error:
        problem = f"freshnessWarnAfter: {error}"
        yield file.finding(warning, "value", "promise", problem, "write e.g. 2 h")
        return
    for sla in freshness:
        try:
            fails_after = duration(sla.get("value", ""), words(sla, "unit"))
        except (TypeError, ValueError, OverflowError):
            continue
        if warn_after >= fails_after:
            problem = f"freshness warns after {warn_after} and fails no later, after {fails_after}"
            yield file.finding(warning, "value", "promise", problem, "a warning comes first")


def properties(file: ContractFile) -> Iterator[Finding]:
    """Custom properties that are said twice, or that nobody reads because they are misspelt."""
    holders = [file.document, file.table, *(c for c, _ in with_inner_columns(file.columns))]
    for holder in holders:
        seen: set[str] = set()
        for entry in maps(holder, "customProperties"):
            name = words(entry, "property")
            if name in seen:
                problem = f"the custom property {name} is said twice"
                yield file.finding(entry, "property", "custom property", problem, "keep one")
            seen.add(name)
            close = get_close_matches(name, _READ, 1, 0.8)
            if name and name not in _READ and close:
                problem = f"nothing reads the custom property {name}"
                yield file.finding(
                    entry, "property", "custom property", problem, f"write {close[0]}"
                )


def topic(file: ContractFile, tables: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """How a topic is created, and that what it lands in or is published from exists."""
    if (words(file.table, "physicalType") == "topic") != file.is_topic:
        kind = "topic" if file.is_topic else "table"
        problem = f"what stands in {file.folder}/ is a {kind}"
        yield file.finding(
            file.table, "physicalType", "topic", problem, f"write physicalType: {kind}"
        )
    if not file.is_topic:
        return
    said = {words(e, "property"): e for e in maps(file.document, "customProperties")}
    for name, choices in (("format", ("json", "avro")), ("cleanup", ("delete", "compact"))):
        if name not in said or said[name].get("value") not in choices:
            yield _topic_setting(file, said, name, f"write {' or '.join(choices)}")
    if "key" not in said or not words(said["key"], "value"):
        yield _topic_setting(file, said, "key", "name the field that messages are keyed by")
    for name in ("partitions", "replication"):
        value = said[name].get("value") if name in said else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield _topic_setting(file, said, name, "write a whole number from 1")
    for name, schema in (("landsIn", "raw."), ("publishedFrom", "")):
        if name in said and f"{schema}{said[name].get('value')}" not in tables:
            yield _topic_setting(file, said, name, "name a table that has a contract")


def _topic_setting(file: ContractFile, said: Mapping[str, Entry], name: str, mend: str) -> Finding:
    if name not in said:
        problem = f"the topic has no {name}"
        return file.finding(file.document, "customProperties", "topic", problem, mend)
    problem = f"{name}: {said[name].get('value')!r} cannot be"
    return file.finding(said[name], "value", "topic", problem, mend)


def roles(file: ContractFile, policy: Mapping[str, RolePolicy] | None) -> Iterator[Finding]:
    """Roles that the policy knows, with no more and no less than it gives them."""
    named: set[str] = set()
    document, schema = file.document, TOPICS if file.is_topic else file.folder
    for entry in maps(document, "roles"):
        name, access = words(entry, "role"), entry.get("access", "read")
        if name in named:
            yield file.finding(entry, "role", "role", f"{name} is named twice", "keep one of them")
        named.add(name)
        if access not in ("read", "write"):
            problem = f"{name}: nobody knows what the access {access!r} allows"
            yield file.finding(entry, "access", "role", problem, "write read or write")
        if policy is None:
            continue
        known = policy.get(name)
        if known is None:
            close = get_close_matches(name, policy, 1)
            mend = f"write {close[0]}" if close else f"known are {', '.join(policy)}"
            yield file.finding(entry, "role", "role", f"there is no role {name!r}", mend)
            continue
        most = known.access(schema)
        if most is None or (access == "write" and most == "read"):
            problem = f"{name} may not {access} tables of {schema}"
            key = "role" if most is None else "access"
            yield file.finding(entry, key, "role", problem, "see dbt_project/roles.yml")
        elif access == "read" and most == "write" and not known.named:
            problem = f"{name} may write tables of {schema}, and this one only says read"
            yield file.finding(entry, "access", "role", problem, "write access: write")
        levels = (entry.get("firstLevelApprovers"), entry.get("secondLevelApprovers"))
        if tuple(level for level in levels if level) != known.approvers:
            yield file.finding(
                entry,
                "firstLevelApprovers",
                "role",
                f"{name} is not approved as the policy wants it",
                f"first {', then '.join(known.approvers)} (firstLevelApprovers, secondLevel...)",
            )
    for known in (policy or {}).values():
        if not known.named and known.name not in named and known.access(schema):
            problem = f"{known.name} may {known.access(schema)} all of {schema} and is not named"
            yield file.finding(document, "roles", "role", problem, f"add `- role: {known.name}`")

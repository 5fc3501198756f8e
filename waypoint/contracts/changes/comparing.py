"""Comparing two versions of a contract: every change, classified.

datacontract-cli finds the differences and grades them, with our rules in front of its own; what it
says is translated here into kinds of changes, each told once and in people's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from datacontract.breaking.detector import BreakingChangeDetector
from datacontract.breaking.rules import DEFAULT_RULES
from datacontract.changelog.normalize import normalize_pair
from datacontract.data_contract import DataContract
from datacontract.model.breaking import BreakingChangeEntry, Direction
from datacontract.model.changelog import ChangelogType
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import ValidationError

from waypoint.contracts.changes.model import Change, Written, audiences
from waypoint.contracts.changes.renames import Rename, align
from waypoint.contracts.changes.rules import (
    PREFIX,
    Pair,
    Place,
    allowed_values,
    definition,
    key_change,
    place,
    rules_for,
    units,
)
from waypoint.contracts.changes.verdicts import Kind
from waypoint.contracts.changes.wording import sentence
from waypoint.contracts.documents import Entry, InvalidContract

#: What the tool's own rules found, by their id and the direction that they saw.
_TRANSLATED: dict[tuple[str, Direction], Kind] = {
    ("schema-added-or-removed", Direction.TIGHTENS): Kind.TABLE_ADDED,
    ("schema-added-or-removed", Direction.LOOSENS): Kind.TABLE_REMOVED,
    ("property-added-or-removed", Direction.TIGHTENS): Kind.COLUMN_ADDED,
    ("property-added-or-removed", Direction.LOOSENS): Kind.COLUMN_DROPPED,
    ("physical-name-changed", Direction.BOTH): Kind.PHYSICAL_NAME_CHANGED,
    ("required-changed", Direction.TIGHTENS): Kind.REQUIRED,
    ("required-changed", Direction.LOOSENS): Kind.NO_LONGER_REQUIRED,
    ("type-changed", Direction.LOOSENS): Kind.COLUMN_RETYPED,
    ("type-changed", Direction.BOTH): Kind.COLUMN_RETYPED,
    ("vector-shape-changed", Direction.LOOSENS): Kind.COLUMN_RETYPED,
    ("vector-shape-changed", Direction.BOTH): Kind.COLUMN_RETYPED,
    ("unique-constraint-changed", Direction.TIGHTENS): Kind.UNIQUE,
    ("unique-constraint-changed", Direction.LOOSENS): Kind.NO_LONGER_UNIQUE,
    ("validation-constraint-changed", Direction.TIGHTENS): Kind.RANGE_NARROWED,
    ("validation-constraint-changed", Direction.LOOSENS): Kind.RANGE_WIDENED,
    ("validation-constraint-changed", Direction.BOTH): Kind.RANGE_CHANGED,
    ("validation-constraint-changed", Direction.UNDETERMINED): Kind.RANGE_CHANGED,
    ("relationship-changed", Direction.TIGHTENS): Kind.REFERENCE_ADDED,
    ("relationship-changed", Direction.LOOSENS): Kind.REFERENCE_DROPPED,
    ("relationship-changed", Direction.BOTH): Kind.REFERENCE_CHANGED,
    ("quality-constraint-changed", Direction.UNDETERMINED): Kind.RULE_CHANGED,
    ("quality-constraint-changed", Direction.BOTH): Kind.RULE_CHANGED,
}
_ENUM = {
    Direction.TIGHTENS: Kind.VALUES_NARROWED,
    Direction.LOOSENS: Kind.VALUES_WIDENED,
    Direction.BOTH: Kind.VALUES_CHANGED,
}


class UnreadableBefore(InvalidContract):
    """The earlier of two versions is not shaped as the standard wants it; the later one may be."""


def compare(before: Written, after: Written, keeps_name: bool = False) -> list[Change]:
    """Every change between two versions of a contract, the breaking ones first.

    `keeps_name`: the older name of the table still leads to it, through a view.

    Raises:
        UnreadableBefore: the earlier one is not shaped as the standard wants it.
        InvalidContract: the later one is not.
    """
    _standard(after, after.document)
    try:
        old = _standard(before, before.document)
    except InvalidContract as error:
        raise UnreadableBefore(str(error), hint=error.hint) from None
    aligned, renames = _aligned(before, after)
    pair = Pair(before, after, _table_name(before), keeps_name)
    new = _standard(after, aligned)
    # the same trees that the rules see, for the words
    trees = normalize_pair(*(c.model_dump(exclude_none=True, by_alias=True) for c in (old, new)))
    detector = BreakingChangeDetector((*rules_for(pair), *DEFAULT_RULES))
    try:
        result = DataContract(data_contract=old).breaking(DataContract(data_contract=new), detector)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        # values of kinds that the tool did not expect, e.g. a text as the bound of a rule
        raise InvalidContract(
            f"{after.contract.path}, line 1: cannot be compared with what it was: {error}",
            hint="look for a value of a kind that the standard does not have: a text as a bound?",
        ) from None

    changes: dict[tuple[Kind, str], Change] = {}
    for change in (
        *_renames(pair, renames),
        *_changed_name(pair),
        *_changes(pair, result.entries, *trees),
        *_changed_key(pair, renames),
    ):
        changes.setdefault((change.kind, change.subject), change)
    found = _without_repetition(changes)
    return sorted(found, key=lambda change: not change.breaking)


def _changes(
    pair: Pair,
    entries: list[BreakingChangeEntry],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Iterator[Change]:
    for entry in entries:
        where = place(entry.path, pair.table)
        kind = _kind(entry, where)
        if kind is None:
            continue
        if kind is Kind.COLUMN_ADDED and _is_required(after, pair.table, where.column):
            kind = Kind.REQUIRED_COLUMN_ADDED
        yield _told(pair, kind, entry, where, before, after)


def _kind(entry: BreakingChangeEntry, where: Place) -> Kind | None:
    """The kind of change that an entry stands for; None for parts of one that is told already."""
    if entry.direction is None:
        return None
    if entry.rule_id.startswith(PREFIX):
        return Kind[entry.rule_id.removeprefix(PREFIX)]
    if entry.rule_id == "enum-constraint-changed":
        return _enum_kind(entry, where)
    if entry.rule_id == "quality-constraint-changed":
        found = _rule_kind(entry, where)
        if found is not None:
            return found
    found = _TRANSLATED.get((entry.rule_id, entry.direction))
    if found is None and (entry.old_value is not None or entry.new_value is not None):
        return Kind.ANNOTATION_CHANGED
    return found


def _enum_kind(entry: BreakingChangeEntry, where: Place) -> Kind | None:
    if where.path.endswith("enum"):
        added = entry.change_type is ChangelogType.added
        return Kind.VALUES_CLOSED if added else Kind.VALUES_OPENED
    return _ENUM.get(entry.direction) if entry.direction else None


def _rule_kind(entry: BreakingChangeEntry, where: Place) -> Kind | None:
    """Of a quality rule: whether it came or went, and how much it weighs now."""
    counts = entry.direction is not Direction.UNTESTED  # the others only warn
    if where.rest[-2:-1] == ("quality",):
        if entry.change_type is ChangelogType.added:
            return Kind.RULE_ADDED if counts else Kind.WARNING_ADDED
        return Kind.RULE_DROPPED if counts else Kind.WARNING_DROPPED
    if entry.direction is Direction.LOOSENS:
        return Kind.RULE_SOFTENED
    return Kind.RULE_HARDENED if entry.direction is Direction.TIGHTENS else None


def _told(
    pair: Pair,
    kind: Kind,
    entry: BreakingChangeEntry,
    where: Place,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Change:
    trees = (before, after)
    old, new = entry.old_value, entry.new_value
    subject = where.column or (where.path if where.path != "schema" else "")
    if kind.name.startswith("VALUES"):
        old, new = _values_told(kind, *(definition(t, pair.table, subject) for t in trees))
    elif kind in (Kind.COLUMN_RETYPED, Kind.TYPE_NARROWED, Kind.TYPE_WIDENED):
        old, new = (_type_of(definition(t, pair.table, subject)) for t in trees)
    elif kind.name.startswith("RANGE"):
        old, new = (_range(definition(t, pair.table, subject)) for t in trees)
    elif kind.name.startswith("KEY"):
        subject = ""
        old, new = (", ".join(w.contract.key) for w in (pair.before, pair.after))
    elif kind.name.startswith("REFERENCE"):
        old, new = (_references(definition(t, pair.table, subject)) for t in trees)
    elif kind.name.startswith(("RULE", "WARNING")):
        subject = _rule_name(where)
    elif kind.name.startswith(("FRESHNESS", "WARN_LEVEL")):
        subject = ""
        old, new = (_freshness(kind, written) for written in (pair.before, pair.after))
    elif kind.name.startswith("RETENTION"):
        subject = ""
        old, new = (_span(w.contract.retention, "for ever") for w in (pair.before, pair.after))
    elif kind.name.startswith("END_OF_LIFE"):
        subject = ""
        old, new = (_iso(w.contract.end_of_life) for w in (pair.before, pair.after))
    elif kind.name.startswith("SERVICE_LEVEL"):
        subject = where.rest[1]
        old, new = (_level(t, subject) for t in trees)
    elif kind.name.startswith("ROLE"):
        subject = where.rest[1]
        old, new = (((t.get("roles") or {}).get(subject) or {}).get("access") for t in trees)
    elif kind.name.startswith("SERVER"):
        subject = where.rest[1]
    elif kind.name.startswith(("TOPIC", "SETTING")):
        subject = where.rest[1]
        if len(where.rest) == 2:
            old, new = (_setting(w, subject) for w in (pair.before, pair.after))
    elif kind is Kind.UNIT_CHANGED and where.path == "description":
        old, new = (", ".join(sorted(units(str(text or "")))) for text in (old, new))
    elif kind is Kind.DESCRIPTION_CHANGED:
        subject = where.column or "the table"
    elif kind is Kind.ANNOTATION_CHANGED:
        subject = f"{where.column}.{where.path}" if where.column else where.path
    elif not where.column:
        subject = ""
    column = None if kind.name.startswith("KEY") else where.column
    return _change(pair, kind, subject, old, new, column)


def _change(
    pair: Pair,
    kind: Kind,
    subject: str,
    before: str | None,
    after: str | None,
    column: str | None = None,
) -> Change:
    old, new = (None if value in (None, "") else str(value) for value in (before, after))
    return Change(
        kind=kind,
        subject=subject,
        what=sentence(kind, subject, old, new),
        breaks=audiences(kind, pair.before.contract),
        column=column.split(".")[0] if column else None,
        before=old,
        after=new,
    )


def _renames(pair: Pair, renames: Iterable[Rename]) -> Iterator[Change]:
    for one in renames:
        kind = Kind.COLUMN_RENAMED
        yield _change(pair, kind, one.path, one.old, one.new, column=one.path)


def _changed_name(pair: Pair) -> Iterator[Change]:
    """The table's name, where it is said by `schema.name` rather than physicalName."""
    old, new = pair.before.contract.name, pair.after.contract.name
    if old != new:
        kind = Kind.NAMED_BY_VERSION if pair.keeps_name else Kind.PHYSICAL_NAME_CHANGED
        yield _change(pair, kind, "", old, new)


def _changed_key(pair: Pair, renames: Iterable[Rename]) -> Iterator[Change]:
    """A key that lost or won a whole column, which the changelog tells as the column's end."""
    newer = {one.path: one.new for one in renames}
    old = [newer.get(name, name) for name in pair.before.contract.key]
    kind = key_change(old, pair.after.contract.key)
    if kind is not Kind.ANNOTATION_CHANGED:
        new = ", ".join(pair.after.contract.key)
        yield _change(pair, kind, "", ", ".join(pair.before.contract.key), new)


def _without_repetition(changes: Mapping[tuple[Kind, str], Change]) -> list[Change]:
    """A reference that went and came points elsewhere; a name told twice is told once."""
    found = dict(changes)
    for (kind, subject), change in changes.items():
        if kind is Kind.REFERENCE_DROPPED and (Kind.REFERENCE_ADDED, subject) in changes:
            del found[kind, subject]
            added = found.pop((Kind.REFERENCE_ADDED, subject))
            kind = Kind.REFERENCE_CHANGED
            found[kind, subject] = Change(
                kind=kind,
                subject=subject,
                what=sentence(kind, subject, change.before, added.after),
                breaks=change.breaks | added.breaks,
                column=change.column,
                before=change.before,
                after=added.after,
            )
    return list(found.values())


# documents as the tool takes them


def _aligned(before: Written, after: Written) -> tuple[dict[str, Any], list[Rename]]:
    """The later document under the earlier one's names, so that like is compared with like."""
    document = dict(after.document)
    tables = [dict(table) for table in document.get("schema") or ()]
    if not tables or not before.table:
        return document, []
    if len(tables) == 1 and len(before.document["schema"]) == 1:
        tables[0]["name"] = _table_name(before)
    columns, renames = align(before.properties, after.properties)
    tables[0]["properties"] = columns
    return document | {"schema": tables}, renames


def _standard(written: Written, document: Mapping[str, Any]) -> OpenDataContractStandard:
    try:
        return OpenDataContractStandard(**_plain(document))
    except ValidationError as error:
        first = error.errors()[0]
        line = _line(written.document, first["loc"])
        where = ".".join(str(step) for step in first["loc"] if isinstance(step, str))
        raise InvalidContract(
            f"{written.contract.path}, line {line}: {where}: {first['msg'].lower()}",
            hint="see the standard's field list, or the example in contracts/README.md",
        ) from None


def _plain(value: Any) -> Any:
    """Dates as the text that the standard wants; mappings and lists copied."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _line(document: Entry, steps: tuple[int | str, ...]) -> int:
    """The line of the innermost entry that an error's path leads to."""
    line = 1
    found: Any = document
    for step in steps:
        if isinstance(found, Entry):
            line = found.line_of(step)
            found = found.get(str(step))
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
            line = found.line if isinstance(found, Entry) else line
        else:
            break
    return line


def _table_name(written: Written) -> str:
    return str(written.table.get("name", ""))


# values as people read them


def _is_required(tree: Mapping[str, Any], table: str, column: str | None) -> bool:
    found = definition(tree, table, column or "")
    return bool(found.get("required") or found.get("primaryKey"))


def _values_told(
    kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """Which values went and which came; the whole list where it was closed or opened."""
    old, new = allowed_values(before) or (), allowed_values(after) or ()
    if kind in (Kind.VALUES_CLOSED, Kind.VALUES_OPENED):
        return ", ".join(old), ", ".join(new)
    gone, come = (value for value in old if value not in new), (v for v in new if v not in old)
    return ", ".join(gone), ", ".join(come)


def _type_of(column: Mapping[str, Any]) -> str | None:
    return column.get("physicalType") or column.get("logicalType")


_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def _range(column: Mapping[str, Any]) -> str:
    options = column.get("logicalTypeOptions") or {}
    low = next((options[name] for name in _LOWEST if name in options), "any")
    high = next((options[name] for name in _HIGHEST if name in options), "any")
    return f"{low} to {high}"


def _references(column: Mapping[str, Any]) -> str | None:
    targets = (item.get("to") for item in (column.get("relationships") or {}).values())
    return ", ".join(str(target) for target in targets if target) or None


def _rule_name(where: Place) -> str:
    name = where.rest[where.rest.index("quality") + 1] if "quality" in where.rest else where.path
    return f"{where.column}: {name}" if where.column else name


def _freshness(kind: Kind, written: Written) -> str | None:
    promise = written.contract.freshness
    if promise is None:
        return None
    if kind is Kind.FRESHNESS_MEASURED_ELSEWHERE:
        return promise.element
    if kind is Kind.WARN_LEVEL_CHANGED:
        return _span(promise.warn_after)
    return _span(promise.error_after)


def _level(tree: Mapping[str, Any], name: str) -> str | None:
    level = (tree.get("slaProperties") or {}).get(name)
    if not level:
        return None
    return " ".join(str(level[part]) for part in ("value", "unit") if part in level)


def _setting(written: Written, name: str) -> str | None:
    value = written.contract.custom.get(name)
    return None if value is None else str(value)


def _span(time: timedelta | None, none: str = "") -> str:
    """A time as people say it: 2 days, 36 h, 90 min."""
    if time is None:
        return none
    seconds = time.total_seconds()
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds % length == 0 and seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None

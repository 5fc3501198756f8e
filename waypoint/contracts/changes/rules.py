"""Our rules in front of datacontract-cli's: what it is blind to, and what we know better.

It does not look at latency, retention, warn level, description, unit, grain, classification,
servers, roles, status and version; it calls every type change the same; and it does not know what
a table without a written freshness promises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from datacontract.breaking.rules import BreakingChangeRule, RuleEvaluation
from datacontract.model.breaking import Direction
from datacontract.model.changelog import ChangelogEntry, ChangelogType

from waypoint.contracts.changes.model import Written
from waypoint.contracts.changes.types import type_change
from waypoint.contracts.changes.verdicts import Audience, Kind, verdict
from waypoint.contracts.model import STATUSES, Contract
from waypoint.contracts.reading import duration

#: What the rule ids of ours begin with; the kind's name follows.
PREFIX = "waypoint:"

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where in a contract an entry of the changelog is.

    `column` is the dotted path of a column (`data.place_id`), None outside of columns; `rest` is
    what follows, e.g. `("logicalTypeOptions", "minimum")`.
    """

    column: str | None
    rest: tuple[str, ...]
    of_table: bool = False

    @property
    def path(self) -> str:
        return ".".join(self.rest)

    @property
    def top(self) -> str:
        """The first step of what follows; empty for a column as a whole."""
        return self.rest[0] if self.rest else ""


def place(path: str, table: str) -> Place:
    """The place of a dotted path in the normalized contract whose table is `table`."""
    inside = f"schema.{table}."  # a table's name may hold dots
    if not path.startswith(inside):
        return Place(None, tuple(path.split(".")))
    segments = path[len(inside) :].split(".")
    columns = []
    while len(segments) >= 2 and segments[0] in ("properties", "items"):
        if segments[0] == "items" and segments[1] != "properties":
            break
        if segments[0] == "items":
            segments = segments[1:]
        columns.append(segments[1])
        segments = segments[2:]
    return Place(".".join(columns) or None, tuple(segments), of_table=True)


@dataclass(frozen=True)
class Pair:
    """Two versions of a contract that are compared, and how their trees name the table.

    `keeps_name`: the older name still leads to this version, through a view.
    """

    before: Written
    after: Written
    table: str
    keeps_name: bool = False


@dataclass(frozen=True)
class Seen:
    """An entry of the changelog, its place, and the two normalized contracts."""

    entry: ChangelogEntry
    where: Place
    pair: Pair
    before: Tree
    after: Tree

    @property
    def old(self) -> Contract:
        return self.pair.before.contract

    @property
    def new(self) -> Contract:
        return self.pair.after.contract

    @property
    def columns(self) -> tuple[Tree, Tree]:
        """The column that the entry is about as it was and as it is; empty where there is none."""
        name = self.where.column or ""
        return (
            definition(self.before, self.pair.table, name),
            definition(self.after, self.pair.table, name),
        )


Finder = Callable[[Seen], Kind | None]


class Rule(BreakingChangeRule):
    """A rule that finds one family of changes; None leaves the entry to the rules behind it."""

    def __init__(self, pair: Pair, find: Finder) -> None:
        self.rule_id = f"{PREFIX}{find.__name__}"
        self._pair = pair
        self._find = find

    def evaluate(
        self, entry: ChangelogEntry, before: dict[str, Any], after: dict[str, Any]
    ) -> RuleEvaluation | None:
        where = place(entry.path, self._pair.table)
        kind = self._find(Seen(entry, where, self._pair, before, after))
        if kind is None:
            return None
        return RuleEvaluation(f"{PREFIX}{kind.name}", _direction(kind), kind.value)


def rules_for(pair: Pair) -> tuple[Rule, ...]:
    """Our rules, in the order in which they are asked."""
    return tuple(Rule(pair, find) for find in _FINDERS)


def _direction(kind: Kind) -> Direction:
    """The verdict in the tool's words: readers lose by a looser promise, producers by a tighter."""
    breaks = verdict(kind).written
    if verdict(kind).look:
        return Direction.UNDETERMINED
    if not breaks:
        return Direction.UNTESTED
    if breaks == {Audience.PRODUCERS}:
        return Direction.TIGHTENS
    return Direction.BOTH if Audience.PRODUCERS in breaks else Direction.LOOSENS


# columns


def column_type(seen: Seen) -> Kind | None:
    if not seen.where.column or seen.where.path not in (
        "logicalType",
        "physicalType",
        "items.logicalType",
    ):
        return None
    old, new = seen.columns
    change = type_change(*(str(c.get("physicalType") or c.get("logicalType")) for c in (old, new)))
    if change is None:  # both names mean the same, unless the logical type says otherwise
        same = old.get("logicalType") == new.get("logicalType")
        return Kind.ANNOTATION_CHANGED if same else Kind.COLUMN_RETYPED
    return change


def column_required(seen: Seen) -> Kind | None:
    """A key's column is required, whether or not that is written too."""
    if seen.where.path != "required" or not seen.where.column:
        return None
    old, new = (bool(c.get("required") or c.get("primaryKey")) for c in seen.columns)
    if old == new:
        return Kind.ANNOTATION_CHANGED
    return Kind.REQUIRED if new else Kind.NO_LONGER_REQUIRED


def column_unit(seen: Seen) -> Kind | None:
    if not seen.where.column:
        return None
    if (
        seen.where.path == "customProperties.unit.value"
        and seen.entry.type == ChangelogType.updated
    ):
        return Kind.UNIT_CHANGED
    if seen.where.path == "description":
        old, new = (units(str(text or "")) for text in (seen.entry.old_value, seen.entry.new_value))
        if old - new and new - old:
            return Kind.UNIT_CHANGED
        return Kind.DESCRIPTION_CHANGED
    return None


def column_values(seen: Seen) -> Kind | None:
    if not seen.where.column or "quality" not in seen.where.rest[:-1]:
        return None
    old, new = (allowed_values(column) for column in seen.columns)
    if old == new or not _is_about_values(seen):
        return None
    if old is None:
        return Kind.VALUES_CLOSED
    if new is None:
        return Kind.VALUES_OPENED
    gone, come = set(old) - set(new), set(new) - set(old)
    if gone and come:
        return Kind.VALUES_CHANGED
    if gone:
        return Kind.VALUES_NARROWED
    return Kind.VALUES_WIDENED if come else Kind.ANNOTATION_CHANGED


def column_pattern(seen: Seen) -> Kind | None:
    if not seen.where.column or seen.where.path != "logicalTypeOptions.pattern":
        return None
    return {
        ChangelogType.added: Kind.PATTERN_ADDED,
        ChangelogType.removed: Kind.PATTERN_DROPPED,
        ChangelogType.updated: Kind.PATTERN_CHANGED,
    }[seen.entry.type]


#: From what everybody may see to what nobody sees without a grant.
_CLASSES = {"public": 0, "internal": 1, "restricted": 2, "confidential": 3, "sensitive": 4}
_CLASSES |= {"pii": 4}


def column_classification(seen: Seen) -> Kind | None:
    if seen.where.path != "classification" or not seen.where.column:
        return None
    # an unknown word for it is taken for the strictest
    old, new = (
        _CLASSES.get((value or "public").lower(), 5)
        for value in (seen.entry.old_value, seen.entry.new_value)
    )
    if old == new:
        return Kind.ANNOTATION_CHANGED
    return Kind.CLASSIFICATION_LOOSENED if new < old else Kind.CLASSIFICATION_TIGHTENED


# the table


def key(seen: Seen) -> Kind | None:
    if seen.where.path not in ("primaryKey", "primaryKeyPosition") or not seen.where.column:
        return None
    return key_change(seen.old.key, seen.new.key)


def key_change(old: Sequence[str], new: Sequence[str]) -> Kind:
    """How a key changed; both are column names in their order."""
    if set(old) == set(new):
        return Kind.ANNOTATION_CHANGED if list(old) == list(new) else Kind.KEY_REORDERED
    if not old:
        return Kind.KEY_ADDED
    return Kind.KEY_CHANGED if new else Kind.KEY_DROPPED


def grain(seen: Seen) -> Kind | None:
    if seen.where.path != "dataGranularityDescription":
        return None
    if seen.entry.type == ChangelogType.added:
        return Kind.GRAIN_REWORDED
    # the key, where there is one, says what a row stands for
    same_key = bool(seen.old.key) and seen.old.key == seen.new.key
    return Kind.GRAIN_REWORDED if same_key else Kind.GRAIN_CHANGED


def description(seen: Seen) -> Kind | None:
    told = seen.where.top == "description" and (seen.where.of_table or len(seen.where.rest) > 1)
    return Kind.DESCRIPTION_CHANGED if told and not seen.where.column else None


def physical_name(seen: Seen) -> Kind | None:
    if seen.where.path != "physicalName" or seen.where.column:
        return None
    if seen.old.name == seen.new.name:
        return Kind.ANNOTATION_CHANGED
    return Kind.NAMED_BY_VERSION if seen.pair.keeps_name else Kind.PHYSICAL_NAME_CHANGED


# promises about time


def freshness(seen: Seen) -> Kind | None:
    warns = seen.where.rest[:2] == ("customProperties", "freshnessWarnAfter")
    if seen.where.rest[:2] != ("slaProperties", "freshness") and not warns:
        return None
    old, new = seen.old.freshness, seen.new.freshness
    if old is None or new is None:
        return Kind.FRESHNESS_TIGHTENED if new else Kind.FRESHNESS_LOOSENED
    if "element" in seen.where.rest and old.element != new.element:
        return Kind.FRESHNESS_MEASURED_ELSEWHERE
    if not warns and old.error_after != new.error_after:
        looser = new.error_after > old.error_after
        return Kind.FRESHNESS_LOOSENED if looser else Kind.FRESHNESS_TIGHTENED
    same = old.warn_after == new.warn_after
    return Kind.ANNOTATION_CHANGED if same else Kind.WARN_LEVEL_CHANGED


def retention(seen: Seen) -> Kind | None:
    if seen.where.rest[:2] != ("slaProperties", "retention"):
        return None
    forever = timedelta.max
    old = seen.old.retention or forever
    new = seen.new.retention or forever
    if old == new:
        return Kind.ANNOTATION_CHANGED
    return Kind.RETENTION_SHORTENED if new < old else Kind.RETENTION_LENGTHENED


def end_of_life(seen: Seen) -> Kind | None:
    if seen.where.rest[:2] != ("slaProperties", "endOfLife"):
        return None
    old, new = seen.old.end_of_life, seen.new.end_of_life
    if old == new:
        return Kind.ANNOTATION_CHANGED
    if old is None:
        return Kind.END_OF_LIFE_SET
    return Kind.END_OF_LIFE_LATER if new is None or new > old else Kind.END_OF_LIFE_EARLIER


#: Of the standard's service levels, those of which less is better, and those of which more is.
_LESS_IS_BETTER = frozenset(
    ("latency", "frequency", "timetodetect", "timetonotify", "timetorepair", "errorrate")
)
_MORE_IS_BETTER = frozenset(("availability", "throughput"))


def service_level(seen: Seen) -> Kind | None:
    if seen.where.top != "slaProperties" or len(seen.where.rest) < 2:
        return None
    name = seen.where.rest[1]
    if len(seen.where.rest) == 2:
        added = seen.entry.type == ChangelogType.added
        return Kind.SERVICE_LEVEL_TIGHTENED if added else Kind.SERVICE_LEVEL_LOOSENED
    if seen.where.rest[2] not in ("value", "unit", "valueExt", "element"):
        return Kind.ANNOTATION_CHANGED
    old, new = (_amount(tree["slaProperties"].get(name, {})) for tree in (seen.before, seen.after))
    known = _LESS_IS_BETTER | _MORE_IS_BETTER
    if seen.where.rest[2] == "element" or name.lower() not in known or old is None or new is None:
        return Kind.SERVICE_LEVEL_CHANGED
    if old == new:
        return Kind.ANNOTATION_CHANGED
    looser = new > old if name.lower() in _LESS_IS_BETTER else new < old
    return Kind.SERVICE_LEVEL_LOOSENED if looser else Kind.SERVICE_LEVEL_TIGHTENED


def _amount(sla: Tree) -> float | None:
    value, unit = sla.get("value"), sla.get("unit")
    try:
        if unit:
            return duration(value, unit).total_seconds()  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


# who, where, and the contract itself


_ACCESS = ("read", "write", "admin")


def role(seen: Seen) -> Kind | None:
    if seen.where.top != "roles" or len(seen.where.rest) < 2:
        return None
    if len(seen.where.rest) == 2:
        return Kind.ROLE_ADDED if seen.entry.type == ChangelogType.added else Kind.ROLE_REMOVED
    if seen.where.rest[2] != "access":
        return Kind.ROLE_CHANGED
    old, new = (value or "read" for value in (seen.entry.old_value, seen.entry.new_value))
    if old in _ACCESS and new in _ACCESS and _ACCESS.index(new) >= _ACCESS.index(old):
        return Kind.ROLE_WIDENED
    return Kind.ROLE_NARROWED


def server(seen: Seen) -> Kind | None:
    if seen.where.top != "servers" or len(seen.where.rest) < 2:
        return None
    if len(seen.where.rest) == 2 and seen.entry.type == ChangelogType.added:
        return Kind.SERVER_ADDED
    if len(seen.where.rest) > 2 and seen.where.rest[2] in (
        "description",
        "environment",
        "roles",
        "id",
    ):
        return Kind.ANNOTATION_CHANGED
    return Kind.SERVER_MOVED


_TOPIC_SETTINGS = {
    "key": Kind.TOPIC_KEY_CHANGED,
    "format": Kind.TOPIC_FORMAT_CHANGED,
    "cleanup": Kind.TOPIC_CLEANUP_CHANGED,
    "partitions": Kind.TOPIC_PARTITIONS_CHANGED,
    "landsIn": Kind.TOPIC_LANDS_ELSEWHERE,
}


def setting(seen: Seen) -> Kind | None:
    if seen.where.column or seen.where.top != "customProperties" or len(seen.where.rest) < 2:
        return None
    if seen.where.rest[-1] != "value" and len(seen.where.rest) != 2:
        return Kind.ANNOTATION_CHANGED
    is_topic = seen.pair.before.table.get("physicalType") == "topic"
    known = _TOPIC_SETTINGS.get(seen.where.rest[1]) if is_topic else None
    return known or Kind.SETTING_CHANGED


def status(seen: Seen) -> Kind | None:
    if seen.where.path != "status" or seen.where.of_table:
        return None
    old, new = str(seen.entry.old_value).lower(), str(seen.entry.new_value).lower()
    if new in ("deprecated", "retired"):
        return Kind.DEPRECATED if new == "deprecated" else Kind.RETIRED
    if old in STATUSES and new in STATUSES and STATUSES.index(new) < STATUSES.index(old):
        in_force = new == "active"
        return Kind.STATUS_CHANGED if in_force else Kind.PROMISE_WITHDRAWN
    return Kind.STATUS_CHANGED


def version(seen: Seen) -> Kind | None:
    if seen.where.path != "version" or seen.where.of_table:
        return None
    old, new = (_numbers(text) for text in (seen.entry.old_value, seen.entry.new_value))
    return Kind.VERSION_RAISED if new >= old else Kind.VERSION_LOWERED


def owner(seen: Seen) -> Kind | None:
    return Kind.OWNER_CHANGED if seen.where.path in ("team.name", "team") else None


_FINDERS = (
    column_type,
    column_required,
    column_unit,
    column_values,
    column_pattern,
    column_classification,
    key,
    grain,
    description,
    physical_name,
    freshness,
    retention,
    end_of_life,
    service_level,
    role,
    server,
    setting,
    status,
    version,
    owner,
)


# looking things up


_UNIT_WORDS = re.compile(
    r"\b(cents?|smallest unit|main unit|euros?|dollars?|milliseconds?|ms|microseconds?|seconds?"
    r"|minutes?|hours?|percent|per cent|fraction|basis points?|metres?|meters?|kilomet(?:re|er)s?"
    r"|km|miles?|feet|degrees?|radians?|celsius|fahrenheit|kelvin|bytes?|kilobytes?|megabytes?"
    r"|utc|local time|epoch|kilograms?|kg|grams?|pounds?)\b",
    re.I,
)
_SAME_UNIT = {"meter": "metre", "kilometer": "kilometre", "km": "kilometre", "ms": "millisecond"}
_SAME_UNIT |= {"per cent": "percent", "kg": "kilogram", "smallest unit": "cent"}


def units(text: str) -> frozenset[str]:
    """The units that a description names, each under one name."""
    words = (word.lower() for word in _UNIT_WORDS.findall(text))
    singular = (word[:-1] if word.endswith("s") and len(word) > 2 else word for word in words)
    return frozenset(_SAME_UNIT.get(word, word) for word in singular)


def allowed_values(definition: Tree) -> tuple[str, ...] | None:
    """The closed list that a normalized column takes its values from; None where it is open."""
    for check in (definition.get("quality") or {}).values():
        arguments = check.get("arguments") or {}
        if check.get("metric") == "invalidValues" and "validValues" in arguments:
            return tuple(str(value) for value in arguments["validValues"])
    listed = definition.get("enum")
    if isinstance(listed, Mapping):
        return tuple(str(item.get("value")) for item in listed.values())
    return None


def _is_about_values(seen: Seen) -> bool:
    """Whether an entry below `quality` belongs to the check that lists the allowed values."""
    below = seen.where.rest[seen.where.rest.index("quality") + 1 :]
    checks = (((column.get("quality") or {}).get(below[0]) or {}) for column in seen.columns)
    return any(check.get("metric") == "invalidValues" for check in checks)


def definition(tree: Tree, table: str, column: str) -> Tree:
    """A normalized column by its dotted path; empty where the tree has none."""
    found: Any = (tree.get("schema") or {}).get(table) or {}
    for name in column.split("."):
        inner = found.get("properties") or (found.get("items") or {}).get("properties") or {}
        found = inner.get(name) or {}
    return dict(found)


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(text))[:3])

"""What a contract demands of the fields within JSON objects and arrays, as SQL.

The fields of an object that have a rule (a type other than text, required, bounds, pattern, valid
values) are taken out of it at once, and those of objects in it likewise. A field that is required
is so where the object that it belongs to is there. Of an array, the same is checked for each of
its objects; arrays and objects within those are not looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ingestion.engine import quoted, text_literal
from ingestion.values import (
    JSON_KINDS,
    Check,
    Value,
    json_name,
    reader,
    scalar_check,
    type_check,
    value_checks,
)
from waypoint.contracts.model import Column

#: Before the dotted name of a value: what is taken out of it, and it as it was read.
_WITHIN = "_within_"
_AS_READ = "_as_read_"


@dataclass
class Nested:
    """The query with columns beside its own, their names quoted, and the checks over these."""

    query: str
    columns: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


def nested_values(query: str, objects: Iterable[Column]) -> Nested:
    """The fields of `objects`, which are JSON columns of `query`, typed, and their checks."""
    nested = Nested(query)
    for column in objects:
        _look_into(nested, column, column.name, quoted(column.name))
    return nested


def _look_into(nested: Nested, column: Column, path: str, holder: str) -> None:
    """Add what stands in a JSON value, whose SQL is `holder` and whose dotted name is `path`."""
    fields = [inner for inner in column.columns if _is_ruled(inner)]
    if not fields:
        return
    if column.logical_type == "array":
        _look_into_items(nested, fields, path, holder)
        return
    within = quoted(_WITHIN + path)
    is_there = _is_json(holder, "object")
    _add(nested, [f"json_transform({holder}, {_kinds(fields, '{}')}) as {within}"])
    added = []
    for inner in fields:
        kind, name = _kind(inner), f"{path}.{inner.name}"
        value = Value(inner, name, quoted(name), quoted(_AS_READ + name))
        raw = f"{within}.{quoted(inner.name)}"
        read = reader(inner, kind, raw, raw)
        added += [f"{read.typed} as {value.typed}", f"{raw} as {value.as_read}"]
        nested.columns += [value.typed, value.as_read]
        read = reader(inner, kind, value.typed, value.as_read)
        if read.problem is not None:
            nested.checks.append(type_check(value, read))
        if inner.logical_type == "string":
            nested.checks.append(scalar_check(value, quoted(_AS_READ + path)))
        nested.checks += value_checks(value, f"{is_there} and {value.as_read} is null")
    _add(nested, added)
    for inner in fields:
        name = f"{path}.{inner.name}"
        _look_into(nested, inner, name, quoted(_AS_READ + name))


def _look_into_items(nested: Nested, fields: Sequence[Column], path: str, holder: str) -> None:
    items = quoted(_WITHIN + path)
    typed, checks = [], []
    for inner in fields:
        kind = _kind(inner)
        raw = f"item.{quoted(inner.name)}"
        value = Value(inner, f"{path}.{inner.name}", raw, f"item.{quoted(_AS_READ + inner.name)}")
        read = reader(inner, kind, raw, raw)
        typed += [f"{quoted(inner.name)}: {read.typed}"]
        typed += [f"{quoted(_AS_READ + inner.name)}: {raw}"]
        read = reader(inner, kind, value.typed, value.as_read)
        if read.problem is not None:
            checks.append(type_check(value, read))
        # of what is no object, nothing is there
        checks += value_checks(value)
    listed = f"json_transform({holder}, {_kinds(fields, '[]')})"
    _add(nested, [f"list_transform({listed}, lambda item: {{{', '.join(typed)}}}) as {items}"])
    nested.columns.append(items)
    nested.checks += [_of_any(check, items) for check in checks]


def _of_any(check: Check, items: str) -> Check:
    """The check of an item, as one of the list: the first item that breaks it is told."""
    bad = f"list_filter({items}, lambda item: coalesce({check.broken}, false))"
    return replace(
        check,
        broken=f"len({bad}) > 0",
        value=f"list_transform({bad}, lambda item: {check.value})[1]",
        reason=f"list_transform({bad}, lambda item: {check.reason})[1]",
    )


def _add(nested: Nested, expressions: Sequence[str]) -> None:
    nested.query = f"select *, {', '.join(expressions)} from ({nested.query})"


def _is_ruled(column: Column) -> bool:
    bounds = (column.minimum, column.maximum, column.pattern, column.valid_values)
    return (
        column.required
        or column.logical_type != "string"
        or any(bound is not None for bound in bounds)
    )


def _kind(column: Column) -> str:
    return "JSON" if column.logical_type in JSON_KINDS else "VARCHAR"


def _kinds(fields: Sequence[Column], around: str) -> str:
    listed = ", ".join(f"{json_name(inner.name)}: {json_name(_kind(inner))}" for inner in fields)
    return text_literal(f"[{{{listed}}}]" if around == "[]" else f"{{{listed}}}")


def _is_json(holder: str, kind: str) -> str:
    return f"coalesce(starts_with(cast({holder} as varchar), '{JSON_KINDS[kind]}'), false)"

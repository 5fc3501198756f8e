"""Columns: described, of types that both warehouses have, with limits that a value can meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from waypoint.contracts.documents import Entry
from waypoint.contracts.linting.finding import (
    ContractFile,
    Finding,
    inner,
    is_number,
    maps,
    with_inner_columns,
    words,
)
from waypoint.contracts.model import RAW

#: What a column of each kind is in a table; the types mean the same on DuckDB and Snowflake.
PHYSICAL_TYPES = {
    "string": ("varchar",),
    "integer": ("bigint", "integer"),
    "number": ("double", "decimal(p,s)"),
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamp": ("timestamp",),
    "object": ("varchar",),
    "array": ("varchar",),
}
_NESTED = ("object", "array")
_DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
_SNAKE = re.compile(r"[a-z][a-z0-9_]*")
_MONEY = re.compile(r"(?:^|_)(?:amount|price|cost|fee|tax|revenue|balance|cents)$")
#: What is read of `logicalTypeOptions`; the rest would be a promise that nothing checks.
_OPTIONS = ("minimum", "maximum", "pattern")
_ORDERED = ("integer", "number", "date", "timestamp")


def columns(file: ContractFile) -> Iterator[Finding]:
    """Everything about single columns and the set of them, but rules and personal data."""
    if not file.columns:
        yield file.finding(
            file.table, "properties", "columns", "no column is described", "describe each column"
        )
    yield from _duplicates(file, file.columns)
    yield from _key(file)
    for column, parents in with_inner_columns(file.columns):
        yield from _names(file, column, bool(parents))
        yield from _types(file, column)
        yield from _limits(file, column)
        fields = maps(column, "properties") or maps(inner(column, "items"), "properties")
        yield from _duplicates(file, fields)


def _duplicates(file: ContractFile, entries: list[Entry]) -> Iterator[Finding]:
    lines: dict[str, int] = {}
    for entry in entries:
        name = words(entry, "name").lower()  # warehouses do not tell A from a
        if name and name in lines:
            yield file.finding(
                entry,
                "name",
                "duplicate column",
                f"{words(entry, 'name')} is described twice; the first time on line {lines[name]}",
                "keep one of them; upper and lower case do not make a difference",
            )
        lines.setdefault(name, entry.line_of("name"))


def _key(file: ContractFile) -> Iterator[Finding]:
    keyed = [column for column in file.columns if column.get("primaryKey") is True]
    positions = [column.get("primaryKeyPosition") for column in keyed]
    wanted = {str(position) for position in range(1, len(keyed) + 1)}
    if len(keyed) > 1 and None not in positions and {str(p) for p in positions} != wanted:
        yield file.finding(
            keyed[0],
            "primaryKeyPosition",
            "key",
            f"the positions in the key are {', '.join(map(str, positions))}",
            f"number the key's columns from 1 to {len(keyed)}",
        )
    for column in keyed:
        if len(keyed) > 1 and column.get("primaryKeyPosition") is None:
            problem = f"{words(column, 'name')} is one of several key columns and has no position"
            yield file.finding(column, "primaryKey", "key", problem, "add primaryKeyPosition")
    for column in file.columns:
        # -1 is the standard's word for none
        positioned = column.get("primaryKeyPosition") not in (None, -1)
        if positioned and column.get("primaryKey") is not True:
            problem = f"{words(column, 'name')} has a position in a key that it is not part of"
            mend = "add `primaryKey: true`, or take the position away"
            yield file.finding(column, "primaryKeyPosition", "key", problem, mend)
        if column.get("primaryKey") is True and column.get("required") is False:
            problem = f"{words(column, 'name')} is a key and not required"
            yield file.finding(column, "required", "key", problem, "a key is never empty")


def _names(file: ContractFile, column: Entry, is_inside: bool) -> Iterator[Finding]:
    name, description = words(column, "name"), words(column, "description")
    if not description or description.strip(".").lower() in (name.lower(), name.replace("_", " ")):
        yield file.finding(
            column,
            "description" if description else "name",
            "description",
            f"{name or 'a column'} is not described",
            "say what it means to somebody who has never seen it, with its unit",
        )
    ours = file.folder != RAW and not file.is_topic and not is_inside
    if ours and name and not _SNAKE.fullmatch(name):
        problem = f"{name} is not in snake_case"
        yield file.finding(column, "name", "name", problem, "use small letters, digits and _")


def _types(file: ContractFile, column: Entry) -> Iterator[Finding]:
    name = words(column, "name")
    logical, physical = words(column, "logicalType"), words(column, "physicalType")
    if logical not in PHYSICAL_TYPES:
        problem = f"{name}: logicalType {column.get('logicalType')!r} has no type in the warehouse"
        mend = f"write one of {', '.join(PHYSICAL_TYPES)}"
        yield file.finding(column, "logicalType", "type", problem, mend)
        return
    allowed = (logical,) if file.is_topic and logical in _NESTED else PHYSICAL_TYPES[logical]
    decimal = _DECIMAL.fullmatch(physical)
    if physical not in allowed and not (decimal and logical == "number"):
        said = f"{physical!r} is not" if physical else "no physicalType, and so not"
        yield file.finding(
            column,
            "physicalType",
            "type",
            f"{name}: {said} a type that means {logical} on both warehouses",
            f"write {' or '.join(allowed)}",
        )
    elif decimal and not (1 <= int(decimal[1]) <= 38 and int(decimal[2]) <= int(decimal[1])):
        problem = f"{name}: {physical} does not exist"
        yield file.finding(
            column, "physicalType", "type", problem, "at most 38 digits, fewer after the point"
        )
    elif physical == "double" and _MONEY.search(name) and file.folder != RAW and not file.is_topic:
        problem = f"{name} looks like money and is a double, which loses cents"
        mend = "use decimal(p,s), or whole cents as bigint"
        yield file.finding(column, "physicalType", "type", problem, mend)


def _limits(file: ContractFile, column: Entry) -> Iterator[Finding]:
    options, name = inner(column, "logicalTypeOptions"), words(column, "name")
    logical = words(column, "logicalType")
    for option in options:
        if option not in _OPTIONS:
            yield file.finding(
                options,
                option,
                "limits",
                f"{name}: nothing checks the option {option}",
                f"use {', '.join(_OPTIONS)}, or write a rule in SQL",
            )
    low, high = options.get("minimum"), options.get("maximum")
    if low is not None and high is not None and _above(low, high):
        problem = f"{name}: the minimum {low} is above the maximum {high}: no value fits"
        yield file.finding(options, "minimum", "limits", problem, "correct one of them")
    for word, value in (("minimum", low), ("maximum", high)):
        if value is None:
            continue
        if logical not in _ORDERED:
            problem = f"{name}: a {logical or 'value'} has no {word}"
            yield file.finding(
                options, word, "limits", problem, "take it away, or correct the type"
            )
        elif logical in ("integer", "number") and not is_number(value):
            problem = f"{name}: the {word} {value!r} is no number as YAML reads it"
            yield file.finding(options, word, "limits", problem, "write e.g. 0.001, not 1e-3")
    yield from _pattern(file, column, options)
    yield from _values(file, column)


def _above(low: Any, high: Any) -> bool:
    try:
        return bool(low > high)
    except TypeError:
        return False


def _pattern(file: ContractFile, column: Entry, options: Entry) -> Iterator[Finding]:
    pattern = options.get("pattern")
    if pattern is None:
        return
    name = words(column, "name")
    if words(column, "logicalType") != "string":
        problem = f"{name}: a pattern is for text"
        yield file.finding(options, "pattern", "limits", problem, "take it away")
        return
    try:
        re.compile(str(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        problem = f"{name}: {str(pattern)[:60]!r} is no regular expression: {error}"
        yield file.finding(options, "pattern", "limits", problem, "correct it")
        return
    if re.search(r"\(\?(?!:)|\\[1-9]", str(pattern)):
        problem = f"{name}: look-around and back references are not understood by the warehouses"
        yield file.finding(options, "pattern", "limits", problem, "write it without them")


_VALUE_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
}


def _values(file: ContractFile, column: Entry) -> Iterator[Finding]:
    """The closed lists of a column."""
    name, logical = words(column, "name"), words(column, "logicalType")
    for check in maps(column, "quality"):
        if check.get("metric") != "invalidValues":
            continue
        arguments = inner(check, "arguments")
        for key in arguments:
            if key != "validValues":
                problem = f"{name}: nothing reads the argument {key!r} of invalidValues"
                mend = "write validValues: [...]; a pattern stands in logicalTypeOptions"
                yield file.finding(arguments, key, "values", problem, mend)
        values = arguments.get("validValues")
        if not isinstance(values, list) or not values:
            problem = f"{name}: validValues is no list of values"
            mend = "write `arguments: {validValues: [...]}`"
            holder, key = (
                (arguments, "validValues") if "validValues" in arguments else (check, "arguments")
            )
            yield file.finding(holder, key, "values", problem, mend)
            continue
        expected = _VALUE_TYPES.get(logical)
        wrong = [
            value
            for value in values
            if expected is not None and (not isinstance(value, expected) or isinstance(value, bool))
        ]
        if wrong:
            problem = f"{name}: {wrong[0]!r} in validValues is not of the type {logical}"
            mend = "put texts in quotes: YAML reads no, on and 1 as something else"
            yield file.finding(arguments, "validValues", "values", problem, mend)
        texts = [str(value) for value in values]
        double = sorted({text for text in texts if texts.count(text) > 1})
        if double:
            problem = f"{name}: validValues names {', '.join(double)} twice"
            yield file.finding(arguments, "validValues", "values", problem, "keep one")

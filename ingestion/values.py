"""How one value is typed by its column of a contract, and what can be wrong with it, as SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ingestion.engine import text_literal
from waypoint.contracts.model import Column

#: How much of a bad value is shown in its reason, in characters.
SHOWN = 80
#: How the JSON text of a type begins.
JSON_KINDS = {"object": "{", "array": "["}

_IN_TIME = "within the years 1 to 9999"
_EXPONENT = "[+-]?[0-9.]+[eE][+-]?[0-9]+"


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong with a row, over the columns of a query that types it.

    `broken` is an SQL condition (NULL counts as false), `value` the SQL text of what was found,
    `reason` the SQL text of what is said about it.
    """

    rule: str
    field: str | None
    broken: str
    value: str
    reason: str


@dataclass(frozen=True)
class Value:
    """A value under contract: its name for people, and the SQL of it typed and as it was read."""

    column: Column
    field: str
    typed: str
    as_read: str


# how a value is read: one function for each physical type


@dataclass(frozen=True)
class Reader:
    """How a column is typed: the expression, and what tells that a value could not be read.

    `problem` is a condition over the typed column and the value as read, or None where any value
    of the given type can be read.
    """

    typed: str
    problem: str | None
    expected: str = ""


def reader(column: Column, given: str, name: str, as_read: str, thousands: bool = False) -> Reader:
    """How a value of type `given` is read.

    `name` is the SQL of the value to read in `typed` and of the typed value in `problem`;
    `as_read` is that of the value as it was read.
    """
    wanted = _plain_type(column.physical_type)
    if given == "JSON" and column.logical_type in JSON_KINDS:
        opening = JSON_KINDS[column.logical_type]
        article = "an" if column.logical_type[0] in "ao" else "a"
        return Reader(
            f"cast({name} as varchar)",
            f"not starts_with(cast({as_read} as varchar), '{opening}')",
            f"{article} {column.logical_type}",
        )
    if given in ("VARCHAR", "JSON"):
        read = _TEXT_READERS.get(wanted.partition("(")[0])
        if read is not None:
            return read(name, as_read, wanted, thousands)
    if wanted == "timestamp" and given == "TIMESTAMP WITH TIME ZONE":
        return Reader(f"timezone('UTC', {name})", _outside_of_time(name), _IN_TIME)
    if _plain_type(given) == wanted:
        # databases have infinite times, too
        timely = wanted in ("timestamp", "date")
        return Reader(name, _outside_of_time(name) if timely else None, _IN_TIME)
    typed = f"try_cast({name} as {wanted})"
    if wanted == "varchar":
        return Reader(f"cast({name} as varchar)", None)
    return Reader(typed, f"{name} is null and {as_read} is not null", f"a {wanted}")


def _integer(name: str, as_read: str, wanted: str, thousands: bool) -> Reader:
    text = _without_thousands(name, thousands)
    again = _without_thousands(as_read, thousands)
    # the cast rounds '5.7' and takes '0x10' and '1_000': what is not written plainly is looked at
    return Reader(
        f"try_cast({text} as {wanted})",
        f"case when cast({name} as varchar) = {as_read} or {as_read} is null then false"
        f" when {name} is null then true"
        rf" else not regexp_full_match(trim({again}), '[+-]?[0-9]+(\.0*)?') end",
        "a whole number",
    )


def _decimal(name: str, as_read: str, wanted: str, thousands: bool) -> Reader:
    text = _without_thousands(name, thousands)
    again = _without_thousands(as_read, thousands)
    digits = re.search(r",(\d+)\)", wanted)
    scale = int(digits[1]) if digits else 0
    plain = rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)"
    # the cast rounds to the scale: a value with more digits would not be what the source said
    return Reader(
        f"try_cast({text} as {wanted})",
        f"case when cast({name} as varchar) = {as_read} or {as_read} is null then false"
        f" when {name} is null then true"
        f" when regexp_full_match(trim({again}), '{plain}') then false"
        f" when regexp_full_match(trim({again}), '{_EXPONENT}')"
        f" then coalesce(try_cast({again} as decimal(38, 18)) <> {name}, true)"
        f" else true end",
        f"a number with at most {scale} decimal places (e.g. 1234{'.50' if scale else ''})",
    )


def _double(name: str, as_read: str, wanted: str, thousands: bool) -> Reader:
    text = _without_thousands(name, thousands)
    return Reader(
        f"try_cast({text} as double)",
        f"{as_read} is not null and ({name} is null or not isfinite({name})"
        f" or contains({as_read}, '_'))",
        "a number (e.g. 1234.50)",
    )


def _boolean(name: str, as_read: str, wanted: str, thousands: bool) -> Reader:
    return Reader(
        f"try_cast({name} as boolean)", f"{as_read} is not null and {name} is null", "true or false"
    )


def _date(name: str, as_read: str, wanted: str, thousands: bool) -> Reader:
    return Reader(
        f"try_cast({name} as date)",
        f"{as_read} is not null and ({name} is null or length({as_read}) > 10"
        f" or {_not_a_year(as_read)} or {_outside_of_time(name)})",
        "a date (e.g. 2026-01-31)",
    )


def _timestamp(name: str, as_read: str, wanted: str, thousands: bool) -> Reader:
    # minutes without seconds are ISO 8601 too, which the cast does not know
    seconds = rf"regexp_replace({name}, '^(.{{10}}[T ]\d\d:\d\d)(Z|[+-].*)?$', '\1:00\2')"
    moment = f"coalesce(try_cast({name} as timestamptz), try_cast({seconds} as timestamptz))"
    # in UTC already, as most are: a quarter of the time
    plain = f"substr({name}, 20, 1) in ('.', 'Z') and ends_with({name}, 'Z')"
    return Reader(
        f"case when {plain} then try_cast({name} as timestamp) else timezone('UTC', {moment}) end",
        f"{as_read} is not null and ({name} is null or {_not_a_year(as_read)}"
        f" or {_outside_of_time(name)})",
        "a timestamp (e.g. 2026-01-31T10:00:00.000Z)",
    )


_TEXT_READERS: Mapping[str, Callable[[str, str, str, bool], Reader]] = {
    "bigint": _integer,
    "integer": _integer,
    "decimal": _decimal,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}


def _outside_of_time(name: str) -> str:
    return f"{name} not between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'"


def _not_a_year(text: str) -> str:
    # 'epoch' and 'infinity' are dates to the engine, not to a source
    return f"substr({text}, 5, 1) <> '-'"


def _without_thousands(text: str, thousands: bool) -> str:
    if not thousands:
        return text
    grouped = r"\s*[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\s*"
    return (
        f"case when contains({text}, ',') and regexp_full_match({text}, '{grouped}')"
        f" then replace({text}, ',', '') else {text} end"
    )


def _plain_type(name: str) -> str:
    return name.lower().replace(" ", "")


# the checks


def type_check(value: Value, read: Reader) -> Check:
    """That a value could be read as its type."""
    text = f"cast({value.as_read} as varchar)"
    assert read.problem is not None
    return Check(
        rule=f"{value.field}_is_{value.column.logical_type}",
        field=value.field,
        broken=read.problem,
        value=text,
        reason=f"{_shown(text)} || {text_literal(' is not ' + read.expected)}",
    )


def scalar_check(value: Value, document: str) -> Check:
    """That a text is none that was written as JSON; `document` is the SQL of what holds it."""
    path = text_literal("$." + json_name(value.column.name))
    looks_like_it = f"starts_with({value.typed}, '{{') or starts_with({value.typed}, '[')"
    return Check(
        rule=f"{value.field}_is_string",
        field=value.field,
        # few texts do. The condition stands within the argument, too: the engine may work a
        # function out for other rows of its vector, and the document of a row with a problem
        # need not be JSON
        broken=(
            f"case when {looks_like_it} then"
            f" json_type(case when {looks_like_it} then {document} end, {path})"
            " in ('OBJECT', 'ARRAY') else false end"
        ),
        value=value.typed,
        reason=f"{_shown(value.typed)} || ' is not a text but JSON'",
    )


def value_checks(value: Value, missing: str | None = None) -> list[Check]:
    """What the contract demands of a typed value; `missing` tells where a required one lacks.

    Unless told otherwise, it is missing where it is NULL.
    """
    column, name = value.column, value.typed
    text = f"cast({name} as varchar)"

    def check(kind: str, broken: str, reason: str) -> Check:
        return Check(f"{value.field}_{kind}", value.field, broken, text, reason)

    checks = []
    if column.required:
        # a value that is there but cannot be read has a reason of its own
        checks.append(check("is_required", missing or f"{value.as_read} is null", "'is missing'"))
    if column.valid_values is not None:
        allowed = ", ".join(text_literal(v) for v in column.valid_values)
        shown = text_literal(" is not one of " + ", ".join(column.valid_values))
        broken = f"{text} not in ({allowed})"
        checks.append(check("is_allowed", broken, f"{_shown(text)} || {shown}"))
    for kind, sign, bound, words in (
        ("at_least_minimum", "<", column.minimum, "below the minimum"),
        ("at_most_maximum", ">", column.maximum, "above the maximum"),
    ):
        if bound is not None:
            literal = f"{bound}" if isinstance(bound, int | float) else text_literal(str(bound))
            shown = text_literal(f" is {words} {bound}")
            checks.append(check(kind, f"{name} {sign} {literal}", f"{_shown(text)} || {shown}"))
    if column.pattern is not None:
        shown = text_literal(f" does not match the pattern {column.pattern}")
        broken = f"not regexp_full_match({text}, {text_literal(column.pattern)})"
        checks.append(check("matches_pattern", broken, f"{_shown(text)} || {shown}"))
    return checks


def _shown(text: str) -> str:
    return (
        f"('''' || left({text}, {SHOWN}) ||"
        f" case when length({text}) > {SHOWN} then '...' else '' end || '''')"
    )


def json_name(name: str) -> str:
    """A name as JSON text, which is also how a JSON path quotes it."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

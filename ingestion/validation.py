"""What a raw contract demands of each row, as DuckDB SQL derived from the contract.

Rows come as a query whose columns are named like the contract's; text and JSON are typed, other
types are cast. Each check has a condition that is true for a row that breaks it. A row is good
where no condition holds; which one it was, and the words for a person, are worked out for bad
rows only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ingestion.engine import quoted, text_literal
from waypoint.contracts.model import Column, Contract

#: The column in which a reader marks a row that it could not take apart (NULL: none): a struct
#: with the four text fields of `PROBLEM_FIELDS`.
PROBLEM = "_problem"
PROBLEM_FIELDS = ("field", "value", "rule", "reason")

#: How much of a bad value is shown in its reason, and how much is kept of it, in characters.
SHOWN = 80
KEPT = 1000

_AS_READ = "_as_read_"
_IN_TIME = "within the years 1 to 9999"
_EXPONENT = "[+-]?[0-9.]+[eE][+-]?[0-9]+"
_JSON_KINDS = {"object": "{", "array": "["}


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong with a row, over the columns of `Validation.typed`.

    `broken` is an SQL condition (NULL counts as false), `value` the SQL text of what was found,
    `reason` the SQL text of what is said about it.
    """

    rule: str
    field: str | None
    broken: str
    value: str
    reason: str


@dataclass(frozen=True)
class Validation:
    """The SQL that types and checks the rows of one query against one contract."""

    typed: str  # a select with the contract's columns typed, and what the checks need beside them
    as_read: Mapping[str, str]  # the contract's columns that the query has: where the value as
    # it was read stands in `typed`
    unknown: tuple[str, ...]  # columns of the query that the contract has not
    checks: tuple[Check, ...]
    problems: bool  # whether the query marks rows in `PROBLEM`

    @property
    def good(self) -> str:
        """An SQL condition over `typed`, never NULL: no check is broken."""
        conditions = [f"coalesce({check.broken}, false)" for check in self.checks]
        if self.problems:
            conditions.insert(0, f"{PROBLEM} is not null")
        return f"not ({' or '.join(conditions)})" if conditions else "true"

    @property
    def problem(self) -> str:
        """A struct expression over `typed`: what is wrong with a bad row.

        The first broken check gives field, value and rule; the reason tells of all of them.
        """
        found = [
            f"case when coalesce({check.broken}, false) then {_problem_struct(check)} end"
            for check in self.checks
        ]
        listed = f"list_filter([{', '.join(found)}], lambda p: p is not null)" if found else "[]"
        gathered = (
            f"list_transform([{listed}], lambda ps: {{"
            "field: ps[1].field, value: ps[1].value, rule: ps[1].rule, "
            "reason: array_to_string(list_transform(ps, lambda p: p.reason), '; ')})[1]"
        )
        if not self.problems:
            return gathered
        if not found:
            return PROBLEM
        return f"case when {PROBLEM} is not null then {PROBLEM} else {gathered} end"


def validation(
    contract: Contract,
    query: str,
    types: Mapping[str, str],
    *,
    document: str | None = None,
    thousands: bool = False,
) -> Validation:
    """How the rows of `query`, with columns of `types` (DuckDB's names), are typed and checked.

    Args:
        contract: the raw table's contract.
        query: a select.
        types: the query's columns and their types, in order.
        document: the column that holds a row's JSON as sent, where the text columns were taken
            from one; tells a text from an object that was written as text.
        thousands: whether numbers may come as `1,234.50`.
    """
    by_name = {column.name: column for column in contract.columns}
    selected: list[str] = []
    checks: list[Check] = []
    as_read: dict[str, str] = {}
    for name, given in types.items():
        column = by_name.get(name)
        if column is None:
            if name.startswith("_"):
                selected.append(quoted(name))
            continue
        as_read[name] = name
        reader = _reader(column, given, thousands)
        selected.append(f"{reader.typed} as {quoted(name)}")
        if reader.problem is not None:
            as_read[name] = _AS_READ + name
            selected.append(f"{quoted(name)} as {quoted(_AS_READ + name)}")
            checks.append(_type_check(column, reader))
        text = given == "VARCHAR" and column.logical_type == "string"
        if document and text and not column.is_metadata:
            checks.append(_scalar_check(column, document))
    for column in contract.columns:
        if column.name not in types and not column.is_metadata:
            selected.append(f"cast(null as {column.physical_type}) as {quoted(column.name)}")
    for column in contract.columns:
        if not column.is_metadata or column.name in types:
            checks.extend(_value_checks(column, as_read.get(column.name, column.name)))
    checks.extend(_row_checks(contract))
    return Validation(
        typed=f"select {', '.join(selected)} from ({query})",
        as_read=as_read,
        unknown=tuple(n for n in types if n not in by_name and not n.startswith("_")),
        checks=tuple(checks),
        problems=PROBLEM in types,
    )


def document_type(contract: Contract) -> str:
    """The second argument of `json_transform` that takes the contract's columns out of a document.

    Objects and arrays come as JSON, everything else as text.
    """
    kinds = {
        column.name: "JSON" if column.logical_type in _JSON_KINDS else "VARCHAR"
        for column in contract.source_columns
    }
    fields = ", ".join(f"{_json_name(name)}: {_json_name(kind)}" for name, kind in kinds.items())
    return text_literal(f"{{{fields}}}")


# how a value is read: one function for each physical type


@dataclass(frozen=True)
class _Reader:
    """How a column is typed: the expression, and what tells that a value could not be read.

    `problem` is a condition over the typed column and the value as read, or None where any value
    of the given type can be read.
    """

    typed: str
    problem: str | None
    expected: str = ""


def _reader(column: Column, given: str, thousands: bool) -> _Reader:
    name, wanted = quoted(column.name), _plain_type(column.physical_type)
    as_read = quoted(_AS_READ + column.name)
    if given == "JSON" and column.logical_type in _JSON_KINDS:
        opening = _JSON_KINDS[column.logical_type]
        article = "an" if column.logical_type[0] in "ao" else "a"
        return _Reader(
            f"cast({name} as varchar)",
            f"not starts_with(cast({as_read} as varchar), '{opening}')",
            f"{article} {column.logical_type}",
        )
    if given in ("VARCHAR", "JSON"):
        read = _TEXT_READERS.get(wanted.partition("(")[0])
        if read is not None:
            return read(name, as_read, wanted, thousands)
    if wanted == "timestamp" and given == "TIMESTAMP WITH TIME ZONE":
        return _Reader(f"timezone('UTC', {name})", _outside_of_time(name), _IN_TIME)
    if _plain_type(given) == wanted:
        # databases have infinite times, too
        timely = wanted in ("timestamp", "date")
        return _Reader(name, _outside_of_time(name) if timely else None, _IN_TIME)
    typed = f"try_cast({name} as {wanted})"
    if wanted == "varchar":
        return _Reader(f"cast({name} as varchar)", None)
    return _Reader(typed, f"{name} is null and {as_read} is not null", f"a {wanted}")


def _integer(name: str, as_read: str, wanted: str, thousands: bool) -> _Reader:
    text = _without_thousands(name, thousands)
    again = _without_thousands(as_read, thousands)
    # the cast rounds '5.7' and takes '0x10' and '1_000': what is not written plainly is looked at
    return _Reader(
        f"try_cast({text} as {wanted})",
        f"case when cast({name} as varchar) = {as_read} or {as_read} is null then false"
        f" when {name} is null then true"
        rf" else not regexp_full_match(trim({again}), '[+-]?[0-9]+(\.0*)?') end",
        "a whole number",
    )


def _decimal(name: str, as_read: str, wanted: str, thousands: bool) -> _Reader:
    text = _without_thousands(name, thousands)
    again = _without_thousands(as_read, thousands)
    digits = re.search(r",(\d+)\)", wanted)
    scale = int(digits[1]) if digits else 0
    plain = rf"[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{max(scale, 1)}}}0*)"
    # the cast rounds to the scale: a value with more digits would not be what the source said
    return _Reader(
        f"try_cast({text} as {wanted})",
        f"case when cast({name} as varchar) = {as_read} or {as_read} is null then false"
        f" when {name} is null then true"
        f" when regexp_full_match(trim({again}), '{plain}') then false"
        f" when regexp_full_match(trim({again}), '{_EXPONENT}')"
        f" then coalesce(try_cast({again} as decimal(38, 18)) <> {name}, true)"
        f" else true end",
        f"a number with at most {scale} decimal places (e.g. 1234{'.50' if scale else ''})",
    )


def _double(name: str, as_read: str, wanted: str, thousands: bool) -> _Reader:
    text = _without_thousands(name, thousands)
    return _Reader(
        f"try_cast({text} as double)",
        f"{as_read} is not null and ({name} is null or not isfinite({name})"
        f" or contains({as_read}, '_'))",
        "a number (e.g. 1234.50)",
    )


def _boolean(name: str, as_read: str, wanted: str, thousands: bool) -> _Reader:
    return _Reader(
        f"try_cast({name} as boolean)", f"{as_read} is not null and {name} is null", "true or false"
    )


def _date(name: str, as_read: str, wanted: str, thousands: bool) -> _Reader:
    return _Reader(
        f"try_cast({name} as date)",
        f"{as_read} is not null and ({name} is null or length({as_read}) > 10"
        f" or {_not_a_year(as_read)} or {_outside_of_time(name)})",
        "a date (e.g. 2026-01-31)",
    )


def _timestamp(name: str, as_read: str, wanted: str, thousands: bool) -> _Reader:
    # minutes without seconds are ISO 8601 too, which the cast does not know
    seconds = rf"regexp_replace({name}, '^(.{{10}}[T ]\d\d:\d\d)(Z|[+-].*)?$', '\1:00\2')"
    moment = f"coalesce(try_cast({name} as timestamptz), try_cast({seconds} as timestamptz))"
    # in UTC already, as most are: a quarter of the time
    plain = f"substr({name}, 20, 1) in ('.', 'Z') and ends_with({name}, 'Z')"
    return _Reader(
        f"case when {plain} then try_cast({name} as timestamp) else timezone('UTC', {moment}) end",
        f"{as_read} is not null and ({name} is null or {_not_a_year(as_read)}"
        f" or {_outside_of_time(name)})",
        "a timestamp (e.g. 2026-01-31T10:00:00.000Z)",
    )


_TEXT_READERS: Mapping[str, Callable[[str, str, str, bool], _Reader]] = {
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


def _type_check(column: Column, reader: _Reader) -> Check:
    value = f"cast({quoted(_AS_READ + column.name)} as varchar)"
    assert reader.problem is not None
    return Check(
        rule=f"{column.name}_is_{column.logical_type}",
        field=column.name,
        broken=reader.problem,
        value=value,
        reason=f"{_shown(value)} || {text_literal(' is not ' + reader.expected)}",
    )


def _scalar_check(column: Column, document: str) -> Check:
    name = quoted(column.name)
    path = text_literal("$." + _json_name(column.name))
    return Check(
        rule=f"{column.name}_is_string",
        field=column.name,
        # the condition stands within the argument: the engine may work a function out for other
        # rows of its vector too, and the document of a row with a problem need not be JSON
        broken=(
            f"json_type(case when starts_with({name}, '{{') or starts_with({name}, '[')"
            f" then {quoted(document)} end, {path}) in ('OBJECT', 'ARRAY')"
        ),
        value=name,
        reason=f"{_shown(name)} || ' is not a text but JSON'",
    )


def _value_checks(column: Column, as_read: str) -> list[Check]:
    name = quoted(column.name)
    value = f"cast({name} as varchar)"

    def check(kind: str, broken: str, reason: str) -> Check:
        return Check(f"{column.name}_{kind}", column.name, broken, value, reason)

    checks = []
    if column.required:
        # a value that is there but cannot be read has a reason of its own
        checks.append(check("is_required", f"{quoted(as_read)} is null", "'is missing'"))
    if column.valid_values is not None:
        allowed = ", ".join(text_literal(v) for v in column.valid_values)
        shown = text_literal(" is not one of " + ", ".join(column.valid_values))
        broken = f"{value} not in ({allowed})"
        checks.append(check("is_allowed", broken, f"{_shown(value)} || {shown}"))
    for kind, sign, bound, words in (
        ("at_least_minimum", "<", column.minimum, "below the minimum"),
        ("at_most_maximum", ">", column.maximum, "above the maximum"),
    ):
        if bound is not None:
            literal = f"{bound}" if isinstance(bound, int | float) else text_literal(str(bound))
            shown = text_literal(f" is {words} {bound}")
            checks.append(check(kind, f"{name} {sign} {literal}", f"{_shown(value)} || {shown}"))
    if column.pattern is not None:
        shown = text_literal(f" does not match the pattern {column.pattern}")
        broken = f"not regexp_full_match({value}, {text_literal(column.pattern)})"
        checks.append(check("matches_pattern", broken, f"{_shown(value)} || {shown}"))
    return checks


def _row_checks(contract: Contract) -> list[Check]:
    rules = (*contract.rules, *(rule for column in contract.columns for rule in column.rules))
    return [
        Check(
            rule=rule.name,
            field=None,
            broken=f"({rule.condition})",
            value="cast(null as varchar)",
            reason=text_literal(rule.description or rule.name),
        )
        for rule in rules
        # a condition that looks at other tables can only be checked in the warehouse
        if rule.severity == "error" and rule.condition is not None and "{" not in rule.condition
    ]


def _problem_struct(check: Check) -> str:
    field = "cast(null as varchar)" if check.field is None else text_literal(check.field)
    prefix = "" if check.field is None else f"{text_literal(check.field + ': ')} || "
    return (
        f"{{field: {field}, value: left({check.value}, {KEPT}), rule: {text_literal(check.rule)},"
        f" reason: coalesce({prefix}{check.reason}, {text_literal(check.rule)})}}"
    )


def _shown(text: str) -> str:
    return (
        f"('''' || left({text}, {SHOWN}) ||"
        f" case when length({text}) > {SHOWN} then '...' else '' end || '''')"
    )


def _json_name(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

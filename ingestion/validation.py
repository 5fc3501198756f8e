"""What a raw contract demands of each row, as DuckDB SQL derived from the contract.

Rows come as a query whose columns are named like the contract's; text and JSON are typed, other
types are cast. Each check has a condition that is true for a row that breaks it. A row is good
where no condition holds; which one it was, and the words for a person, are worked out for bad
rows only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingestion.engine import quoted, text_literal
from ingestion.nested import nested_values
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
from waypoint.contracts.model import Column, Contract

#: The column in which a reader marks a row that it could not take apart (NULL: none): a struct
#: with the four text fields of `PROBLEM_FIELDS`.
PROBLEM = "_problem"
PROBLEM_FIELDS = ("field", "value", "rule", "reason")

#: How much of a bad value is kept, in characters.
KEPT = 1000

_AS_READ = "_as_read_"


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
    objects: Iterable[Column] = (),
) -> Validation:
    """How the rows of `query`, with columns of `types` (DuckDB's names), are typed and checked.

    Args:
        contract: the raw table's contract.
        query: a select.
        types: the query's columns and their types, in order.
        document: the column that holds a row's JSON as sent, where the text columns were taken
            from one; tells a text from an object that was written as text.
        thousands: whether numbers may come as `1,234.50`.
        objects: columns with the fields that objects and arrays of the query's consist of, which
            are checked too where they come as JSON.
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
        value = Value(column, name, quoted(name), quoted(_AS_READ + name))
        read = reader(column, given, value.typed, value.as_read, thousands)
        selected.append(f"{read.typed} as {quoted(name)}")
        if read.problem is not None:
            as_read[name] = _AS_READ + name
            selected.append(f"{quoted(name)} as {value.as_read}")
            checks.append(type_check(value, read))
        text = given == "VARCHAR" and column.logical_type == "string"
        if document and text and not column.is_metadata:
            checks.append(scalar_check(value, quoted(document)))
    for column in contract.columns:
        if column.name not in types and not column.is_metadata:
            selected.append(f"cast(null as {column.physical_type}) as {quoted(column.name)}")
    for column in contract.columns:
        if not column.is_metadata or column.name in types:
            told = quoted(as_read.get(column.name, column.name))
            checks.extend(value_checks(Value(column, column.name, quoted(column.name), told)))
    nested = nested_values(query, [o for o in objects if types.get(o.name) == "JSON"])
    checks.extend(nested.checks)
    checks.extend(_row_checks(contract))
    return Validation(
        typed=f"select {', '.join((*selected, *nested.columns))} from ({nested.query})",
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
        column.name: "JSON" if column.logical_type in JSON_KINDS else "VARCHAR"
        for column in contract.source_columns
    }
    fields = ", ".join(f"{json_name(name)}: {json_name(kind)}" for name, kind in kinds.items())
    return text_literal(f"{{{fields}}}")


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

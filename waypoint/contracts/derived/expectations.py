"""Deriving a Great Expectations suite for each table: what its contract demands, in GE's words.

A suite is what Great Expectations reads and writes itself (`expectations/<schema>.<table>.json`).
It holds what a batch of a table's rows can show: columns, types, values, keys, row rules and
freshness. Rules that look at other tables, or at a whole table at once, are left to the test that
dbt runs. Each expectation is called after the rule of the contract that it checks (`meta.rule`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.model import RAW, Column, Contract
from waypoint.contracts.rules import literal
from waypoint.errors import UnusableInput
from waypoint.project import Project

FOLDER = "expectations"

#: The pandas type in which a batch holds each type of a contract. Decimals stand in columns of
#: objects, which says nothing of their precision: dbt's enforced contract does.
BATCH_TYPES = {
    "varchar": "string",
    "bigint": "Int64",
    "integer": "Int32",
    "double": "Float64",
    "boolean": "boolean",
    "date": "date32[day][pyarrow]",
    "timestamp": "datetime64[us]",
    "decimal": "object",
}

#: The time that counts as now, a parameter of each suite that promises freshness.
AS_OF = "as_of"

_NUMBERS = ("integer", "number")
# A contract's error is what GE calls critical.
_SEVERITIES = {"error": "critical", "warning": "warning"}


def files(project: Project) -> dict[Path, str]:
    """The suite of every table, by path."""
    return {
        project.root / FOLDER / f"{contract.full_name}.json": _text(suite(contract))
        for contract in project.contracts.tables
    }


def suite(contract: Contract) -> dict[str, Any]:
    """A table's suite, as Great Expectations keeps it in JSON."""
    return {
        "name": contract.full_name,
        "meta": {"derived": MARK},
        "id": _id(contract, "suite"),
        "notes": contract.description or None,
        "expectations": [
            {
                "type": kind,
                "kwargs": kwargs,
                "severity": _SEVERITIES[severity],
                "description": description,
                "meta": {"rule": rule},
                "id": _id(contract, rule),
            }
            for rule, severity, description, kind, kwargs in _expectations(contract)
        ],
    }


#: The rule's name, its severity, what it is for, GE's kind of expectation and its arguments.
_Expectation = tuple[str, str, str, str, dict[str, Any]]


def _expectations(contract: Contract) -> Iterator[_Expectation]:
    names = [column.name for column in contract.columns]
    yield (
        "columns_are_the_contracts",
        "error",
        "The table has the contract's columns in their order, and no others.",
        "expect_table_columns_to_match_ordered_list",
        {"column_list": names},
    )
    yield from _keys(contract)
    for column in contract.columns:
        yield from _of_column(contract, column)
    for rule in (*contract.rules, *(rule for column in contract.columns for rule in column.rules)):
        if rule.condition is not None and "{" not in rule.condition:
            yield _row_rule(rule.name, rule.description, rule.condition, rule.severity)
    yield from _freshness(contract)


def _keys(contract: Contract) -> Iterator[_Expectation]:
    """The keys of a table; not of a raw one, which holds every version of a row."""
    if contract.schema == RAW:
        return
    if len(contract.key) == 1:
        yield _unique(contract.key[0])
    elif contract.key:
        yield (
            f"{'_and_'.join(contract.key)}_is_unique",
            "error",
            contract.grain or "These columns together name a row.",
            "expect_compound_columns_to_be_unique",
            {"column_list": list(contract.key), "ignore_row_if": "any_value_is_missing"},
        )
    for column in contract.columns:
        if column.unique and column.name not in contract.key:
            yield _unique(column.name)


def _unique(column: str) -> _Expectation:
    return (
        f"{column}_is_unique",
        "error",
        f"No two rows have the same {column}.",
        "expect_column_values_to_be_unique",
        {"column": column},
    )


def _of_column(contract: Contract, column: Column) -> Iterator[_Expectation]:
    name = column.name
    yield (
        f"{name}_is_of_its_type",
        "error",
        f"{name} is {column.physical_type}.",
        "expect_column_type_to_be",
        {"column": name, "type_": _batch_type(contract, column)},
    )
    if column.required:
        yield (
            f"{name}_is_required",
            "error",
            f"{name} is never null.",
            "expect_column_values_to_not_be_null",
            {"column": name},
        )
    if column.valid_values is not None:
        values = [_typed(column, value) for value in column.valid_values]
        yield (
            f"{name}_is_allowed",
            "error",
            f"{name} is one of a closed list.",
            "expect_column_values_to_be_in_set",
            {"column": name, "value_set": values},
        )
    yield from _limits(column)
    if column.pattern is not None:
        yield (
            f"{name}_matches_pattern",
            "error",
            f"The whole of {name} matches {column.pattern}",
            "expect_column_values_to_match_regex",
            {"column": name, "regex": rf"\A(?:{column.pattern})\Z"},
        )


def _limits(column: Column) -> Iterator[_Expectation]:
    name = column.name
    for what, sign, argument, value in (
        ("at_least_minimum", "<", "min_value", column.minimum),
        ("at_most_maximum", ">", "max_value", column.maximum),
    ):
        if value is None:
            continue
        rule = f"{name}_{what}"
        description = f"{name} is {what.replace('_', ' ')} {value}."
        if column.logical_type in _NUMBERS:
            kwargs = {"column": name, argument: value}
            yield rule, "error", description, "expect_column_values_to_be_between", kwargs
        else:  # times and texts: what SQL makes of the limit
            yield _row_rule(rule, description, f"{name} {sign} {literal(value)}", "error")


def _row_rule(name: str, description: str, condition: str, severity: str) -> _Expectation:
    # GE fills in the batch's name as Python's str.format does
    condition = condition.replace("{", "{{").replace("}", "}}")
    query = f"select * from {{batch}} where {condition}"
    kwargs = {"unexpected_rows_query": query}
    return name, severity, description, "unexpected_rows_expectation", kwargs


def _freshness(contract: Contract) -> Iterator[_Expectation]:
    promise = contract.freshness
    if promise is None:
        return
    for rule, severity, after in (
        ("is_as_fresh_as_promised", "error", promise.error_after),
        ("is_well_within_its_promise", "warning", promise.warn_after),
    ):
        limit = f"{AS_OF} - timedelta(seconds={after / timedelta(seconds=1):.0f})"
        yield (
            rule,
            severity,
            f"The newest {promise.element} is at most {after} old.",
            "expect_column_max_to_be_between",
            {"column": promise.element, "min_value": {"$PARAMETER": limit}},
        )


def _batch_type(contract: Contract, column: Column) -> str:
    kind = column.physical_type.partition("(")[0].strip().lower()
    if kind not in BATCH_TYPES:
        raise UnusableInput(
            f"{contract.path}: {column.name} is {column.physical_type}, which is no type on both"
            " warehouses",
            hint=f"use one of {', '.join(BATCH_TYPES)}",
        )
    return BATCH_TYPES[kind]


def _typed(column: Column, value: str) -> Any:
    return int(value) if column.logical_type == "integer" else value


def _id(contract: Contract, what: str) -> str:
    """An id that is always the same: of the table and the rule, not of chance."""
    return str(uuid5(NAMESPACE_URL, f"{contract.full_name}/{what}"))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

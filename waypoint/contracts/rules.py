"""The rules that a contract puts on its table, as arguments of the dbt test that checks them."""

from __future__ import annotations

import re
from typing import Any

from waypoint.contracts.model import Column, Contract, Rule
from waypoint.contracts.plausible import JSON_OPENINGS, plausible_rules

_MESSAGE = "_payload"  # of a raw table: the row as the source sent it
_RELATION = re.compile(r"\{([a-z_][a-z0-9_]*)\.([a-z_][a-z0-9_]*)\}")


def table_rules(contract: Contract) -> list[dict[str, Any]]:
    """Every rule of the table, each a mapping with `name`, `severity` and one of:

    - `condition`: true for a row that breaks the rule;
    - `column` + `pattern`: the column's text must match the whole pattern;
    - `filled`: a column that must have a value in some row, once there are many rows;
    - `unique`: columns that together name a row;
    - `column` + `references` (a model) + `field`: no value without a row there;
    - `query` + `relations`: counts what breaks the rule, `{object}` being the table.
    """
    rules: list[dict[str, Any]] = []
    if contract.key:
        rules.append(_rule(f"{'_and_'.join(contract.key)}_is_unique", unique=list(contract.key)))
    for column in contract.columns:
        rules.extend(_column_rules(column))
    for rule in (*contract.rules, *(r for c in contract.columns for r in c.rules)):
        rules.append(_written_rule(rule))
    for column in contract.columns:
        rules.extend(_rule(severity="warning", **rule) for rule in plausible_rules(column))
    return rules


def rules_after_landing(contract: Contract) -> list[dict[str, Any]]:
    """Of a raw table's rules, those that landing cannot check row by row, or only warn.

    That JSON is JSON has been seen by landing, which took it apart.
    """
    read = {
        f"{column.name}_is_legible"
        for column in contract.columns
        if column.logical_type in JSON_OPENINGS or column.name == _MESSAGE
    }
    return [
        rule
        for rule in table_rules(contract)
        if (rule["severity"] == "warning" or "query" in rule) and rule["name"] not in read
    ]


def _column_rules(column: Column) -> list[dict[str, Any]]:
    name = column.name
    rules = []
    if column.required:
        rules.append(_rule(f"{name}_is_required", condition=f"{name} is null"))
    if column.unique and column.primary_key_position is None:
        rules.append(_rule(f"{name}_is_unique", unique=[name]))
    if column.valid_values is not None:
        values = ", ".join(literal(value) for value in column.valid_values)
        rules.append(_rule(f"{name}_is_allowed", condition=f"{name} not in ({values})"))
    if column.minimum is not None:
        condition = f"{name} < {literal(column.minimum)}"
        rules.append(_rule(f"{name}_at_least_minimum", condition=condition))
    if column.maximum is not None:
        condition = f"{name} > {literal(column.maximum)}"
        rules.append(_rule(f"{name}_at_most_maximum", condition=condition))
    if column.pattern is not None:
        rules.append(_rule(f"{name}_matches_pattern", column=name, pattern=column.pattern))
    if column.references is not None:
        table, _, field = column.references.rpartition(".")
        model = table.rpartition(".")[2]
        rules.append(_rule(f"{name}_refers_to_{model}", column=name, references=model, field=field))
    return rules


def _written_rule(rule: Rule) -> dict[str, Any]:
    if rule.condition is not None and not _RELATION.search(rule.condition):
        return _rule(rule.name, rule.severity, condition=rule.condition)
    relations = sorted({".".join(match) for match in _RELATION.findall(rule.query)})
    written = _rule(rule.name, rule.severity, query=rule.query)
    if relations:
        written["relations"] = relations
    return written


def _rule(name: str, severity: str = "error", **what: Any) -> dict[str, Any]:
    return {"name": name, "severity": severity, **what}


def literal(value: float | int | str) -> str:
    """A value as an SQL literal, valid on both warehouses."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        escaped = str(value).replace("'", "''")
        return f"'{escaped}'"
    return str(value)

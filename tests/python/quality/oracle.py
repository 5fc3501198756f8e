"""`datacontract test`: another tool's verdict on a table, in the words of our own rules.

It reads the same contracts, but for what only Waypoint reads: a contract names no server, and rules
name other tables as `{schema.table}`. A copy in another folder gets a server and plain names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from datacontract.data_contract import DataContract
from datacontract.model.run import Check, ResultEnum

from waypoint.contracts.model import Contract

_OTHER_TABLE = re.compile(r"\{([a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*)\}")

#: Its checks on one column, and the ends of our rules' names.
_ON_COLUMNS = {
    "field_required": "is_required",
    "field_primary_key_required": "is_required",
    "field_unique": "is_unique",
    "field_primary_key_unique": "is_unique",
    "field_minimum": "at_least_minimum",
    "field_maximum": "at_most_maximum",
    "field_regex": "matches_pattern",
    "field_invalid_values": "is_allowed",
}
#: What it checks of a table's shape, which dbt enforces when it builds the table.
_OF_SHAPE = ("field_is_present", "field_type", "field_physical_type")
#: What it does not check here: other contracts' tables, and ages by a clock that is not its own.
NOT_CHECKED = ("field_relationships", "servicelevel_freshness", "servicelevel_retention")


@dataclass(frozen=True)
class Verdict:
    """The rules that `datacontract test` checked on a table, and those of them it found broken.

    Broken rules have our word for how bad that is, error or warning. `misshapen` are the columns
    that are missing or of another type.
    """

    checked: frozenset[str]
    broken: Mapping[str, str]
    misshapen: frozenset[str]


def prepared(contract: Contract, database: Path, folder: Path) -> Path:
    """A copy of the contract in `folder` that says in which database its table is."""
    document = yaml.safe_load(_OTHER_TABLE.sub(r"\1", contract.path.read_text()))
    document["servers"] = [
        {
            "server": "warehouse",
            "type": "duckdb",
            "database": str(database),
            "schema": contract.schema,
        }
    ]
    copy = folder / f"{contract.full_name}.yaml"
    copy.write_text(yaml.safe_dump(document, sort_keys=False))
    return copy


def verdict(contract: Contract, copy: Path) -> Verdict:
    """What `datacontract test` says of the table of a prepared copy."""
    checks = DataContract(data_contract_file=str(copy)).test().checks
    names = {rule.description: rule.name for rule in contract.rules}
    shape = [check for check in checks if check.type in _OF_SHAPE]
    rules = [
        (_rule(contract, check, names), check)
        for check in checks
        if check.type not in (*_OF_SHAPE, *NOT_CHECKED)
    ]
    return Verdict(
        checked=frozenset(name for name, _ in rules),
        broken={
            name: "warning" if check.result == ResultEnum.warning else "error"
            for name, check in rules
            if check.result != ResultEnum.passed
        },
        misshapen=frozenset(str(c.field) for c in shape if c.result != ResultEnum.passed),
    )


def _rule(contract: Contract, check: Check, names: Mapping[str, str]) -> str:
    if check.type in _ON_COLUMNS:
        return f"{check.field}_{_ON_COLUMNS[check.type]}"
    if check.type == "primary_key_unique":
        return f"{'_and_'.join(contract.key)}_is_unique"
    if check.type == "model_quality_sql":
        return names[str(check.name)]
    raise AssertionError(f"a check that is not known here: {check}")

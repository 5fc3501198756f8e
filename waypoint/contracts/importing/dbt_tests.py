"""What dbt's tests say, as a contract says it."""

from __future__ import annotations

import json
import re

from waypoint.contracts.importing.dbt_tables import DbtTable, DbtTest
from waypoint.contracts.importing.draft import Draft, DraftColumn, DraftRule

_REF = re.compile(r"""(?:get_where_subquery\()?\s*ref\(\s*['"](\w+)['"]\s*\)\s*\)?""")


def apply_tests(table: DbtTable, draft: Draft) -> None:
    """Put a table's tests onto its draft; what has no equal is noted for a person."""
    for test in table.tests:
        column = draft.column(test.column) if test.column else None
        if test.where or not _apply(test, column):
            draft.todos.append(f"the test {_told(test)} was not taken over: write it as a rule")
    _choose_key(draft)


def _apply(test: DbtTest, column: DraftColumn | None) -> bool:
    if column is None:
        return False
    name, arguments = column.name, test.arguments
    match test.name:
        case "not_null":
            column.required = not test.warns
            condition = f"select count(*) from {{object}} where {name} is null"
        case "unique":
            column.unique = not test.warns
            condition = (
                f"select count(*) - count(distinct {name}) from {{object}} where {name} is not null"
            )
        case "accepted_values" if isinstance(arguments.get("values"), list):
            values = list(arguments["values"])
            column.valid_values = None if test.warns else values
            listed = ", ".join(_literal(value) for value in values)
            condition = f"select count(*) from {{object}} where {name} not in ({listed})"
        case "relationships":
            to = _REF.fullmatch(str(arguments.get("to", "")).strip())
            if to is None or not arguments.get("field") or test.warns:
                return False
            column.references = f"{to[1]}.{arguments['field']}"
            return True
        case _:
            return False
    if test.warns:
        rule = DraftRule(f"{name}_{test.name}", condition, severity="warning")
        column.warnings.append(rule)
    return True


def _choose_key(draft: Draft) -> None:
    """dbt has no word for a key: a single column that is required and unique is one."""
    for column in draft.columns:
        if column.required and column.unique:
            column.key_position = 1
            return


def _told(test: DbtTest) -> str:
    about = f" on {test.column}" if test.column else ""
    arguments = json.dumps(test.arguments, default=str) if test.arguments else ""
    limited = f" where {test.where}" if test.where else ""
    return f"{test.name}{about}{' ' + arguments if arguments else ''}{limited}"


def _literal(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"

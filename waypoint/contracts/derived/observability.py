"""Deriving the models that observe every table under contract.

A contract asks for one by its custom property `derivedAs`; the model then stands in
`<models>/<schema>/<domain>/<table>.sql`. There are two kinds:

- `rows_by_day`: how many rows each table has for each data day, and how many of them keep the row
  rules of their contract;
- `promises`: what each contract promises, as rows that SQL can join.

Tables of the asking contract's own schema and domain are not observed: what observes would have to
be built before itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.model import RAW, Column, Contract
from waypoint.contracts.nodes import dbt_paths
from waypoint.contracts.rules import literal, table_rules
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: The custom property of a contract whose table is a derived model, and which kind it is.
DERIVED_AS = "derivedAs"
#: The custom property that names the column which says on which day a row happened.
DATA_DAY = "dataDay"

_LOAD_TIMES = ("_loaded_at", "loaded_at")
_BEGINNING = "created_at"
_TIMES = ("date", "timestamp")


@dataclass(frozen=True)
class DataDay:
    """Which day a row of a table is counted on: that of `column`.

    `happened` says that the column is the time at which something happened, which never changes;
    otherwise it is that of the load.
    """

    column: Column
    happened: bool


def files(project: Project) -> dict[Path, str]:
    """The models that contracts ask for, by path.

    Raises:
        UnusableInput: a contract asks for a kind that there is not, or names a column that is no
            time.
    """
    found = {}
    for contract in project.contracts.tables:
        kind = contract.custom.get(DERIVED_AS)
        if kind is None:
            continue
        if kind not in _KINDS:
            raise UnusableInput(
                f"{contract.path.relative_to(project.root)}: {DERIVED_AS} is {kind!r}",
                hint=f"write one of {', '.join(_KINDS)}",
            )
        folder = project.root / dbt_paths(project)["model-paths"][0]
        path = folder / contract.schema / contract.domain / f"{contract.name}.sql"
        observed = [other for other in project.contracts.tables if _observes(contract, other)]
        found[path] = f"-- {MARK}\n{_KINDS[kind](observed)}"
    return found


def data_day(contract: Contract) -> DataDay | None:
    """The column by whose day a table's rows are counted; None where they have no time at all.

    What the contract says (`dataDay`); else the column that retention goes by; else a time in the
    key; else a required `created_at`; else the time of the load.

    Raises:
        UnusableInput: the contract names a column that it does not have or that is no time.
    """
    load = load_time(contract)
    if load is None:
        return None
    named = contract.custom.get(DATA_DAY)
    if named is not None:
        return DataDay(_time_called(contract, named), named != load)
    times = {c.name: c for c in contract.columns if c.logical_type in _TIMES}
    keyed = [name for name in contract.key if name in times]
    begun = [_BEGINNING] if _BEGINNING in times and times[_BEGINNING].required else []
    for name in (contract.retention_element, *keyed, *begun):
        if name in times and name != load:
            return DataDay(times[name], True)
    return DataDay(times[load], False)


def load_time(contract: Contract) -> str | None:
    """The column that says when a row was loaded."""
    names = {column.name for column in contract.columns}
    return next((name for name in _LOAD_TIMES if name in names), None)


def _time_called(contract: Contract, name: str) -> Column:
    for column in contract.columns:
        if column.name == name and column.logical_type in _TIMES:
            return column
    raise UnusableInput(
        f"{contract.path}: {DATA_DAY} is {name!r}, which is no date or timestamp of the table",
        hint="name a column that says when the row happened",
    )


def _observes(observer: Contract, other: Contract) -> bool:
    return (observer.schema, observer.domain) != (other.schema, other.domain)


# rows by day


def _rows_by_day(contracts: list[Contract]) -> str:
    tables = [table for contract in contracts if (table := _table(contract)) is not None]
    arms = ",\n".join(_arm(table) for table in tables)
    return (
        "{{ config(\n"
        "    materialized='incremental',\n"
        "    unique_key=['table_name', 'data_day'],\n"
        '    post_hook="delete from {{ this }} where row_count = 0"\n'
        ") }}\n\n"
        f"{{{{ rows_by_day([\n{arms}\n]) }}}}\n"
    )


def _table(contract: Contract) -> dict[str, Any] | None:
    day = data_day(contract)
    if day is None:
        return None
    broken = [_row_rule(rule) for rule in table_rules(contract) if _is_error_of_rows(rule)]
    promised = contract.freshness.element if contract.freshness else load_time(contract)
    said = json.dumps([day.column.name, broken], sort_keys=True)
    return {
        "table": contract.full_name,
        "relation": _relation(contract),
        "day": day.column.name,
        "day_is_there": day.column.required,
        "day_is_time": day.column.logical_type == "timestamp",
        "loaded_at": load_time(contract),
        "newest_by": promised,
        "only_grows": contract.schema == RAW,
        "rules_version": sha256(said.encode()).hexdigest()[:12],
        "rules": broken,
    }


def _is_error_of_rows(rule: dict[str, Any]) -> bool:
    return rule["severity"] == "error" and ("condition" in rule or "pattern" in rule)


def _row_rule(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: rule[key] for key in ("condition", "column", "pattern") if key in rule}


def _arm(table: dict[str, Any]) -> str:
    lines = []
    for key, value in table.items():
        if key == "relation":
            lines.append(f"        'relation': {value}")
        elif key == "rules":
            rules = "".join(f"\n            {_jinja(rule)}," for rule in value)
            lines.append(f"        'rules': [{rules}\n        ]")
        else:
            lines.append(f"        '{key}': {_jinja(value)}")
    return "    {\n" + ",\n".join(lines) + "\n    }"


def _relation(contract: Contract) -> str:
    if contract.dbt_source:
        return f"source('{contract.dbt_source}', '{contract.name}')"
    if contract.versioned_as:
        return f"ref('{contract.versioned_as}', v={contract.major})"
    return f"ref('{contract.name}')"


def _jinja(value: object) -> str:
    """A value as Jinja writes it, on one line; JSON's words are its own."""
    return json.dumps(value)


# promises


_PROMISES = (
    ("table_name", "varchar"),
    ("schema_name", "varchar"),
    ("owner", "varchar"),
    ("is_critical", "boolean"),
    ("is_counted", "boolean"),
    ("day_column", "varchar"),
    ("is_day_of_event", "boolean"),
    ("only_grows", "boolean"),
    ("warn_after_minutes", "bigint"),
    ("late_after_minutes", "bigint"),
)


def _promises(contracts: list[Contract]) -> str:
    rows = ",\n".join(f"        ({', '.join(_promise(contract))})" for contract in contracts)
    columns = ",\n".join(f"    cast({name} as {kind}) as {name}" for name, kind in _PROMISES)
    names = ", ".join(name for name, _ in _PROMISES)
    return (
        "{{ config(materialized='view') }}\n\n"
        f"with contracted ({names}) as (\n"
        f"    select listed.* from (\n        values\n{rows}\n    ) as listed ({names})\n)\n\n"
        f"select\n{columns}\nfrom contracted\n"
    )


def _promise(contract: Contract) -> Iterator[str]:
    day = data_day(contract)
    yield literal(contract.full_name)
    yield literal(contract.schema)
    yield literal(contract.owner)
    yield _boolean("critical" in contract.tags)
    yield _boolean(day is not None)
    yield literal(day.column.name) if day else "null"
    yield _boolean(day is not None and day.happened)
    yield _boolean(contract.schema == RAW)
    for after in ("warn_after", "error_after"):
        promise = getattr(contract.freshness, after) if contract.freshness else None
        yield str(round(promise.total_seconds() / 60)) if promise is not None else "null"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


_KINDS: dict[str, Callable[[list[Contract]], str]] = {
    "rows_by_day": _rows_by_day,
    "promises": _promises,
}

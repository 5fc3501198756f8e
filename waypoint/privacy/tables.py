"""A person's rows taken out of the warehouse's tables, and their values out of the others.

Rows go by the person keys of each table's contract: in raw, in staging, in snapshots, in marts and
features that have a row for a person. What is computed of many people's rows is built again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingestion.bookkeeping import LOAD_HISTORY, QUARANTINE
from waypoint.contracts.model import RAW, Contract, Contracts
from waypoint.privacy import statements
from waypoint.privacy.landed import entries_condition
from waypoint.privacy.person import Person, Rows
from waypoint.privacy.statements import relation
from waypoint.privacy.warehouses import Warehouse, id_list, value_list

Columns = Mapping[str, str]


@dataclass(frozen=True)
class TableErased:
    """What was taken out of a table (`schema.table`): rows, and values within rows that stay."""

    table: str
    rows: int
    values: int


def tables_of(warehouse: Warehouse) -> Mapping[tuple[str, str], Columns]:
    """The tables (schema, name) of a warehouse and their columns and types.

    Views are left out, and the passing tables of what is sought, which have to stay as they are.
    """
    passing = {name.lower() for name in (id_list(warehouse), value_list(warehouse))}
    catalog = "current_database()"
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in warehouse.run(
        "select c.table_schema, c.table_name, c.column_name, c.data_type"
        " from information_schema.columns as c join information_schema.tables as t"
        " on c.table_schema = t.table_schema and c.table_name = t.table_name"
        f" where t.table_type = 'BASE TABLE' and t.table_catalog = {catalog}"
        f" and c.table_catalog = {catalog} order by 1, 2, c.ordinal_position"
    ):
        if f"{schema}.{table}".lower() in passing:
            continue
        where = found.setdefault((str(schema).lower(), str(table).lower()), {})
        where[str(column).lower()] = str(kind)
    return found


def raw_rows(warehouse: Warehouse, contracts: Contracts) -> Iterator[Rows]:
    """The rows of each raw table that could tell whose they are."""
    there = tables_of(warehouse)
    for contract in contracts.in_schema(RAW):
        columns = there.get((RAW, contract.name))
        if columns:
            name = relation(RAW, contract.name, warehouse.dialect)
            rows = Rows(warehouse, contract, name, frozenset(columns))
            if rows.keys:
                yield rows


def erase_tables(
    warehouse: Warehouse, contracts: Contracts, person: Person, root: str, dry_run: bool
) -> list[TableErased]:
    """Take the person out of every table, in one transaction.

    Raises:
        Unavailable: the warehouse refused; nothing was changed.
    """
    there = tables_of(warehouse)
    warehouse.run("begin")
    try:
        found = [
            _erase_table(warehouse, contracts, schema, table, columns, person, root, dry_run)
            for (schema, table), columns in there.items()
        ]
        warehouse.run("rollback" if dry_run else "commit")
    except BaseException:
        _roll_back(warehouse)
        raise
    return [erased for erased in found if erased.rows or erased.values]


def account(warehouse: Warehouse, rows: Mapping[str, int]) -> None:
    """Let the history of loads say how many rows of each file (by its name) there are now."""
    name = relation(RAW, LOAD_HISTORY, warehouse.dialect)
    for file, count in rows.items():
        warehouse.run(f"update {name} set row_count = ? where file = ?", [count, file])


def _erase_table(
    warehouse: Warehouse,
    contracts: Contracts,
    schema: str,
    table: str,
    columns: Columns,
    person: Person,
    root: str,
    dry_run: bool,
) -> TableErased:
    dialect, full_name = warehouse.dialect, f"{schema}.{table}"
    name = relation(schema, table, dialect)
    rows = 0
    contract = contracts.get(full_name)
    if (schema, table) == (RAW, QUARANTINE):
        rows = _empty_quarantine(warehouse, contracts, name, columns, root, dry_run)
    elif contract is not None:
        rows = _delete(warehouse, contract, name, columns, root, dry_run)
    texts = statements.text_columns(columns)
    holds = statements.holds_value(texts, len(person.values), value_list(warehouse), dialect)
    values = _count(warehouse, name, holds) if texts and person.values else 0
    if values and not dry_run:
        changes = {
            column: statements.without_values(
                column, len(person.values), value_list(warehouse), dialect
            )
            for column in texts
        }
        warehouse.run(statements.update(name, changes, holds, dialect))
    return TableErased(full_name, rows, values)


def _delete(
    warehouse: Warehouse, contract: Contract, name: str, columns: Columns, root: str, dry_run: bool
) -> int:
    condition = statements.row_condition(
        contract, columns, root, id_list(warehouse), warehouse.dialect
    )
    if condition is None:
        return 0
    rows = _count(warehouse, name, condition)
    if rows and not dry_run:
        warehouse.run(f"delete from {name} where {condition}")
    return rows


def _empty_quarantine(
    warehouse: Warehouse,
    contracts: Contracts,
    name: str,
    columns: Columns,
    root: str,
    dry_run: bool,
) -> int:
    """Empty the entries that tell of the person; they stay, as their places are counted on."""
    dialect, emptied = warehouse.dialect, 0
    for (table,) in warehouse.run(f"select distinct table_name from {name} order by 1"):
        contract = contracts.get(f"{RAW}.{table}")
        if contract is None:
            continue
        entries = f"(select * from {name} where table_name = '{contract.name}') as rejected"
        theirs = entries_condition(contract, entries, columns, root, warehouse)
        if theirs == "false":
            continue
        condition = f"table_name = '{contract.name}' and {theirs}"
        rows = _count(warehouse, name, condition)
        if rows and not dry_run:
            changes = statements.blanked(columns, dialect)
            warehouse.run(statements.update(name, changes, condition, dialect))
        emptied += rows
    return emptied


def _count(warehouse: Warehouse, name: str, condition: str) -> int:
    ((rows,),) = warehouse.run(f"select count(*) from {name} where {condition}")
    return int(rows)


def _roll_back(warehouse: Warehouse) -> None:
    from waypoint.errors import Unavailable

    try:
        warehouse.run("rollback")
    except Unavailable:
        pass  # a failed commit has rolled back already

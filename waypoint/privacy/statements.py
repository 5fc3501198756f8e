"""What erasing runs on tables and files, as SQL for both warehouses.

Ids and values that are sought stand in passing tables, filled with bound parameters, so that no
statement holds one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ingestion.belonging import Dialect, belongs, fields, readable, usable
from waypoint.contracts.model import Contract
from waypoint.contracts.person_keys import person_keys
from waypoint.privacy.warehouses import among, pattern_of

#: What stands where a person's own words or names stood.
ERASED = "[erased]"
#: Fields of an entry in quarantine, or of a dead letter, that tell what was in the row.
TELLING = ("value", "reason", "payload", "message_key")

_PAYLOAD, _KEY = "_payload", "_key"


def row_condition(
    contract: Contract | None, columns: Collection[str], root: str, ids: str, dialect: Dialect
) -> str | None:
    """Whether a row belongs to the person; None where no column could tell."""
    keys = usable(person_keys(contract), columns) if contract is not None else []
    if not keys:
        return None
    payload = _PAYLOAD if _PAYLOAD in columns else None
    rows = readable("", keys, dialect, payload, pattern_of(ids, dialect))
    return belongs(rows, root, among(ids, dialect))


def documents(
    contract: Contract, entries: str, payload: str, key: str | None, dialect: Dialect
) -> str:
    """A select that reads documents of `entries` as rows of the contract.

    For what never became a row of the table: entries of the quarantine, messages in files. The
    columns `entry_payload` and `entry_key` are the documents and their keys as they stand there.
    """
    names = [column.name for column in contract.columns if not column.is_metadata]
    text = f"cast({dialect.quoted(payload)} as varchar)"
    items = [f"{text} as entry_payload"]
    items.append(f"{dialect.quoted(key) if key else 'cast(null as varchar)'} as entry_key")
    if dialect.name != "snowflake":
        items.append(f"{fields(text, names)} as entry_fields")
    for number, name in enumerate(names, 1):
        found = (
            dialect.field(text, name) if dialect.name == "snowflake" else f"entry_fields[{number}]"
        )
        found = f"coalesce({found}, {dialect.named(text, name)})"
        items.append(f"{found} as {dialect.quoted(name)}")
    known = {column.name for column in contract.columns}
    if _PAYLOAD in known:
        items.append(f"{text} as {dialect.quoted(_PAYLOAD)}")
    if _KEY in known and key:
        items.append(f"{dialect.quoted(key)} as {dialect.quoted(_KEY)}")
    return f"select {', '.join(items)} from {entries}"


def documents_condition(
    contract: Contract,
    entries: str,
    payload: str,
    key: str | None,
    root: str,
    ids: str,
    dialect: Dialect,
) -> str | None:
    """Whether an entry's document belongs to the person; None where no field could tell."""
    columns = {c.name for c in contract.columns if not c.is_metadata or c.name == _PAYLOAD}
    columns |= {_KEY} if key else set()
    read = documents(contract, entries, payload, key, dialect)
    condition = row_condition(contract, columns, root, ids, dialect)
    if condition is None:
        return None
    same = f"coalesce(cast({dialect.quoted(payload)} as varchar), '')"
    same_key = f"coalesce({dialect.quoted(key)}, '')" if key else "''"
    return (
        f"({same}, {same_key}) in (select coalesce(entry_payload, ''), coalesce(entry_key, '')"
        f" from ({read}) as entry where {condition})"
    )


def holds_value(columns: Iterable[str], values: int, table: str, dialect: Dialect) -> str:
    """Whether one of the texts holds one of the values that are sought."""
    found = [
        f"coalesce(contains({dialect.quoted(column)}, {_value(table, number)}), false)"
        for column in columns
        for number in range(values)
    ]
    return f"({' or '.join(found)})" if found else "false"


def without_values(column: str, values: int, table: str, dialect: Dialect) -> str:
    """A text column with `ERASED` in the place of the values that are sought."""
    text = dialect.quoted(column)
    for number in range(values):
        text = f"replace({text}, {_value(table, number)}, '{ERASED}')"
    return text


def _value(table: str, number: int) -> str:
    return f"(select value from {table} where n = {number})"


def blanked(columns: Collection[str], dialect: Dialect) -> Mapping[str, str]:
    """What the telling fields of an entry become, by column, where the entry is the person's."""
    said = {"reason": f"'{ERASED}'"}
    return {name: said.get(name, "null") for name in TELLING if name in columns}


def update(relation: str, changes: Mapping[str, str], condition: str, dialect: Dialect) -> str:
    """An update; `changes` are expressions by column."""
    listed = ", ".join(f"{dialect.quoted(name)} = {text}" for name, text in changes.items())
    return f"update {relation} set {listed} where {condition}"


def relation(schema: str, table: str, dialect: Dialect) -> str:
    """The name of a table."""
    return f"{dialect.quoted(schema)}.{dialect.quoted(table)}"


def text_columns(columns: Mapping[str, str]) -> Sequence[str]:
    """Of columns and their types those that hold text."""
    return [name for name, kind in columns.items() if kind.upper() in ("VARCHAR", "TEXT")]

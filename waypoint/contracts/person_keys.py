"""Which columns say whom a row belongs to: the contracts' custom property `personKey`.

A person has one id of their own, and what is theirs has ids of other kinds (`order`, `session`).
A column holds ids of a kind, or JSON in which fields do:

    - property: personKey
      value: user

    - property: personKey
      value: {user: user_id, order: [after.order_id, before.order_id]}

    - property: personKey
      value:
        - {when: "table_name = 'users'", keys: {user: id}}
        - {when: "table_name = 'orders'", keys: {order: }}    # the column itself

`when` is an SQL condition over the table's columns that both warehouses understand. The table with
the custom property `people` has a row for each person; its value is the kind of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from waypoint.contracts.model import RAW, Column, Contract, Contracts
from waypoint.errors import UnusableInput

PERSON_KEY = "personKey"
PEOPLE = "people"

_TRY_CAST = ("bigint", "integer")


@dataclass(frozen=True)
class PersonKey:
    """Where a row tells an id of `kind`: in a column, or in a field of the JSON that it holds."""

    kind: str
    column: str
    path: str | None = None  # `after.id`; None: the column's own value
    when: str | None = None  # SQL
    whole_number: bool = False  # what is no number there is no id


@dataclass(frozen=True)
class People:
    """The table that has a row for each person."""

    contract: Contract
    kind: str  # of their ids
    key: str  # the column with their id
    personal: tuple[str, ...]  # the columns with text that tells who they are


def person_keys(contract: Contract) -> tuple[PersonKey, ...]:
    """The keys of a table or topic, by its contract.

    Raises:
        UnusableInput: the property cannot be understood.
    """
    return tuple(_keys(contract, contract.columns, None, ""))


def people(contracts: Contracts) -> People | None:
    """The table of people; None where no contract says that it is.

    Raises:
        UnusableInput: two tables say so, or the one has no key of that kind.
    """
    found = [c for c in contracts.in_schema(RAW) if PEOPLE in c.custom]
    if not found:
        return None
    if len(found) > 1:
        raise UnusableInput(
            f"{found[0].path} and {found[1].path} both say `{PEOPLE}`", hint="keep one of them"
        )
    contract, kind = found[0], str(found[0].custom[PEOPLE])
    own = [k.column for k in person_keys(contract) if k.kind == kind and k.path is None]
    if not own:
        raise UnusableInput(
            f"{contract.path}: no column is the {PERSON_KEY} of kind {kind!r}",
            hint=f"give the column with the person's id a custom property {PERSON_KEY}: {kind}",
        )
    personal = tuple(
        column.name
        for column in contract.source_columns
        if column.classification == "pii" and column.physical_type == "varchar"
    )
    return People(contract, kind, own[0], personal)


def _keys(
    contract: Contract, columns: Iterable[Column], top: str | None, within: str
) -> Iterator[PersonKey]:
    for column in columns:
        said = column.custom.get(PERSON_KEY)
        if said is not None:
            name = top or column.name
            inner = f"{within}{column.name}" if top else ""
            number = column.physical_type.lower() in _TRY_CAST
            for key in _understood(contract, column, said):
                path = ".".join(part for part in (inner, key.path) if part) or None
                yield PersonKey(key.kind, name, path, key.when, number)
        # fields within objects are told by topics only
        inside = f"{within}{column.name}." if top else ""
        yield from _keys(contract, column.columns, top or column.name, inside)


def _understood(contract: Contract, column: Column, said: Any) -> Iterator[PersonKey]:
    if isinstance(said, str):
        yield PersonKey(said, column.name)
        return
    entries = said if isinstance(said, list) else [{"keys": said}]
    for entry in entries:
        keys = entry.get("keys") if isinstance(entry, Mapping) else None
        if not isinstance(keys, Mapping):
            raise UnusableInput(
                f"{contract.path}: {column.name}: {PERSON_KEY} {said!r} is not understood",
                hint="write a kind, {kind: field}, or a list of {when: .., keys: {kind: field}}",
            )
        when = str(entry["when"]) if entry.get("when") else None
        for kind, paths in keys.items():
            for path in paths if isinstance(paths, list) else [paths]:
                yield PersonKey(str(kind), column.name, str(path) if path else None, when)

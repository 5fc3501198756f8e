"""Who somebody is in this project's data: their ids of every kind, and the values that name them.

One id is given; the others are learned from rows that belong to the person already: the order's
id from the row that names the buyer, the charge's from the one that names the order. An id that
rows of somebody else carry, too, is not the person's alone and is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ingestion.belonging import (
    Membership,
    Readable,
    Told,
    belongs,
    names_somebody_else,
    readable,
    usable,
)
from waypoint.contracts.model import Contract
from waypoint.contracts.person_keys import People, PersonKey, person_keys
from waypoint.privacy.warehouses import Warehouse, among, fill_ids, id_list, pattern_of

#: A shorter value stands in too many places that are not about the person.
SHORTEST_VALUE = 5


@dataclass(frozen=True)
class Rows:
    """Rows under a contract somewhere: `relation` is SQL that the warehouse can select from."""

    warehouse: Warehouse
    contract: Contract
    relation: str
    columns: frozenset[str]

    @property
    def keys(self) -> list[PersonKey]:
        return usable(person_keys(self.contract), self.columns)

    @cached_property
    def readable(self) -> Readable:
        """The rows, and what they tell."""
        return readable(self.relation, self.keys, self.warehouse.dialect)

    def holding(self, number: int) -> Rows:
        """The rows that hold one of the ids in `id_list`, at hand; elsewhere than in DuckDB: all.

        They are read once for all that is asked of them. `number` tells them from other rows.
        """
        warehouse, ids = self.warehouse, id_list(self.warehouse)
        pattern = pattern_of(ids, warehouse.dialect)
        if pattern is None:
            return self
        hint = readable(self.relation, self.keys, warehouse.dialect, pattern=pattern).hint
        name = f"{warehouse.lists}held_{number}"
        warehouse.run(
            f"create or replace temp table held_{number} as"
            f" select * from {self.relation} where {hint}"
        )
        return Rows(warehouse, self.contract, name, self.columns)

    @property
    def told(self) -> tuple[Told, ...]:
        return self.readable.told

    def ids_of(self, kind: str) -> list[Told]:
        """What the rows tell of one kind."""
        return [told for told in self.told if told.kind == kind]

    @property
    def is_sought(self) -> Membership:
        return among(id_list(self.warehouse), self.warehouse.dialect)

    def belong(self, root: str) -> str:
        """Whether a row belongs to the person who is sought."""
        return belongs(self.readable, root, self.is_sought)

    def names_somebody_else(self, root: str) -> str:
        """Whether a row names a person who is not sought."""
        return names_somebody_else(self.told, root, self.is_sought)

    def distinct(self, texts: Iterable[str], condition: str) -> list[tuple[Any, ...]]:
        """The different values of SQL texts among the rows for which a condition holds."""
        return self.warehouse.run(
            f"select distinct {', '.join(texts)} from {self.readable.relation} where {condition}"
        )


@dataclass(frozen=True)
class Person:
    """Whose data is meant: ids by their kind, and texts that nobody else has."""

    ids: Mapping[str, frozenset[str]]
    values: tuple[str, ...] = ()
    shared: int = 0  # personal values that others have, too (a name), and that tell nobody


def find(rows: Sequence[Rows], people: People, given: Iterable[str]) -> Person:
    """Learn the ids and values of the people whose own ids are given, as if they were one."""
    root = people.kind
    ids: dict[str, set[str]] = {root: set(given)}
    candidates: dict[str, set[str]] = {}
    tried: set[tuple[str, str]] = set()
    while True:
        _seek(rows, {k: ids.get(k, set()) | candidates.get(k, set()) for k in {*ids, *candidates}})
        held = [some.holding(number) for number, some in enumerate(rows)]
        _seek(rows, ids)
        for kind, values in _theirs_alone(held, root, candidates).items():
            ids.setdefault(kind, set()).update(values)
        _seek(rows, ids)
        learned = _learn(held, root)
        # an id that somebody else has, too, is learned again each time
        tried |= {(kind, value) for kind, values in ids.items() for value in values}
        tried |= {(kind, value) for kind, values in candidates.items() for value in values}
        candidates = {
            kind: new
            for kind, values in learned.items()
            if (new := {value for value in values if (kind, value) not in tried})
        }
        if not candidates:
            break
    own, shared = _values(held, rows, people)
    return Person({kind: frozenset(found) for kind, found in ids.items()}, own, shared)


def _seek(rows: Sequence[Rows], ids: Mapping[str, set[str]]) -> None:
    for warehouse in {id(some.warehouse): some.warehouse for some in rows}.values():
        fill_ids(warehouse, ids)


def _learn(rows: Iterable[Rows], root: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for some in rows:
        others = [told for told in some.told if told.kind != root]
        if others:
            _gather(found, others, some.distinct([t.text for t in others], some.belong(root)))
    return found


def _theirs_alone(
    rows: Iterable[Rows], root: str, candidates: Mapping[str, set[str]]
) -> dict[str, set[str]]:
    """Of ids by their kind those that no row of somebody else carries."""
    taken: dict[str, set[str]] = {}
    for some in rows:
        sought = [told for told in some.told if candidates.get(told.kind)]
        if sought and some.ids_of(root):
            texts = [told.text for told in sought]
            _gather(taken, sought, some.distinct(texts, some.names_somebody_else(root)))
    return {kind: values - taken.get(kind, set()) for kind, values in candidates.items()}


def _gather(
    found: dict[str, set[str]], told: Sequence[Told], rows: Iterable[tuple[Any, ...]]
) -> None:
    for row in rows:
        for one, value in zip(told, row, strict=True):
            if value:
                found.setdefault(one.kind, set()).add(str(value))


def _values(
    held: Sequence[Rows], rows: Sequence[Rows], people: People
) -> tuple[tuple[str, ...], int]:
    """The person's values that nobody else has, and how many they share with others."""
    found: set[str] = set()
    for some in held:
        for told in some.ids_of(people.kind):
            texts = _personal_texts(some, told.key, people)
            if texts:
                for row in some.distinct(texts, some.is_sought(told.kind, told.text)):
                    found |= {str(value) for value in row if value}
    found = {value for value in found if len(value) >= SHORTEST_VALUE}
    shared = {value for value in found if _others_have(rows, people, value)}
    own = sorted(found - shared, key=lambda value: (-len(value), value))
    return tuple(dict.fromkeys(form for value in own for form in _forms(value))), len(shared)


def _personal_texts(some: Rows, key: PersonKey, people: People) -> list[str]:
    """SQL for the personal fields of the record whose own id a key tells; none for other keys."""
    if key.kind != people.kind:
        return []
    dialect = some.warehouse.dialect
    if key.path is None:
        is_table = some.contract.full_name == people.contract.full_name
        if not is_table or key.column != people.key:
            return []
        return [f"cast({dialect.quoted(name)} as varchar)" for name in people.personal]
    before, _, last = key.path.rpartition(".")
    if last != people.key:
        return []
    within = f"{before}." if before else ""
    document = f"cast({dialect.quoted(key.column)} as varchar)"
    return [dialect.field(document, f"{within}{name}") for name in people.personal]


def _others_have(rows: Iterable[Rows], people: People, value: str) -> bool:
    for some in rows:
        if some.contract.full_name != people.contract.full_name:
            continue
        quoted = some.warehouse.dialect.quoted
        same = " or ".join(f"{quoted(name)} = ?" for name in people.personal)
        ((count,),) = some.warehouse.run(
            f"select count(*) from {some.readable.relation}"
            f" where ({same}) and {some.names_somebody_else(people.kind)}",
            [value] * len(people.personal),
        )
        if count:
            return True
    return False


def _forms(value: str) -> list[str]:
    """A value as it is, and as JSON may write it."""
    escaped = json.dumps(value)[1:-1]
    return [value] if escaped == value else [value, escaped]

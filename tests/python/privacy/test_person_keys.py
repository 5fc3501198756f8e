"""Every column that holds a person's ids says so, or an erasure would pass it by."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypoint.contracts.model import TOPICS, Contracts
from waypoint.contracts.person_keys import people, person_keys
from waypoint.contracts.reading import read_contracts

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return read_contracts(ROOT / "contracts")


def test_a_column_that_is_called_as_a_persons_id_elsewhere_is_one(contracts: Contracts) -> None:
    known = {
        (key.column, key.kind)
        for table in contracts.values()
        for key in person_keys(table)
        if key.path is None and key.when is None and key.column != "id"
    }
    names = dict(known)
    assert len(names) == len(known), "one name for ids of two kinds"

    unsaid = [
        f"{table.full_name}.{column.name}"
        for table in contracts.values()
        for column in table.columns
        if column.name in names
        and names[column.name] not in {k.kind for k in person_keys(table) if k.path is None}
    ]

    assert unsaid == []


def test_the_people_are_told_by_their_table(contracts: Contracts) -> None:
    known = people(contracts)

    assert known is not None
    assert known.contract.column(known.key).primary_key_position is not None
    assert known.personal


def test_compacted_topics_with_people_are_keyed_by_their_ids(contracts: Contracts) -> None:
    for topic in contracts.in_schema(TOPICS):
        keys = person_keys(topic)
        if topic.custom.get("cleanup") == "compact" and keys:
            assert topic.custom["key"] in {key.column for key in keys if key.path is None}

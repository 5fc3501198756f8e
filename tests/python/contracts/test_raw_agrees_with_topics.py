"""What a topic promises about a field is what the raw table it lands in promises, too."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from waypoint.contracts.model import Column, Contract, Contracts
from waypoint.contracts.reading import read_contracts

ROOT = Path(__file__).parents[3]
CONTRACTS: Contracts = read_contracts(ROOT / "contracts")
LANDING = [topic for topic in CONTRACTS.topics if "landsIn" in topic.custom]
#: Nested values land as JSON text.
AS_LANDED = {"object": "varchar", "array": "varchar"}


def names(contract: Contract) -> str:
    return contract.name


def promise(column: Column) -> tuple[object, ...]:
    return (
        column.logical_type,
        AS_LANDED.get(column.logical_type, column.physical_type),
        column.required,
        column.primary_key_position,
        column.classification,
        column.minimum,
        column.maximum,
        column.pattern,
        column.valid_values,
    )


def is_pii(column: Column) -> bool:
    return column.classification == "pii" or any(is_pii(inner) for inner in column.columns)


def test_topics_land_somewhere() -> None:
    assert LANDING


@pytest.mark.parametrize("topic", LANDING, ids=names)
def test_fields_of_a_topic_are_the_source_columns_of_its_raw_table(topic: Contract) -> None:
    raw = CONTRACTS[f"raw.{topic.custom['landsIn']}"]
    assert [c.name for c in topic.columns] == [c.name for c in raw.source_columns]


@pytest.mark.parametrize("topic", LANDING, ids=names)
def test_types_and_rules_of_a_topic_hold_in_its_raw_table(topic: Contract) -> None:
    raw = CONTRACTS[f"raw.{topic.custom['landsIn']}"]
    for field in topic.columns:
        assert promise(field) == promise(raw.column(field.name)), (
            f"{topic.full_name} and {raw.full_name} disagree about {field.name}"
        )


@pytest.mark.parametrize("topic", LANDING, ids=names)
def test_a_payload_with_personal_data_in_it_is_marked_as_such(topic: Contract) -> None:
    payload = CONTRACTS[f"raw.{topic.custom['landsIn']}"].column("_payload")
    assert is_pii(payload) == any(is_pii(field) for field in topic.columns)


@pytest.mark.parametrize("topic", LANDING, ids=names)
def test_a_landed_message_can_be_found_again(topic: Contract) -> None:
    raw = CONTRACTS[f"raw.{topic.custom['landsIn']}"]
    for name in ("_partition", "_offset", "_kafka_timestamp", "_source", "_batch", "_loaded_at"):
        assert raw.column(name).required, f"{raw.full_name}.{name}"


@pytest.mark.parametrize("topic", LANDING, ids=names)
def test_what_is_consumed_has_dead_letters(topic: Contract) -> None:
    assert topic.custom.get("deadLetter") is True


@pytest.mark.parametrize("topic", CONTRACTS.topics, ids=names)
def test_a_topic_says_how_it_is_created(topic: Contract) -> None:
    assert {"format", "key", "partitions", "replication", "cleanup"} <= topic.custom.keys()
    assert topic.custom["cleanup"] in ("delete", "compact")
    # a compacted topic keeps the newest of a key for ever; any other forgets
    assert (topic.retention is None) == (topic.custom["cleanup"] == "compact")


@pytest.mark.parametrize("seed", sorted((ROOT / "seeds").glob("*.csv")), ids=lambda p: p.stem)
def test_the_header_of_a_seed_is_what_its_contract_says(seed: Path) -> None:
    with seed.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert header == [column.name for column in CONTRACTS[f"staging.{seed.stem}"].columns]


@pytest.mark.parametrize("raw", CONTRACTS.in_schema("raw"), ids=names)
def test_nested_values_land_as_text(raw: Contract) -> None:
    for column in raw.columns:
        assert column.physical_type == AS_LANDED.get(column.logical_type, column.physical_type)

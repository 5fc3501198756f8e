"""A JSON Schema and an Avro schema for each topic, and what they say."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
import yaml
from jsonschema import Draft202012Validator

from waypoint.contracts.derived import avro, json_schema
from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.model import Column, Contract
from waypoint.contracts.reading import read_contracts
from waypoint.contracts.rendering import DerivedFilesStale, render
from waypoint.errors import UnusableInput
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
TOPICS = read_contracts(ROOT / "contracts").topics
MOMENT = datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)
OF_TYPE: dict[str, Any] = {
    "string": "ž words",
    "integer": 2**31 - 1,
    "boolean": True,
    "date": date(2026, 1, 31),
    "timestamp": MOMENT,
}


def names(topic: Contract) -> str:
    return topic.path.stem


def topic_with(*columns: Column, name: str = "slips") -> Contract:
    return replace(TOPICS[0], path=Path(f"contracts/topics/{name}.yaml"), columns=columns)


def value_of(column: Column) -> Any:
    """A value as Avro writers take it."""
    if column.columns:
        inside = {avro.avro_name(inner.name): value_of(inner) for inner in column.columns}
        return [inside] if column.logical_type == "array" else inside
    if column.logical_type in ("object", "array"):
        return '{"anything": [1, null]}'
    if column.valid_values is not None:
        return column.valid_values[-1]
    if column.physical_type.startswith("decimal"):
        return Decimal("1234.123456")
    return 0.1 if column.logical_type == "number" else OF_TYPE[column.logical_type]


def there_and_back(schema: dict[str, Any], record: dict[str, Any]) -> Any:
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    file = io.BytesIO()
    fastavro.schemaless_writer(file, parsed, record, strict=True)
    file.seek(0)
    return fastavro.schemaless_reader(file, parsed, None)


# JSON Schema


@pytest.mark.parametrize("topic", TOPICS, ids=names)
def test_every_json_schema_is_one(topic: Contract) -> None:
    schema = json_schema.schema(topic)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("topic", TOPICS, ids=names)
def test_a_schema_tells_what_is_personal(topic: Contract) -> None:
    personal = [column.name for column in topic.columns if column.classification == "pii"]
    fields = json_schema.schema(topic)["properties"]
    assert [name for name, field in fields.items() if "x-classification" in field] == personal
    assert [f["name"] for f in avro.schema(topic)["fields"] if "classification" in f] == personal


def test_a_pattern_is_for_the_whole_text() -> None:
    code = Column("code", "string", "varchar", required=True, pattern="[a-z]+|[0-9]")
    is_valid = Draft202012Validator(json_schema.schema(topic_with(code))).is_valid
    assert is_valid({"code": "abc"})
    assert is_valid({"code": "7"})
    assert not is_valid({"code": "abc7"})
    assert not is_valid({"code": "77"})


def test_an_optional_value_of_a_list_may_be_null() -> None:
    kind = Column("kind", "string", "varchar", valid_values=("a", "b"))
    is_valid = Draft202012Validator(json_schema.schema(topic_with(kind))).is_valid
    assert is_valid({}) and is_valid({"kind": None}) and is_valid({"kind": "a"})
    assert not is_valid({"kind": "c"})


def test_objects_with_described_fields_are_closed_and_others_hold_what_they_like() -> None:
    inner = Column("code", "string", "varchar")
    closed = Column("closed", "object", "object", columns=(inner,))
    free = Column("free", "object", "object")
    is_valid = Draft202012Validator(json_schema.schema(topic_with(closed, free))).is_valid
    assert is_valid({"closed": {"code": "x"}, "free": {"any": [{"thing": 1}]}})
    assert not is_valid({"closed": {"code": "x", "more": 1}})
    assert not is_valid({"more": 1})


def test_fields_that_only_the_payload_keeps_are_allowed() -> None:
    topic = replace(
        topic_with(Column("id", "string", "varchar")), custom={"payloadOnlyFields": ["op"]}
    )
    is_valid = Draft202012Validator(json_schema.schema(topic)).is_valid
    assert is_valid({"op": {"anything": 1}})


def test_a_version_that_adds_an_optional_field_takes_what_the_one_before_did() -> None:
    """The registry's rule BACKWARD: the new schema reads what was written under the old one."""
    old = topic_with(Column("id", "string", "varchar", required=True))
    new = topic_with(*old.columns, Column("note", "string", "varchar"))
    assert Draft202012Validator(json_schema.schema(new)).is_valid({"id": "a"})
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(avro.schema(old)), {"id": "a"})
    file.seek(0)
    read = fastavro.schemaless_reader(
        file, fastavro.parse_schema(avro.schema(old)), fastavro.parse_schema(avro.schema(new))
    )
    assert read == {"id": "a", "note": None}


# Avro


@pytest.mark.parametrize("topic", TOPICS, ids=names)
def test_a_full_record_comes_back_from_avro_as_it_was(topic: Contract) -> None:
    record = {avro.avro_name(column.name): value_of(column) for column in topic.columns}
    assert there_and_back(avro.schema(topic), record) == record


@pytest.mark.parametrize("topic", TOPICS, ids=names)
def test_what_is_optional_may_be_left_out_of_avro_and_the_rest_not(topic: Contract) -> None:
    needed = {
        avro.avro_name(column.name): value_of(column) for column in topic.columns if column.required
    }
    parsed = fastavro.parse_schema(avro.schema(topic))
    file = io.BytesIO()
    fastavro.schemaless_writer(file, parsed, needed)
    file.seek(0)
    read = fastavro.schemaless_reader(file, parsed, None)
    assert {name: value for name, value in read.items() if value is not None} == needed  # type: ignore[union-attr]
    for name in needed:
        without = {other: value for other, value in needed.items() if other != name}
        with pytest.raises((ValueError, TypeError, AttributeError, KeyError)):
            fastavro.schemaless_writer(io.BytesIO(), parsed, without, strict_allow_default=True)


def test_names_that_avro_does_not_take_are_changed_and_told() -> None:
    topic = topic_with(Column("@type", "string", "varchar"), name="2-lending.slips")
    schema = avro.schema(replace(topic, name="2-lending.slips"))
    assert schema["name"] == "_2_lending_slips"
    assert schema["nameInContract"] == "2-lending.slips"
    assert schema["fields"][0] | {"type": 0, "doc": 0} == {
        "name": "_type", "type": 0, "default": None, "doc": 0, "nameInContract": "@type"
    }  # fmt: skip


def test_two_fields_of_one_name_in_avro_are_refused() -> None:
    topic = topic_with(Column("a-b", "string", "varchar"), Column("a.b", "string", "varchar"))
    with pytest.raises(UnusableInput, match=r"'a-b' and 'a\.b' are both 'a_b' in Avro"):
        avro.schema(topic)


def test_a_list_with_values_that_are_no_symbols_stays_text() -> None:
    level = Column("level", "string", "varchar", required=True, valid_values=("low", "very high"))
    field = avro.schema(topic_with(level))["fields"][0]
    assert (field["type"], field["allowed"]) == ("string", ["low", "very high"])


# the files


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two topics and nothing else."""
    (tmp_path / "dbt_project.yml").write_text("name: other\n")
    (tmp_path / "contracts/topics").mkdir(parents=True)
    for name in ("market-data", "dead_letter"):
        shutil.copy(ROOT / f"contracts/topics/{name}.yaml", tmp_path / "contracts/topics")
    return Project(tmp_path, tmp_path / "var")


def files(project: Project) -> dict[str, bytes]:
    folder = project.root / "schemas"
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_topic_has_both_files_and_they_say_what_they_are(project: Project) -> None:
    render(project)
    assert sorted(files(project)) == [
        "dead_letter.avsc",
        "dead_letter.schema.json",
        "market-data.avsc",
        "market-data.schema.json",
    ]
    assert all(MARK.encode() in content[:1000] for content in files(project).values())


def test_deleted_schemas_are_restored_to_the_byte(project: Project) -> None:
    render(project)
    before = files(project)
    shutil.rmtree(project.root / "schemas")
    render(project)
    assert files(project) == before
    assert render(project) == []


@pytest.mark.parametrize("ending", [".avsc", ".schema.json"])
def test_an_edited_schema_fails_the_check(project: Project, ending: str) -> None:
    render(project)
    path = project.root / f"schemas/topics/market-data{ending}"
    path.write_text(path.read_text().replace('"null"', '"long"').replace("Units", "Pieces"))
    with pytest.raises(DerivedFilesStale, match=f"schemas/topics/market-data{ending}"):
        render(project, check=True)


def test_the_schemas_of_a_contract_that_is_gone_go_too(project: Project) -> None:
    render(project)
    by_hand = project.root / "schemas/topics/by-hand.schema.json"
    by_hand.write_text("{}")
    (project.root / "contracts/topics/market-data.yaml").unlink()
    render(Project(project.root, project.state))
    assert sorted(files(project)) == [
        "by-hand.schema.json", "dead_letter.avsc", "dead_letter.schema.json"
    ]  # fmt: skip


def test_a_version_beside_another_has_schemas_of_its_own(project: Project) -> None:
    folder = project.root / "contracts/topics"
    contract = yaml.safe_load((folder / "market-data.yaml").read_text())
    (folder / "market-data.yaml").unlink()
    for version in ("1", "2"):
        contract["version"] = f"{version}.0.0"
        contract["schema"][0]["physicalName"] = f"market-data-v{version}"
        (folder / f"market-data-v{version}.yaml").write_text(yaml.safe_dump(contract))
    render(project)
    assert {"market-data-v1.avsc", "market-data-v2.avsc"} <= files(project).keys()

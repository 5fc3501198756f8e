"""BACKWARD: readers of a new schema can read what was written under the old one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.stream.compatibility import avro_problems, json_problems
from waypoint.contracts.derived import avro, json_schema
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
TOPICS = Project(ROOT, ROOT / "no-such-state").contracts.topics


def closed(required: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    document = {"type": "object", "properties": fields, "additionalProperties": False}
    return document | ({"required": required} if required else {})


def record(*fields: Any, name: str = "r") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.path.stem)
def test_every_schema_can_follow_itself(topic: Any) -> None:
    assert list(json_problems(json_schema.schema(topic), json_schema.schema(topic))) == []
    assert list(avro_problems(avro.schema(topic), avro.schema(topic))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (closed(a=TEXT), closed(a=TEXT, b=WHOLE)),
        (closed(["a"], a=TEXT), closed(a=TEXT)),
        (closed(a=WHOLE), closed(a={"type": "number"})),
        (closed(a=WHOLE), closed(a={"type": ["integer", "null"]})),
        (closed(a={"enum": ["x"]}), closed(a={"enum": ["x", "y"]})),
        (closed(a={"type": "integer", "minimum": 5}), closed(a={"type": "integer", "minimum": 4})),
        (closed(a=TEXT), closed(a={})),
        (closed(o=closed(a=TEXT)), closed(o=closed(a=TEXT, b=TEXT))),
    ],
)
def test_json_may_widen(old: Any, new: Any) -> None:
    assert list(json_problems(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (closed(a=TEXT), closed(["b"], a=TEXT, b=WHOLE), "b: is required now"),
        (closed(a=TEXT), closed(["a"], a=TEXT), "a: is required now"),
        (closed(a=TEXT, b=TEXT), closed(a=TEXT), "b: is gone"),
        (closed(a=TEXT), closed(a=WHOLE), "a: string is allowed no more"),
        (closed(a={"type": ["string", "null"]}), closed(a=TEXT), "a: null is allowed no more"),
        (closed(a={"enum": ["x", "y"]}), closed(a={"enum": ["x"]}), "a: y is allowed no more"),
        (closed(a=TEXT), closed(a={"type": "string", "enum": ["x"]}), "anything"),
        (closed(a=WHOLE), closed(a={"type": "integer", "minimum": 4}), "a: minimum is now 4"),
        (
            closed(a={"type": "number", "maximum": 4}),
            closed(a={"type": "number", "exclusiveMaximum": 4}),
            "exclusiveMaximum",
        ),
        (closed(a=TEXT), closed(a={"type": "string", "pattern": "^x$"}), "a: pattern"),
        (closed(o=closed(a=TEXT)), closed(o=closed(["a"], a=TEXT)), "o.a: is required now"),
        (
            closed(l={"type": "array", "items": TEXT}),
            closed(l={"type": "array", "items": WHOLE}),
            r"l\[\]: string",
        ),
        ({"type": "object"}, closed(a=TEXT), "beside those described"),
        ({"type": "object"}, {"type": "object", "properties": {"a": TEXT}}, "could be anything"),
    ],
)
def test_json_may_not_narrow(old: Any, new: Any, said: str) -> None:
    import re

    problems = list(json_problems(old, new))
    assert problems
    assert re.search(said, " ".join(problems))


NULLABLE = {"name": "b", "type": ["null", "string"], "default": None}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (record(), record(NULLABLE)),
        (record({"name": "a", "type": "int"}), record({"name": "a", "type": "long"})),
        (record({"name": "a", "type": "int"}), record({"name": "a", "type": ["null", "int"]})),
        (record({"name": "a", "type": "int"}, NULLABLE), record({"name": "a", "type": "int"})),
        (
            record({"name": "a", "type": "int"}),
            record({"name": "c", "aliases": ["a"], "type": "int"}),
        ),
    ],
)
def test_avro_may_widen(old: Any, new: Any) -> None:
    assert list(avro_problems(old, new)) == []


def enum(*symbols: str) -> dict[str, Any]:
    return {"type": "enum", "name": "e", "symbols": list(symbols)}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([], [{"name": "b", "type": "string"}], "b: is required now"),
        ([{"name": "a", "type": "long"}], [{"name": "a", "type": "int"}], "a: is int now"),
        ([NULLABLE], [{"name": "b", "type": "string"}], "b: is string now, and was null"),
        ([{"name": "a", "type": enum("x", "y")}], [{"name": "a", "type": enum("x")}], "a: y is"),
        ([{"name": "a", "type": decimal(9, 2)}], [{"name": "a", "type": decimal(9, 3)}], "digits"),
    ],
)
def test_avro_may_not_narrow(old: list[Any], new: list[Any], said: str) -> None:
    problems = list(avro_problems(record(*old), record(*new)))
    assert said in " ".join(problems)


# Whatever the old schema lets pass, the new one does, unless a problem is told.

LEAF = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", ["integer", "null"]])},
    optional={"minimum": st.integers(-2, 2), "maximum": st.integers(3, 6)},
) | st.builds(lambda values: {"enum": values}, st.lists(st.sampled_from("xyz"), min_size=1))
FIELDS = st.dictionaries(st.sampled_from("abc"), LEAF)
SCHEMAS = st.builds(
    lambda fields, required, open_: {
        "type": "object",
        "properties": fields,
        "required": [name for name in required if name in fields],
        **({} if open_ else {"additionalProperties": False}),
    },
    FIELDS,
    st.lists(st.sampled_from("abc"), unique=True),
    st.booleans(),
)
VALUES = st.none() | st.integers(-4, 8) | st.floats(-4, 8) | st.sampled_from("xyzw")
DOCUMENTS = st.dictionaries(st.sampled_from("abcd"), VALUES)


@settings(max_examples=60, deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(DOCUMENTS, max_size=12))
def test_what_was_valid_stays_valid_where_no_problem_is_told(
    old: dict[str, Any], new: dict[str, Any], documents: list[Any]
) -> None:
    # half of the time a small step from the old one
    if len(documents) % 2:
        new = copy.deepcopy(old) | {"required": new["required"][:1]}
        new["required"] = [name for name in new["required"] if name in new["properties"]]
    if list(json_problems(old, new)):
        return
    before, after = (jsonschema.Draft202012Validator(schema) for schema in (old, new))
    for document in documents:
        assert not before.is_valid(document) or after.is_valid(document)

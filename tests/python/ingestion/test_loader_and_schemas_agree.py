"""A topic's JSON Schema and the loader judge a message alike, but where they are said not to.

Every field of every topic that lands is broken in every way that its type knows, and both judge.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator

from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.messages import land_messages, topic_of
from ingestion.taking_apart import MESSAGE_COLUMNS
from waypoint.contracts.derived import json_schema
from waypoint.contracts.model import Column, Contract
from waypoint.contracts.reading import read_contracts

ROOT = Path(__file__).parents[3]
CONTRACTS = read_contracts(ROOT / "contracts")
LANDING = [topic for topic in CONTRACTS.topics if "landsIn" in topic.custom]

#: What the loader lands and the schema refuses: the loader is the tolerant one.
TOLERATED = {
    "unknown field",
    "number as text",
    "number in a text",
    "time without T",
    "time without seconds",
    "day without time",
    # texts without a rule are not looked at within objects, nor anything that is a text in arrays
    "JSON in a nested text",
}
#: What the schema cannot tell and the loader refuses.
UNSEEN = {"too many decimals", "no such day"}

VALID = {
    "integer": 7,
    "number": 1.5,
    "boolean": True,
    "date": "2026-01-31",
    "timestamp": "2026-01-31T10:00:00.000Z",
    "string": "some words",
}


@dataclass(frozen=True)
class Case:
    """A message, and what was done to it."""

    kind: str
    path: tuple[Any, ...]
    message: Any


def valid_value(column: Column) -> Any:
    if column.logical_type in ("object", "array"):
        inside = {inner.name: valid_value(inner) for inner in column.columns}
        return [inside] if column.logical_type == "array" else inside
    if column.valid_values is not None:
        return column.valid_values[0]
    if column.pattern is not None:
        known = {"^[A-Z]{2}$": "FI", "^[A-Z]{3}$": "EUR"}
        return known.get(column.pattern, "123e4567-e89b-12d3-a456-426614174000")
    value: Any = VALID[column.logical_type]
    if isinstance(column.maximum, int) and value > column.maximum:
        return column.maximum
    return value


def fields(columns: tuple[Column, ...], path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Every described field with the path to it in a valid message."""
    for column in columns:
        here = (*path, column.name)
        yield here, column
        inside = (*here, 0) if column.logical_type == "array" else here
        yield from fields(column.columns, inside)


def changed(message: Any, path: tuple[Any, ...], value: Any) -> Any:
    message = copy.deepcopy(message)
    holder = message
    for step in path[:-1]:
        holder = holder[step]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return message


def breakages(column: Column, nested: bool) -> Iterator[tuple[str, Any]]:
    """Values that a field could hold instead, with what is wrong with them (or is not)."""
    yield "missing", ...
    yield "null", None
    kind = column.logical_type
    if kind in ("object", "array"):
        yield "not of its kind", [1] if kind == "object" else {"a": 1}
        yield "not of its kind", 5
        return
    in_text = "JSON in a nested text" if nested and kind == "string" else "JSON"
    yield in_text, {"a": 1}
    yield in_text, [1]
    if column.minimum is not None:
        yield "at the minimum", column.minimum
        yield "below the minimum", float(column.minimum) - 1
    if column.maximum is not None:
        yield "at the maximum", column.maximum
        yield "above the maximum", float(column.maximum) + 1
    if column.valid_values is not None:
        yield "not allowed", "none of these"
        yield from (("allowed", value) for value in column.valid_values)
    if column.pattern is not None:
        yield "not of the pattern", "no such words"
        yield "not of the pattern", f"x{valid_value(column)}"
    match kind:
        case "string":
            if column.valid_values is None and column.pattern is None:
                yield "number in a text", 5
                yield "empty text", ""
                yield "odd text", 'ž "quoted" \\ \u2028 \U0001f9ed'
        case "integer":
            yield "no number", "many"
            yield "number as text", str(valid_value(column))
            yield "a part", 7.5
            yield "too large", 2**63
        case "number":
            yield "no number", "many"
            yield "number as text", str(valid_value(column))
            if column.physical_type.startswith("decimal"):
                yield "too many decimals", 1.23456789
                yield "too large", 10**30
        case "boolean":
            yield "no boolean", "perhaps"
        case "timestamp":
            yield "no time", "yesterday"
            yield "no time", 5
            yield "no such day", "2026-02-30T10:00:00Z"
            yield "another zone", "2026-01-31T10:00:00+02:00"
            yield "whole seconds", "2026-01-31T10:00:00Z"
            yield "time without T", "2026-01-31 10:00:00Z"
            yield "time without seconds", "2026-01-31T10:00Z"
            yield "day without time", "2026-01-31"


def cases(topic: Contract) -> list[Case]:
    message = {column.name: valid_value(column) for column in topic.columns}
    found = [
        Case("valid", (), message),
        Case("unknown field", (), {**message, "of_tomorrow": 1}),
    ]
    for path, column in fields(topic.columns):
        found += [
            Case(kind, path, changed(message, path, value))
            for kind, value in breakages(column, nested=len(path) > 1)
        ]
    return found


def landed_by_loader(topic: Contract, judged: list[Case], folder: Path) -> list[bool]:
    """Whether the loader lands each of the cases, all landed as one batch."""
    area = LandingArea(folder / "landing")
    with open_engine(folder / "spill") as engine:
        rows = [
            (str(n), None, None, topic.name, "0", str(n), "1769853600000", None, text, "value")
            for n, text in enumerate(json.dumps(case.message) for case in judged)
        ]
        columns = zip(MESSAGE_COLUMNS, zip(*rows, strict=True), strict=True)
        messages = pa.table({name: pa.array(values, pa.string()) for name, values in columns})
        engine.register("messages", messages)
        landed = land_messages(
            engine,
            "messages",
            topic_of(topic.name, CONTRACTS),
            source="test",
            batch="b",
            area=area,
        )
        assert landed.rows + landed.rejected == len(judged)
        path = area.path(landed.table, "b")
        good = {n for (n,) in engine.execute(f"select _offset from '{path}'").fetchall()}
    return [n in good for n in range(len(judged))]


@pytest.mark.parametrize("topic", LANDING, ids=lambda topic: topic.name)
def test_they_agree_on_every_broken_field(topic: Contract, tmp_path: Path) -> None:
    judged = cases(topic)
    validator = Draft202012Validator(json_schema.schema(topic))
    by_schema = [validator.is_valid(case.message) for case in judged]
    by_loader = landed_by_loader(topic, judged, tmp_path)

    assert by_schema[0] and by_loader[0]
    differences = [
        (case.kind, case.path, f"schema {schema}, loader {loader}")
        for case, schema, loader in zip(judged, by_schema, by_loader, strict=True)
        if schema != loader and case.kind not in (UNSEEN if schema else TOLERATED)
    ]
    assert differences == []
    assert Counter(by_schema)[False] > len(topic.columns)


def test_the_differences_that_are_told_are_there(tmp_path: Path) -> None:
    """What no longer differs is to be taken from the list, and from what is written of it."""
    seen = set()
    for n, topic in enumerate(LANDING):
        judged = [case for case in cases(topic) if case.kind in TOLERATED | UNSEEN]
        validator = Draft202012Validator(json_schema.schema(topic))
        by_loader = landed_by_loader(topic, judged, tmp_path / str(n))
        seen |= {
            case.kind
            for case, loader in zip(judged, by_loader, strict=True)
            if validator.is_valid(case.message) != loader
        }
    assert seen == TOLERATED | UNSEEN


def test_a_list_of_numbers_is_a_list_of_numbers() -> None:
    (topic,) = [topic for topic in CONTRACTS.topics if topic.name == "market-data"]
    rank = Column("rank", "integer", "integer", required=True, valid_values=("1", "2"))
    validator = Draft202012Validator(json_schema.schema(replace(topic, columns=(rank,))))

    assert validator.is_valid({"rank": 2})
    assert not validator.is_valid({"rank": "2"})

"""Deriving a JSON Schema (2020-12) for each topic: what a producer may write into a message.

The schema is closed: a field that it does not describe is refused, so that the registry's rule
BACKWARD lets a later version add optional fields (under an open schema any addition could clash
with what somebody sends already). Objects of which a contract describes no field hold what they
like. The loader is the tolerant one (`ingestion.messages`), and is meant to be:

- it keeps an unknown field in the payload and counts it as drift, where the schema refuses it;
- it reads `"5"` as a number, `5` as a text, and times in the other ways of ISO 8601;
- it looks into objects and the objects of arrays, but not into what is nested deeper in arrays.

What the schema lets pass, the loader lands. It cannot tell, and the loader refuses: more decimal
places than a decimal has; a day that no calendar has (validators that check `format` do); whole
numbers written as `1e3`; numbers beyond a double; a rule on several fields of the raw table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.derived.topics import (
    decimal_digits,
    plain_type,
    schema_path,
    whole_number,
)
from waypoint.contracts.model import Column, Contract
from waypoint.project import Project

ENDING = ".schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TIME = "[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
#: `[0-9]`, for `\d` is more than ASCII in some engines.
_TIMESTAMP = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_TIME}(Z|[+-][0-9]{{2}}:[0-9]{{2}})$"
_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_WHOLE = {"bigint": 63, "integer": 31}


def files(project: Project) -> dict[Path, str]:
    """The JSON Schema of every topic, by path."""
    return {
        schema_path(project, topic, ENDING): json.dumps(schema(topic), indent=2, ensure_ascii=False)
        + "\n"
        for topic in project.contracts.topics
    }


def schema(topic: Contract) -> dict[str, Any]:
    """The schema of a topic's values. Tombstones have no value, so no schema says a word of them.

    Raises:
        UnusableInput: the allowed values of an integer are none.
    """
    fields = _fields(topic.columns)
    for name in topic.custom.get("payloadOnlyFields", ()):
        fields["properties"].setdefault(name, {"description": "Read from the payload alone."})
    return {
        "$schema": DIALECT,
        "$id": f"urn:waypoint:{topic.schema}:{topic.path.stem}:{topic.version}",
        "$comment": MARK,
        "title": topic.name,
        "description": topic.description,
        "x-owner": topic.owner,
        "type": "object",
        **fields,
    }


def _fields(columns: tuple[Column, ...]) -> dict[str, Any]:
    """A closed list of fields."""
    required = [column.name for column in columns if column.required]
    return {
        "properties": {column.name: _field(column) for column in columns},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _field(column: Column) -> dict[str, Any]:
    said: dict[str, Any] = {"description": column.description} if column.description else {}
    if column.classification:
        said["x-classification"] = column.classification
    kind, *rules = _kind(column)
    said["type"] = kind if column.required else [kind, "null"]
    for rule in rules:
        said |= rule
    if column.valid_values is not None:
        allowed: list[Any] = [_value(column, text) for text in column.valid_values]
        said["enum"] = allowed if column.required else [*allowed, None]
    if column.pattern is not None:
        said["pattern"] = _whole(column.pattern)
    return said


def _kind(column: Column) -> tuple[Any, ...]:
    """The type of a value, and the keywords that go with it."""
    match column.logical_type:
        case "integer":
            bits = _WHOLE.get(plain_type(column), 63)
            return "integer", _bounds(column, {"minimum": -(2**bits), "maximum": 2**bits - 1})
        case "number":
            return "number", _bounds(column, _room(column))
        case "boolean":
            return ("boolean",)
        case "date":
            return "string", {"format": "date", "pattern": _DATE}
        case "timestamp":
            return "string", {"format": "date-time", "pattern": _TIMESTAMP}
        case "object":
            return "object", _fields(column.columns) if column.columns else {}
        case "array":
            items = {"type": "object", **_fields(column.columns)} if column.columns else {}
            return "array", {"items": items} if items else {}
        case _:
            return ("string",)


def _room(column: Column) -> dict[str, Any]:
    """What fits into a decimal."""
    digits = decimal_digits(column)
    if digits is None:
        return {}
    precision, scale = digits
    limit = 10 ** (precision - scale)
    return {"exclusiveMinimum": -limit, "exclusiveMaximum": limit}


def _bounds(column: Column, room: dict[str, Any]) -> dict[str, Any]:
    """The contract's bounds, and the type's where the contract has none."""
    bounds = dict(room)
    for name, bound in (("minimum", column.minimum), ("maximum", column.maximum)):
        if isinstance(bound, int | float):
            bounds.pop(f"exclusive{name.title()}", None)
            bounds[name] = bound
    return bounds


def _value(column: Column, text: str) -> Any:
    if column.logical_type == "integer":
        return whole_number(column, text)
    if column.logical_type == "number":
        return float(text)
    return text


def _whole(pattern: str) -> str:
    """A pattern that the whole text matches, for here a part of it is enough."""
    if pattern.startswith("^") and pattern.endswith("$") and "|" not in pattern:
        return pattern
    return f"^(?:{pattern})$"

"""Deriving an Avro schema for each topic, for those who write or read messages in Avro.

| in the contract | in Avro |
|---|---|
| not required | a union with null, the default: a later version may add it (BACKWARD) |
| bigint, integer, double, boolean | long, int, double, boolean |
| decimal(p,s) | bytes, logical type decimal |
| timestamp, date | long, logical type timestamp-micros, as the warehouse has it; int, date |
| a closed list of texts | an enum, where every value can be a symbol; else a string |
| an object, an array of objects, with fields | a record, an array of records |
| an object or array of which no field is described | a string with its JSON text: a map or union |
| | of what could be in it would change what was sent |

Bounds, patterns and lists that Avro cannot check stand as attributes, for people and for readers
that look: `minimum`, `maximum`, `pattern`, `allowed`; so do `classification` and, where a name had
to be changed into one that Avro takes (`market-data`, `@type`), `nameInContract`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.derived.topics import decimal_digits, plain_type, schema_path
from waypoint.contracts.model import Column, Contract
from waypoint.errors import UnusableInput
from waypoint.project import Project

ENDING = ".avsc"
#: Attributes of ours that say what Avro has no word for.
JSON_TEXT = {"type": "string", "contentMediaType": "application/json"}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def files(project: Project) -> dict[Path, str]:
    """The Avro schema of every topic, by path."""
    return {
        schema_path(project, topic, ENDING): json.dumps(schema(topic), indent=2, ensure_ascii=False)
        + "\n"
        for topic in project.contracts.topics
    }


def schema(topic: Contract) -> dict[str, Any]:
    """The schema of a topic's values.

    Raises:
        UnusableInput: two fields would have the same name in Avro.
    """
    name = avro_name(topic.path.stem)
    return {
        "type": "record",
        "name": name,
        "namespace": f"waypoint.{avro_name(topic.schema)}",
        "derived": MARK,
        **_renamed(name, topic.name),
        "version": topic.version,
        "owner": topic.owner,
        "doc": topic.description,
        "fields": _fields(topic.columns, name, topic),
    }


def avro_name(name: str) -> str:
    """`name`, or where Avro would not take it one like it."""
    if _NAME.fullmatch(name):
        return name
    changed = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"_{changed}" if not changed or changed[0].isdigit() else changed


def _renamed(name: str, said: str) -> dict[str, str]:
    return {} if name == said else {"nameInContract": said}


def _fields(columns: Iterable[Column], within: str, topic: Contract) -> list[dict[str, Any]]:
    names: dict[str, str] = {}
    fields = []
    for column in columns:
        name = avro_name(column.name)
        if name in names:
            raise UnusableInput(
                f"{topic.path}: {names[name]!r} and {column.name!r} are both {name!r} in Avro",
                hint="rename one of them",
            )
        names[name] = column.name
        fields.append(_field(column, name, f"{within}_{name}", topic))
    return fields


def _field(column: Column, name: str, type_name: str, topic: Contract) -> dict[str, Any]:
    kind = _type(column, type_name, topic)
    said: dict[str, Any] = {"name": name, "type": kind if column.required else ["null", kind]}
    if not column.required:
        said["default"] = None
    if column.description:
        said["doc"] = column.description
    said |= _renamed(name, column.name)
    if column.classification:
        said["classification"] = column.classification
    rules = {"minimum": column.minimum, "maximum": column.maximum, "pattern": column.pattern}
    said |= {rule: value for rule, value in rules.items() if value is not None}
    if column.valid_values is not None and not _is_enum(column):
        said["allowed"] = list(column.valid_values)
    return said


def _type(column: Column, type_name: str, topic: Contract) -> Any:
    if _is_enum(column):
        return {"type": "enum", "name": type_name, "symbols": list(column.valid_values or ())}
    match column.logical_type:
        case "integer":
            return "int" if plain_type(column) == "integer" else "long"
        case "number":
            return _decimal(column) or "double"
        case "boolean":
            return "boolean"
        case "date":
            return {"type": "int", "logicalType": "date"}
        case "timestamp":
            return {"type": "long", "logicalType": "timestamp-micros"}
        case "object" if column.columns:
            return _record(column, type_name, topic)
        case "array" if column.columns:
            return {"type": "array", "items": _record(column, f"{type_name}_item", topic)}
        case "object" | "array":
            return JSON_TEXT
        case _:
            return "string"


def _decimal(column: Column) -> dict[str, Any] | None:
    digits = decimal_digits(column)
    if digits is None:
        return None
    precision, scale = digits
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def _record(column: Column, name: str, topic: Contract) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": _fields(column.columns, name, topic)}


def _is_enum(column: Column) -> bool:
    values = column.valid_values
    return (
        bool(values)
        and column.logical_type == "string"
        and len(set(values or ())) == len(values or ())
        and all(_NAME.fullmatch(value) for value in values or ())
    )

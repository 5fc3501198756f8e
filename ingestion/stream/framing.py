"""What a message's value is written in, told by its first bytes; reading and writing it.

| first bytes | what follows |
|---|---|
| `00`, four bytes | Confluent's wire format: a schema's id in the registry, then Avro or JSON |
| `C3 01`, eight bytes | Avro's single-object encoding: the fingerprint of a schema, then Avro |
| anything else | JSON text: it can begin with neither |

Whatever it was written in, a reader gets JSON text: what the checks of the contract are about.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

from waypoint.errors import UnusableInput

CONFLUENT_MAGIC = b"\x00"
SINGLE_OBJECT_MAGIC = b"\xc3\x01"

_CONFLUENT_HEAD = 5
_SINGLE_OBJECT_HEAD = 10
_JSON_TEXT = "application/json"


class Framing(Enum):
    """How the schema of a value is found."""

    JSON = "json"
    CONFLUENT = "confluent"
    SINGLE_OBJECT = "avro single object"


class Undecodable(ValueError):
    """A value that no reader can make anything of: it belongs to the dead letters.

    Attributes:
        rule: what is wrong, in a word.
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


def framing_of(value: bytes) -> Framing:
    """What the first bytes say. It costs nothing, and is right for every value that is sound."""
    if value[:1] == CONFLUENT_MAGIC:
        return Framing.CONFLUENT
    if value[:2] == SINGLE_OBJECT_MAGIC:
        return Framing.SINGLE_OBJECT
    return Framing.JSON


@dataclass(frozen=True)
class AvroSchema:
    """An Avro schema, parsed once. `document` is what stands in the file."""

    document: Mapping[str, Any]
    parsed: Any = field(repr=False, compare=False)
    fingerprint: bytes = field(repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AvroSchema:
        """The schema that a document describes.

        Raises:
            UnusableInput: it describes none, or the package that reads them is not installed.
        """
        try:
            from fastavro import parse_schema
            from fastavro.schema import fingerprint, to_parsing_canonical_form
        except ImportError:
            raise UnusableInput(
                "the package fastavro is not installed", hint="run make setup"
            ) from None
        try:
            canonical = to_parsing_canonical_form(dict(document))
            crc = bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
            return cls(document, parse_schema(dict(document)), crc)
        except Exception as error:  # fastavro raises what it stumbles over
            raise UnusableInput(f"is no Avro schema: {error}") from None


class SchemaSource(Protocol):
    """Where the schemas of messages are found."""

    def by_fingerprint(self, fingerprint: bytes) -> AvroSchema | None:
        """The schema with this fingerprint (CRC-64-AVRO, little-endian), None: not known."""

    def by_id(self, number: int) -> AvroSchema | None:
        """The registry's schema of this id; None where it is one of JSON.

        Raises:
            Undecodable: there is none, or no registry is configured.
            Unavailable: the registry does not answer: it is not the message's fault.
        """


def decode(value: bytes, schemas: SchemaSource) -> str:
    """A value as JSON text; that it is JSON is not checked where it was written as text.

    Raises:
        Undecodable: its schema is not known, or it does not follow it, or it is no UTF-8.
        Unavailable: the registry does not answer.
    """
    match framing_of(value):
        case Framing.CONFLUENT:
            if len(value) < _CONFLUENT_HEAD:
                raise Undecodable("framing", "ends within the head of Confluent's wire format")
            schema = schemas.by_id(struct.unpack(">I", value[1:_CONFLUENT_HEAD])[0])
            body = value[_CONFLUENT_HEAD:]
            return _text(body) if schema is None else avro_as_json(body, schema)
        case Framing.SINGLE_OBJECT:
            if len(value) < _SINGLE_OBJECT_HEAD:
                raise Undecodable("framing", "ends within the head of Avro's single object")
            fingerprint = value[2:_SINGLE_OBJECT_HEAD]
            schema = schemas.by_fingerprint(fingerprint)
            if schema is None:
                raise Undecodable("schema", f"no schema has the fingerprint {fingerprint.hex()}")
            return avro_as_json(value[_SINGLE_OBJECT_HEAD:], schema)
        case _:
            return _text(value)


def encode_single_object(record: Mapping[str, Any], schema: AvroSchema) -> bytes:
    """A record in Avro's single-object encoding: who has the schema can read it.

    Raises:
        UnusableInput: the record does not follow the schema.
    """
    return SINGLE_OBJECT_MAGIC + schema.fingerprint + avro_bytes(record, schema)


def encode_confluent(record: Mapping[str, Any], schema: AvroSchema, number: int) -> bytes:
    """A record in Confluent's wire format, `number` being the schema's id in the registry.

    Raises:
        UnusableInput: the record does not follow the schema.
    """
    return CONFLUENT_MAGIC + struct.pack(">I", number) + avro_bytes(record, schema)


def avro_bytes(record: Mapping[str, Any], schema: AvroSchema) -> bytes:
    """A record in Avro, without a head.

    Fields go by the names of the contract; decimals are `Decimal`, times `datetime` with a zone,
    and what the schema holds as JSON text any value.

    Raises:
        UnusableInput: the record does not follow the schema.
    """
    from fastavro import schemaless_writer

    written = io.BytesIO()
    try:
        # strict: a field that the schema does not know is a mistake, not something to leave out
        schemaless_writer(written, schema.parsed, _to_avro(record, schema.document), strict=True)
    except Exception as error:  # what fastavro raises depends on what it stumbles over
        raise UnusableInput(f"does not follow {schema.document.get('name')}: {error}") from None
    return written.getvalue()


def avro_as_json(body: bytes, schema: AvroSchema) -> str:
    """Avro, without a head, as JSON text: exact decimals, times in ISO 8601 (UTC).

    Raises:
        Undecodable: it does not follow the schema, or more follows.
    """
    from fastavro import schemaless_reader

    stream = io.BytesIO(body)
    try:
        found = schemaless_reader(stream, schema.parsed, None)
    except Exception as error:  # likewise: EOFError, IndexError, UnicodeDecodeError ...
        raise Undecodable(
            "avro", f"does not follow its schema: {error or 'it ends too soon'}"
        ) from (None)
    if stream.read(1):
        raise Undecodable("avro", "goes on after the end of what its schema describes")
    return _json(found, schema.document)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable(
            "encoding", f"is no UTF-8: {error.reason} at byte {error.start}"
        ) from None


# between Avro's values and JSON's


def _to_avro(value: Any, schema: Any) -> Any:
    """A value with the names and texts that the schema has for those of the contract."""
    schema = _alternative(value, schema)
    if isinstance(schema, Mapping):
        if schema.get("type") == "record" and isinstance(value, Mapping):
            fields = {_name(field): field for field in schema["fields"]}
            return {
                fields[name]["name"] if name in fields else name: (
                    _to_avro(item, fields[name]["type"]) if name in fields else item
                )
                for name, item in value.items()
            }
        if schema.get("type") == "array" and isinstance(value, list | tuple):
            return [_to_avro(item, schema["items"]) for item in value]
        if schema.get("contentMediaType") == _JSON_TEXT and value is not None:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _json(value: Any, schema: Any) -> str:
    schema = _alternative(value, schema)
    if isinstance(schema, Mapping):
        if schema.get("contentMediaType") == _JSON_TEXT and isinstance(value, str):
            return value
        if schema.get("type") == "record":
            fields = (
                f"{json.dumps(_name(field), ensure_ascii=False)}:"
                f"{_json(value[field['name']], field['type'])}"
                for field in schema["fields"]
            )
            return "{" + ",".join(fields) + "}"
        if schema.get("type") == "array":
            return "[" + ",".join(_json(item, schema["items"]) for item in value) + "]"
        if schema.get("type") == "map":
            items = (
                f"{json.dumps(name, ensure_ascii=False)}:{_json(item, schema['values'])}"
                for name, item in value.items()
            )
            return "{" + ",".join(items) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case None | bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
        case float():
            if not math.isfinite(value):
                raise Undecodable("number", f"{value} is no number that JSON knows")
            return json.dumps(value)
        case Decimal():
            return format(value, "f")
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            exact = "microseconds" if moment.microsecond % 1000 else "milliseconds"
            return f'"{moment.replace(tzinfo=None).isoformat(timespec=exact)}Z"'
        case date():
            return f'"{value.isoformat()}"'
        case bytes():
            return json.dumps(value.decode("latin-1"))  # as Avro's own JSON encoding has it
        case Mapping() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _alternative(value: Any, schema: Any) -> Any:
    """Of a union, what a value is: our schemas have unions of null and one other."""
    if not isinstance(schema, list):
        return schema
    if value is None:
        return "null"
    others = [one for one in schema if one != "null"]
    return others[0] if len(others) == 1 else None


def _name(field: Mapping[str, Any]) -> str:
    return str(field.get("nameInContract", field["name"]))

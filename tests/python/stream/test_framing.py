"""What a message is written in is told by its first bytes, and reads back as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.stream.framing import (
    AvroSchema,
    Framing,
    Undecodable,
    decode,
    encode_confluent,
    encode_single_object,
    framing_of,
)
from ingestion.stream.schemas import KnownSchemas, schema_of
from waypoint.contracts.derived import avro
from waypoint.errors import UnusableInput
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
QUOTE = {
    "symbol": "ACME",
    "price": Decimal("12.345678"),
    "volume": 17,
    "timestamp": datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC),
}
QUOTE_AS_JSON = (
    '{"symbol":"ACME","price":12.345678,"volume":17,"timestamp":"2026-01-31T10:00:00.123456Z"}'
)

PROJECT = Project(ROOT, ROOT / "no-such-state")
MARKET_DATA = AvroSchema.of(avro.schema(PROJECT.contracts["topics.market-data"]))


class Schemas:
    """The market quotes' schema, by its fingerprint and as number 7 of a registry; 8 is of JSON."""

    def by_fingerprint(self, fingerprint: bytes) -> AvroSchema | None:
        return MARKET_DATA if fingerprint == MARKET_DATA.fingerprint else None

    def by_id(self, number: int) -> AvroSchema | None:
        if number not in (7, 8):
            raise Undecodable("schema", f"no schema {number}")
        return MARKET_DATA if number == 7 else None


def test_fingerprints_are_those_of_the_specification() -> None:
    # Avro 1.11, "Schema Fingerprints": 7275d51a3f395c8f for "int", little-endian in a message
    assert AvroSchema.of({"type": "int"}).fingerprint.hex() == "8f5c393f1ad57572"


@pytest.mark.parametrize(
    ("value", "framing"),
    [
        (b'{"a": 1}', Framing.JSON),
        (b"", Framing.JSON),
        ("é".encode(), Framing.JSON),
        (b"\x00\x00\x00\x00\x07x", Framing.CONFLUENT),
        (b"\xc3\x01" + bytes(8), Framing.SINGLE_OBJECT),
    ],
)
def test_first_bytes_tell(value: bytes, framing: Framing) -> None:
    assert framing_of(value) is framing


def test_a_single_object_reads_as_json() -> None:
    value = encode_single_object(QUOTE, MARKET_DATA)
    assert framing_of(value) is Framing.SINGLE_OBJECT
    assert decode(value, Schemas()) == QUOTE_AS_JSON


def test_confluents_wire_format_reads_as_json() -> None:
    value = encode_confluent(QUOTE, MARKET_DATA, 7)
    assert value[:5] == b"\x00\x00\x00\x00\x07"
    assert decode(value, Schemas()) == QUOTE_AS_JSON
    assert decode(b'\x00\x00\x00\x00\x08{"a":1}', Schemas()) == '{"a":1}'


def test_json_is_left_as_it_is() -> None:
    assert decode(b' {"price": 1.10}\n', Schemas()) == ' {"price": 1.10}\n'


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (b"\x00\x00", "framing"),
        (b"\xc3\x01abc", "framing"),
        (b"\x00\x00\x00\x00\x09abc", "schema"),
        (b"\xc3\x01" + bytes(8) + b"abc", "schema"),
        (encode_single_object(QUOTE, MARKET_DATA)[:-3], "avro"),
        (encode_single_object(QUOTE, MARKET_DATA) + b"!", "avro"),
        (b'{"a": "\xff"}', "encoding"),
    ],
)
def test_what_cannot_be_read_says_why(value: bytes, rule: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(value, Schemas())
    assert caught.value.rule == rule


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_do_more_than_be_refused(noise: bytes, framed: bool) -> None:
    value = b"\xc3\x01" + MARKET_DATA.fingerprint + noise if framed else noise
    try:
        decode(value, Schemas())
    except Undecodable as error:
        assert error.rule
        assert str(error)


@given(
    price=st.decimals(min_value="0.000001", max_value="999999999999", places=6),
    volume=st.integers(0, 10**14),
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),
    hours=st.integers(-12, 12),
    symbol=st.text(max_size=20),
)
@example(Decimal("0.000001"), 0, datetime(2026, 1, 1), 1, '"\\\u2028\x00')
def test_values_are_exact(
    price: Decimal, volume: int, moment: datetime, hours: int, symbol: str
) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    record: dict[str, Any] = {
        "symbol": symbol,
        "price": price,
        "volume": volume,
        "timestamp": there,
    }
    text = decode(encode_single_object(record, MARKET_DATA), Schemas())
    found = json.loads(text, parse_float=Decimal)
    assert (found["symbol"], Decimal(found["price"]), found["volume"]) == (symbol, price, volume)
    assert datetime.fromisoformat(found["timestamp"]) == there


@pytest.mark.parametrize(
    "record",
    [
        {**QUOTE, "surplus": 1},
        {name: value for name, value in QUOTE.items() if name != "price"},
        {**QUOTE, "volume": "many"},
        {**QUOTE, "price": Decimal("1.1234567")},
    ],
)
def test_what_does_not_follow_the_schema_is_not_written(record: dict[str, Any]) -> None:
    with pytest.raises(UnusableInput):
        encode_single_object(record, MARKET_DATA)


def test_names_and_json_texts_are_the_contracts() -> None:
    schema = AvroSchema.of(
        {
            "type": "record",
            "name": "r",
            "fields": [
                {"name": "_type", "type": "string", "nameInContract": "@type"},
                {
                    "name": "more",
                    "type": ["null", {"type": "string", "contentMediaType": "application/json"}],
                    "default": None,
                },
                {
                    "name": "list",
                    "type": {
                        "type": "array",
                        "items": {
                            "type": "record",
                            "name": "i",
                            "fields": [{"name": "n", "type": "int"}],
                        },
                    },
                },
            ],
        }
    )
    record = {"@type": "x", "more": {"a": [1, None]}, "list": [{"n": 1}, {"n": 2}]}

    class One(Schemas):
        def by_fingerprint(self, fingerprint: bytes) -> AvroSchema | None:
            return schema

    assert json.loads(decode(encode_single_object(record, schema), One())) == record


def test_the_contracts_own_schemas_are_known_without_a_registry(tmp_path: Path) -> None:
    known = KnownSchemas.of(Project(ROOT, tmp_path), {})
    assert decode(encode_single_object(QUOTE, MARKET_DATA), known) == QUOTE_AS_JSON
    with pytest.raises(Undecodable, match="no schema registry is configured"):
        decode(encode_confluent(QUOTE, MARKET_DATA, 7), known)


def test_every_topic_has_a_schema_that_can_be_used() -> None:
    for topic in PROJECT.contracts.topics:
        assert AvroSchema.of(avro.schema(topic)).fingerprint
        assert schema_of(topic).subject == f"{topic.name}-value"

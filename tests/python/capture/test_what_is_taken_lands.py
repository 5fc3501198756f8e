"""What the gateway acknowledges is no dead letter later, however odd it is, nor its neighbours."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from capture.whole_stream import EVENTS, Parts
from gateway.served import JSON, REPOSITORY, event, text

from waypoint.services.kafka import running_kafka

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

STRINGS = REPOSITORY.parent / "shared" / "data" / "conformance" / "blns" / "blns.json"

ODD_TIMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "1582-10-10T00:00:00Z",
    "1969-12-31T23:59:59.999Z",
    "2038-01-19T03:14:08Z",
    "2262-04-12T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59-01:00",
    "10000-01-01T00:00:00Z",
    "+012026-01-01T00:00:00Z",
    "2026-02-29T10:00:00Z",
    "2024-02-29T10:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T10:00:60Z",
    "2026-01-31T10:00:00.123456789Z",
    "2026-01-31T10:00:00,5Z",
    "2026-01-31t10:00:00z",
    "2026-01-31 10:00:00Z",
    "2026-01-31T10:00:00",
    "2026-01-31T10:00:00+23:59",
    "2026-01-31T10:00:00+24:00",
    "2026-01-31T10:00:00-00:00",
    "2026-01-31",
    "now",
)
ODD_NUMBERS = (
    b"0", b"-0", b"0.0", b"1.0", b"1e2", b"1E+2", b"00", b"1e999", b"-1e-999", b"NaN", b"true",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b'"7"', b"null",
    b"12345678901234567890123456789012345678901234567890", b"[1]", b"{}",
)  # fmt: skip
ODD_VALUES = (
    b"{}", b"null", b'{"a":1e999}', b'{"a":1e-999}', b'{"a":' + b"9" * 400 + b"}",
    b'{"a":1,"a":2}', b'{"":""}', b'{"\\u0000":"\\u0000"}', b'{"a":"\\ud83d\\ude00"}',
    b'{"page":{"not":"text"}}', b'{"price":"12,5"}', b'{"user_id":1}', b'{"_offset":1}',
    b'{"a":' * 200 + b"1" + b"}" * 200, b'{"text":"' + b"x" * 800_000 + b'"}',
    '{"a":"\u202e\ufeff\u0301"}'.encode(),
)  # fmt: skip


def odd_events() -> Iterator[bytes]:
    """Bodies of single events: whole, but for one thing."""
    for time in ODD_TIMES:
        yield text(event(timestamp=time))
    for number in ODD_NUMBERS:
        yield text(event(user_id=777)).replace(b": 777", b": " + number)
    for value in ODD_VALUES:
        yield text(event(properties=777)).replace(b": 777", b": " + value)
    if STRINGS.exists():
        for naughty in json.loads(STRINGS.read_text(encoding="utf-8")):
            yield text(event(session_id=naughty, properties={naughty: naughty}))
            yield text(event(event_type=naughty))


def test_what_the_gateway_takes_the_loader_lands(kafka_jars: None, tmp_path: Path) -> None:
    chance = random.Random(4)
    taken: list[str] = []
    refused = 0
    with running_kafka(tmp_path / "kafka") as kafka:
        parts = Parts(kafka, tmp_path / "state")
        parts.run("topics", "apply")
        parts.start_gateway()
        try:
            with httpx.Client(base_url=parts.url, headers=JSON, timeout=60) as http:
                waiting = list(odd_events())
                chance.shuffle(waiting)
                for odd in waiting:
                    neighbours = [event(event_id=str(uuid.uuid4())) for _ in range(2)]
                    body = b",".join([text(neighbours[0]), odd, text(neighbours[1])])
                    answer = http.post("/events/batch", content=b"[" + body + b"]")
                    assert answer.status_code in (202, 207), answer.text
                    results: list[dict[str, Any]] = answer.json()["results"]
                    assert [results[0]["status"], results[2]["status"]] == [202, 202], odd[:300]
                    taken += [one["event_id"] for one in neighbours]
                    if results[1]["status"] == 202:
                        taken.append(json.loads(odd)["event_id"])
                    else:
                        assert results[1]["status"] in (400, 422), results[1]
                        refused += 1
        finally:
            parts.end()
        parts.run("stream", "run", "--topics", EVENTS, "--until-caught-up")
    parts.run("load")
    assert parts.query("select message_offset, reason from raw.quarantine") == []
    landed = parts.query("select event_id from raw.app_events")
    assert sorted(str(row[0]) for row in landed) == sorted(taken)
    print(f"\n{len(waiting)} odd events: {refused} refused, the others and all neighbours landed")

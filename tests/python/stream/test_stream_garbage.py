"""Whatever stands in a topic, every message is accounted for, and its neighbours land."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from stream.desk import Desk, slip

STRINGS = Path(__file__).parents[4] / "shared/data/conformance/blns/blns.json"


@pytest.fixture
def desk(tmp_path, kafka_server, monkeypatch):
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)
    return Desk.opened(tmp_path / "library", kafka_server.bootstrap, partitions=1)


GARBAGE = [
    b"",
    b" ",
    b"\x00",
    b"\x00\x00\x00\x00\x07{}",
    b"\x00\x00\x00\x00\x07\x02",
    b"\xc3\x01",
    b"\xc3\x01" + struct.pack("<Q", 7) + b"\x02",
    b"\xff\xfe{\x00}\x00",
    json.dumps({"slip": "é"}, ensure_ascii=False).encode("latin-1"),
    json.dumps(slip(0)).encode("utf-16"),
    b'{"slip": "\\ud800"}',
    b'{"slip": "S\x00"}',
    b'{"slip":' * 100_000,
    b"[" * 1_000_000,
    b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    b'{"days": 1e999999999}',
    b"17",
    b"null",
    b'"{}"',
    json.dumps(slip(0, lent="9999-12-31T23:59:59Z", days=0)).encode(),
    json.dumps(slip(0, lent="0001-01-01T00:00:00Z", days=0)).encode(),
    json.dumps(slip(0, lent="infinity")).encode(),
    json.dumps(slip(0, days=2**70)).encode(),
    json.dumps(slip(0, shelfmark={"deep": [1]})).encode(),
    b"x" * 10_000_000,
    json.dumps({"slip": "x" * 10_000_000}).encode(),
    None,
]


def test_garbage_is_dead_letters_and_good_neighbours_land(desk):
    values = [value for n, bad in enumerate(GARBAGE, 1) for value in (bad, slip(n))]
    desk.send(values)

    totals = desk.load()

    assert totals.read == len(values)
    assert sorted(name for name, _, _ in desk.landed()) == sorted(
        f"S{n}" for n in range(1, len(GARBAGE) + 1)
    )
    assert [offset for _, offset, _ in sorted(desk.rejected())] == list(range(0, len(values), 2))
    letters = desk.dead_letters()
    assert sorted(int(d["headers"]["offset"]) for d in letters) == list(range(0, len(values), 2))


def test_naughty_strings_land_as_they_are_and_alone_are_dead_letters(desk):
    if not STRINGS.exists():
        pytest.skip(f"{STRINGS} is not there")
    strings = json.loads(STRINGS.read_text(encoding="utf-8"))
    texts = [text for text in strings if text]
    desk.send([slip(n, shelfmark=text) for n, text in enumerate(texts)])
    desk.send([text.encode() for text in texts])
    desk.send([slip(-1)], headers=[("h", b"\xff")], timestamp=1)

    totals = desk.load()

    assert (totals.landed, totals.dead_letters) == (len(texts) + 1, len(texts))
    landed = dict(desk.landed("slip, shelfmark"))
    assert {f"S{n}": text for n, text in enumerate(texts)} == {
        name: text for name, text in landed.items() if name != "S-1"
    }

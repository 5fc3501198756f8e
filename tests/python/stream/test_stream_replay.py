"""What was rejected or lost is replayed from its topic; what has landed stays as it is."""

from __future__ import annotations

import json

import pytest
from stream.desk import Desk, slip

from waypoint.cli.app import run_command


@pytest.fixture
def desk(tmp_path, kafka_server, monkeypatch):
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)
    desk = Desk.opened(tmp_path / "library", kafka_server.bootstrap, partitions=1)
    monkeypatch.chdir(desk.root)
    return desk


@pytest.fixture
def replay(capsys):
    """`waypoint stream replay`: its outcomes."""

    def run(*options):
        capsys.readouterr()
        assert run_command(["-q", "stream", "replay", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)["replayed"]

    return run


def allow(desk, days):
    """Mend both contracts: a book may be lent for so few days."""
    for path in (desk.root / "contracts").rglob("*.yaml"):
        path.write_text(path.read_text().replace("minimum: 1", f"minimum: {days}"))


def test_rejected_offsets_are_read_whole_from_the_topic_once_the_contract_is_mended(desk, replay):
    desk.send([slip(1), slip(2, days=0), slip(3, days=0, shelfmark="x" * 1_500_000), b"poison"])
    assert desk.load().dead_letters == 3
    allow(desk, 0)
    offsets = ("--topics", desk.topic, "--partition", "0", "--from", "0", "--to", "99")

    (dry,) = replay(*offsets, "--dry-run")
    assert [name for name, _, _ in desk.landed()] == ["S1"]
    (told,) = replay(*offsets)
    (again,) = replay(*offsets)

    assert (dry["landed"], dry["failing"]) == (told["landed"], told["failing"]) == (2, 1)
    assert (told["read"], told["unchanged"], told["gone"]) == (4, 1, 96)
    assert (again["landed"], again["failing"], again["unchanged"]) == (0, 1, 3)
    assert desk.landed("slip, _offset, strlen(_payload) > 1500000") == [
        ("S1", 0, False), ("S2", 1, False), ("S3", 2, True),
    ]  # fmt: skip
    assert desk.load().read == 0


def test_dead_letters_are_replayed_from_the_quarantine(desk, replay):
    desk.send([slip(1, days=0), b"poison"])
    desk.load()
    allow(desk, 0)

    (told,) = replay("--dead-letters", "--topics", desk.topic)

    assert (told["tried"], told["landed"]) == (2, 1)
    assert [name for name, _, _ in desk.landed()] == ["S1"]


def test_offsets_whose_file_was_lost_land_again_and_duplicates_do_not(desk, replay):
    desk.send([slip(1), slip(2)])
    desk.load()
    (lost,) = desk.area.files("lendings")
    desk.send([slip(1), slip(3)])
    desk.load()
    lost.unlink()
    offsets = ("--topics", desk.topic, "--partition", "0", "--from", "0", "--to", "3")

    (told,) = replay(*offsets)

    # of slip 1, the first of its two messages
    assert (told["landed"], told["unchanged"]) == (2, 2)
    assert desk.landed() == [("S1", 0, 0), ("S2", 0, 1), ("S3", 0, 3)]

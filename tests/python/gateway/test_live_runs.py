"""`waypoint live`: what it sends is counted as the brokers do, and the count is told."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import CommandLine
from gateway.served import REPOSITORY, TOPIC, Brokers, Running, event, wait_until

from ingestion.gateway.endpoints import read_endpoints
from waypoint.errors import UnusableInput
from waypoint.live.counting import Count
from waypoint.live.memory import Memory
from waypoint.live.playing import Message, Play, playing, topics_played
from waypoint.live.running import Report
from waypoint.live.sending import Sources
from waypoint.project import Project

NOW = datetime(2026, 3, 2, 12)


def said(value: Any) -> Message:
    text = value if isinstance(value, str) else json.dumps(value)
    return Message(NOW, TOPIC, "12", text)


def test_what_the_gateway_refuses_is_sent_past_it_and_all_is_counted(
    gateway: Running, brokers: Brokers, project: Project
):
    good = [event(event_type=kind) for kind in ("search", "booking_created", "a_custom_one")]
    wrong = [event(user_id="nobody"), "not json", '{"event_id": "3f2a', "", "[]", "42", '"a"']
    before = Counter(message.value() for message in brokers.messages().values())
    sources = Sources(
        {"bootstrap.servers": brokers.bootstrap}, gateway.url, read_endpoints(project)
    )

    # poison first, in the middle and last; and a copy
    sources.send(map(said, [wrong[1], good[0], *wrong, good[1], good[1], good[2], wrong[2]]))
    sources.finish()

    new = Counter(message.value() for message in brokers.messages().values()) - before
    assert sum(new.values()) == sources.produced[TOPIC] == 13
    assert new[json.dumps(good[1]).encode()] == 2
    assert sources.refused[TOPIC] == 9
    assert new[b"not json"] == 2
    assert sources.until == NOW


def test_a_count_is_exact_where_nothing_is_missing_and_nothing_is_twice():
    right = Count("clicks", produced=10, landed=7, dead_letters=2, duplicates=1)
    lost = Count("slips", produced=10, landed=7, dead_letters=2, duplicates=0)
    invented = Count("slips", produced=8, landed=7, dead_letters=2, duplicates=0)
    twice = Count("slips", produced=10, landed=8, dead_letters=2, duplicates=0, twice=1)

    assert Report((right,), 60).exact
    for wrong in (lost, invented, twice):
        assert not Report((right, wrong), 60).exact
    document = Report((right, lost), 60.04).document()
    assert not document["exact"]
    assert {"topic", "produced", "landed", "dead_letters", "duplicates"} <= set(
        document["topics"][0]
    )


def test_a_run_goes_on_in_the_world_of_the_one_before(tmp_path: Path):
    project = Project(tmp_path, tmp_path / "var")
    project.state.mkdir()
    first = Memory.of(project, None)

    first.played(project, first.until + timedelta(minutes=7))
    second = Memory.of(project, None)

    assert (second.seed, second.began) == (first.seed, first.began)
    assert second.until == first.until + timedelta(minutes=7)
    with pytest.raises(UnusableInput, match="has the seed 1, not 2"):
        Memory.of(project, 2)


def test_messages_come_in_their_order_with_copies_and_poison_among_them(tmp_path: Path):
    project = Project(REPOSITORY, tmp_path)
    wanted = frozenset({TOPIC, "topic_clickstream"})
    memory = Memory(1, NOW, NOW)
    with playing(project, Play(memory, wanted)) as messages:
        some = [next(messages) for _ in range(3_000)]

    assert wanted < set(topics_played(project))
    assert {message.topic for message in some} == wanted
    assert [m.at for m in some] == sorted(m.at for m in some)
    assert some[0].at > NOW
    assert len({(m.topic, m.value) for m in some}) < len(some)
    assert any(not _is_object(m.value) for m in some)


def _is_object(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or ""), dict)
    except json.JSONDecodeError:
        return False


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("kafka_jars")
def test_every_message_is_a_row_a_dead_letter_or_a_duplicate(tmp_path: Path):
    command_line = CommandLine(REPOSITORY)
    topics: list[str] = []
    for _ in range(2):  # the second goes on where the first ended
        ended = command_line.waypoint(
            "live", "--seconds", "30", "--json", WAYPOINT_STATE=str(tmp_path)
        )
        assert ended.code == 0, ended.out + ended.err
        told = ended.json
        assert told["exact"] is True
        for one in told["topics"]:
            accounted = one["landed"] + one["dead_letters"] + one["duplicates"]
            assert one["produced"] == accounted, one
        topics = [one["topic"] for one in told["topics"]]
        assert sum(one["produced"] for one in told["topics"]) > 4_000
        for what in ("landed", "dead_letters", "duplicates", "late"):
            assert sum(one[what] for one in told["topics"]) > 0, what
        [captured] = told["captured"]
        assert next(o["landed"] for o in told["topics"] if o["topic"] == captured) > 100
    assert set(topics) == set(topics_played(Project(REPOSITORY, tmp_path)))
    assert not _left_behind(tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("kafka_jars")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_leaves_no_process(tmp_path: Path, number: signal.Signals):
    process = CommandLine(REPOSITORY).started(
        "live", "--seconds", "600", WAYPOINT_STATE=str(tmp_path)
    )
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any("starting the gateway" in line for line in lines)
    wait_until(lambda: len(_left_behind(tmp_path)) >= 4)
    time.sleep(3)

    process.send_signal(number)
    process.wait(120)

    wait_until(lambda: not _left_behind(tmp_path))


def _left_behind(state: Path) -> list[str]:
    """Processes that have the state's folder among their arguments or variables."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(state).encode() in told:
                found.append(folder.name)
    return found

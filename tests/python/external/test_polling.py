"""`waypoint poll`: the same question again and again, and each answer once on the topic."""

from __future__ import annotations

import json
import signal
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from external.conftest import SLIPS
from external.test_publishing_to_a_broker import made, read_values

from ingestion.external.entries import read_external, read_polling
from ingestion.stream.framing import decode
from ingestion.stream.polling import Writing
from ingestion.stream.registry import Registry
from ingestion.stream.schemas import KnownSchemas, schema_of
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.simulator.sandbox.faults import Fault

ROOT = Path(__file__).parents[3]
POLL = """
poll:
  topic: lending-slips
  every: 1 s
  sources:
    north:
      url: https://slips.example/v1/branches/{each.branch}/slips
      each: [{branch: North}]
      parameters: {per_page: 100}
      patience: {attempts: 2, first_wait: 0.02, timeout: 1}
      items: data.slips
      id: [$each.branch, number]
      time: {path: lentAt, as: time}
      data:
        slip: {template: "N{number}"}
        card: card
        shelfmark: {constant: N}
        lent: {path: lentAt, as: time}
        days: {path: weeks, as: integer, scale: 7, round: 0}
"""


@pytest.fixture
def polled(branches, kafka_server):
    """The library, which polls the slips of its north branch into a topic of its own, in Avro."""
    name = f"slips-{uuid.uuid4().hex[:8]}"
    path = branches.library.root / "contracts" / "topics" / "lending-slips.yaml"
    text = path.read_text().replace("value: json", "value: avro")
    path.write_text(text.replace("- name: lending-slips", f"- name: {name}"))
    made(kafka_server, name, 1)
    external = branches.library.root / "ingestion" / "external.yml"
    external.write_text(external.read_text() + POLL.replace("lending-slips", name))
    branches.topic_name = name
    return branches


def slips(polled, kafka_server, wanted):
    known = KnownSchemas.of(polled.project, {})
    values = read_values(kafka_server, polled.topic_name, wanted)
    return [json.loads(decode(value, known))["slip"] for value in values]


def environment(polled, kafka_server):
    return {"WAYPOINT_KAFKA": kafka_server.bootstrap, "WAYPOINT_SANDBOX": polled.address()}


def test_a_quote_is_published_once_until_sigterm_comes(polled, kafka_server):
    polling = polled.library.started(
        "poll", "--every", "0.2 s", "--json", **environment(polled, kafka_server)
    )
    assert polling.stdout is not None
    try:
        first, second = (json.loads(polling.stdout.readline()) for _ in range(2))
        polling.send_signal(signal.SIGTERM)
        _, said = polling.communicate(timeout=120)
    finally:
        polling.kill()
    assert polling.returncode == 0, said
    assert (first["published"], first["repeated"], first["failed"]) == (SLIPS, 0, [])
    assert (second["published"], second["repeated"]) == (0, SLIPS)
    found = slips(polled, kafka_server, SLIPS)
    assert sorted(found) == sorted(f"N{number}" for number in range(SLIPS))


def test_nobody_answers(polled, kafka_server):
    polled.faults = lambda number, path: Fault(status=503)
    ended = polled.library.waypoint("poll", "--once", "--json", **environment(polled, kafka_server))
    assert ended.code == 3, ended.out + ended.err
    assert ended.json["published"] == 0
    assert "503" in ended.json["failed"][0]


def test_a_broker_that_is_away_does_not_hold_up_the_end(polled):
    polling = polled.library.started(
        *("poll", "--json"), WAYPOINT_KAFKA="127.0.0.1:1", WAYPOINT_SANDBOX=polled.address()
    )
    assert polling.stderr is not None
    try:
        assert "asking every 1 seconds" in polling.stderr.readline()
        # it has asked, and waits for the broker
        until = time.monotonic() + 120
        while not polled.sandbox.requests and time.monotonic() < until:
            time.sleep(0.05)
        polling.send_signal(signal.SIGTERM)
        out, said = polling.communicate(timeout=300)
    finally:
        polling.kill()
    assert polling.returncode == 0, said
    told = json.loads(out)
    assert told["published"] == 0
    (problem,) = told["failed"]
    assert "Purged" in problem  # given up, not timed out


def test_what_is_polled_is_not_fetched(polled):
    external = read_external(polled.project)
    assert external.broken == ()
    assert "north" not in {entry.name for entry in external.entries}
    assert [entry.name for entry in read_polling(polled.project).entries] == ["north"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  every: 1 s\n", "", "every is not right"),
        ("  every: 1 s\n", "  every: soon\n", "every"),
        ("      items: data.slips", "      itmes: data.slips", "north: itmes"),
    ],
)
def test_a_mistake_is_told_with_its_place(polled, old, new, said):
    external = polled.library.root / "ingestion" / "external.yml"
    text = external.read_text()
    external.write_text(text[: text.index("poll:")] + text[text.index("poll:") :].replace(old, new))
    with pytest.raises(UnusableInput) as caught:
        read_polling(polled.project)
    assert "external.yml, line " in str(caught.value)
    assert said in f"{caught.value} {caught.value.hint}"


def test_this_projects_quotes_are_written_exactly(tmp_path):
    project = Project(ROOT, tmp_path)
    polling = read_polling(project, {})
    contract = project.contracts[f"topics.{polling.topic}"]
    writing = Writing.of(schema_of(contract), contract.columns, None)
    text = '{"symbol":"A","price":719.123543,"volume":406.0,"timestamp":"2026-11-21T16:59:54.863Z"}'
    read = json.loads(
        decode(writing.value(text), KnownSchemas.of(project, {})), parse_float=Decimal
    )
    assert read == {
        "symbol": "A",
        "price": Decimal("719.123543"),
        "volume": 406,
        "timestamp": "2026-11-21T16:59:54.863Z",
    }
    with pytest.raises(UnusableInput, match="timestamp: 'soon' is no timestamp"):
        writing.value(text.replace("2026-11-21T16:59:54.863Z", "soon"))


def test_with_a_registry_its_number_leads(tmp_path, monkeypatch):
    project = Project(ROOT, tmp_path)
    contract = project.contracts["topics.market-data"]
    registry = Registry("http://127.0.0.1:1")
    monkeypatch.setattr(Registry, "number", lambda *_: 258)
    writing = Writing.of(schema_of(contract), contract.columns, registry)
    text = '{"symbol":"A","price":1,"volume":4,"timestamp":"2026-11-21T16:59:54Z"}'
    assert writing.value(text)[:5] == b"\x00\x00\x00\x01\x02"
    monkeypatch.setattr(Registry, "number", lambda *_: None)
    with pytest.raises(UnusableInput, match="does not know"):
        Writing.of(schema_of(contract), contract.columns, registry)

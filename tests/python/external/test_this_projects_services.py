"""Every source of this repository's external.yml, fetched from this repository's sandbox."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from external.conftest import REPOSITORY

from ingestion.external.entries import read_external, read_polling
from ingestion.external.fetching import fetch, plan
from ingestion.external.records import records
from ingestion.external.running import Target, make
from ingestion.external.validating import validate
from ingestion.messages import topic_of
from ingestion.stream.polling import EntrySource
from waypoint.clock import parse_time
from waypoint.project import Project
from waypoint.simulator.sandbox import sandbox_running
from waypoint.simulator.sandbox.faults import Fault, faults_of

AS_OF = parse_time("2026-03-02T12:00:00", "test")
EXTERNAL = read_external(Project(REPOSITORY, REPOSITORY / "var"))
SOURCES = [entry.name for entry in EXTERNAL.entries]
KEY = "k" * 20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(REPOSITORY, tmp_path_factory.mktemp("services") / "var")


@pytest.fixture(scope="module")
def sandbox(project):
    with sandbox_running(project, as_of=AS_OF) as running:
        yield running


@pytest.fixture(scope="module")
def target(project):
    return Target.of(EXTERNAL.publishing, project.contracts, project.state / "spill")


def entry_of(name):
    return next(entry for entry in EXTERNAL.entries if entry.name == name)


def fetched(name, url, most=8):
    entry = entry_of(name)
    requests = plan(entry, AS_OF)[:most]
    return entry, requests, fetch(entry, requests, AS_OF, key=KEY, sandbox=url)


def test_quotes_that_are_polled_keep_the_contract(project, sandbox, target):
    polling = read_polling(project, {})
    topic = topic_of(polling.topic, project.contracts)
    for entry in polling.entries:
        said = EntrySource(entry, sandbox=sandbox.url).quotes(AS_OF)
        assert (said.failed, said.rejected) == ((), ())
        assert len(said.messages) == len(entry.each)
        judged = validate(topic, tuple(said.messages.values()), project.state / "spill")
        assert judged.rejected == ()


def test_the_file_is_understood():
    assert EXTERNAL.broken == ()
    assert {entry.schedule for entry in EXTERNAL.entries} != {None}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_messages_that_keep_the_contract(name, sandbox, target):
    entry, requests, came = fetched(name, sandbox.url)
    made, judged = make(entry, target, requests, came)

    assert came.failed == ()
    assert (made.rejected, judged.rejected) == ((), ())
    assert len(judged.messages) == len(made.messages) > 0
    for text in judged.messages:
        message = json.loads(text)
        assert message["source"] == name
        assert set(entry.required) <= set(message["data"])
        assert message["timestamp"] <= "2026-03-02T12:00:00.000Z"


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_asked_again_gives_the_same_ids(name, sandbox, target):
    found = []
    for _ in range(2):
        entry, requests, came = fetched(name, sandbox.url, most=3)
        _, judged = make(entry, target, requests, came)
        found.append([json.loads(text)["external_data_id"] for text in judged.messages])

    assert found[0] == found[1]
    assert max(Counter(found[0]).values()) == 1


@pytest.mark.parametrize("name", [e.name for e in EXTERNAL.entries if e.paging.style != "none"])
def test_pages_follow_each_other_without_gaps(name, sandbox):
    entry, _, came = fetched(name, sandbox.url, most=1)
    small = entry.__class__(
        **{
            **entry.__dict__,
            "paging": entry.paging.__class__(
                **{**entry.paging.__dict__, "size": 3, "most_pages": 4}
            ),
        }
    )
    pages = fetch(small, plan(small, AS_OF)[:1], AS_OF, key=KEY, sandbox=sandbox.url)

    everything = [r for a in came.answers for r in records(entry, a.document)]
    in_parts = [r for a in pages.answers for r in records(small, a.document)]
    assert len(pages.answers) == 4
    assert in_parts == everything[:12]


def test_units_are_converted(sandbox, target):
    entry, requests, came = fetched("weather_api", sandbox.url, most=1)
    _, judged = make(entry, target, requests, came)

    sent = came.answers[0].document["current"]
    data = json.loads(judged.messages[0])["data"]
    assert data["wind_speed"] == pytest.approx(sent["wind_speed_10m"] / 3.6, abs=0.06)
    assert isinstance(data["condition"], str)


def test_a_seed_and_a_time_decide_every_byte(project):
    def all_of(seed):
        with sandbox_running(project, as_of=AS_OF, seed=seed) as running:
            return [
                [answer.document for answer in fetched(name, running.url, most=2)[2].answers]
                for name in ("weather_api", "social_api", "travel_news")
            ]

    assert all_of(1) == all_of(1)
    assert all_of(1) != all_of(2)


def test_faults_that_are_asked_for_by_name_are_survived(project, target):
    faults = faults_of(["garbage:0.2", "cut:0.2", "partial:0.2", "error:0.1"], seed=3)
    entry = entry_of("weather_api")
    patient = entry.__class__(
        **{
            **entry.__dict__,
            "patience": entry.patience.__class__(attempts=12, first_wait=0.01, longest_wait=0.05),
        }
    )
    with sandbox_running(project, as_of=AS_OF, faults=faults) as running:
        requests = plan(patient, AS_OF)[:20]
        came = fetch(patient, requests, AS_OF, sandbox=running.url)
    _, judged = make(patient, target, requests, came)

    assert came.failed == ()
    assert len(judged.messages) == 20
    assert len(running.requests) > 20


#: One after the other, each on its own request; then the services are well.
ONE_OF_EACH = (
    Fault(429, retry_after="0"),
    Fault(503),
    Fault(stall=1.0, silent=True),
    Fault(garbage=True),
    Fault(cut=True),
    Fault(partial=True),
)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gets_over_every_fault(name, project, sandbox, target):
    entry = entry_of(name)
    patience = replace(entry.patience, attempts=8, timeout=0.8, first_wait=0.01, longest_wait=0.05)
    patient = replace(entry, patience=patience, parallel=2)
    requests = plan(patient, AS_OF)[:2]
    well = fetch(patient, requests, AS_OF, key=KEY, sandbox=sandbox.url)
    to_come = list(ONE_OF_EACH)

    def faults(_number, _path):
        return to_come.pop(0) if to_come else None

    with sandbox_running(project, as_of=AS_OF, faults=faults) as running:
        came = fetch(patient, requests, AS_OF, key=KEY, sandbox=running.url)

    assert to_come == []
    assert came.failed == ()
    assert len(running.requests) == len(well.answers) + len(ONE_OF_EACH)
    made, judged = make(patient, target, requests, came)
    sound, _ = make(patient, target, requests, well)
    assert sorted(made.messages) == sorted(sound.messages)
    assert judged.rejected == ()


def test_a_service_that_the_sandbox_does_not_know_is_named(sandbox):
    entry = entry_of("weather_api")
    other = entry.__class__(**{**entry.__dict__, "url": "https://elsewhere.example/v1"})

    came = fetch(other, plan(other, AS_OF)[:1], AS_OF, sandbox=sandbox.url)

    assert "elsewhere.example/v1 is not in the sandbox" in came.failed[0].error

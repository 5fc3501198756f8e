"""A cluster with encryption, users and rights is used as docs/stream.md says; no secret is told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import httpx
import pytest
from certificates import write_certificates
from confluent_kafka import Producer
from conftest import CommandLine, Ended, said_url
from gateway.served import JSON, TOPIC, event, text, wait_until
from models.dbt_warehouse import ROOT
from secured.cluster import SECRET, USER, Secured, running_secured

from ingestion.capture.states import publish, state_topics
from ingestion.stream.connection import SETTINGS_VARIABLE, kafka_settings
from waypoint.project import Project

VALUES = {"integer": 7, "string": "GB", "boolean": False, "timestamp": datetime(2026, 1, 31, 10)}
HOW = ("PLAIN", "SCRAM-SHA-512", "mutual")


@pytest.fixture(scope="module")
def cluster(kafka_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with running_secured(tmp_path_factory.mktemp("secured")) as secured:
        yield secured


def waypoint(state: Path, settings: Path, *words: str) -> Ended:
    environment = {"WAYPOINT_STATE": str(state), SETTINGS_VARIABLE: str(settings)}
    return CommandLine(ROOT, environment).waypoint(*words)


@pytest.mark.parametrize("how", HOW)
def test_every_part_of_the_stream_works_with_the_rights_that_are_said(
    cluster: Secured, tmp_path: Path, how: str
):
    file, state = cluster.settings(how), tmp_path / "state"
    settings = kafka_settings(Project(ROOT, state), {SETTINGS_VARIABLE: str(file)})

    applied = waypoint(state, file, "topics", "apply")
    assert applied.code == 0, applied.err
    assert waypoint(state, file, "topics", "plan").code == 0

    mine = [str(uuid.uuid4()) for _ in range(3)]
    environment = {"WAYPOINT_STATE": str(state), SETTINGS_VARIABLE: str(file)}
    gateway = CommandLine(ROOT, environment).started("gateway", "--port", "0", "--json")
    try:
        with httpx.Client(base_url=said_url(gateway), headers=JSON, timeout=60) as http:
            wait_until(lambda: http.get("/health").status_code == 200)
            for number in mine:
                sent = http.post("/events/user", content=text(event(event_id=number)))
                assert sent.status_code == 202, sent.text
    finally:
        gateway.terminate()
        gateway.communicate()
    producer = Producer(settings)
    producer.produce(TOPIC, b"no json")
    assert producer.flush(60) == 0

    words = ("--topics", TOPIC, "--group", "waypoint-loader", "--until-caught-up", "--json")
    loaded = waypoint(state, file, "stream", "run", *words)
    assert loaded.code == 0, loaded.err
    (told,) = loaded.json["topics"]
    assert told["read"] == told["landed"] + told["dead_letters"]
    assert told["dead_letters"] >= 1
    files = [str(path) for path in (state / "landing" / "app_events").rglob("*.parquet")]
    rows = duckdb.sql(f"select cast(event_id as varchar) from read_parquet({files})").fetchall()
    assert {number for (number,) in rows} >= set(mine)

    # what is written in transactions, and read back to know what is there
    topic = next(t for t in state_topics(Project(ROOT, state)) if t.name.startswith("topic_user"))
    row = tuple(VALUES[column.logical_type] for column in topic.columns)
    first, again = (publish(topic, iter([row]), settings) for _ in range(2))
    assert (first.refused, again.rows, again.sent) == (0, 1, 0), (first, again)

    for ended in (applied, loaded):
        assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize("words", [("topics", "plan"), ("stream", "run", "--until-caught-up")])
@pytest.mark.parametrize("how", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_said_at_once_and_not_told(
    cluster: Secured, tmp_path: Path, how: str, words: tuple[str, ...]
):
    ended = waypoint(tmp_path, cluster.settings(how, secret="another-word"), *words)

    assert ended.code == 2
    assert "authentication" in ended.err.lower()
    assert SETTINGS_VARIABLE in ended.err
    assert "another-word" not in ended.out + ended.err


def test_a_certificate_of_another_authority_is_refused(cluster: Secured, tmp_path: Path):
    write_certificates(tmp_path, USER)
    file = tmp_path / "client.properties"
    file.write_text(
        cluster.settings("mutual")
        .read_text()
        .replace(f"{cluster.folder}/{USER}", f"{tmp_path}/{USER}")
    )

    ended = waypoint(tmp_path / "state", file, "topics", "plan")

    assert ended.code == 2
    assert "SSL alert" in ended.err


def test_a_broker_that_another_authority_vouches_for_is_not_talked_to(
    cluster: Secured, tmp_path: Path
):
    write_certificates(tmp_path, USER)
    file = tmp_path / "client.properties"
    file.write_text(
        cluster.settings("PLAIN").read_text().replace(str(cluster.folder), str(tmp_path))
    )

    ended = waypoint(tmp_path / "state", file, "topics", "plan")

    assert ended.code == 2
    assert "certificate verify failed" in ended.err
    assert SECRET not in ended.out + ended.err


def test_who_has_no_rights_is_told_which_topic(cluster: Secured, tmp_path: Path):
    file = cluster.settings("mutual", certificate="somebody")

    ended = waypoint(tmp_path, file, "topics", "apply")

    assert ended.code == 2
    first = min(topic.name for topic in Project(ROOT, tmp_path).contracts.topics)
    assert f"{first}: the broker refuses: Authorization failed" in ended.err


def test_the_gateway_says_why_it_sends_nothing(cluster: Secured, tmp_path: Path):
    file = cluster.settings("PLAIN", secret="another-word")
    environment = {"WAYPOINT_STATE": str(tmp_path), SETTINGS_VARIABLE: str(file)}
    gateway = CommandLine(ROOT, environment).started("gateway", "--port", "0", "--json")
    said = ""
    try:
        with httpx.Client(base_url=said_url(gateway), headers=JSON, timeout=60) as http:
            sent = http.post("/events/user", content=text(event()))
            assert sent.status_code == 503, sent.text
        assert gateway.stderr is not None
        while "authentication" not in said.lower():
            line = gateway.stderr.readline()
            assert line, said
            said += line
    finally:
        gateway.terminate()
        said += gateway.communicate()[1]

    assert "another-word" not in said

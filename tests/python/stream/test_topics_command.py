"""`waypoint topics`: a real broker's topics become what their contracts say, and stay so."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic
from conftest import CommandLine, Ended

from ingestion.stream.connection import kafka_record, kafka_settings
from ingestion.stream.declared import REPLICATION_VARIABLE
from ingestion.stream.schemas import Kept
from ingestion.stream.topics import Left, Topics
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.services.kafka import Kafka

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: topics.{name}
name: {name}
version: 1.0.0
status: active
domain: desk
description: {{purpose: Test.}}
team: {{name: desk}}
schema:
  - name: {name}
    physicalName: "{physical}"
    physicalType: topic
    description: Test.
    dataGranularityDescription: One message.
    properties:
{fields}
slaProperties:
  - {{property: retention, value: {days}, unit: d}}
customProperties:
{custom}
"""
FIELD = """\
      - {{name: {name}, logicalType: string, physicalType: varchar, required: {required}}}"""


@dataclass(frozen=True)
class Desk(CommandLine):
    """A project with topics of its own on a broker that others use, too."""

    kafka: Any = None
    names: dict[str, str] = field(default_factory=dict)

    def contract(
        self, name: str, fields: dict[str, bool] | None = None, days: int = 2, **custom: Any
    ) -> str:
        """Write a topic's contract; gives the topic's name, which no other test has."""
        physical = self.names.setdefault(name, f"{name}-{uuid.uuid4().hex[:8]}")
        settings = {"format": "json", "partitions": 2, "replication": 3, "cleanup": "delete"}
        text = CONTRACT.format(
            name=name,
            physical="{topic}.dlq" if name == "dead_letter" else physical,
            days=days,
            fields="\n".join(
                FIELD.format(name=one, required=str(required).lower())
                for one, required in (fields or {"id": True}).items()
            ),
            custom="\n".join(
                f"  - {{property: {one}, value: {value}}}"
                for one, value in {**settings, **custom}.items()
            ),
        )
        (self.root / "contracts" / "topics" / f"{name}.yaml").write_text(text)
        return physical

    def topics(self, *arguments: str, **environment: str) -> Ended:
        return self.waypoint("topics", *arguments, "--json", **environment)

    def within(self, environment: dict[str, str] | None = None) -> Topics:
        """The same in this process."""
        project = Project(self.root, self.state)
        settings = {"bootstrap.servers": self.kafka.bootstrap}
        return Topics(settings, project.contracts, Kept.of(project), None, environment or {})

    @property
    def client(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})

    def set(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        asked = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        client = self.client
        client.incremental_alter_configs([asked])[asked].result(60)

    def changes(self, ended: Ended, key: str = "changes") -> set[tuple[str, str, str | None]]:
        return {
            (one["topic"], one["change"], one["setting"])
            for one in ended.json[key]
            if one["change"] != "register"
        }


@pytest.fixture
def desk(tmp_path: Path, kafka_server: Kafka) -> Desk:
    (tmp_path / "dbt_project.yml").write_text("name: desk\n")
    (tmp_path / "contracts" / "topics").mkdir(parents=True)
    return Desk(tmp_path, {"WAYPOINT_KAFKA": kafka_server.bootstrap}, kafka_server)


def test_topics_are_made_and_drift_is_repaired(desk: Desk) -> None:
    desk.contract("dead_letter", partitions=1, days=14)
    slips = desk.contract("slips", deadLetter="true")
    state = desk.contract("state", cleanup="compact")
    others = f"others-{uuid.uuid4().hex[:8]}"
    client = desk.client
    client.create_topics([NewTopic(others, 1, 1)], operation_timeout=30)[others].result(60)

    ended = desk.topics("plan")
    assert ended.code == 1
    wanted = {(name, "create", None) for name in (slips, f"{slips}.dlq", state)}
    assert desk.changes(ended) == wanted
    assert slips not in client.list_topics(timeout=60).topics  # a plan changes nothing

    ended = desk.topics("apply")
    assert ended.code == 0, ended.err
    assert desk.changes(ended, "applied") == wanted
    found = client.list_topics(timeout=60).topics
    assert len(found[slips].partitions) == 2
    assert len(found[f"{slips}.dlq"].partitions) == 1
    assert others in found

    ended = desk.topics("apply")
    assert (ended.code, ended.json["applied"]) == (0, [])
    assert desk.within().plan().is_empty

    # what somebody set by hand is drift, whether the contract speaks of it or not
    desk.set(slips, "retention.ms", "99")
    desk.set(state, "segment.bytes", "99999999")
    drift = {(slips, "set", "retention.ms"), (state, "unset", "segment.bytes")}
    ended = desk.topics("plan")
    assert (ended.code, desk.changes(ended)) == (1, drift)
    ended = desk.topics("apply")
    assert (ended.code, desk.changes(ended, "applied")) == (0, drift)
    assert desk.within().plan().is_empty

    # more partitions in the contract are made; more on the broker are told and stay
    desk.contract("slips", deadLetter="true", partitions=3, days=1)
    ended = desk.topics("apply")
    assert ended.code == 0, ended.err
    by_setting = {one["setting"]: one for one in ended.json["applied"]}
    assert by_setting["partitions"]["becomes"] == "3"
    assert by_setting["retention.ms"]["deletes"] is True
    client.create_partitions([NewPartitions(state, 5)])[state].result(60)
    for command in ("apply", "plan"):
        ended = desk.topics(command)
        assert ended.code == 1
        (left,) = ended.json["left"]
        assert left["topic"] == state
        assert "partitions only grow" in left["problem"]
    assert len(client.list_topics(timeout=60).topics[state].partitions) == 5


def test_a_schema_that_breaks_readers_stops_everything(desk: Desk) -> None:
    slips = desk.contract("slips", {"id": True})
    assert desk.topics("apply").code == 0

    desk.contract("slips", {"id": True, "note": False})
    assert desk.topics("apply").code == 0, "a field that is not required may come"

    new = desk.contract("more")
    desk.contract("slips", {"id": True, "note": False, "shelf": True}, partitions=4)
    ended = desk.topics("plan")
    assert ended.code == 1
    assert ended.json["incompatible"] == [{"topic": slips, "problem": "shelf: is required now"}]
    ended = desk.topics("apply")
    assert ended.code == 2
    assert f"{slips}: shelf: is required now" in ended.err
    found = desk.client.list_topics(timeout=60).topics
    assert new not in found
    assert len(found[slips].partitions) == 2


def test_avro_topics_have_avro_schemas(desk: Desk) -> None:
    slips = desk.contract("slips", {"id": True}, format="avro")
    topics = desk.within()
    topics.apply(topics.plan())
    desk.contract("slips", {"id": True, "shelf": True}, format="avro")
    plan = desk.within().plan()
    assert plan.incompatible == (Left(slips, "shelf: is required now"),)


def test_copies_are_capped_at_the_brokers_unless_said_otherwise(desk: Desk) -> None:
    slips = desk.contract("slips", replication=3)
    (topic,) = desk.within().plan().declared
    assert topic.replication == 1
    topics = desk.within({REPLICATION_VARIABLE: "3"})
    with pytest.raises(UnusableInput, match=slips):
        topics.apply(topics.plan())
    with pytest.raises(UnusableInput, match="no number of copies"):
        desk.within({REPLICATION_VARIABLE: "many"}).plan()


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ({"partitions": 0}, "its partitions is 0"),
        ({"cleanup": "burn"}, "its cleanup is 'burn'"),
        ({"format": "xml"}, "messages in the format 'xml'"),
        ({"deadLetter": "true"}, "no contract says how their topic is"),
    ],
)
def test_a_contract_that_makes_no_topic_is_named(
    desk: Desk, custom: dict[str, Any], said: str
) -> None:
    desk.contract("slips", **custom)
    with pytest.raises(UnusableInput, match=f"slips.yaml: .*{said}"):
        desk.within().plan()


def test_a_broker_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: desk\n")
    (tmp_path / "contracts" / "topics").mkdir(parents=True)
    settings = tmp_path / "client.properties"
    settings.write_text("# no server\nsocket.timeout.ms=1000\nsasl.password=hidden-word\n")
    desk = Desk(tmp_path, {"WAYPOINT_KAFKA_SETTINGS": str(settings)})
    ended = desk.topics("plan")
    assert ended.code == 2  # settings without an address
    settings.write_text("bootstrap.servers=127.0.0.1:1\nbroken line: hidden-word\n")
    ended = desk.topics("plan")
    assert ended.code == 2
    assert "client.properties:2" in ended.err
    assert "hidden-word" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("sasl.jaas.config=hidden-word", "sasl.jaas.config"),
        ("security.protocol=hidden-word", "security.protocol"),
        ("ssl.ca.location=/hidden-word", "client.properties"),
    ],
)
def test_settings_that_no_client_takes_are_named_without_their_values(
    tmp_path: Path, line: str, name: str
) -> None:
    settings = tmp_path / "client.properties"
    settings.write_text(f"bootstrap.servers=127.0.0.1:1\nsecurity.protocol=ssl\n{line}\n")
    with pytest.raises(UnusableInput) as caught:
        kafka_settings(Project(tmp_path, tmp_path), {"WAYPOINT_KAFKA_SETTINGS": str(settings)})
    assert name in str(caught.value)
    assert "hidden-word" not in str(caught.value) + caught.value.hint


def test_the_environment_says_where_the_broker_is(tmp_path: Path) -> None:
    project = Project(tmp_path, tmp_path / "state")
    with pytest.raises(Unavailable, match="no broker is configured"):
        kafka_settings(project, {})
    record = kafka_record(project)
    record.parent.mkdir(parents=True)
    record.write_text('{"bootstrap": "127.0.0.1:7"}')
    assert kafka_settings(project, {}) == {"bootstrap.servers": "127.0.0.1:7"}
    settings = tmp_path / "client.properties"
    settings.write_text("! of the cluster\nclient.id = me\nbootstrap.servers=127.0.0.1:8\n")
    found = kafka_settings(project, {"WAYPOINT_KAFKA_SETTINGS": str(settings)})
    assert found == {"bootstrap.servers": "127.0.0.1:8", "client.id": "me"}
    both = {"WAYPOINT_KAFKA_SETTINGS": str(settings), "WAYPOINT_KAFKA": "127.0.0.1:9"}
    assert kafka_settings(project, both)["bootstrap.servers"] == "127.0.0.1:9"

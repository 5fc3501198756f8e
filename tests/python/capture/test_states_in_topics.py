"""Tables of newest states, written back to their compacted topics on a real broker."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic
from models.dbt_warehouse import ROOT

from ingestion.capture.states import publish, state_topics
from waypoint.contracts.model import Contract
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.services.kafka import Kafka

QUIET: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None}
AT = datetime(2026, 1, 2, 3, 4, 5, 678000)
ANN = (1, "NO", "Bergen", "vip", True, False, AT)
BEN = (2, "DE", "Köln", None, False, False, AT)
CAT = (3, None, None, None, False, True, AT)


@pytest.fixture
def topic(kafka_server: Kafka) -> Contract:
    """The topic of users' states, under a name of its own and made on the broker."""
    states = {one.name: one for one in state_topics(Project(root=ROOT, state=ROOT / "var"))}
    topic = replace(states["topic_user_state"], name=f"states-{uuid.uuid4().hex[:8]}")
    client = AdminClient({"bootstrap.servers": kafka_server.bootstrap, **QUIET})
    made = NewTopic(topic.name, 3, 1, config={"cleanup.policy": "compact"})
    client.create_topics([made])[topic.name].result(60)
    return topic


def settings(kafka: Kafka) -> dict[str, str]:
    return {"bootstrap.servers": kafka.bootstrap}


def messages(kafka: Kafka, topic: Contract) -> Iterator[tuple[str, Any]]:
    """Key and value of all that is committed."""
    consumer = Consumer(
        {
            **settings(kafka),
            **QUIET,
            "group.id": uuid.uuid4().hex,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic.name, number, 0) for number in range(3)])
    ended = 0
    while ended < 3:
        message = consumer.poll(60)
        assert message is not None
        if message.error() is None:
            value = message.value()
            yield message.key().decode(), None if value is None else json.loads(value)
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended += 1
    consumer.close()


def test_the_projects_states_have_topics() -> None:
    found = {one.name for one in state_topics(Project(root=ROOT, state=ROOT / "var"))}
    assert found == {"topic_user_state", "topic_booking_state"}


def test_a_topic_holds_what_its_table_holds_and_nothing_is_sent_twice(
    kafka_server: Kafka, topic: Contract
) -> None:
    def go(*rows: tuple[Any, ...]) -> tuple[int, int, int]:
        found = publish(topic, iter(rows), settings(kafka_server))
        return found.rows, found.sent, found.tombstones

    assert go(ANN, BEN) == (2, 2, 0)
    assert go(ANN, BEN) == (2, 0, 0)
    moved = (*ANN[:2], "Oslo", *ANN[3:])
    assert go(moved, CAT) == (2, 2, 1)
    assert go(moved, CAT) == (2, 0, 0)
    assert go(moved, BEN, CAT) == (3, 1, 0)

    newest = dict(messages(kafka_server, topic))
    assert newest["1"] == {
        "user_id": 1,
        "country": "NO",
        "city": "Oslo",
        "segment": "vip",
        "marketing_consent": True,
        "location_consent": False,
        "updated_at": "2026-01-02T03:04:05.678Z",
    }
    assert newest["2"]["city"] == "Köln"
    assert newest["3"] == {
        "user_id": 3,
        "marketing_consent": False,
        "location_consent": True,
        "updated_at": "2026-01-02T03:04:05.678Z",
    }
    assert len(list(messages(kafka_server, topic))) == 6
    assert go() == (0, 0, 3)
    assert set(dict(messages(kafka_server, topic)).values()) == {None}


def test_a_row_that_breaks_the_contract_is_named_and_its_last_state_stays(
    kafka_server: Kafka, topic: Contract
) -> None:
    publish(topic, iter([ANN, BEN]), settings(kafka_server))
    broken = (1, "Norway", *ANN[2:])
    found = publish(topic, iter([broken, BEN]), settings(kafka_server))

    assert (found.sent, found.tombstones, found.refused) == (0, 0, 1)
    assert "user_id 1" in found.reasons[0]
    assert dict(messages(kafka_server, topic))["1"]["country"] == "NO"


def test_a_publisher_that_was_thought_dead_writes_nothing_any_more(
    kafka_server: Kafka, topic: Contract
) -> None:
    transactional = {"transactional.id": f"waypoint-publish-{topic.name}"}
    old = Producer({**settings(kafka_server), **QUIET, **transactional})
    old.init_transactions(60)
    old.begin_transaction()
    old.produce(topic.name, key=b"1", value=b'{"user_id":1,"city":"from long ago"}')
    old.flush(60)

    publish(topic, iter([ANN]), settings(kafka_server))
    with pytest.raises(KafkaException):
        old.commit_transaction(60)
    assert [key for key, _ in messages(kafka_server, topic)] == ["1"]
    assert dict(messages(kafka_server, topic))["1"]["city"] == "Bergen"


@pytest.mark.long  # the broker's cleaner looks every 15 seconds
def test_states_that_were_overtaken_are_cleaned_away_and_the_rest_is_known_still(
    kafka_server: Kafka, topic: Contract
) -> None:
    client = AdminClient({"bootstrap.servers": kafka_server.bootstrap, **QUIET})
    soon = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    settled = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in soon.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=settled)
    client.incremental_alter_configs([resource])[resource].result(60)
    publish(topic, iter([ANN, CAT]), settings(kafka_server))

    deadline, number = time.monotonic() + 240, 0
    while True:
        # what is newest is never cleaned: it goes on changing
        number += 1
        moved = (*ANN[:2], f"City {number}", *ANN[3:])
        assert publish(topic, iter([moved, CAT]), settings(kafka_server)).sent == 1
        told = list(messages(kafka_server, topic))
        cities = [value["city"] for key, value in told if key == "1"]
        if "Bergen" not in cities:
            break
        assert time.monotonic() < deadline, told
        time.sleep(1)

    assert cities[-1] == f"City {number}"
    assert [key for key, _ in told].count("3") == 1
    again = publish(topic, iter([moved, CAT]), settings(kafka_server))
    assert (again.sent, again.tombstones) == (0, 0)


def test_a_topic_that_is_not_there_is_an_error_that_says_what_to_do(
    kafka_server: Kafka, topic: Contract
) -> None:
    with pytest.raises(UnusableInput) as raised:
        publish(replace(topic, name="none-such"), iter([ANN]), settings(kafka_server))
    assert "waypoint topics apply" in raised.value.hint

"""What was acknowledged is in the topic, whatever becomes of the brokers; and nothing else is."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient, NewTopic
from gateway.served import (
    TOPIC,
    Brokers,
    Running,
    Senders,
    event,
    gateway_running,
    messages,
    own_project,
    refusal,
    wait_until,
)

from ingestion.gateway.answers import Delivered
from ingestion.gateway.app import Gateway
from ingestion.gateway.endpoints import read_endpoints
from ingestion.gateway.sending import Sender
from ingestion.gateway.settings import Settings
from waypoint.services.kafka import Kafka


@dataclass(frozen=True)
class OnKafka:
    """A gateway in front of a topic of its own on the real broker."""

    kafka: Kafka
    topic: str
    gateway: Running

    def ids(self) -> list[str]:
        """The ids of the events in the topic, repeats too."""
        found = messages(self.kafka.bootstrap, self.topic).values()
        return [json.loads(message.value())["event_id"] for message in found]


@pytest.fixture
def on_kafka(kafka_server: Kafka, tmp_path: Path) -> Iterator[OnKafka]:
    topic = f"events-{uuid.uuid4()}"
    project = own_project(tmp_path, topic)
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap})
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(60)
    del admin
    gateway = Gateway(
        tuple(read_endpoints(project)),
        {"bootstrap.servers": kafka_server.bootstrap},
        Settings(rate=1e6, burst=1_000_000, delivery_seconds=8.0),
    )
    with gateway_running(gateway) as running:
        yield OnKafka(kafka_server, topic, running)


def test_without_brokers_nothing_is_acknowledged(made: Callable[..., Gateway]):
    with gateway_running(made("127.0.0.1:1", delivery_seconds=1.0)) as gateway:
        assert gateway.http.get("/health").status_code == 503
        for endpoint, body in (("user", event()), ("batch", [event(), event()])):
            answer = gateway.post(endpoint, body)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert "202" not in answer.text
        # bad input is the sender's fault all the same
        assert gateway.post("user", event(user_id=-1)).status_code == 422
        assert gateway.measured("waypoint_gateway_brokers_up") == 0


def test_without_the_topic_nothing_is_acknowledged(kafka_server: Kafka, tmp_path: Path):
    topic = f"missing-{uuid.uuid4()}"
    endpoints = tuple(read_endpoints(own_project(tmp_path, topic)))
    connection = {"bootstrap.servers": kafka_server.bootstrap}
    with gateway_running(Gateway(endpoints, connection)) as gateway:
        answer = gateway.post("user", event())

    assert answer.status_code == 503
    assert refusal(answer) == {"": f"the brokers have no topic {topic}"}


def test_a_producer_that_can_send_no_more_is_replaced(brokers: Brokers):
    async def sent() -> list[object]:
        sender = Sender({"bootstrap.servers": brokers.bootstrap}, frozenset({TOPIC}), 10.0)
        await sender.start()
        before, results = sender._producer, []
        try:
            results += await sender.send(TOPIC, [(b"1", b"{}")])
            # what librdkafka tells when an idempotent producer has lost its place
            sender._failed(KafkaError(KafkaError._FATAL, "out of order", True))
            while sender._producer is before:
                await asyncio.sleep(0.02)
            results += await sender.send(TOPIC, [(b"1", b"{}")])
        finally:
            assert await sender.stop() == 0
        return results

    assert all(isinstance(result, Delivered) for result in asyncio.run(sent()))


def test_what_is_acknowledged_while_the_broker_is_killed_is_in_the_topic(on_kafka: OnKafka):
    kafka, gateway, senders = on_kafka.kafka, on_kafka.gateway, Senders(on_kafka.gateway.url)
    senders.begin()
    try:
        wait_until(lambda: len(senders.acknowledged) > 200)
        kafka.kill()
        wait_until(lambda: 503 in senders.statuses)
        assert gateway.http.get("/health").status_code == 503
        kafka.restart()
        before = len(senders.acknowledged)
        wait_until(lambda: len(senders.acknowledged) > before + 200)
        assert gateway.http.get("/health").status_code == 200
    finally:
        senders.end()

    found = on_kafka.ids()
    assert len(found) == len(set(found)), "a message is in the topic twice"
    assert set(senders.acknowledged) <= set(found)
    # what timed out may have arrived all the same; nothing else is there
    assert set(found) <= set(senders.acknowledged) | set(senders.refused)
    assert senders.statuses <= {202, 207, 503}


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_what_is_acknowledged_is_in_the_topic_however_often_the_broker_is_killed(
    on_kafka: OnKafka,
):
    senders = Senders(on_kafka.gateway.url)
    senders.begin()
    try:
        for trial in range(12):
            before = len(senders.acknowledged)
            wait_until(
                lambda before=before, trial=trial: len(senders.acknowledged) > before + 17 * trial
            )
            on_kafka.kafka.kill()
            time.sleep(0.1 * (trial % 4))
            on_kafka.kafka.restart()
    finally:
        senders.end()

    found = on_kafka.ids()
    assert len(found) == len(set(found))
    assert set(senders.acknowledged) <= set(found)
    assert set(found) <= set(senders.acknowledged) | set(senders.refused)
    print(f"{len(senders.acknowledged)} acknowledged, {len(senders.refused)} refused")

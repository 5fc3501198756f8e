"""The real broker: acknowledged messages outlive kill -9, and nothing outlives its starter."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from waypoint.services.java import is_running
from waypoint.services.kafka import Kafka, found_kafka, running_kafka

QUIET = {"log_level": 0}


def topic(kafka: Kafka, partitions: int = 1, replicas: int = 1) -> str:
    name = f"t-{uuid.uuid4().hex}"
    client = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    made = client.create_topics([NewTopic(name, partitions, replicas)], operation_timeout=30)
    made[name].result(60)
    return name


def produce(kafka: Kafka, name: str, values: list[bytes]) -> None:
    settings = {"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True, **QUIET}
    producer = Producer(settings)
    failed = []
    for value in values:
        producer.produce(name, value, on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(60) == 0
    assert failed == [None] * len(values)


def read(kafka: Kafka, name: str, count: int) -> list[bytes]:
    """The first `count` messages of the topic's first partition."""
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": uuid.uuid4().hex, **QUIET}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(name, 0, 0)])
    found: list[bytes] = []
    until = time.monotonic() + 60
    while len(found) < count and time.monotonic() < until:
        for message in consumer.consume(count, timeout=1):
            if message.error() is None:
                found.append(message.value() or b"")
    consumer.close()
    return found


def becomes(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def test_what_is_produced_can_be_read(kafka_server: Kafka) -> None:
    name = topic(kafka_server)
    produce(kafka_server, name, [b"one", b"two"])
    assert read(kafka_server, name, 2) == [b"one", b"two"]


@pytest.mark.long
def test_a_killed_broker_has_what_it_acknowledged(kafka_jars: None, tmp_path: Path) -> None:
    with running_kafka(tmp_path) as kafka:
        name = topic(kafka)
        produce(kafka, name, [b"before"])
        kafka.kill()
        assert not kafka.is_running(1)
        kafka.restart()
        produce(kafka, name, [b"after"])
        assert read(kafka, name, 2) == [b"before", b"after"]
    assert not kafka.is_running(1)


def test_the_broker_ends_with_a_killed_starter(kafka_jars: None, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from waypoint.services.kafka import running_kafka\n"
        "with running_kafka(Path(sys.argv[1])):\n"
        "    print('up', flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter:
        assert starter.stdout.readline() == "up\n"
        kafka = found_kafka(tmp_path)
        assert kafka is not None and kafka.is_running(1)
        starter.kill()
    assert becomes(lambda: not kafka.is_running(1))


def test_a_process_is_known_by_its_arguments(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "mark"], stdin=subprocess.PIPE) as one:
        assert becomes(lambda: is_running(one.pid, "mark"))
        assert not is_running(one.pid, "another")
        one.kill()
    assert not is_running(one.pid, "mark")


@pytest.mark.long
def test_three_brokers_lose_nothing_when_each_is_killed_in_turn(
    kafka_jars: None, tmp_path: Path
) -> None:
    with running_kafka(tmp_path, brokers=3) as kafka:
        name = topic(kafka, replicas=3)
        wanted = []
        for number in (1, 2, 3):
            kafka.kill(number)
            values = [f"{number}-{place}".encode() for place in range(1000)]
            produce(kafka, name, values)
            wanted += values
            kafka.restart(number)
        assert read(kafka, name, len(wanted)) == wanted

"""Publishing to a real broker: whole batches, once, also when the publisher is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from external.conftest import BRANCHES, NOW, SLIPS

from ingestion.external.broker import BrokerTopic
from ingestion.external.publishing import Message
from ingestion.landing import LandingArea
from ingestion.messages import Topic
from waypoint.errors import UnusableInput
from waypoint.services.kafka import Kafka

QUIET = {"log_level": 0}
MESSAGES = [Message(f"k{number % 5}", json.dumps({"n": number})) for number in range(40)]


def made(kafka: Kafka, name: str, partitions: int = 3) -> str:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    client.create_topics([NewTopic(name, partitions, 1)], operation_timeout=30)[name].result(60)
    return name


def read(kafka: Kafka, name: str, wanted: int) -> list[tuple[str | None, dict[str, Any]]]:
    """All committed messages of a topic: key and value."""
    found = _read(kafka, name, wanted)
    return [(key.decode() if key else None, json.loads(value)) for key, value in found]


def read_values(kafka: Kafka, name: str, wanted: int) -> list[bytes]:
    """The values of all committed messages, as they are."""
    return [value for _, value in _read(kafka, name, wanted)]


def _read(kafka: Kafka, name: str, wanted: int) -> list[tuple[bytes | None, bytes]]:
    # what was committed a moment ago may not be seen yet, so it is read again if it is too little
    until = time.monotonic() + 60
    while len(found := _read_once(kafka, name)) < wanted and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _read_once(kafka: Kafka, name: str) -> list[tuple[bytes | None, bytes]]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": uuid.uuid4().hex,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            **QUIET,
        }
    )
    partitions = consumer.list_topics(name, timeout=60).topics[name].partitions
    consumer.assign([TopicPartition(name, number, 0) for number in partitions])
    found, ended, until = [], 0, time.monotonic() + 60
    while ended < len(partitions) and time.monotonic() < until:
        for message in consumer.consume(1000, timeout=0.2):
            if message.error() is not None:
                ended += 1
            else:
                found.append((message.key(), message.value() or b""))
    consumer.close()
    return found


def topic(branches: Any, name: str) -> Topic:
    contracts = branches.project.contracts
    return Topic(name, contracts["raw.lendings"], frozenset())


def publisher(kafka: Kafka, folder: Path, topic: Topic) -> BrokerTopic:
    area = LandingArea(folder / "landing")
    return BrokerTopic({"bootstrap.servers": kafka.bootstrap}, folder, topic, 3, area, NOW)


def test_the_same_batch_again_is_there_already(branches, kafka_server: Kafka, tmp_path: Path):
    name = made(kafka_server, f"t-{uuid.uuid4().hex}")
    publishing = publisher(kafka_server, tmp_path, topic(branches, name))
    where = publishing.publish("batch-1", MESSAGES)
    assert publishing.publish("batch-1", MESSAGES) == where
    publishing.publish("batch-2", MESSAGES[:1])

    found = read(kafka_server, name, 41)
    assert sorted(value["n"] for _, value in found) == sorted([*range(40), 0])
    assert {key for key, _ in found} == {f"k{number}" for number in range(5)}


def test_a_topic_that_is_not_there_is_named(branches, kafka_server: Kafka, tmp_path: Path):
    name = f"t-{uuid.uuid4().hex}"
    with pytest.raises(UnusableInput, match=name):
        publisher(kafka_server, tmp_path, topic(branches, name)).publish("batch", MESSAGES)


@pytest.mark.parametrize("killed", ["before the commit", "after the commit"])
def test_a_killed_publisher_leaves_nothing_and_nothing_twice(
    branches, kafka_server: Kafka, tmp_path: Path, killed: str
):
    name = made(kafka_server, f"t-{uuid.uuid4().hex}")
    code = """
        import os, signal, sys
        from pathlib import Path
        import confluent_kafka
        import external.test_publishing_to_a_broker as test
        from waypoint.project import Project

        class Killed(confluent_kafka.Producer):
            def commit_transaction(self, *arguments):
                self.flush(60)
                if sys.argv[5] == "after the commit":
                    super().commit_transaction(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)

        confluent_kafka.Producer = Killed
        bootstrap, folder, root, name = sys.argv[1:5]

        class Server:
            pass
        class Branches:
            project = Project.find(Path(root))
        Server.bootstrap = bootstrap
        topic = test.topic(Branches, name)
        test.publisher(Server, Path(folder), topic).publish("batch", test.MESSAGES)
    """
    arguments = [kafka_server.bootstrap, tmp_path, branches.library.root, name, killed]
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=Path(__file__).parents[1],
    )
    assert ended.returncode == -9
    before = 0 if killed == "before the commit" else 40
    assert len(read(kafka_server, name, before)) == before

    publisher(kafka_server, tmp_path, topic(branches, name)).publish("batch", MESSAGES)
    found = read(kafka_server, name, 40)
    assert sorted(value["n"] for _, value in found) == list(range(40))


def test_fetch_publishes_to_the_broker_that_is_configured(branches, kafka_server: Kafka):
    name = made(kafka_server, f"slips-{uuid.uuid4().hex[:8]}")
    branches.change("topic: lending-slips", f"topic: {name}")
    contract = branches.library.root / "contracts" / "topics" / "lending-slips.yaml"
    contract.write_text(contract.read_text().replace("name: lending-slips", f"name: {name}"))
    for _ in range(2):
        ended = branches.fetched("branch_slips", "--json", WAYPOINT_KAFKA=kafka_server.bootstrap)
        assert ended.code == 0, ended.out + ended.err
        (source,) = ended.json["sources"]
        assert (source["published"], source["rejected"]) == (BRANCHES * SLIPS, 0)

    found = read(kafka_server, name, 2 * BRANCHES * SLIPS)
    assert all(key == value["card"] for key, value in found)
    # each fetch has its own moment, so the second is another batch of the same slips
    assert len({value["slip"] for _, value in found}) == BRANCHES * SLIPS
    assert branches.messages() == []

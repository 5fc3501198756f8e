"""Windows are sent to a real broker that goes away and comes back."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition
from conftest import Library

from ingestion.landing import LandingArea
from ingestion.stream.schemas import Kept
from ingestion.stream.topics import Topics
from waypoint.errors import Unavailable
from waypoint.project import Project
from waypoint.realtime.publishing import publish_windows
from waypoint.services.kafka import Kafka, running_kafka

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TOPIC = "topic_processed_events"
CONTRACT = Path(__file__).parents[3] / f"contracts/topics/{TOPIC}.yaml"


@pytest.fixture
def kafka(kafka_jars: None, tmp_path: Path) -> Iterator[Kafka]:
    """A broker of its own: the topic is called as its contract says."""
    with running_kafka(tmp_path / "kafka") as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A published library whose lendings by day are sent as windows."""
    library = Library.copied_to(tmp_path / "library").connected()
    library.run()
    path = library.root / "contracts/marts/lendings_by_day.yaml"
    document = yaml.safe_load(path.read_text())
    document.setdefault("customProperties", []).append({"property": "window", "value": "1 d"})
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    shutil.copy(CONTRACT, library.root / "contracts/topics")
    return Project(library.root, library.state)


def test_what_is_closed_is_in_the_topic_once_and_a_killed_broker_gets_the_rest(
    project: Project, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"bootstrap.servers": kafka.bootstrap}
    topics = Topics(connection, project.contracts, Kept.of(project), None)
    topics.apply(topics.plan())
    assert not topics.plan().changes

    def sent() -> int:
        return sum(one.sent for one in publish_windows(project, connection))

    assert sent() == 2
    assert sent() == 0

    land(project, "late", "S9", datetime(2026, 3, 1, 9))
    kafka.kill()
    monkeypatch.setattr("waypoint.realtime.publishing._TIMEOUT", 2.0)
    with pytest.raises(Unavailable, match="did not take 1 windows"):
        sent()
    monkeypatch.undo()
    kafka.restart()
    assert sent() == 1
    assert sent() == 0

    found = consumed(kafka)
    assert len(found) in (3, 4)  # what was refused may have arrived after all
    newest = {one["window_key"]: one for one in sorted(found, key=lambda one: one["computed_at"])}
    assert [list(one["measures"].values()) for _, one in sorted(newest.items())] == [[3, 2], [1, 1]]


def consumed(kafka: Kafka) -> list[dict[str, Any]]:
    """All that is in the topic."""
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": uuid.uuid4().hex}
    consumer = Consumer(settings)
    partitions = consumer.list_topics(TOPIC, timeout=60).topics[TOPIC].partitions
    places = [TopicPartition(TOPIC, number, 0) for number in partitions]
    count = sum(consumer.get_watermark_offsets(place, 60)[1] for place in places)
    consumer.assign(places)
    found: list[dict[str, Any]] = []
    while len(found) < count:
        for message in consumer.consume(count - len(found), 60.0):
            assert message.error() is None, message.error()
            found.append(json.loads(message.value() or b""))
            assert message.key() == found[-1]["window_key"].encode()
    consumer.close()
    return found


def land(project: Project, batch: str, slip: str, lent: datetime) -> None:
    """One more slip, landed and not loaded."""
    import duckdb

    with LandingArea(project.landing_dir).writing("lendings", batch) as path:
        duckdb.execute(
            f"""
            copy (select 'desk' as _source, '{batch}' as _batch, 0 as _partition, 100 as _offset,
                timestamp '{lent + timedelta(days=1)}' as _kafka_timestamp, 'C0002' as _key,
                '' as _payload, '{slip}' as slip, 'C0002' as card, 'B 9' as shelfmark,
                timestamp '{lent}' as lent, 14 as days)
            to '{path}' (format parquet)
            """
        )

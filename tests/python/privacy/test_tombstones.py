"""What a person's keys in compacted topics become: tombstones, on a real broker."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from waypoint.contracts.model import Column, Contract, Contracts
from waypoint.privacy.person import Person
from waypoint.privacy.topics import erase_topics
from waypoint.project import Project

NOW = datetime(2030, 1, 1)
CARD = Column("card", "string", "varchar", custom={"personKey": "member"})


def project_with(folder: Path, *topics: tuple[str, str, timedelta | None]) -> Project:
    """A project with topics of a name, a cleanup and a retention, keyed by the card."""
    empty = Contract(folder, "topics", "", "1.0.0", "active", "", "", "", "", (CARD,))
    project = Project(root=folder, state=folder / "var")
    project.__dict__["contracts"] = Contracts(
        [
            replace(empty, name=name, retention=kept, custom={"cleanup": cleanup, "key": "card"})
            for name, cleanup, kept in topics
        ]
    )
    return project


PERSON = Person({"member": frozenset({"C3", "C4"}), "slip": frozenset({"S1"})})


def test_without_a_broker_it_is_said_what_is_left_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAYPOINT_KAFKA", raising=False)
    project = project_with(
        tmp_path, ("states", "compact", None), ("slips", "delete", timedelta(days=7))
    )

    states, slips = erase_topics(project, PERSON, NOW, dry_run=False)

    assert (states.topic, states.tombstones, states.gone_by) == ("states", None, None)
    assert (slips.topic, slips.gone_by) == ("slips", NOW + timedelta(days=7))


def test_every_key_of_the_person_gets_a_tombstone(
    kafka_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = f"states-{tmp_path.name}"
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap})
    settings = {"cleanup.policy": "compact"}
    for created in admin.create_topics([NewTopic(topic, 1, 1, config=settings)]).values():
        created.result(60)
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)

    (erased,) = erase_topics(
        project_with(tmp_path, (topic, "compact", None)), PERSON, NOW, dry_run=False
    )

    consumer = Consumer({"bootstrap.servers": kafka_server.bootstrap, "group.id": "search"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        read = consumer.consume(2, timeout=60)
    finally:
        consumer.close()
    assert erased.tombstones == 2
    assert sorted((message.key(), message.value()) for message in read) == [
        (b"C3", None),
        (b"C4", None),
    ]

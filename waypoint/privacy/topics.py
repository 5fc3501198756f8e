"""Tombstones for a person in compacted topics; what other topics hold goes with their retention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from waypoint.contracts.model import Contract
from waypoint.contracts.person_keys import person_keys
from waypoint.errors import Unavailable, UnusableInput
from waypoint.privacy.person import Person
from waypoint.project import Project

_COMPACT = "compact"
#: Seconds that the broker may take to acknowledge the tombstones.
_PATIENCE = 60.0


@dataclass(frozen=True)
class TopicErased:
    """What becomes of a person's messages in a topic.

    `tombstones` is how many were sent; None where no broker is configured, or for topics that
    delete by age, which have nothing of the person any more by `gone_by`.
    """

    topic: str
    tombstones: int | None
    gone_by: datetime | None = None


def erase_topics(
    project: Project, person: Person, now: datetime, dry_run: bool
) -> Iterator[TopicErased]:
    """Send a tombstone for each id of the person that is a key of a compacted topic.

    Raises:
        Unavailable: a broker is configured and does not take them.
    """
    compacted, aging = _topics(project)
    keys = {topic.name: _keys(topic, person) for topic in compacted}
    sent = {} if dry_run else _send(project, keys)
    for topic in compacted:
        yield TopicErased(topic.name, sent.get(topic.name))
    for topic in aging:
        gone_by = now + topic.retention if topic.retention else None
        yield TopicErased(topic.name, None, gone_by)


def is_configured(project: Project) -> bool:
    """Whether there is a broker to send to."""
    from ingestion.stream.connection import kafka_settings

    try:
        kafka_settings(project)
    except Unavailable:
        return False
    return True


def _topics(project: Project) -> tuple[list[Contract], list[Contract]]:
    """Topics with keys of people: those that are compacted, and those that delete by age."""
    with_people = [topic for topic in project.contracts.topics if _tells(project, topic)]
    compacted = [t for t in with_people if t.custom.get("cleanup") == _COMPACT]
    return compacted, [t for t in with_people if t not in compacted]


def _tells(project: Project, topic: Contract) -> bool:
    lands_in = project.contracts.get(f"raw.{topic.custom.get('landsIn')}")
    return bool(person_keys(topic) or (lands_in and person_keys(lands_in)))


def _keys(topic: Contract, person: Person) -> list[str]:
    """The ids of the person that the topic's messages are keyed by."""
    column = topic.custom.get("key")
    kinds = {k.kind for k in person_keys(topic) if k.column == column and k.path is None}
    return sorted(value for kind in kinds for value in person.ids.get(kind, ()))


def _send(project: Project, keys: dict[str, list[str]]) -> dict[str, int]:
    if not is_configured(project):
        return {}
    from ingestion.stream.connection import kafka_settings

    try:
        from confluent_kafka import KafkaException, Producer
    except ImportError:
        raise UnusableInput("Kafka's client is not installed", hint="run `make setup`") from None
    refused: list[str] = []
    settings = {**kafka_settings(project), "acks": "all", "enable.idempotence": True}
    try:
        producer = Producer(settings)
        for topic, values in keys.items():
            for value in values:
                producer.produce(
                    topic,
                    key=value.encode(),
                    value=None,
                    on_delivery=lambda error, _: refused.append(error.name()) if error else None,
                )
        left = producer.flush(_PATIENCE)
    except (KafkaException, BufferError) as error:
        raise Unavailable(
            f"the broker did not take the tombstones ({type(error).__name__})",
            hint="run the same command again when it answers",
        ) from None
    if left or refused:
        raise Unavailable(
            f"the broker did not take {left or len(refused)} of the tombstones"
            f"{' (' + refused[0] + ')' if refused else ''}",
            hint="run the same command again when it answers",
        )
    return {topic: len(values) for topic, values in keys.items()}

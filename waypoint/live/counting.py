"""What was sent, compared with what is there: by topic, exact.

Landed rows and dead letters are counted by queries on the warehouse, from the offsets at which the
run began.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ingestion.bookkeeping import QUARANTINE
from ingestion.engine import quoted, text_literal
from ingestion.messages import topic_of
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable
from waypoint.project import Project
from waypoint.warehouse import reading

_SECONDS = 30.0

#: The end of each partition of each topic.
Ends = Mapping[str, Mapping[int, int]]


@dataclass(frozen=True)
class Count:
    """What became of a topic's messages.

    Attributes:
        produced: delivery reports of the brokers.
        landed: rows in the raw table.
        dead_letters: messages with a reason in the quarantine.
        duplicates: messages that said again what had landed, as the loader told.
        late: of the landed ones, those behind the watermark, as the loader told.
        refused: by the gateway; what it refused was then sent past it.
        twice: offsets that are in the raw table more than once.
    """

    topic: str
    produced: int
    landed: int
    dead_letters: int
    duplicates: int
    late: int = 0
    refused: int = 0
    twice: int = 0

    @property
    def missing(self) -> int:
        """How many messages are nowhere; below 0, how many are too many."""
        return self.produced - self.landed - self.dead_letters - self.duplicates

    @property
    def exact(self) -> bool:
        return self.missing == 0 and self.twice == 0

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "exact": self.exact}


def ends(connection: Mapping[str, str], topics: list[str]) -> dict[str, dict[int, int]]:
    """Where the next message of each partition will stand, of those that are committed."""
    settings = {"group.id": "waypoint-live-ends", "enable.auto.commit": False, "log_level": 2}
    consumer = Consumer({**connection, **settings, "isolation.level": "read_committed"})
    try:
        found: dict[str, dict[int, int]] = {}
        for topic in topics:
            partitions = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
            found[topic] = {number: _end(consumer, topic, number) for number in partitions}
        return found
    finally:
        consumer.close()


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """The end of one partition; of one that was made just now, once it has a leader."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            found = consumer.get_watermark_offsets(TopicPartition(topic, partition), _SECONDS)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"{topic}: {error.args[0].str()}") from None
            time.sleep(0.1)
        else:
            return int(found[1])


@dataclass(frozen=True)
class InTables:
    """What the warehouse holds of a topic."""

    landed: int
    twice: int
    dead_letters: int


def in_tables(project: Project, topic: str, since: Mapping[int, int]) -> InTables:
    """What the warehouse holds of a topic from the offsets `since` on."""
    table = topic_of(topic, project.contracts).contract.name
    began = ", ".join(f"({partition}, {offset})" for partition, offset in since.items())
    with reading(project.warehouse_file) as connection:
        landed, distinct = connection.execute(
            f"""
            with began(p, o) as (values {began})
            select count(*), count(distinct (_partition, _offset))
            from {RAW}.{quoted(table)} join began on p = _partition and _offset >= o
            """
        ).fetchall()[0]
        [(dead,)] = connection.execute(
            f"""
            with began(p, o) as (values {began})
            select count(distinct ("partition", message_offset))
            from {RAW}.{QUARANTINE} join began on p = "partition" and message_offset >= o
            where table_name = {text_literal(table)}
            """
        ).fetchall()
    return InTables(int(landed), int(landed) - int(distinct), int(dead))

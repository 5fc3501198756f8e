"""Tables of newest states, written back to their compacted topics.

A topic whose contract says `publishedFrom: <schema>.<table>` holds a row of that table as the
newest message of its key, and a tombstone for each row that has gone. What the topic holds is read
from the topic itself, so nothing is kept beside it that could differ: a row is sent where its
message is not there or says something else, and sending again sends nothing. Messages go out in
transactions of one publisher: one that was thought dead and comes back is refused by the broker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

from ingestion.snowflake_account import account_connection, words
from waypoint.contracts.derived.json_schema import schema
from waypoint.contracts.model import Contract
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

#: The custom property of a topic that names its table.
PUBLISHED_FROM = "publishedFrom"

_TIMEOUT = 60.0  # seconds
_BATCH = 10_000
_MOST_REASONS = 20
_DIGEST = 16  # bytes


@dataclass
class Published:
    """What came of one topic. `rows` is what its table has; the rest of them were there already."""

    topic: str
    rows: int = 0
    sent: int = 0
    tombstones: int = 0
    refused: int = 0
    reasons: list[str] = field(default_factory=list)


def state_topics(project: Project) -> list[Contract]:
    """The topics that are written from a table and keep the newest message of each key."""
    return [
        topic
        for topic in project.contracts.topics
        if topic.custom.get(PUBLISHED_FROM) and "compact" in str(topic.custom.get("cleanup"))
    ]


def publish_states(project: Project, settings: Mapping[str, str]) -> list[Published]:
    """Make each state topic hold what its table holds.

    Args:
        project: its published copy is read, or with another target the warehouse itself.
        settings: a Kafka client's.

    Raises:
        UnusableInput: a topic's contract and its table do not fit.
        Unavailable: the broker does not answer, or another publisher took over.
    """
    found = []
    with _tables(project) as rows_of:
        for topic in state_topics(project):
            rows = rows_of(str(topic.custom[PUBLISHED_FROM]), [c.name for c in topic.columns])
            found.append(publish(topic, rows, settings))
    return found


def publish(
    topic: Contract, rows: Iterator[tuple[Any, ...]], settings: Mapping[str, str]
) -> Published:
    """Make one topic hold `rows`, whose values are in the order of its contract's columns.

    Raises:
        UnusableInput: the contract names no key among its columns, or the topic is not there.
        Unavailable: the broker does not answer, or another publisher took over.
    """
    from confluent_kafka import Consumer, KafkaException, Producer

    names = [column.name for column in topic.columns]
    if topic.custom.get("key") not in names:
        raise UnusableInput(f"{topic.path}: its key is none of its columns")
    place = names.index(str(topic.custom["key"]))
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None}
    producer = Producer(
        {
            **settings,
            **quiet,
            "transactional.id": f"waypoint-publish-{topic.name}",
            "compression.type": "lz4",
            "linger.ms": 20,
        }
    )
    try:
        # first: an unfinished transaction of a publisher before this one ends with it
        producer.init_transactions(_TIMEOUT)
        consumer = Consumer(
            {
                **settings,
                **quiet,
                "group.id": f"waypoint-publish-{topic.name}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            held = _held(consumer, topic.name)
        finally:
            consumer.close()
        return _send(producer, topic, place, rows, held)
    except KafkaException as error:
        said = error.args[0]
        raise Unavailable(
            f"{topic.name}: the broker does not take the states: {said.str()}",
            hint="waypoint topics apply, waypoint services status; then run it again",
        ) from None


def _held(consumer: Any, topic: str) -> dict[bytes, bytes]:
    """The digest of the newest message of each key."""
    from confluent_kafka import KafkaError, KafkaException, TopicPartition

    metadata = consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic]
    if metadata.error is not None:
        raise UnusableInput(f"{topic}: the broker has no such topic", hint="waypoint topics apply")
    partitions = sorted(metadata.partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    held: dict[bytes, bytes] = {}
    unread = set(partitions)
    heard = time.monotonic()
    while unread:
        # it gives what there is only when the time is over
        messages = consumer.consume(_BATCH, 0.1)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > _TIMEOUT:
            raise Unavailable(f"{topic}: the broker did not answer for {_TIMEOUT:.0f} seconds")
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                elif not error.retriable():
                    raise KafkaException(error)
            elif message.value() is None:
                held.pop(message.key(), None)
            else:
                held[message.key()] = _digest(message.value())
    return held


def _send(
    producer: Any,
    topic: Contract,
    place: int,
    rows: Iterator[tuple[Any, ...]],
    held: dict[bytes, bytes],
) -> Published:
    import jsonschema_rs

    validator = jsonschema_rs.Draft202012Validator(schema(topic), validate_formats=True)
    names = [column.name for column in topic.columns]
    found = Published(topic.name)
    waiting = 0
    producer.begin_transaction()
    try:
        for row in rows:
            found.rows += 1
            key = str(row[place]).encode()
            document = {name: _plain(value) for name, value in zip(names, row, strict=True)}
            document = {name: value for name, value in document.items() if value is not None}
            value = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
            was = held.pop(key, None)
            if was == _digest(value):
                continue
            problem = next(validator.iter_errors(document), None)
            if problem is not None:
                # what was sent before stays, until the row is whole again
                found.refused += 1
                if len(found.reasons) < _MOST_REASONS:
                    found.reasons.append(f"{names[place]} {row[place]}: {problem.message}")
                continue
            producer.produce(topic.name, key=key, value=value)
            found.sent += 1
            waiting += 1
            if waiting == _BATCH:
                producer.commit_transaction(_TIMEOUT)
                producer.begin_transaction()
                waiting = 0
        for key in held:
            producer.produce(topic.name, key=key, value=None)
            found.tombstones += 1
            waiting += 1
            if waiting == _BATCH:
                producer.commit_transaction(_TIMEOUT)
                producer.begin_transaction()
                waiting = 0
        producer.commit_transaction(_TIMEOUT)
    except BaseException:
        _abort(producer)
        raise
    return found


def _abort(producer: Any) -> None:
    from contextlib import suppress

    from confluent_kafka import KafkaException

    with suppress(KafkaException):
        producer.abort_transaction(5)


def _plain(value: Any) -> Any:
    """A value as JSON has it; times are UTC."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=_DIGEST).digest()


@contextmanager
def _tables(project: Project) -> Iterator[Any]:
    """A function that gives the rows of a table: some of its columns, in this order."""
    from waypoint.warehouse import EMBEDDED, published

    if project.target == EMBEDDED:
        import duckdb

        with published(project) as connection:

            def embedded(table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
                listed = ", ".join(columns)
                try:
                    connection.execute(f"select {listed} from {table}")
                except duckdb.Error as error:
                    raise UnusableInput(f"{table}: {str(error).splitlines()[0]}") from None
                while batch := connection.fetchmany(_BATCH):
                    yield from batch

            yield embedded
        return
    with account_connection("waypoint capture") as (account, refused):

        def snowflake(table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
            cursor = account.cursor()
            try:
                cursor.execute(f"select {', '.join(columns)} from {table}")
            except refused as error:
                raise UnusableInput(f"{table}: {words(error)}") from None
            yield from cursor

        yield snowflake

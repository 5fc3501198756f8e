"""Dead letters: rejected messages go to `<topic>.dlq`, with where they stood and what is wrong.

They are there before the batch is committed that counts them. Killed in between, the loader reads
the messages again and rejects them again; what stands in the topic already is read back first, so
that a dead letter stands there once. For good measure it carries where it came from: partition and
offset tell it from all others.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from ingestion.stream.consuming import Consumed
from waypoint.errors import Unavailable

#: Bytes of a payload that a dead letter carries, so that it fits into a message itself; the whole
#: message stands in its topic for as long as that keeps it.
_PAYLOAD = 600_000
#: Dead letters that are read back at the start: more cannot be on their way at once.
_READ_BACK = 100_000
_SECONDS = 10.0


@dataclass(frozen=True)
class DeadLetter:
    """A rejected message: `value` as it was (None: a tombstone), and why it was rejected."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime | None  # UTC, no zone
    key: str | None
    value: bytes | None
    field: str | None
    rule: str
    reason: str


def letters(consumed: Consumed, rejected: pa.Array, rejects: pa.Table) -> list[DeadLetter]:
    """Dead letters of messages: `rejected` are their places, `rejects` their quarantine rows."""
    found = []
    columns = ("message_timestamp", "message_key", "field", "rule", "reason")
    told = rejects.select(["partition", "message_offset", *columns]).to_pylist()
    by_place = {(row["partition"], row["message_offset"]): row for row in told}
    of_them = consumed.messages.take(rejected)
    for place, message in zip(rejected.to_pylist(), of_them.to_pylist(), strict=True):
        row = by_place[message["partition"], message["offset"]]
        text = message["value"]
        value = consumed.originals.get(place, None if text is None else text.encode())
        found.append(
            DeadLetter(
                topic=consumed.topic,
                partition=message["partition"],
                offset=message["offset"],
                timestamp=row["message_timestamp"],
                key=message["key"],
                value=value,
                field=row["field"],
                rule=row["rule"],
                reason=row["reason"],
            )
        )
    return found


class DeadLetters:
    """Writes dead letters, each once.

    `topics` says which topic the dead letters of a topic go to; those that are not named have
    none, and stand in quarantine only.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        topics: Mapping[str, str],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._stopping = stopping
        self._producer: Any = None
        self._there: dict[str, set[tuple[int, int]]] = {}

    def read_back(self, topic: str, committed: Mapping[int, int]) -> None:
        """Learn which dead letters of offsets behind the `committed` ones stand there already.

        Raises:
            Unavailable: the broker is away.
        """
        if topic not in self._topics:
            return
        known = self._there.setdefault(topic, set())
        for partition, offset in _read_back(self._settings, self._topics[topic]):
            if offset > committed.get(partition, -1):
                known.add((partition, offset))

    def send(self, topic: str, dead: Iterable[DeadLetter]) -> None:
        """Write dead letters of a topic; they are there when this returns.

        Raises:
            Unavailable: the loader is to stop while the broker is away, or it refuses them.
        """
        if topic not in self._topics:
            return
        known = self._there.setdefault(topic, set())
        new = [letter for letter in dead if (letter.partition, letter.offset) not in known]
        if not new:
            return
        failures: list[str] = []

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                failures.append(error.str())

        producer = self._connected()
        for letter in new:
            while True:
                try:
                    producer.produce(
                        self._topics[topic],
                        key=letter.key,
                        value=_body(letter),
                        headers=_headers(letter),
                        on_delivery=delivered,
                    )
                    break
                except BufferError:
                    self._wait(producer)
        while len(producer):
            self._wait(producer)
        if failures:
            raise Unavailable(
                f"{self._topics[topic]}: {len(failures)} dead letters could not be written:"
                f" {failures[0]}",
                hint="waypoint topics apply makes the topics of the contracts",
            )
        known.update((letter.partition, letter.offset) for letter in new)

    def committed(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Forget what can not be asked for again."""
        known = self._there.get(topic)
        if known:
            self._there[topic] = {p for p in known if p[1] > offsets.get(p[0], -1)}

    def close(self) -> None:
        """Give up what is on its way; nothing that counts is."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1.0)
            self._producer = None

    def _connected(self) -> Any:
        from confluent_kafka import Producer

        from ingestion.stream.consuming import silent

        if self._producer is None:
            self._producer = Producer(
                {
                    "linger.ms": 0,
                    "compression.type": "lz4",
                    "message.max.bytes": 8_000_000,
                    "client.id": "waypoint-loader",
                    **self._settings,
                    "enable.idempotence": True,
                    "acks": "all",
                    "message.timeout.ms": 0,  # the broker comes back; who stops it is told below
                    "logger": silent(),
                }
            )
        return self._producer

    def _wait(self, producer: Any) -> None:
        producer.flush(0.2)
        if self._stopping() and len(producer):
            # a broker that is there has had its time
            producer.flush(_SECONDS)
            if len(producer):
                producer.purge()
                producer.flush(1.0)
                raise Unavailable("the broker is away: dead letters could not be written")


def _body(letter: DeadLetter) -> bytes:
    payload = None
    if letter.value is not None:
        value = letter.value[:_PAYLOAD]
        try:
            payload = value.decode("utf-8", errors="strict" if value == letter.value else "ignore")
        except UnicodeDecodeError:
            payload = base64.b64encode(value).decode()
    document = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": _time(letter.timestamp),
        "rejected_at": _time(datetime.now(UTC).replace(tzinfo=None)),
        "field": letter.field,
        "rule": letter.rule,
        "reason": letter.reason,
        "payload": payload,
    }
    return json.dumps(document, ensure_ascii=False).encode("utf-8", errors="backslashreplace")


def _headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    told = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": _time(letter.timestamp),
        "rule": letter.rule,
        "reason": letter.reason,
    }
    headers = [(name, str(value).encode()) for name, value in told.items() if value is not None]
    if letter.value is not None and len(letter.value) > _PAYLOAD:
        headers.append(("payload_cut_to", str(_PAYLOAD).encode()))
    return headers


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat(timespec='milliseconds')}Z"


def _read_back(settings: Mapping[str, str], topic: str) -> list[tuple[int, int]]:
    """Where the last dead letters in a topic came from: partition and offset."""
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

    from ingestion.stream.consuming import silent

    consumer = Consumer(
        {
            **settings,
            "group.id": f"waypoint-read-back-{uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "logger": silent(),
        }
    )
    found = []
    try:
        known = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
        if known.error is not None:
            raise Unavailable(
                f"the topic {topic} is not there", hint="waypoint topics apply makes it"
            )
        waiting = set()
        starts = []
        for partition in known.partitions:
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_SECONDS
            )
            if high > low:
                waiting.add(partition)
                starts.append(TopicPartition(topic, partition, max(low, high - _READ_BACK)))
        consumer.assign(starts)
        end = time.monotonic() + 3 * _SECONDS
        while waiting:
            for message in consumer.consume(1000, 0.5):
                error = message.error()
                if error is None:
                    headers = dict(message.headers() or [])
                    found.append((_number(headers, "partition"), _number(headers, "offset")))
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
            if time.monotonic() > end:
                raise Unavailable(f"{topic} could not be read within {3 * _SECONDS:.0f} seconds")
    except KafkaException as error:
        raise Unavailable(f"{topic}: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return found


def _number(headers: Mapping[str, Any], name: str) -> int:
    try:
        return int(headers[name])
    except (KeyError, TypeError, ValueError):
        return -1  # somebody else's message

"""Publishing to a topic on a broker, where one is there: all of a batch, once, and durably.

A batch is one transaction: readers of what is committed see all of it or nothing. What a killed
publisher left is found again: before the transaction the ends of the topic are written down, and
after a crash the messages from there on tell, by their header, whether the batch is among them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.external.publishing import DumpFiles, Message, Placed
from ingestion.landing import LandingArea
from ingestion.messages import Topic
from waypoint.errors import Unavailable, UnusableInput

#: The header that says which batch a message is of.
BATCH = "batch"

_SECONDS = 60.0
#: For how long it is known what became of a batch, in seconds.
_KEPT = 30 * 86400.0
_QUIET: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None}


@dataclass(frozen=True)
class BrokerTopic:
    """Publishes to a broker's topic; see `Publisher`. `settings` are those of a client.

    In `folder` stands what was begun; messages that are kept elsewhere get places there as they
    do without a broker, in partitions that no broker has.
    """

    settings: Mapping[str, str]
    folder: Path
    topic: Topic
    partitions: int
    area: LandingArea
    moment: datetime

    def publish(self, batch: str, messages: Sequence[Message]) -> str:
        """See `Publisher`; where they are is told by partition and offsets.

        Raises:
            Unavailable: the broker did not take them; none of them can be seen.
            UnusableInput: the broker refuses them, or has no such topic.
        """
        begun = self.folder / self.topic.name / f"{batch}.json"
        before = _read(begun)
        if before is not None and "where" in before:
            return str(before["where"])
        with _told(self.topic.name):
            producer = self._producer(batch)
            # ends what a killed publisher of this batch had begun, one way or the other
            producer.init_transactions(_SECONDS)
            where = self._found(batch, before["ends"]) if before is not None else None
            if where is None:
                if before is None:
                    _write(begun, {"ends": self._ends()})
                where = self._send(producer, batch, messages)
        _write(begun, {"ends": {}, "where": where})
        _sweep(begun.parent)
        return where

    @contextmanager
    def places(self, messages: Sequence[Message]) -> Iterator[list[Placed]]:
        """See `Publisher`."""
        with self._files.places(messages) as placed:
            yield placed

    @property
    def milliseconds(self) -> int:
        """The time of publishing, as messages have it."""
        return self._files.milliseconds

    @property
    def _files(self) -> DumpFiles:
        return DumpFiles(self.folder, self.topic, self.partitions, self.area, self.moment)

    def _producer(self, batch: str) -> Any:
        from confluent_kafka import Producer

        return Producer(
            {
                "linger.ms": "50",
                "compression.type": "lz4",
                **self.settings,
                "acks": "all",
                "enable.idempotence": "true",
                "transactional.id": f"waypoint-{self.topic.name}-{batch}",
                **_QUIET,
            }
        )

    def _send(self, producer: Any, batch: str, messages: Sequence[Message]) -> str:
        from confluent_kafka import KafkaException

        placed: dict[int, list[int]] = {}
        failed: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(error)
            else:
                placed.setdefault(message.partition(), []).append(message.offset())

        producer.begin_transaction()
        try:
            for message in messages:
                while True:
                    try:
                        producer.produce(
                            self.topic.name,
                            message.value.encode(),
                            message.key,
                            on_delivery=delivered,
                            timestamp=self.milliseconds,
                            headers={BATCH: batch},
                        )
                        break
                    except BufferError:
                        producer.poll(1)
                producer.poll(0)
            producer.commit_transaction(_SECONDS)
        except BaseException:
            # one of the messages may say better what is wrong than that the commit failed
            with suppress(KafkaException):  # else the next publisher of this batch ends it
                producer.abort_transaction(10)
            if failed:
                raise KafkaException(failed[0]) from None
            raise
        return _words(placed)

    def _ends(self) -> dict[str, int]:
        """The offset that the next message of each partition gets."""
        with self._consumer() as consumer:
            from confluent_kafka import TopicPartition

            return {
                str(partition): consumer.get_watermark_offsets(
                    TopicPartition(self.topic.name, partition), timeout=_SECONDS
                )[1]
                for partition in self._partitions_of(consumer)
            }

    def _found(self, batch: str, since: Mapping[str, int]) -> str | None:
        """Where a batch is that was begun when the topic ended at `since`; None: nowhere."""
        from confluent_kafka import KafkaError, KafkaException, TopicPartition

        placed: dict[int, list[int]] = {}
        with self._consumer() as consumer:
            starts = [
                TopicPartition(self.topic.name, partition, since.get(str(partition), 0))
                for partition in self._partitions_of(consumer)
            ]
            consumer.assign(starts)
            ended: set[int] = set()
            deadline = time.monotonic() + _SECONDS
            while len(ended) < len(starts):
                # it waits for so many messages, or so long
                messages = consumer.consume(1000, timeout=0.2)
                if messages:
                    deadline = time.monotonic() + _SECONDS
                elif time.monotonic() > deadline:
                    raise Unavailable("the broker does not say where the topic ends")
                for message in messages:
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        ended.add(message.partition())
                    elif error is not None:
                        raise KafkaException(error)
                    elif (BATCH, batch.encode()) in (message.headers() or []):
                        placed.setdefault(message.partition(), []).append(message.offset())
        return _words(placed) if placed else None

    @contextmanager
    def _consumer(self) -> Iterator[Any]:
        from confluent_kafka import Consumer

        consumer = Consumer(
            {
                **self.settings,
                "group.id": f"waypoint-publishing-{self.topic.name}",
                "enable.auto.commit": "false",
                "enable.partition.eof": "true",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                **_QUIET,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()

    def _partitions_of(self, consumer: Any) -> list[int]:
        found = consumer.list_topics(self.topic.name, timeout=_SECONDS).topics[self.topic.name]
        if found.error is not None:
            raise UnusableInput(
                f"the broker has no topic {self.topic.name}", hint="waypoint topics apply"
            )
        return sorted(found.partitions)


def _words(placed: Mapping[int, Sequence[int]]) -> str:
    parts = (f"{number}: {min(found)}-{max(found)}" for number, found in sorted(placed.items()))
    return f"partition and offsets {', '.join(parts)}"


@contextmanager
def _told(topic: str) -> Iterator[None]:
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        said = error.args[0]
        refused = said.code() > 0 and not said.retriable() and not said.txn_requires_abort()
        kind = UnusableInput if refused else Unavailable
        raise kind(f"{topic}: the broker does not take what is published: {said.str()}") from None


def _sweep(folder: Path) -> None:
    """Forget batches that nobody will publish again."""
    for path in folder.glob("*.json"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "ends" in found else None


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)

"""Reading topics as a member of a group: who reads which partition is Kafka's to say, from where
on is the sink's. What comes is put into Arrow tables, a table for each topic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.stream.checking import MESSAGES
from ingestion.stream.framing import CONFLUENT_MAGIC, SchemaSource, Undecodable, decode
from ingestion.stream.sinks import Span
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

#: Messages that are fetched ahead, and their bytes (KiB): what a pause of the sink may cost.
_AHEAD, _AHEAD_KIB = "100000", "8192"
#: Bytes that are asked for of a partition at once. They come compressed, and can be many times as
#: many then; a larger message comes nevertheless.
_AT_ONCE = "1048576"
_OBJECT = b"{"
#: After so many seconds of silence the group takes a member for dead.
_SESSION_SECONDS = 10
#: A member that was given no partition for so many seconds will get none for now.
_EMPTY_HANDED = 10.0

#: What a consumer is set to, unless the client's settings say otherwise.
SETTINGS = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": str(_SESSION_SECONDS * 1000),
    "queued.min.messages": _AHEAD,
    "queued.max.messages.kbytes": _AHEAD_KIB,
    # the default of a second empties the queue between two fetches
    "fetch.queue.backoff.ms": "2",
    "fetch.message.max.bytes": _AT_ONCE,
    # a broker that answers each few messages at once is busier with answers than with messages
    "fetch.min.bytes": "65536",
    "fetch.wait.max.ms": "20",
    "client.id": "waypoint-loader",
}
#: What it is set to whatever they say: the sink tells the offsets, and what is gone is an error.
_FIXED = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
}


@dataclass(frozen=True)
class Consumed:
    """Messages of one topic, in the order in which they came.

    Attributes:
        topic: its name.
        messages: a table of `checking.MESSAGES`.
        spans: first and last offset by partition.
        originals: the values that were not JSON text, as they were, by place in `messages`.
        since: when the first of them was there (`time.monotonic`).
    """

    topic: str
    messages: pa.Table
    spans: Mapping[int, Span]
    originals: Mapping[int, bytes] = field(default_factory=dict)
    since: float = 0.0

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return int(self.messages.nbytes)


class OffsetsGone(Exception):
    """The next offset of a partition is not there any more, or was never."""


class Group:
    """A member of a consumer group.

    `taken` is called with the partitions of each topic that are newly this member's, and returns
    the offset to begin at for each; `given_up` with those that are so no longer. Both are called
    within `poll` and `leave`.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        topics: Iterable[str],
        group: str,
        taken: Callable[[Consumer, Mapping[str, list[int]]], Mapping[tuple[str, int], int]],
        given_up: Callable[[Mapping[str, list[int]]], None],
        schemas: SchemaSource,
        tell_ends: bool = False,
        linger: float = 0.0,
    ) -> None:
        """`linger`: seconds that lie at least between two handings over; see `poll`."""
        from confluent_kafka import Consumer

        self._taken, self._given_up = taken, given_up
        self._schemas = schemas
        self._error: BaseException | None = None
        self._trouble = ""
        self._linger, self._handed_over = linger, 0.0
        #: Partitions whose end was reached at some moment, where `tell_ends` asks for it.
        self.at_end: set[tuple[str, int]] = set()
        self.assigned: set[tuple[str, int]] = set()
        self._assigned_at: float | None = None
        self.consumer = Consumer(
            {
                **SETTINGS,
                **settings,
                **_FIXED,
                "group.id": group,
                "enable.partition.eof": tell_ends,
                "error_cb": self._told,
                "logger": silent(),
            }
        )
        self.consumer.subscribe(
            list(topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )

    def poll(self, most: int, seconds: float) -> list[Consumed]:
        """The messages that come within so many seconds, `most` at most, by topic.

        After a pause the first one is handed over at once; in a flow, what comes is gathered until
        `linger` has passed since the last time.

        Raises:
            OffsetsGone: what comes next was deleted.
            Unavailable: a topic is not there, or may not be read.
        """
        from confluent_kafka import KafkaException

        try:
            messages = self.consumer.consume(1, seconds)
            since = time.monotonic()
            if messages:
                more = max(0.0, self._handed_over + self._linger - since)
                messages += self.consumer.consume(most - 1, more)
                self._handed_over = time.monotonic()
        except KafkaException as error:
            self._raise()
            raise Unavailable(f"the topics cannot be read: {error.args[0].str()}") from None
        self._raise()
        if not messages:
            return []
        error_of = type(messages[0]).error
        sound = [message for message in messages if error_of(message) is None]
        if len(sound) != len(messages):
            for message in messages:
                self._look_at(message)
        return [
            as_tables(name, some, self._schemas, since) for name, some in _by_topic(sound).items()
        ]

    def is_at_end(self) -> bool:
        """Whether all that this member reads was read to its end, or there is nothing for it."""
        if not self.assigned:
            # what is to be a new member's others have to give up first
            given = self._assigned_at
            return given is not None and time.monotonic() - given > _EMPTY_HANDED
        return self.assigned <= self.at_end

    def leave(self) -> None:
        """Leave the group: others take over at once."""
        self.consumer.close()
        self._raise()

    @property
    def trouble(self) -> str:
        """What the client said last of trouble with the brokers; empty where there was none."""
        told, self._trouble = self._trouble, ""
        return told

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        from confluent_kafka import TopicPartition

        try:
            offsets = self._taken(consumer, _grouped(partitions))
        except BaseException as error:
            self._error = error
            offsets = {}
        self._assigned_at = time.monotonic()
        self.assigned.update(offsets)
        consumer.incremental_assign([TopicPartition(*each, at) for each, at in offsets.items()])

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        ours = [p for p in partitions if (p.topic, p.partition) in self.assigned]
        gone = {(p.topic, p.partition) for p in ours}
        self.assigned -= gone
        self.at_end -= gone
        try:
            self._given_up(_grouped(ours))
        except BaseException as error:
            self._error = self._error or error

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _told(self, error: Any) -> None:
        if error.fatal():
            self._error = Unavailable(
                f"Kafka's client cannot go on: {error.str()}", hint="run the same command again"
            )
        self._trouble = str(error.str())

    def _look_at(self, message: Message) -> None:
        from confluent_kafka import KafkaError

        error = message.error()
        if error is None:
            return
        match error.code():
            case KafkaError._PARTITION_EOF:
                self.at_end.add((str(message.topic()), int(message.partition() or 0)))
            case KafkaError._AUTO_OFFSET_RESET | KafkaError.OFFSET_OUT_OF_RANGE:
                raise OffsetsGone(f"{message.topic()}/{message.partition()}: {error.str()}")
            case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError._UNKNOWN_TOPIC:
                raise Unavailable(
                    f"the topic {message.topic()} is not there any more",
                    hint="waypoint topics apply makes the topics of the contracts",
                )
            case KafkaError.TOPIC_AUTHORIZATION_FAILED | KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise UnusableInput(
                    f"{message.topic()}: {error.str()}",
                    hint="the loader reads the topics and its group, and writes dead letters",
                )
            case _:
                self._trouble = str(error.str())


def as_tables(topic: str, messages: list[Message], schemas: SchemaSource, since: float) -> Consumed:
    """Messages of one topic as a table.

    Raises:
        Unavailable: the registry does not answer, which a value needs to be read.
    """
    kind = type(messages[0])  # its methods, called by map, make no bound method for each message
    partitions = np.array(list(map(kind.partition, messages)), dtype=np.int32)
    offsets = np.array(list(map(kind.offset, messages)), dtype=np.int64)
    values, marks, originals = _texts(list(map(kind.value, messages)), schemas)
    keys = _escaped(list(map(kind.key, messages)))
    table = pa.table(
        [
            partitions,
            offsets,
            [moment for _, moment in map(kind.timestamp, messages)],
            keys,
            values,
            marks,
        ],
        schema=MESSAGES,
    )
    return Consumed(topic, table, spans_of(partitions, offsets), originals, since)


def spans_of(partitions: Any, offsets: Any) -> dict[int, Span]:
    """First and last offset of each partition, from two arrays of the same length."""
    found = {}
    for partition in np.unique(partitions):
        of_it = offsets[partitions == partition]
        found[int(partition)] = Span(int(of_it.min()), int(of_it.max()))
    return found


def _texts(
    values: list[bytes | None], schemas: SchemaSource
) -> tuple[pa.Array, pa.Array, dict[int, bytes]]:
    """Values as JSON text, a mark for each that cannot be, and those that were none as they were.

    JSON cannot begin with either of the magic bytes, and what Avro's begin with is no UTF-8.
    """
    binary = pa.array(values, pa.binary())
    none = pa.nulls(len(values), pa.string())
    if not pc.any(pc.starts_with(binary, CONFLUENT_MAGIC)).as_py():
        try:
            return binary.cast(pa.string()), none, {}
        except pa.ArrowInvalid:
            pass  # one of them is not text
    others = pc.invert(pc.starts_with(binary, _OBJECT))
    places = pc.indices_nonzero(pc.fill_null(others, False)).to_pylist()
    read = list(values)
    marks: dict[int, str] = {}
    originals: dict[int, bytes] = {}

    def look_at(place: int) -> None:
        original = values[place]
        assert original is not None
        originals[place] = original
        try:
            text = decode(original, schemas)
        except Undecodable as error:
            marks[place] = f"the value cannot be read: {error}"
            text = original.decode(errors="backslashreplace")
        read[place] = text.encode()

    for place in places:
        look_at(place)
    try:
        texts = pa.array(read, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        # what begins like an object need not be text either
        for place in set(range(len(values))).difference(places):
            value = values[place]
            if value is not None and not _is_text(value):
                look_at(place)
        texts = pa.array(read, pa.binary()).cast(pa.string())
    if not marks:
        return texts, none, originals
    return texts, pa.array([marks.get(p) for p in range(len(values))], pa.string()), originals


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _escaped(values: list[bytes | None]) -> pa.Array:
    """Bytes as text; what is not UTF-8 is escaped."""
    try:
        return pa.array(values, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [None if v is None else v.decode(errors="backslashreplace") for v in values],
            pa.string(),
        )


def _by_topic(messages: list[Message]) -> dict[str, list[Message]]:
    from confluent_kafka import Message

    names = list(map(Message.topic, messages))
    if len(set(names)) == 1:
        return {str(names[0]): messages}
    found: dict[str, list[Message]] = {}
    for name, message in zip(names, messages, strict=True):
        found.setdefault(str(name), []).append(message)
    return found


def _grouped(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for each in partitions:
        found.setdefault(each.topic, []).append(each.partition)
    return found


def silent() -> Any:
    """A log that the client may write to and nobody reads: it would write to stderr."""
    import logging

    log = logging.getLogger("waypoint.stream.client")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return log

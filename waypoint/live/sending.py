"""Sending what the sources send, and counting what the brokers have confirmed.

Topics with endpoints get their messages through the gateway: an answer 202 is its delivery report.
What the gateway refuses goes to the topic past it, as a careless sender's would, since the loader
must cope with that too. All other topics are written to directly.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import orjson
from confluent_kafka import KafkaError, Producer

from ingestion.gateway.bodies import JSON
from ingestion.gateway.endpoints import Endpoint
from waypoint.errors import Unavailable
from waypoint.live.playing import Message

_BATCH = 500
_TIMEOUT = 60.0
_PATIENCE = 60.0
_SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    "log_level": 2,
}


class Sources:
    """All that sends. `produced` counts delivery reports by topic, `refused` answers with 4xx;
    `until` is the time of the last message."""

    def __init__(
        self, connection: Mapping[str, str], url: str, endpoints: Sequence[Endpoint]
    ) -> None:
        self.produced: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.until: datetime | None = None
        self._failed: list[str] = []
        self._lock = threading.Lock()
        self._producer = Producer({**connection, **_SETTINGS})
        self._http = httpx.Client(
            base_url=url, timeout=_TIMEOUT, headers={"Content-Type": JSON}, trust_env=False
        )
        self._doors: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints:
            self._doors.setdefault(endpoint.topic.name, []).append(endpoint)

    def send(self, messages: Iterable[Message]) -> None:
        """Send messages in their order; those for the gateway are answered when it returns.

        Raises:
            Unavailable: the gateway does not answer, or keeps saying that the brokers are away.
        """
        through: dict[str, list[Message]] = {}
        for message in messages:
            self.until = message.at
            if message.topic in self._doors and message.value is not None:
                through.setdefault(message.topic, []).append(message)
            else:
                self._produce(message)
        for topic, waiting in through.items():
            for first in range(0, len(waiting), _BATCH):
                self._through_gateway(topic, waiting[first : first + _BATCH])
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait for the last delivery reports.

        Raises:
            Unavailable: some message was not delivered.
        """
        left = self._producer.flush(_PATIENCE)
        self._http.close()
        if left or self._failed:
            raise Unavailable(
                f"{left + len(self._failed)} messages were not delivered"
                + (f": {self._failed[0]}" if self._failed else "")
            )

    def _produce(self, message: Message) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic, message.value, message.key, on_delivery=self._reported
                )
                return
            except BufferError:
                self._producer.poll(0.1)

    def _reported(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self.produced[message.topic()] += 1
        else:
            self._failed.append(f"{message.topic()}: {error.str()}")

    def _through_gateway(self, topic: str, messages: list[Message]) -> None:
        """The first by itself, to the door for its kind; the others as a batch."""
        single, many = self._door(topic, messages[0]), self._many(topic)
        if single is not None:
            self._sent_by_itself(single, messages[0])
            messages = messages[1:]
        if many is None:
            for message in messages:
                door = self._door(topic, message)
                if door is None:
                    self._past(message)
                else:
                    self._sent_by_itself(door, message)
        elif messages:
            self._sent_as_batch(many, messages)

    def _sent_by_itself(self, door: Endpoint, message: Message) -> None:
        assert message.value is not None
        answer = self._post(door, message.value.encode())
        self._told(message, answer.status_code)

    def _sent_as_batch(self, door: Endpoint, messages: list[Message]) -> None:
        waiting = messages
        deadline = time.monotonic() + _PATIENCE
        while waiting:
            texts = [message.value or "" for message in waiting]
            answer = self._post(door, f"[{','.join(texts)}]".encode())
            results = orjson.loads(answer.content).get("results")
            if results is None or len(results) != len(waiting):
                # poison that takes the list apart spoils it whole: each goes by itself
                self._halves(door, waiting)
                return
            again = []
            for message, result in zip(waiting, results, strict=True):
                if result["status"] == 503:
                    again.append(message)
                else:
                    self._told(message, result["status"])
            if again:
                if time.monotonic() > deadline:
                    raise Unavailable("the gateway keeps saying that the brokers are away")
                time.sleep(0.5)
            waiting = again

    def _halves(self, door: Endpoint, messages: list[Message]) -> None:
        if len(messages) == 1:
            self.refused[messages[0].topic] += 1
            self._past(messages[0])
            return
        middle = len(messages) // 2
        self._sent_as_batch(door, messages[:middle])
        self._sent_as_batch(door, messages[middle:])

    def _told(self, message: Message, status: int) -> None:
        if status == 202:
            self.produced[message.topic] += 1
        else:
            self.refused[message.topic] += 1
            self._past(message)

    def _past(self, message: Message) -> None:
        self._produce(message)

    def _post(self, door: Endpoint, body: bytes) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._http.post(door.address, content=body)
            except httpx.TransportError as error:
                raise Unavailable(f"the gateway does not answer: {error}") from None
            if answer.status_code not in (429, 503) or b'"results"' in answer.content:
                return answer
            if time.monotonic() > deadline:
                raise Unavailable(f"the gateway keeps answering with {answer.status_code}")
            time.sleep(float(answer.headers.get("Retry-After", 1)))

    def _door(self, topic: str, message: Message) -> Endpoint | None:
        """The endpoint for single events that takes the message's type."""
        try:
            event = orjson.loads(message.value or "")
        except orjson.JSONDecodeError:
            return None
        for door in self._doors[topic]:
            if not door.many and isinstance(event, dict):
                kinds = door.types
                if kinds is None or event.get(kinds.field) in kinds.allowed:
                    return door
        return None

    def _many(self, topic: str) -> Endpoint | None:
        return next((door for door in self._doors[topic] if door.many), None)

"""Sending to Kafka: on all replicas in sync, and there once, or said to have failed.

librdkafka's producer works in threads of its own; one thread here asks it for delivery reports and
hands them to the event loop, another asks the brokers how they are.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingestion.gateway.answers import Delivered, Refused
from ingestion.stream.reaching import Refusals

log = logging.getLogger(__name__)

#: Settings of the producer that the promises hang on; a client's own settings cannot change them.
PROMISES: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    # how Kafka's own clients spread keys, so that one key has one partition whoever sends
    "partitioner": "murmur2_random",
}
_TUNING: Mapping[str, Any] = {
    "linger.ms": 2,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
    "reconnect.backoff.max.ms": 1_000,
}
_POLL_SECONDS = 0.1
_PROBE_SECONDS = {True: 10.0, False: 0.5}
_PROBE_TIMEOUT = 3.0
_NOT_THERE = "the brokers cannot be reached"

Result = Delivered | Refused


@dataclass(frozen=True)
class Health:
    """Whether the brokers answer and have the topics; if not, why."""

    well: bool
    reason: str = ""


@dataclass(eq=False)
class _Sending:
    """Messages that were sent together and are awaited together."""

    future: asyncio.Future[list[Result]]
    results: list[Result | None]
    #: Reports that came, counted by the polling thread alone; and how many will come, set by the
    #: event loop when all are on their way.
    reported: int = 0
    expected: int | None = None


@dataclass(eq=False)
class Sender:
    """A producer that an event loop can await. `start` and `stop` belong to that loop."""

    connection: Mapping[str, str]
    topics: frozenset[str]
    delivery_seconds: float
    health: Health = field(default=Health(False, "the brokers were not asked yet"), init=False)

    def __post_init__(self) -> None:
        self._producer = self._new_producer()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._look = threading.Event()
        self._fatal = False
        self._refusals = Refusals()
        self._finished: deque[_Sending] = deque()
        self._threads: list[threading.Thread] = []

    # life

    async def start(self) -> None:
        """Begin; the brokers need not be there."""
        self._loop = asyncio.get_running_loop()
        self._say(await asyncio.to_thread(self._asked))
        for work in (self._poll, self._watch):
            thread = threading.Thread(target=work, name=f"gateway{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    async def stop(self) -> int:
        """Deliver what is on its way, as far as the brokers take it in time, and end.

        Returns:
            How many messages were not delivered; whoever sent them was told so.
        """
        deadline = monotonic() + self.delivery_seconds + 1
        while self.waiting and monotonic() < deadline:
            await asyncio.sleep(0.02)  # the polling thread alone takes reports
        left = self.waiting
        self._ended.set()
        self._look.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, _PROBE_TIMEOUT + 2 * _POLL_SECONDS)
        return left

    # sending

    async def send(self, topic: str, messages: Sequence[tuple[bytes, bytes]]) -> list[Result]:
        """Send keys with values; answers in their order, when the brokers have told of all."""
        assert self._loop is not None, "started first"
        if not self.health.well:
            refused = Refused.unavailable(self.health.reason)
            return [refused] * len(messages)
        sending = _Sending(self._loop.create_future(), [None] * len(messages))
        produce, expected = self._producer.produce, 0
        for number, (key, value) in enumerate(messages):
            told = partial(self._reported, sending, number)
            try:
                produce(topic, value, key, on_delivery=told)
                expected += 1
            except BufferError:
                sending.results[number] = Refused.unavailable("too much is waiting for the brokers")
            except KafkaException as error:
                sending.results[number] = _refused(error.args[0])
        sending.expected = expected
        if sending.reported == expected:  # also where the last report came before the line above
            _finish(sending)
        return await sending.future

    @property
    def waiting(self) -> int:
        """Messages that the brokers have not told of yet."""
        return len(self._producer)

    # in the polling thread

    def _poll(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(_POLL_SECONDS)
            if self._fatal:
                self._begin_anew()

    def _reported(
        self, sending: _Sending, number: int, error: KafkaError | None, message: Message
    ) -> None:
        if error is None:
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None
            sending.results[number] = Delivered(partition, offset)
        else:
            sending.results[number] = _refused(error)
            self._look.set()
        sending.reported += 1
        if sending.reported == sending.expected:
            self._hand_over(sending)

    def _hand_over(self, sending: _Sending) -> None:
        """Wake the event loop, once for all that finish until it looks."""
        assert self._loop is not None
        self._finished.append(sending)
        if len(self._finished) == 1:
            self._loop.call_soon_threadsafe(self._take_finished)

    def _take_finished(self) -> None:
        while self._finished:
            # seen as empty only after the last one was taken, so none is left behind
            _finish(self._finished[0])
            self._finished.popleft()

    def _failed(self, error: KafkaError) -> None:
        """What the producer tells beside delivery reports."""
        if error.fatal():
            log.error("the producer cannot go on and begins anew: %s", error.str())
            self._fatal = True
        elif self._refusals(error):
            log.error("the brokers cannot be used: %s", self._refusals.reason)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._say(Health(False, _NOT_THERE))
            self._look.set()

    def _begin_anew(self) -> None:
        """Replace a producer that can send no more; what it held is reported as failed."""
        self._fatal = False
        old, self._producer = self._producer, self._new_producer()
        old.purge()
        old.flush(_PROBE_TIMEOUT)

    def _new_producer(self) -> Producer:
        timeout = int(self.delivery_seconds * 1000)
        limits = {"message.timeout.ms": timeout, "request.timeout.ms": min(30_000, timeout)}
        return Producer(
            {
                **_TUNING,
                **self.connection,
                **PROMISES,
                **limits,
                "error_cb": self._failed,
                "logger": _QUIET,
            }
        )

    # in the watching thread

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._say(self._asked())
            self._look.wait(_PROBE_SECONDS[self.health.well])
            if self._look.is_set():
                self._look.clear()
                self._ended.wait(_PROBE_SECONDS[False] / 5)

    def _asked(self) -> Health:
        """How the brokers are, by asking them."""
        try:
            there = self._producer.list_topics(timeout=_PROBE_TIMEOUT)
        except KafkaException as error:
            return Health(False, f"{_NOT_THERE} ({error.args[0].name()})")
        missing = sorted(self.topics - set(there.topics))
        if missing:
            return Health(False, f"the brokers have no topic {', '.join(missing)}")
        return Health(True)

    def _say(self, health: Health) -> None:
        if health != self.health:
            said = log.info if health.well else log.warning
            said("brokers: %s", health.reason or "well")
        self.health = health


def _finish(sending: _Sending) -> None:
    if not sending.future.done():
        sending.future.set_result([result for result in sending.results if result is not None])


def _refused(error: KafkaError) -> Refused:
    """Why a message was not delivered, or may not have been."""
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return Refused.because(413, "the event is longer than the brokers take")
    return Refused.unavailable(f"the brokers did not confirm it ({error.name()}); send it again")


#: librdkafka's own words go nowhere: they repeat the brokers' addresses with each attempt.
_QUIET = logging.getLogger(f"{__name__}.librdkafka")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

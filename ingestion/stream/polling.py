"""Quotes that are asked for again and again, as messages of a topic.

A round asks every source, makes messages of what it says, holds them against the topic's contract
and publishes those that were not published in a round before. What fails is told and asked for in
the next round; nothing counts as published before the broker has said so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from ingestion.external.entries import Publishing
from ingestion.external.entry import Entry
from ingestion.external.fetching import fetch, plan
from ingestion.external.mapping import Rule
from ingestion.external.transforming import transform
from ingestion.external.validating import validate
from ingestion.messages import Topic
from ingestion.stream.framing import AvroSchema, encode_confluent, encode_single_object
from ingestion.stream.registry import AVRO, Registry
from ingestion.stream.schemas import TopicSchema
from waypoint.contracts.derived.topics import decimal_digits
from waypoint.contracts.model import Column
from waypoint.errors import UnusableInput, WaypointError

#: How many quotes are remembered, so that one that is said again is not published again.
_REMEMBERED = 100_000
#: Seconds between looks at whether to stop, and those that a broker gets after that.
_STEP, _LAST_WAIT = 0.5, 5.0
#: A message that holds the record's name beside what the entry makes of it.
_NAMED = {"id": Rule(paths=("$id",)), "data": Rule(paths=("$data",))}


@dataclass(frozen=True)
class Quotes:
    """What a source said: messages as JSON texts by the name of the quote, and what was wrong."""

    messages: Mapping[str, str] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class QuoteSource(Protocol):
    """Somebody who says prices. A failure is told, not raised."""

    @property
    def name(self) -> str:
        """What it is called."""

    def quotes(self, moment: datetime) -> Quotes:
        """What it says at `moment` (UTC, no zone)."""


@dataclass(frozen=True)
class EntrySource:
    """An entry of external.yml: the service itself, or the sandbox that stands for it."""

    entry: Entry
    key: str | None = None
    sandbox: str | None = None

    @property
    def name(self) -> str:
        return self.entry.name

    def quotes(self, moment: datetime) -> Quotes:
        """See `QuoteSource`."""
        requests = plan(self.entry, moment)
        try:
            fetched = fetch(self.entry, requests, moment, key=self.key, sandbox=self.sandbox)
        except WaypointError as error:
            return Quotes(failed=(str(error),))
        made = transform(self.entry, Publishing("", "", _NAMED), requests, fetched)
        found = [json.loads(message) for message in made.messages]
        return Quotes(
            {one["id"]: json.dumps(one["data"], ensure_ascii=False) for one in found},
            tuple(rejected.reason for rejected in made.rejected),
            tuple(failed.error for failed in fetched.failed),
        )


@dataclass(frozen=True)
class Writing:
    """How messages of a topic are written: JSON text, or Avro in the framing that there is."""

    schema: TopicSchema
    columns: tuple[Column, ...]
    avro: AvroSchema | None = None
    number: int | None = None  # in the registry

    @classmethod
    def of(
        cls, schema: TopicSchema, columns: tuple[Column, ...], registry: Registry | None
    ) -> Writing:
        """The topic's, by its contract.

        Raises:
            UnusableInput: the registry does not know the schema.
            Unavailable: the registry does not answer.
        """
        if schema.kind != AVRO:
            return cls(schema, columns)
        number = None
        if registry is not None:
            number = registry.number(schema.subject, schema.kind, schema.text)
            if number is None:
                raise UnusableInput(
                    f"the schema registry does not know the contract's {schema.subject}",
                    hint="waypoint topics apply",
                )
        return cls(schema, columns, AvroSchema.of(schema.document), number)

    def value(self, text: str) -> bytes:
        """A message, given as JSON text.

        Raises:
            UnusableInput: it does not follow the schema.
        """
        if self.avro is None:
            return text.encode()
        record = typed(json.loads(text, parse_float=Decimal), self.columns)
        if self.number is None:
            return encode_single_object(record, self.avro)
        return encode_confluent(record, self.avro, self.number)


def typed(document: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    """The fields of a JSON document as the values that Avro takes for them.

    Raises:
        UnusableInput: a text is no time.
    """
    kinds = {column.name: column for column in columns}
    return {
        name: _typed(value, kinds[name]) if name in kinds else value
        for name, value in document.items()
    }


def _typed(value: Any, column: Column) -> Any:
    try:
        match column.logical_type:
            case _ if value is None:
                return None
            case "number":
                number = Decimal(str(value))
                return number if decimal_digits(column) else float(number)
            case "integer":
                return int(value) if value == int(value) else value
            case "timestamp":
                moment = datetime.fromisoformat(value)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            case "date":
                return date.fromisoformat(value)
            case "object" if column.columns:
                return typed(value, column.columns)
            case "array" if column.columns:
                return [typed(item, column.columns) for item in value]
            case _:
                return value
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        raise UnusableInput(f"{column.name}: {value!r} is no {column.logical_type}") from None


@dataclass(frozen=True)
class Round:
    """What came of asking once."""

    at: datetime
    published: int = 0
    repeated: int = 0  # said in a round before, or twice
    rejected: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass
class Poller:
    """Asks `sources` and publishes to `topic` by `settings`, those of a client of the broker."""

    settings: Mapping[str, str]
    topic: Topic
    key: str | None  # the field that messages go by
    writing: Writing
    sources: Sequence[QuoteSource]
    spill: Path
    patience: float = 60.0  # seconds, for the broker
    stopping: Callable[[], bool] = lambda: False  # then a broker that is away is not waited for
    _published: dict[str, None] = field(default_factory=dict)
    _producer: Any = None

    def round(self, moment: datetime) -> Round:
        """Ask everybody once, and publish what is new; see `Round`."""
        failed: list[str] = []
        rejected: list[str] = []
        wanted: dict[str, str] = {}
        repeated = 0
        for source in self.sources:
            said = source.quotes(moment)
            failed += said.failed
            rejected += [f"{source.name}: {problem}" for problem in said.rejected]
            new = {name: text for name, text in said.messages.items() if not self._knows(name)}
            repeated += len(said.messages) - len(new)
            judged = validate(self.topic, tuple(new.values()), self.spill)
            rejected += [f"{source.name}: {one.reason}" for one in judged.rejected]
            good = set(judged.messages)
            wanted |= {name: text for name, text in new.items() if text in good}
        delivered, undelivered = self._publish(wanted)
        for name in delivered:
            self._published[name] = None
        while len(self._published) > _REMEMBERED:
            del self._published[next(iter(self._published))]
        return Round(moment, len(delivered), repeated, tuple(rejected), (*failed, *undelivered))

    def close(self) -> None:
        """Wait for what is on its way to the broker."""
        if self._producer is not None:
            self._wait(self._producer)
            self._producer = None

    def _knows(self, name: str) -> bool:
        return name in self._published

    def _publish(self, messages: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The names of those that the broker has taken, and what was wrong with the others."""
        from confluent_kafka import KafkaException

        delivered: list[str] = []
        problems: dict[str, None] = {}

        def on_delivery(name: str) -> Callable[[Any, Any], None]:
            def call(error: Any, _: Any) -> None:
                if error is None:
                    delivered.append(name)
                else:
                    problems[f"{self.topic.name}: {error.str()}"] = None

            return call

        producer = self._connected()
        for name, text in messages.items():
            key = json.loads(text).get(self.key) if self.key else None
            try:
                producer.produce(
                    self.topic.name,
                    self.writing.value(text),
                    None if key is None else str(key),
                    on_delivery=on_delivery(name),
                )
            except (KafkaException, BufferError, UnusableInput) as error:
                problems[f"{self.topic.name}: {error}"] = None
        self._wait(producer)
        return delivered, list(problems)

    def _wait(self, producer: Any) -> None:
        """Until all messages are delivered or given up, or those on their way are to be left."""
        deadline = time.monotonic() + self.patience + 10  # the producer's own is shorter
        while producer.flush(_STEP) and time.monotonic() < deadline:
            if self.stopping():
                deadline = min(deadline, time.monotonic() + _LAST_WAIT)
                self.stopping = lambda: False
        producer.purge()  # what is left fails, and is told
        producer.flush(1)

    def _connected(self) -> Any:
        from confluent_kafka import Producer

        if self._producer is None:
            self._producer = Producer(
                {
                    "compression.type": "lz4",
                    "delivery.timeout.ms": str(int(self.patience * 1000)),
                    **self.settings,
                    "acks": "all",
                    "enable.idempotence": "true",
                    "log_level": 0,
                    "error_cb": lambda error: None,
                }
            )
        return self._producer

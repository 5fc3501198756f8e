"""Windows of real-time tables, sent to a topic as they close and again when they change.

A table's contract says `window` (its length) where it is to be sent; the topic is the one whose
contract says `carries: windows`. The message's key names the table, the window and the group, and
a window that says what it said before is not sent: repeats change nothing for who keeps the newest
message of each key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from typing import Any

from ingestion.engine import quoted
from waypoint.clock import now
from waypoint.contracts.derived.json_schema import schema
from waypoint.contracts.model import Contract
from waypoint.contracts.reading import duration
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.realtime.merging import Merged, merged
from waypoint.realtime.remembering import Sent, sent

#: The custom properties of a table and of the topic.
WINDOW, CARRIES, WINDOWS = "window", "carries", "windows"
#: For how long after its end a window is held back, for events that are a little late.
WATERMARK = timedelta(minutes=1)

_LOADED_AT = "loaded_at"
_PERSON_KEY = "personKey"
_BATCH = 5_000
_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Windows:
    """A table of windows: the column with their start, what else it groups by, and its measures."""

    contract: Contract
    start: str
    length: timedelta
    group: tuple[str, ...]
    measures: tuple[str, ...]


@dataclass
class Published:
    """What came of one table: windows that are closed, and those of them that were sent."""

    table: str
    closed: int = 0
    sent: int = 0
    refused: list[str] = field(default_factory=list)


def windows_of(contract: Contract) -> Windows:
    """How a table with a `window` is read.

    Raises:
        UnusableInput: its key has not one time, the length is none, or its rows are of people.
    """
    by_time = [
        name for name in contract.key if contract.column(name).logical_type in ("timestamp", "date")
    ]
    if len(by_time) != 1:
        raise UnusableInput(f"{contract.path}: {WINDOW}: its key needs one time, the window's")
    personal = [c.name for c in contract.columns if c.classification or _PERSON_KEY in c.custom]
    if personal:
        raise UnusableInput(
            f"{contract.path}: {WINDOW}: {', '.join(personal)} say whose rows they are, and what"
            " is sent to a topic could not be erased from it",
            hint=f"take {WINDOW} away",
        )
    try:
        length = duration(contract.custom[WINDOW])
    except ValueError as error:
        raise UnusableInput(f"{contract.path}: {WINDOW}: {error}") from None
    others = tuple(c.name for c in contract.columns if c.name not in (*contract.key, _LOADED_AT))
    group = tuple(name for name in contract.key if name != by_time[0])
    return Windows(contract, by_time[0], length, group, others)


def publish_windows(project: Project, settings: Mapping[str, str]) -> list[Published]:
    """Send the closed windows that are new or have changed, within the topic's retention.

    Raises:
        UnusableInput: a contract cannot be followed, or no topic carries windows.
        Unavailable: the broker did not take all of them; those that it took are remembered.
    """
    topics = [t for t in project.contracts.topics if t.custom.get(CARRIES) == WINDOWS]
    if len(topics) != 1:
        raise UnusableInput(
            f"{len(topics)} topics carry windows",
            hint=f"one topic's contract needs the custom property {CARRIES}: {WINDOWS}",
        )
    tables = [windows_of(c) for c in project.contracts.tables if WINDOW in c.custom]
    results = []
    with (
        merged(project, [one.contract.name for one in tables]) as found,
        sent(project) as memory,
    ):
        for table in tables:
            results.append(_publish(found, memory, table, topics[0], settings))
    return results


def _publish(
    found: Merged, memory: Sent, table: Windows, topic: Contract, settings: Mapping[str, str]
) -> Published:
    import jsonschema_rs

    validator = jsonschema_rs.Draft202012Validator(schema(topic), validate_formats=True)
    name = table.contract.name
    known = memory.of(topic.name, name)
    result = Published(name)
    seen: set[str] = set()

    def changed() -> Iterator[tuple[str, str, bytes]]:
        for message in _messages(found, table, topic):
            result.closed += 1
            key = message["window_key"]
            seen.add(key)
            said = _text({"group": message["group"], "measures": message["measures"]})
            digest = blake2b(said.encode(), digest_size=16).hexdigest()
            if known.get(key) == digest:
                continue
            problem = next(validator.iter_errors(message), None)
            if problem is not None:
                result.refused.append(f"{key}: {problem.message}")
                continue
            yield key, digest, _text(message).encode()

    rest = changed()
    while batch := list(islice(rest, _BATCH)):
        _send(topic.name, batch, settings)
        memory.remember(topic.name, name, {key: digest for key, digest, _ in batch})
        result.sent += len(batch)
    memory.forget(topic.name, name, known.keys() - seen)
    return result


def _messages(found: Merged, table: Windows, topic: Contract) -> Iterator[dict[str, Any]]:
    """The messages of the windows that are closed and not older than the topic keeps them."""
    computed = datetime.now(UTC).replace(tzinfo=None)
    clock = now(found.project)
    until = max(clock, computed) - WATERMARK - table.length
    since = clock - topic.retention if topic.retention else datetime.min
    columns = [table.start, *table.group, *table.measures]
    start = f"cast({quoted(table.start)} as timestamp)"
    rows = found.connection.execute(
        f"select {', '.join(map(quoted, columns))} from realtime.{quoted(table.contract.name)}"
        f" where {start} <= ? and {start} >= ? order by {start}",
        [until, since],
    )
    while batch := rows.fetchmany(_BATCH):
        for values in batch:
            row = {name: _plain(value) for name, value in zip(columns, values, strict=True)}
            begin = values[0]
            if not isinstance(begin, datetime):
                begin = datetime(begin.year, begin.month, begin.day)
            group = {name: row[name] for name in table.group}
            key = [table.contract.name, _plain(begin), *group.values()]
            yield {
                "aggregate": table.contract.name,
                "window_key": _text(key),
                "window_start": _plain(begin),
                "window_end": _plain(begin + table.length),
                "group": group,
                "measures": {name: row[name] for name in table.measures},
                "computed_at": _plain(computed),
            }


def _send(topic: str, batch: list[tuple[str, str, bytes]], settings: Mapping[str, str]) -> None:
    """Send messages and see each of them delivered.

    Raises:
        Unavailable: the broker did not take all of them.
    """
    from confluent_kafka import KafkaException, Producer

    failed: list[str] = []

    def told(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(error.str())

    own: dict[str, Any] = {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 20,
        "message.timeout.ms": int(_TIMEOUT * 1000),
        "log_level": 0,
        "error_cb": lambda error: None,
    }
    producer = Producer({**settings, **own})
    try:
        for key, _, value in batch:
            producer.produce(topic, key=key.encode(), value=value, on_delivery=told)
            producer.poll(0)
        left = producer.flush(_TIMEOUT + 5)
    except (KafkaException, BufferError) as error:
        failed, left = [str(error)], 0
    if failed or left:
        reason = failed[0] if failed else "no answer"
        raise Unavailable(
            f"{topic}: the broker did not take {len(failed) + left} windows: {reason}",
            hint="waypoint topics apply, waypoint services status; then run it again",
        )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """A value as JSON has it; times are UTC."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, date | Decimal):
        return str(value)
    return value

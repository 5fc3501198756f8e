"""The last step: appending messages to the topic.

Where no broker is, the topic is a folder of dump files, which the source of kind `dumps` reads as
it reads exports of a broker's. A file appears whole, under a name that tells its partition and
offsets; the partitions are such as no broker has, from the contract's number of them on, so that
offsets of both never meet. Publishing the same batch again finds it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from ingestion import footers
from ingestion.landing import LandingArea
from ingestion.messages import RANGES, TOPIC, Topic
from waypoint.contracts.model import Contract
from waypoint.errors import Unavailable, UnusableInput

_NAME = re.compile(r"p(?P<partition>\d+)-(?P<first>\d{19})-(?P<last>\d{19})-.*\.ndjson")
#: What a file is called while it is written: hidden, and no other writer's.
_UNFINISHED = ".publishing"


@dataclass(frozen=True)
class Message:
    """What a topic holds: a key and a JSON text."""

    key: str | None
    value: str


@dataclass(frozen=True)
class Placed:
    """A message at its place in the topic."""

    partition: int
    offset: int
    message: Message


class Publisher(Protocol):
    """Appends messages to a topic: `DumpFiles`, or `ingestion.external.broker.BrokerTopic`."""

    @property
    def area(self) -> LandingArea:
        """Where messages are kept that are not published."""

    @property
    def milliseconds(self) -> int:
        """The time of publishing, as messages have it (since 1970)."""

    def publish(self, batch: str, messages: Sequence[Message]) -> str:
        """Append `messages`, all of them once; `batch` names them, and again finds them there.

        Gives where they are, for people.

        Raises:
            Unavailable: they could not be appended; what was, is found there the next time.
        """

    def places(self, messages: Sequence[Message]) -> AbstractContextManager[list[Placed]]:
        """Places for messages that are kept elsewhere, while nobody else gets them."""


@dataclass(frozen=True)
class DumpFiles:
    """Publishes into `<folder>/<topic>`, at `moment` (UTC, no zone)."""

    folder: Path
    topic: Topic
    partitions: int
    area: LandingArea
    moment: datetime

    def publish(self, batch: str, messages: Sequence[Message]) -> str:
        """See `Publisher`; where they are is the names of files."""
        target = self.folder / self.topic.name
        try:
            with self._alone() as last:
                names = []
                for partition, ours in self._by_partition(messages).items():
                    found = sorted(target.glob(f"p{partition}-*-{batch}.ndjson"))
                    if not found:
                        first = last.get(partition, -1) + 1
                        name = f"p{partition}-{first:019d}-{first + len(ours) - 1:019d}-{batch}"
                        found = [target / f"{name}.ndjson"]
                        self._write(found[0], self._placed(partition, first, ours))
                    names.append(found[0].name)
        except OSError as error:
            raise Unavailable(
                f"{target}: cannot be written to: {error.strerror}",
                hint="make room there, or give the user that runs Waypoint the right to write",
            ) from None
        return ", ".join(names)

    @contextmanager
    def places(self, messages: Sequence[Message]) -> Iterator[list[Placed]]:
        """Places that no other message gets, if the block lands what it puts there."""
        with self._alone() as last:
            found: list[Placed] = []
            for partition, ours in self._by_partition(messages).items():
                found += self._placed(partition, last.get(partition, -1) + 1, ours)
            yield found

    def line(self, placed: Placed) -> str:
        """A message as a line of an export."""
        head = json.dumps(
            {
                "topic": self.topic.name,
                "partition": placed.partition,
                "offset": placed.offset,
                "timestamp": self.milliseconds,
                "key": placed.message.key,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return f'{head[:-1]},"value":{placed.message.value}}}\n'

    @property
    def milliseconds(self) -> int:
        """The time of publishing, as messages have it."""
        return int(self.moment.replace(tzinfo=UTC).timestamp() * 1000)

    def _placed(self, partition: int, first: int, messages: Sequence[Message]) -> list[Placed]:
        return [Placed(partition, first + n, message) for n, message in enumerate(messages)]

    def _by_partition(self, messages: Sequence[Message]) -> dict[int, list[Message]]:
        found: dict[int, list[Message]] = {}
        for message in messages:
            place = zlib.crc32((message.key or "").encode()) % self.partitions
            found.setdefault(self.partitions + place, []).append(message)
        return found

    def _write(self, path: Path, placed: Sequence[Placed]) -> None:
        temporary = path.with_name(f".{path.name}{_UNFINISHED}{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(map(self.line, placed))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @contextmanager
    def _alone(self) -> Iterator[dict[int, int]]:
        """The last offset by partition, while nobody else publishes to the topic."""
        target = self.folder / self.topic.name
        target.mkdir(parents=True, exist_ok=True)
        with (target / ".publishing.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # what publishers left that were killed
            for leftover in target.glob(f".p*.ndjson{_UNFINISHED}*"):
                leftover.unlink(missing_ok=True)
            yield self._last_offsets(target)

    def _last_offsets(self, target: Path) -> dict[int, int]:
        """By the names of the files, and by what has landed: files may be taken away."""
        last: dict[int, int] = {}
        for path in target.iterdir():
            if match := _NAME.fullmatch(path.name):
                partition = int(match["partition"])
                last[partition] = max(last.get(partition, -1), int(match["last"]))
        for landed in footers.history(self.area, self.topic.contract.name):
            if landed.position.get(TOPIC) == self.topic.name:
                for text, (_, end) in landed.position.get(RANGES, {}).items():
                    last[int(text)] = max(last.get(int(text), -1), end)
        return last


def keyed(contract: Contract, messages: Sequence[str]) -> list[Message]:
    """Messages (JSON texts) with the key that the topic's contract names."""
    field = contract.custom.get("key")
    found = []
    for text in messages:
        value = json.loads(text).get(field) if field else None
        found.append(Message(None if value is None else str(value), text))
    return found


def partitions_of(contract: Contract) -> int:
    """How many partitions the topic's contract gives it.

    Raises:
        UnusableInput: it does not say.
    """
    partitions = contract.custom.get("partitions")
    if isinstance(partitions, bool) or not isinstance(partitions, int) or partitions < 1:
        raise UnusableInput(
            f"{contract.path}: does not say how many partitions the topic has",
            hint="give it the custom property partitions, a number",
        )
    return partitions


def batch_of(source: str, moment: str, messages: Sequence[str]) -> str:
    """The name of what one fetch of a source brought: the same messages of it, the same name."""
    digest = hashlib.sha256("\n".join((source, moment, *messages)).encode()).hexdigest()[:16]
    return f"{source}-{digest}"

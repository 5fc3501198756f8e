"""Kafka dumps as an export writes them: `<folder>/<topic>/<name>.ndjson[.gz]`."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from zlib import crc32

PARTITIONS = 3


class Dumps:
    """Writes messages to dump files; each partition's offsets go on from file to file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._next_offset: defaultdict[tuple[str, int], int] = defaultdict(int)

    @contextmanager
    def file(self, topic: str, name: str) -> Iterator[Dump]:
        """A new dump file of `topic`; its name says whether it is compressed (`.gz`)."""
        folder = self.folder / topic
        folder.mkdir(parents=True, exist_ok=True)
        opened = gzip.open if name.endswith(".gz") else open
        with opened(folder / name, "wt", encoding="utf-8", newline="") as file:
            yield Dump(topic, file, self._next_offset)


class Dump:
    """One dump file that is being written."""

    def __init__(
        self, topic: str, file: IO[str], next_offset: defaultdict[tuple[str, int], int]
    ) -> None:
        self._topic = topic
        self._file = file
        self._next_offset = next_offset

    def send(self, key: object, value: dict[str, Any] | str | None, at: datetime) -> None:
        """Write one message, produced at `at` (UTC, no zone); a `value` that is text is no JSON."""
        partition = crc32(str(key).encode()) % PARTITIONS
        offset = self._next_offset[self._topic, partition]
        self._next_offset[self._topic, partition] = offset + 1
        message = {
            "topic": self._topic,
            "partition": partition,
            "offset": offset,
            "timestamp": round(at.replace(tzinfo=UTC).timestamp() * 1000),
            "key": str(key),
            "value": value,
        }
        self._file.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n")


def iso(at: datetime) -> str:
    """A UTC time as events write it, e.g. 2026-01-31T10:00:00.000Z."""
    return at.isoformat(timespec="milliseconds") + "Z"

"""Who writes the partitions of topics: one name for each, in a file by topic.

Who takes a partition over writes its own name over that of the one before, which thereby is fenced.
The caller holds the lock of the topic's table meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingestion.messages import Topic
from ingestion.stream.sinks import Channel, Fenced


class Writers:
    """The names of those who write, in `folder`, and our own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._number = 0
        self._ours: dict[Channel, str] = {}

    @property
    def ours(self) -> frozenset[Channel]:
        """The channels that we have opened; another one may have done so since."""
        return frozenset(self._ours)

    def take_over(self, topic: Topic, partitions: Iterable[int]) -> None:
        """Become the writer of partitions."""
        written = self._read(topic)
        for partition in partitions:
            self._number += 1
            name = f"{self.name}-{self._number}"
            written[str(partition)] = self._ours[Channel(topic.name, partition)] = name
        self._write(topic, written)

    def give_up(self, topic: Topic, partitions: Iterable[int]) -> None:
        """Be it no longer."""
        for partition in partitions:
            self._ours.pop(Channel(topic.name, partition), None)

    def refuse_fenced(self, topic: Topic, channels: Iterable[Channel]) -> None:
        """Raise `Fenced` where another one writes one of the channels."""
        written = self._read(topic)
        for channel in channels:
            if written.get(str(channel.partition)) != self._ours.get(channel):
                raise Fenced(
                    f"{channel}: another loader has taken over; of the batch nothing was landed"
                )

    def _read(self, topic: Topic) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._file(topic).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def _write(self, topic: Topic, written: Mapping[str, str]) -> None:
        file = self._file(topic)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(written), "utf-8")
        os.replace(temporary, file)

    def _file(self, topic: Topic) -> Path:
        return self._folder / f"{topic.name}.writers.json"

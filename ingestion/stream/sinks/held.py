"""Batches that a sink was given and has not committed yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ingestion.messages import Topic
from ingestion.stream.sinks import Batch, Channel, Fenced


class Held:
    """What `append` has brought since the last `commit`, in order."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []

    def add(self, batch: Batch, opened: Collection[Channel]) -> None:
        """Hold a batch of channels that are open.

        Raises:
            Fenced: one of them is not.
        """
        closed = [str(channel) for channel in batch.channels if channel not in opened]
        if closed:
            raise Fenced(f"{', '.join(closed)}: is not open")
        self._batches.append(batch)

    def taken(self) -> list[Batch]:
        """What is held; from now on it is not."""
        taken, self._batches = self._batches, []
        return taken

    def drop(self, topic: Topic, partitions: Iterable[int]) -> None:
        """Give up all batches that have something of these partitions."""
        dropped = {Channel(topic.name, partition) for partition in partitions}
        self._batches = [b for b in self._batches if dropped.isdisjoint(b.channels)]

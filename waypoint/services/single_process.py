"""A service that is one process, known by a mark on its command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from waypoint.services.java import stop_all
from waypoint.services.local import Place, Process, Status
from waypoint.services.postgres_keeper import is_running


class SingleProcess(ABC):
    """What services of one process share; its record has `pid` and whatever tells where it is."""

    on_request = True

    #: What runs, what its process is called, and how long it may take to stop, in seconds.
    program: str
    process_name: str
    stop_seconds: float

    @abstractmethod
    def marker(self, folder: Path) -> str:
        """What stands in the command line of the process for `folder`, and in no other's."""

    @abstractmethod
    def answers(self, record: dict[str, Any]) -> bool:
        """Whether it can be used now."""

    @abstractmethod
    def address(self, record: dict[str, Any]) -> str:
        """Where it can be reached."""

    def runs(self, place: Place, record: dict[str, Any]) -> bool:
        """Whether the process that the record names is there, and is this service's."""
        pid = record.get("pid")
        return isinstance(pid, int) and is_running(pid, self.marker(place.folder))

    def down(self, place: Place) -> None:
        """See `Service`."""
        record = place.record()
        if record and record.get("pid"):
            stop_all({int(record["pid"]): self.marker(place.folder)}, self.stop_seconds)
        place.forget()

    def status(self, place: Place) -> Status | None:
        """See `Service`."""
        record = place.record()
        if record is None:
            return None
        running = self.runs(place, record)
        process = Process(self.process_name, record.get("pid"), running)
        ready = running and self.answers(record)
        return Status(place.name, self.program, self.address(record), ready, (process,))

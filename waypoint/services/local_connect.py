"""Kafka Connect as a service of the project, on its Kafka; see `waypoint.services.connect`."""

from __future__ import annotations

from waypoint.errors import Unavailable
from waypoint.services.connect import Connect, found_connect, start_connect
from waypoint.services.local import Place, Process, Status, Wanted


class ConnectService:
    """One worker. What its connectors are stands in topics of the broker."""

    on_request = False

    def up(self, place: Place, wanted: Wanted) -> None:
        """See `Service`."""
        kafka = Place(place.project, "kafka").record()
        if kafka is None:
            raise Unavailable(
                "Kafka Connect needs Kafka, which does not run here",
                hint="waypoint services up kafka connect",
            )
        worker = start_connect(place.folder, str(kafka["bootstrap"]), len(kafka["brokers"]))
        place.keep({"url": worker.url, "secrets": str(worker.secrets), "pid": worker.pid})

    def down(self, place: Place) -> None:
        """See `Service`."""
        worker = found_connect(place.folder)
        if worker is not None:
            worker.stop()
        place.forget()

    def status(self, place: Place) -> Status | None:
        """See `Service`."""
        worker = found_connect(place.folder) if place.record() is not None else None
        return None if worker is None else _status(place, worker)


def _status(place: Place, worker: Connect) -> Status:
    processes = (Process("worker", worker.pid, worker.is_running),)
    return Status(place.name, "Kafka Connect", worker.url, worker.is_ready, processes)


service = ConnectService()

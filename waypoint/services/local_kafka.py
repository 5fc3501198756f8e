"""Kafka as a service of the project; see `waypoint.services.kafka`."""

from __future__ import annotations

from waypoint.services.kafka import VERSION, Kafka, found_kafka, start_kafka
from waypoint.services.local import Place, Process, Status, Wanted


class KafkaService:
    """One broker, or as many as were asked for when it was first started."""

    on_request = False

    def up(self, place: Place, wanted: Wanted) -> None:
        """See `Service`."""
        known = found_kafka(place.folder)
        brokers = wanted.brokers or (len(known.nodes) if known else 1)
        kafka = start_kafka(place.folder, brokers)
        place.keep(
            {
                "bootstrap": kafka.bootstrap,
                "brokers": [
                    {"node": node.number, "port": node.port, "pid": node.pid}
                    for node in kafka.nodes
                ],
            }
        )

    def down(self, place: Place) -> None:
        """See `Service`."""
        kafka = found_kafka(place.folder)
        if kafka is not None:
            kafka.stop()
        place.forget()

    def status(self, place: Place) -> Status | None:
        """See `Service`."""
        kafka = found_kafka(place.folder) if place.record() is not None else None
        if kafka is None:
            return None
        processes = tuple(_process(kafka, node.number) for node in kafka.nodes)
        ready = all(process.running for process in processes) and kafka.is_ready()
        return Status(place.name, f"Apache Kafka {VERSION}", kafka.bootstrap, ready, processes)


def _process(kafka: Kafka, number: int) -> Process:
    return Process(f"broker {number}", kafka.nodes[number - 1].pid, kafka.is_running(number))


service = KafkaService()

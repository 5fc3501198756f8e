"""What the gateway measures, for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

#: Where several processes keep their numbers together; prometheus_client's own variable.
TOGETHER = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Measures:
    """The numbers of one gateway process."""

    def __init__(self, waiting: Callable[[], int], well: Callable[[], bool]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "waypoint_gateway_requests",
            "Requests, by endpoint and status.",
            ["endpoint", "status"],
            registry=self._registry,
        )
        self.events = Counter(
            "waypoint_gateway_events",
            "Events, by endpoint, topic and the status that was said of each.",
            ["endpoint", "topic", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "waypoint_gateway_request_seconds",
            "From a request's headers to its answer, waiting for the brokers included.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.delivery = Histogram(
            "waypoint_gateway_delivery_seconds",
            "From handing messages to the producer until the brokers have told of all of them.",
            ["topic"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "waypoint_gateway_undelivered_messages",
            "Messages that the brokers have not told of yet.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._well = Gauge(
            "waypoint_gateway_brokers_up",
            "1 where the brokers answer and have the topics, else 0.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._ask_waiting, self._ask_well = waiting, well

    def text(self) -> bytes:
        """All numbers, of all processes where several share a port."""
        self._waiting.set(self._ask_waiting())
        self._well.set(self._ask_well())
        if not os.environ.get(TOGETHER):
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def end(self) -> None:
        """This process ends: what it counted stays, how it is does not."""
        if os.environ.get(TOGETHER):
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

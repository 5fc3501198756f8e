"""What a loader counts, for people and for Prometheus.

Prometheus reads `http://127.0.0.1:<port>/metrics`. Names and labels are fixed here, so that alerts
can lean on them; nothing of a message's content becomes a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from waypoint.errors import Unavailable, UnusableInput

#: Upper bounds of the histograms, in seconds.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one loader; without the client library of Prometheus they count nothing."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()

        def counter(name: str, words: str) -> Counter:
            return Counter(f"waypoint_stream_{name}", words, ("topic",), registry=self.registry)

        self.rows = counter("rows", "Rows that were landed.")
        self.rejects = counter("rejects", "Messages that were rejected: dead letters.")
        self.duplicates = counter("duplicates", "Messages that said again what had landed.")
        self.known = counter("known", "Messages whose offset had landed with a dump.")
        self.late = counter("late", "Rows that came behind the watermark.")
        self.drift = counter("drift", "Messages with fields that the contract does not know.")
        self.lost = counter("lost", "Messages that were deleted before they could be read.")
        self.batches = counter("batches", "Batches that were committed.")
        self.fenced = Counter(
            "waypoint_stream_fenced",
            "Batches that were dropped, another loader having taken over.",
            registry=self.registry,
        )
        self.lag = Gauge(
            "waypoint_stream_lag",
            "Messages that are not committed yet, as far as the broker has told.",
            ("topic", "partition"),
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "waypoint_stream_batch_seconds",
            "From the first message of a batch being read to its commit.",
            ("topic",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "waypoint_stream_commit_seconds",
            "Writing and committing a batch.",
            ("topic",),
            buckets=_SECONDS,
            registry=self.registry,
        )


def new_metrics() -> Metrics:
    """Metrics of a loader.

    Raises:
        UnusableInput: the package that Prometheus needs is not installed.
    """
    try:
        return Metrics()
    except ImportError:
        raise UnusableInput(
            "the package prometheus-client is not installed", hint="run make setup"
        ) from None


@contextmanager
def served(metrics: Metrics, port: int | None, address: str = "127.0.0.1") -> Iterator[int | None]:
    """Serve the metrics while the block runs, where a port is given; 0 takes a free one.

    Returns:
        the port.

    Raises:
        Unavailable: the port is taken.
    """
    if port is None:
        yield None
        return
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, address, metrics.registry)
    except OSError as error:
        raise Unavailable(
            f"port {port} cannot be served: {error.strerror}", hint="give another --metrics-port"
        ) from None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

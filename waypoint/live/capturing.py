"""Change capture beside the stream: a database, and Debezium on a Connect worker.

The scenario's database is played into an embedded PostgreSQL, and its changes reach their topic the
way they do in production. What they are is counted by reading the topic as its consumers do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from confluent_kafka import Consumer, KafkaError, TopicPartition

from ingestion.capture.planning import apply, plan
from ingestion.capture.tracked import tracked_databases
from ingestion.capture.worker import Worker
from waypoint.live.counting import ends
from waypoint.project import Project
from waypoint.services import postgres
from waypoint.services.connect import Connect, running_connect
from waypoint.services.local_postgres import SETTINGS
from waypoint.services.ports import LOOPBACK, free_ports
from waypoint.simulator.scenario import read_scenario

_QUIET_SECONDS = 3.0
_DRAIN_SECONDS = 60.0
_READ_SECONDS = 60.0


@dataclass
class Capture:
    """A captured database. `topics` are those that its changes go to."""

    dsn: str
    topics: tuple[str, ...]
    connection: Mapping[str, str]
    worker: Connect

    def stop(self) -> None:
        """Stop the worker once nothing comes any more; what is left then waits in its slot."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        before, since = self._ends(), time.monotonic()
        while time.monotonic() < min(deadline, since + _QUIET_SECONDS):
            time.sleep(0.5)
            now = self._ends()
            if now != before:
                before, since = now, time.monotonic()
        self.worker.stop()

    def _ends(self) -> dict[str, dict[int, int]]:
        return ends(self.connection, list(self.topics))


@contextmanager
def capturing(project: Project, connection: Mapping[str, str]) -> Iterator[Capture | None]:
    """Capture the scenario's database while the block runs; None where it has none that is tracked.

    Raises:
        Unavailable: PostgreSQL or the worker did not start.
    """
    scenario = read_scenario(project)
    if scenario.database is None:
        yield None
        return
    folder = project.state / "services"
    port = {"port": str(free_ports(1)[0])}
    with postgres.running(folder / "postgres", SETTINGS | port) as server:
        server.database(scenario.database.name)
        address = f"{postgres.SUPERUSER}@{LOOPBACK}:{port['port']}"
        dsn = f"postgresql://{address}/{scenario.database.name}"
        tracked, _ = tracked_databases(project, {scenario.database.dsn_variable: dsn})
        if not tracked:
            yield None
            return
        with psycopg.connect(dsn) as opened:
            opened.execute(scenario.database.schema.read_bytes())
        with running_connect(folder / "connect", connection["bootstrap.servers"]) as running:
            worker = Worker(running.url, running.secrets)
            for one in tracked:
                apply(plan(one, worker), worker)
            yield Capture(dsn, tuple({one.topic for one in tracked}), connection, running)


def count_committed(connection: Mapping[str, str], topic: str, since: Mapping[int, int]) -> int:
    """Count a topic's messages by reading them; those of aborted transactions are none."""
    until = ends(connection, [topic])[topic]
    left = {partition for partition, end in until.items() if end > since.get(partition, 0)}
    settings = {
        "group.id": "waypoint-live-count",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "log_level": 2,
    }
    consumer = Consumer({**connection, **settings})
    try:
        consumer.assign([TopicPartition(topic, number, since.get(number, 0)) for number in left])
        found, deadline = 0, time.monotonic() + _READ_SECONDS
        while left and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    found += 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= {message.partition()}
        return found
    finally:
        consumer.close()

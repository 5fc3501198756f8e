"""Change capture on real servers: from a commit at the source until a query finds the change, and
how many changes a second go through at the limit.

    .venv/bin/python bench/capture.py
    .venv/bin/python bench/capture.py --changes 200000 --seconds 60 --json

PostgreSQL, Debezium on a Connect worker, a broker and `waypoint stream run` are started for the
time of the run. Latency: single rows are updated, each committed by itself, and the landed files
are queried as they appear; the clock starts when `commit` is called. The limit: changes are
committed while the worker is stopped, in transactions of 1,000, then it goes through them; first to
last message in the topic as a read_committed consumer sees them, and until the last has landed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread
from typing import Any

import duckdb
import psycopg
from confluent_kafka import Consumer, TopicPartition

from ingestion.capture.planning import apply, plan
from ingestion.capture.tracked import tracked
from ingestion.capture.worker import Worker
from ingestion.extraction import Source
from ingestion.landing import LandingArea
from ingestion.stream.schemas import Kept
from ingestion.stream.topics import Topics
from waypoint.live.counting import ends
from waypoint.project import Project
from waypoint.services import postgres
from waypoint.services.connect import Connect, running_connect
from waypoint.services.kafka import Kafka, running_kafka
from waypoint.services.local_postgres import SETTINGS
from waypoint.services.ports import LOOPBACK, free_ports

ROOT = Path(__file__).resolve().parents[1]
TOPIC, TABLE = "topic_cdc_changes", "cdc_changes"
ROWS = 10_000
PATIENCE = 300.0  # seconds

_SETUP = """
create table bookings (
    id bigint primary key, user_id bigint not null, place_id text, status text not null,
    check_in date, check_out date, currency text, amount numeric(12, 2), note text,
    updated_at timestamptz not null default now()
);
insert into bookings select i, i % 997, 'place-' || i % 321, 'pending', date '2026-02-01',
    date '2026-02-04', 'EUR', i * 1.01, 'start' from generate_series(1, 10000) as i;
"""


class Servers:
    """All of them, and the project's state."""

    def __init__(self, folder: Path, kafka: Kafka, connect: Connect, dsn: str) -> None:
        self.kafka, self.connect, self.dsn = kafka, connect, dsn
        self.project = Project(root=ROOT, state=folder / "state")
        self.connection = {"bootstrap.servers": kafka.bootstrap}
        self.area = LandingArea(self.project.landing_dir)
        topics = Topics(self.connection, self.project.contracts, Kept.of(self.project), None)
        topics.apply(topics.plan())
        settings = {"dsn": dsn, "tables": {"bookings": "b"}, "capture": {"topic": TOPIC}}
        self.tracked = tracked(Source("bench", "postgres", settings), frozenset({TOPIC}))
        worker = Worker(connect.url, connect.secrets)
        apply(plan(self.tracked, worker), worker)

    @contextmanager
    def loader(self) -> Iterator[subprocess.Popen[bytes]]:
        """`waypoint stream run` of the topic."""
        environment = os.environ | {
            "WAYPOINT_STATE": str(self.project.state),
            "WAYPOINT_KAFKA": self.kafka.bootstrap,
        }
        command = ["-m", "waypoint.cli.app", "-q", "stream", "run", "--topics", TOPIC]
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def running(folder: Path) -> Iterator[Servers]:
    port = free_ports(1)[0]
    with (
        running_kafka(folder / "kafka") as kafka,
        postgres.running(folder / "postgres", SETTINGS | {"port": str(port)}) as server,
        running_connect(folder / "connect", kafka.bootstrap) as connect,
    ):
        server.database("bench")
        dsn = f"postgresql://{postgres.SUPERUSER}@{LOOPBACK}:{port}/bench"
        with psycopg.connect(dsn) as connection:
            connection.execute(_SETUP.encode())
        yield Servers(folder, kafka, connect, dsn)


class Landed(Thread):
    """Reads landed files as they appear: when which change could be queried first."""

    def __init__(self, area: LandingArea) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, float] = {}
        self.rows = 0
        self.done = Event()
        self._area = area

    def run(self) -> None:
        read: set[Path] = set()
        with duckdb.connect() as connection:
            while not self.done.is_set():
                new = [path for path in self._area.files(TABLE) if path not in read]
                read.update(new)
                if new:
                    notes = connection.execute(
                        "select json_extract_string(_payload, '$.after.note')"
                        f" from read_parquet({list(map(str, new))})"
                    ).fetchall()
                    now = time.monotonic()
                    self.rows += len(notes)
                    self.seen.update((note, now) for (note,) in notes if note not in self.seen)
                self.done.wait(0.003)


def latency(servers: Servers, landed: Landed, rate: float, seconds: float) -> list[float]:
    """Seconds from each commit until a query finds its change."""
    committed: dict[str, float] = {}
    began = time.monotonic()
    with psycopg.connect(servers.dsn) as connection:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            note = f"latency-{number}"
            connection.execute(
                "update bookings set note = %s, updated_at = now() where id = %s",
                [note, number % ROWS + 1],
            )
            committed[note] = time.monotonic()
            connection.commit()
    wait_for(lambda: committed.keys() <= landed.seen.keys())
    return [landed.seen[note] - at for note, at in committed.items()]


def limit(servers: Servers, landed: Landed, changes: int) -> dict[str, float]:
    """Changes a second, from the worker to the topic, and all the way to landed files."""
    servers.connect.stop()
    with psycopg.connect(servers.dsn) as connection:
        for first in range(0, changes, 1_000):
            count = min(1_000, changes - first)
            connection.execute(
                "update bookings set note = %s || id, amount = amount + 1, updated_at = now()"
                " where id between %s and %s",
                [f"limit-{first}-", first % ROWS + 1, first % ROWS + count],
            )
            connection.commit()
    rows = landed.rows
    servers.connect.restart()
    pid = servers.connect.pid
    arrived = _arrivals(servers, changes, pid)
    wait_for(lambda: landed.rows - rows >= changes)
    all_landed = time.monotonic()
    return {
        "to_topic": changes / (arrived["last"] - arrived["first"]),
        "to_landed": changes / (all_landed - arrived["first"]),
        "worker_cpu_us": arrived["cpu"] / changes * 1e6,
    }


def _arrivals(servers: Servers, changes: int, pid: int | None) -> dict[str, float]:
    """When the first and the last of the changes could be read, and the worker's CPU seconds."""
    consumer = Consumer(
        {
            **servers.connection,
            "group.id": "bench-limit",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    places = ends(servers.connection, [TOPIC])[TOPIC]
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in places])
    found, first, cpu = 0, 0.0, 0.0
    deadline = time.monotonic() + PATIENCE
    while found < changes:
        for message in consumer.consume(10_000, 0.05):
            if message.error() is None and b'"note":"limit-' in (message.value() or b""):
                if not found:
                    first, cpu = time.monotonic(), _cpu(pid)
                found += 1
        if time.monotonic() > deadline:
            raise SystemExit(f"only {found} of {changes} changes came")
    consumer.close()
    return {"first": first, "last": time.monotonic(), "cpu": _cpu(pid) - cpu}


def _cpu(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the changes did not land")
        time.sleep(0.02)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as servers:
        landed = Landed(servers.area)
        landed.start()
        with servers.loader():
            wait_for(lambda: landed.rows >= ROWS)  # the snapshot
            quiet = latency(servers, landed, arguments.rate, arguments.seconds)
            most = limit(servers, landed, arguments.changes)
        landed.done.set()
        landed.join()
    cuts = quantiles(quiet, n=100)
    return {
        "load": os.getloadavg()[0],
        "commits": len(quiet),
        "p50": cuts[49],
        "p99": cuts[98],
        "max": max(quiet),
        "changes": arguments.changes,
        **most,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=10.0, help="commits a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of commits")
    parser.add_argument("--changes", type=int, default=100_000, help="for the limit")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found))
        return
    print(
        f"{found['commits']} commits, {arguments.rate:g} a second: queryable after"
        f" p50 {found['p50']:.2f} s (goal 0.5), p99 {found['p99']:.2f} s (goal 2),"
        f" at most {found['max']:.2f} s\n"
        f"{found['changes']:,} changes at the limit: {found['to_topic']:,.0f} a second to the"
        f" topic ({found['worker_cpu_us']:.0f} us of the worker's CPU each),"
        f" {found['to_landed']:,.0f} a second until all had landed\n"
        f"load of the machine: {found['load']:.1f}"
    )


if __name__ == "__main__":
    main()

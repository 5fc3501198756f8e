"""The project's own stream with all its parts: senders → gateway → Kafka → loaders, and a database
→ Connect worker → Kafka → loaders. Every part can be killed, and is then started again."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
from confluent_kafka import Producer
from conftest import CommandLine, said_url
from gateway.served import JSON, event, text
from models.dbt_warehouse import ROOT

from ingestion import footers
from ingestion.landing import LandingArea
from waypoint.ending_with_parent import ending_with_parent
from waypoint.project import Project
from waypoint.services.kafka import Kafka

EVENTS, CHANGES = "topic_app_events", "topic_cdc_changes"
TABLES = {EVENTS: "app_events", CHANGES: "cdc_changes"}
PATIENCE = 300.0  # seconds

_POISON = (
    b"no json",
    b"\xc3\x01\x00",  # the beginning of an Avro single object
    b"\x00\x00\x00\x00\x07{}",  # a schema id that nobody knows
    b"{}",
    b'{"event_id": 1',
    b'{"user_id": "\xff"}',
)


@dataclass
class Parts:
    """The gateway and the loaders, each the command in a process of its own."""

    kafka: Kafka
    state: Path
    url: str = ""
    gateway: subprocess.Popen[str] | None = None
    loaders: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def area(self) -> LandingArea:
        return LandingArea(Project(root=ROOT, state=self.state).landing_dir)

    @property
    def environment(self) -> dict[str, str]:
        # a loader that was killed is noticed as early as the broker allows
        settings = self.state / "client.properties"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text("session.timeout.ms=6000\nheartbeat.interval.ms=1000\n")
        return {
            "WAYPOINT_STATE": str(self.state),
            "WAYPOINT_KAFKA": self.kafka.bootstrap,
            "WAYPOINT_KAFKA_SETTINGS": str(settings),
            "WAYPOINT_GATEWAY_RATE": "1e9",
            "WAYPOINT_GATEWAY_BURST": "1e9",
        }

    def run(self, *command: str) -> Any:
        """A command to its end; what it answers in JSON."""
        ended = CommandLine(ROOT).waypoint(*command, "--json", **self.environment)
        assert ended.code == 0, ended.out + ended.err
        return ended.json

    def start_gateway(self) -> None:
        """Start the gateway, on any port; where it is not running."""
        self.gateway = self._started("gateway", "--port", "0", "--json")
        self.url = said_url(self.gateway)

    def start_loader(self) -> None:
        """Start one more loader of both topics."""
        self.loaders.append(
            self._started("-q", "stream", "run", "--group", "killed", "--topics", ",".join(TABLES))
        )

    def kill_gateway(self) -> None:
        assert self.gateway is not None
        assert self.gateway.poll() is None, self.gateway.communicate()
        _killed(self.gateway)

    def kill_loaders(self, count: int) -> None:
        """Kill some of the loaders; one that had ended by itself fails the test."""
        for loader in self.loaders:
            assert loader.poll() is None, loader.communicate()
        for loader in self.loaders[:count]:
            _killed(loader)
        del self.loaders[:count]

    def end(self) -> None:
        """Kill what is left."""
        for process in (*self.loaders, *([self.gateway] if self.gateway else [])):
            _killed(process)

    def landed(self) -> int:
        """The files that have landed of both tables."""
        return sum(len(self.area.files(table)) for table in TABLES.values())

    def accounted(self, topic: str) -> int:
        """How many messages the footers of landed files speak for; no offset twice."""
        found: set[tuple[str, int]] = set()
        for one in footers.read_footers(self.area.files(TABLES[topic])):
            for partition, (first, last) in one.position["ranges"].items():
                offsets = {(partition, offset) for offset in range(first, last + 1)}
                assert found.isdisjoint(offsets)
                found |= offsets
        return len(found)

    def left_out(self, topic: str) -> int:
        """The duplicates that the footers tell of."""
        told = footers.read_footers(self.area.files(TABLES[topic]))
        return sum(one.position["duplicates"] for one in told)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the warehouse, while nothing writes it."""
        file = self.state / "warehouse" / "waypoint.duckdb"
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def _started(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ending_with_parent([sys.executable, "-m", "waypoint.cli.app", *command]),
            cwd=ROOT,
            env=CommandLine(ROOT)._environment(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


class Senders:
    """Clients of the gateway that send each event until it is acknowledged: some late, some huge,
    some again on purpose. Beside them somebody writes poison past the gateway."""

    def __init__(self, parts: Parts, seed: int, clients: int = 2) -> None:
        self._parts = parts
        self.acknowledged: Counter[str] = Counter()
        self.poison = 0
        self.huge = 0
        self.unsure = 0
        self.failed: list[str] = []
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._send, args=(random.Random(seed * 100 + number),))
            for number in range(clients)
        ]
        self._threads.append(threading.Thread(target=self._spoil, args=(random.Random(seed),)))

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End when all that was begun is acknowledged."""
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not self.failed, self.failed[:3]

    def _send(self, chance: random.Random) -> None:
        recent: list[dict[str, Any]] = []
        while not self._ended.is_set():
            batch = []
            for _ in range(chance.choice((1, 20, 50))):
                if recent and chance.random() < 0.02:
                    batch.append(chance.choice(recent))
                    continue
                late = timedelta(hours=1) if chance.random() < 0.02 else timedelta()
                at = (datetime.now(UTC) - late).isoformat(timespec="milliseconds")
                made = event(user_id=chance.randrange(500), timestamp=at.replace("+00:00", "Z"))
                if chance.random() < 0.0005:
                    made["properties"] = {"page": "x" * 800_000}
                    self.huge += 1
                else:
                    recent.append(made)
                batch.append(made)
            self._until_acknowledged(batch)
            del recent[:-500]
            self._ended.wait(0.05)

    def _until_acknowledged(self, batch: list[dict[str, Any]]) -> None:
        deadline = time.monotonic() + PATIENCE
        while batch:
            if time.monotonic() > deadline:
                self.failed.append("was not acknowledged")
                return
            try:
                answer = httpx.post(
                    f"{self._parts.url}/events/batch", content=text(batch), headers=JSON, timeout=60
                )
            except httpx.TransportError:  # killed: perhaps it was taken, perhaps not
                with self._lock:
                    self.unsure += 1
                time.sleep(0.1)
                continue
            again = []
            for sent, result in zip(batch, answer.json()["results"], strict=True):
                if result["status"] == 202:
                    with self._lock:
                        self.acknowledged[sent["event_id"]] += 1
                elif result["status"] == 503:
                    again.append(sent)
                else:
                    self.failed.append(str(result))
            batch = again
            if again:
                time.sleep(0.2)

    def _spoil(self, chance: random.Random) -> None:
        def delivered(error: Any, _message: Any) -> None:
            if error is None:
                self.poison += 1
            else:
                self.failed.append(str(error))

        producer = Producer(
            {
                "bootstrap.servers": self._parts.kafka.bootstrap,
                "enable.idempotence": True,
                "message.timeout.ms": int(PATIENCE * 1000),
                "log_level": 0,
            }
        )
        while not self._ended.wait(0.2):
            key = str(uuid.UUID(int=chance.getrandbits(128)))
            with contextlib.suppress(BufferError):
                producer.produce(EVENTS, chance.choice(_POISON), key, on_delivery=delivered)
            producer.poll(0)
        if producer.flush(PATIENCE):
            self.failed.append("poison was not delivered")

"""A lending desk whose slips go through Kafka: the tiny project's topic under a name of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from interruptible import interruptible

from ingestion.landing import LandingArea
from ingestion.stream.loader import Loader
from ingestion.stream.starting import chosen_topics, loader
from ingestion.stream.totals import Summary
from waypoint.project import Project

REPOSITORY = Path(__file__).parents[3]
TINY = Path(__file__).parents[1] / "tiny_project"
#: 2026-03-01T00:00:00 in milliseconds since 1970.
MARCH = 1772323200000


def slip(number: int | str, at: int = 0, **more: Any) -> dict[str, Any]:
    """A slip, lent `at` milliseconds into March."""
    moment = duckdb.sql(f"select make_timestamp({(MARCH + at) * 1000})").fetchall()[0][0]
    lent = moment.isoformat(timespec="milliseconds") + "Z"
    return {
        "slip": f"S{number}", "card": "C1", "shelfmark": "A 1", "lent": lent, "days": 7, **more,
    }  # fmt: skip


@dataclass
class Desk:
    """A project with one topic, and a broker."""

    root: Path
    topic: str
    bootstrap: str

    @classmethod
    def opened(cls, root: Path, bootstrap: str, partitions: int = 2) -> Desk:
        """A copy of the tiny project, its topic renamed and made on the broker."""
        topic = f"slips-{uuid4().hex[:12]}"
        shutil.copytree(TINY, root, ignore=shutil.ignore_patterns("macros"))
        path = root / "contracts/topics/lending-slips.yaml"
        text = path.read_text().replace("lending-slips", topic)
        path.write_text(text + "  - property: deadLetter\n    value: true\n")
        path.rename(path.with_name(f"{topic}.yaml"))
        shutil.copy(REPOSITORY / "contracts/topics/dead_letter.yaml", path.parent)
        desk = cls(root, topic, bootstrap)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [
            NewTopic(topic, partitions, 1, config={"max.message.bytes": "20000000"}),
            NewTopic(f"{topic}.dlq", 1, 1),
        ]
        for made in admin.create_topics(topics).values():
            made.result(30)
        return desk

    @property
    def project(self) -> Project:
        return Project(root=self.root, state=self.root / "var")

    @property
    def environment(self) -> dict[str, str]:
        # a loader that was killed is noticed as early as the broker allows
        file = self.root / "client.properties"
        file.write_text("session.timeout.ms=6000\nheartbeat.interval.ms=1000\n")
        return {"WAYPOINT_KAFKA": self.bootstrap, "WAYPOINT_KAFKA_SETTINGS": str(file)}

    @property
    def area(self) -> LandingArea:
        return LandingArea(self.project.landing_dir)

    def producer(self, **more: Any) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "message.max.bytes": 20_000_000,
                "linger.ms": 1,
                **more,
            }
        )

    def send(
        self, values: Iterable[Any], partition: int = 0, key: str = "C1", **options: Any
    ) -> None:
        """Send messages: objects as JSON, bytes and None as they are."""
        producer = self.producer()
        for value in values:
            given = json.dumps(value).encode() if isinstance(value, dict) else value
            producer.produce(self.topic, given, key=key, partition=partition, **options)
            producer.poll(0)
        assert producer.flush(60) == 0

    def loader(self, **more: Any) -> Loader:
        os.environ["WAYPOINT_KAFKA"] = self.bootstrap
        topics, _ = chosen_topics(self.project, [self.topic])
        return loader(self.project, topics, group=f"test-{self.topic}", **more)

    def load(self, **more: Any) -> Any:
        """Run a loader until it has caught up; what became of the topic's messages."""
        return self.totals(self.loader(**more).run(until_caught_up=True))

    def totals(self, summary: Summary) -> Any:
        (totals,) = summary.topics
        told = totals.landed + totals.dead_letters + totals.duplicates + totals.known
        assert totals.read == told + totals.erased
        return totals

    def started(self, *options: str) -> subprocess.Popen[str]:
        """`waypoint stream run` in a process of its own; the caller sees to its end."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WAYPOINT_")}
        return subprocess.Popen(
            interruptible([
                sys.executable, "-m", "waypoint.cli.app", "-q", "stream", "run",
                "--topics", self.topic, "--group", f"test-{self.topic}", *options,
            ]),
            cwd=self.root,
            env=kept | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def landed(self, columns: str = "slip, _partition, _offset") -> list[tuple[Any, ...]]:
        return self._rows("lendings", columns)

    def rejected(self, columns: str = '"partition", message_offset, rule') -> list[Any]:
        """The quarantined rows that count: those whose batch was committed."""
        batches = {row[0] for row in self._footers("lendings")}
        return [
            row[1:] for row in self._rows("quarantine", f"batch, {columns}") if row[0] in batches
        ]

    def accounted(self) -> dict[int, set[int]]:
        """The offsets by partition that the footers of landed batches speak for."""
        found: dict[int, set[int]] = {}
        for _, position in self._footers("lendings"):
            for partition, (first, last) in position["ranges"].items():
                offsets = set(range(first, last + 1))
                assert found.setdefault(int(partition), set()).isdisjoint(offsets)
                found[int(partition)] |= offsets
        return found

    def duplicates(self) -> int:
        return sum(position["duplicates"] for _, position in self._footers("lendings"))

    def dead_letters(self) -> list[dict[str, Any]]:
        """What stands in the topic of dead letters: headers and body."""
        name = f"{self.topic}.dlq"
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"look-{uuid4()}"})
        try:
            place = TopicPartition(name, 0, 0)
            _, high = consumer.get_watermark_offsets(place, timeout=30)
            consumer.assign([place])
            found: list[dict[str, Any]] = []
            while len(found) < high:
                for message in consumer.consume(high - len(found), 30.0):
                    assert message.error() is None, message.error()
                    headers = {k: v.decode() for k, v in message.headers() or []}
                    found.append({"headers": headers, "body": json.loads(message.value() or b"")})
            return found
        finally:
            consumer.close()

    def _rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        files = [str(path) for path in self.area.files(table)]
        if not files:
            return []
        found = duckdb.sql(f"select {columns} from read_parquet({files}, union_by_name = true)")
        return sorted(found.fetchall(), key=repr)

    def _footers(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        from ingestion import footers

        landed = footers.read_footers(self.area.files(table))
        return [(one.batch, dict(one.position)) for one in landed]


class Traffic(threading.Thread):
    """Sends slips until it is told to stop: a share of them twice, late, poison or huge."""

    def __init__(self, desk: Desk, partitions: int, rate: int, seed: int) -> None:
        super().__init__(daemon=True)
        import random

        self.desk, self.partitions, self.rate = desk, partitions, rate
        self.random = random.Random(seed)
        self.done = threading.Event()
        self.slips: set[str] = set()
        self.poison = 0
        self.sent = 0
        self.again = 0
        self.failed: list[str] = []

    def run(self) -> None:
        producer = self.desk.producer(**{"message.timeout.ms": 120_000})
        number = 0
        recent: list[tuple[bytes, int]] = []
        while not self.done.wait(0.02):
            for _ in range(max(1, self.rate // 50)):
                number += 1
                partition = self.random.randrange(self.partitions)
                chance = self.random.random()
                if chance < 0.01:
                    poison = self.random.choice([b"no json", b"\xc3\x01\x00", b"{}", b'{"slip": 1'])
                    self._produce(producer, poison, partition)
                    self.poison += 1
                    continue
                if chance < 0.03 and recent:
                    self._produce(producer, *self.random.choice(recent))
                    self.again += 1
                    continue
                at = number * 10 - (3_600_000 if chance < 0.04 else 0)
                shelfmark = "x" * 2_000_000 if chance > 0.9995 else "A 1"
                value = json.dumps(slip(number, at, shelfmark=shelfmark)).encode()
                self.slips.add(f"S{number}")
                self._produce(producer, value, partition)
                if len(value) < 10_000:
                    recent.append((value, partition))
                    del recent[:-2000]
            producer.poll(0)
        if producer.flush(120):
            self.failed.append("not all was delivered")

    def _produce(self, producer: Producer, value: bytes, partition: int) -> None:
        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                self.failed.append(str(error))

        self.sent += 1
        producer.produce(self.desk.topic, value, partition=partition, on_delivery=delivered)

    def end(self) -> None:
        """Stop; all that was sent is delivered."""
        self.done.set()
        self.join(180)
        assert not self.failed, self.failed[:3]

    def check(self) -> None:
        """Every message is accounted for, and nothing is there twice."""
        landed = self.desk.landed()
        rejected = self.desk.rejected()
        accounted = sum(map(len, self.desk.accounted().values()))
        assert sorted(s for s, _, _ in landed) == sorted(self.slips)
        assert len({row[1:] for row in landed}) == len(landed)
        assert len({row[:2] for row in rejected}) == len(rejected) == self.poison
        assert self.desk.duplicates() == self.again
        assert len(landed) + len(rejected) + self.again == accounted == self.sent
        places = {
            (int(d["headers"]["partition"]), int(d["headers"]["offset"]))
            for d in self.desk.dead_letters()
        }
        assert places == {row[:2] for row in rejected}

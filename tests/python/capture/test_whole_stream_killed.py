"""Loader, gateway, Connect worker and broker are killed at random points while all of them work."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from capture.captured_shop import STATES, Shop, Tables, exact_values, running_shop
from capture.whole_stream import CHANGES, EVENTS, PATIENCE, TABLES, Parts, Senders

from ingestion.capture.planning import apply, plan
from ingestion.capture.tracked import Tracked
from ingestion.capture.worker import Worker
from waypoint.live.capturing import count_committed
from waypoint.live.counting import ends
from waypoint.services.connect import Connect, running_connect
from waypoint.services.kafka import Kafka, running_kafka

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_600)]

VICTIMS = ("loader", "loaders", "gateway", "worker", "broker", "everything")


@pytest.fixture
def kafka(kafka_jars: None, tmp_path: Path) -> Iterator[Kafka]:
    """A broker of its own: the project's topics are called as they are called."""
    with running_kafka(tmp_path / "kafka") as server:
        yield server


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.usefixtures("connect_jars")
def test_nothing_is_lost_and_nothing_is_twice(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    parts = Parts(kafka, tmp_path / "state")
    parts.run("topics", "apply")
    senders = Senders(parts, seed)
    with (
        running_shop(tmp_path / "postgres") as shop,
        running_connect(tmp_path / "connect", kafka.bootstrap) as connect,
    ):
        shop.change(500)
        before = sum(
            len(shop.rows(f"select id from {t}")) for t in ("users", "bookings", "products")
        )
        shop.made.clear()
        tracked = shop.tracked(CHANGES)
        worker = Worker(connect.url, connect.secrets)
        apply(plan(tracked, worker), worker)
        changing = Changing(shop)
        killing = Killing(parts, connect, tracked, random.Random(seed))
        try:
            parts.start_gateway()
            parts.start_loader()
            senders.begin()
            changing.start()
            for _ in range(11):
                killing.once()
            changing.end()
            senders.end()
            committed = drained(kafka, before + sum(shop.made.values()))
        finally:
            changing.done.set()
            senders._ended.set()
            parts.end()
        parts.run("stream", "run", "--group", "killed", "--topics", ",".join(TABLES),
                  "--until-caught-up")  # fmt: skip
        parts.run("load")
        check_events(parts, senders)
        check_changes(parts, shop, before, committed)
        monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path / "states"))
        check_states(parts, shop, Tables(tmp_path / "states"))
    print(
        f"\nkilled {dict(killing.killed)} (failed tasks restarted: {killing.restarted});"
        f" {len(senders.acknowledged):,} events acknowledged, {senders.huge} huge,"
        f" {senders.unsure} requests unsure, {senders.poison} poison,"
        f" {parts.left_out(EVENTS)} duplicates left out; {committed:,} changes {dict(shop.made)}"
    )


class Changing(threading.Thread):
    """Changes the database at random until told to end."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(daemon=True)
        self.shop = shop
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.05):
            self.shop.change(self.shop.random.choice((1, 10, 40)))

    def end(self) -> None:
        self.done.set()
        self.join(PATIENCE)
        assert not self.is_alive()


class Killing:
    """Kills a part, or all of them, and starts again what was killed."""

    def __init__(
        self, parts: Parts, connect: Connect, tracked: Tracked, chance: random.Random
    ) -> None:
        self._parts, self._connect, self._tracked = parts, connect, tracked
        self._chance = chance
        self._left: list[str] = []
        self.killed: Counter[str] = Counter()
        self.restarted = 0

    def once(self) -> None:
        """One trial, once something has landed after the one before."""
        parts, chance = self._parts, self._chance
        seen = parts.landed()
        wait_for(lambda: parts.landed() > seen)
        time.sleep(chance.uniform(0, 1.5))
        self._left = self._left or chance.sample(VICTIMS, len(VICTIMS))
        victim = self._left.pop()
        every = victim == "everything"
        if victim in ("loader", "loaders") or every:
            parts.kill_loaders(1 if victim == "loader" else len(parts.loaders))
        if victim == "gateway" or every:
            parts.kill_gateway()
        if victim == "worker" or every:
            self._connect.kill()
        if victim == "broker" or every:
            parts.kafka.kill()
            time.sleep(chance.uniform(0, 1))
        self.killed[victim] += 1
        self._start_again()

    def _start_again(self) -> None:
        parts = self._parts
        if not parts.kafka.is_running(1):
            parts.kafka.restart()
        if not parts.loaders or (len(parts.loaders) == 1 and self._chance.random() < 0.5):
            parts.start_loader()
        if parts.gateway is None or parts.gateway.poll() is not None:
            parts.start_gateway()
        if not self._connect.is_running:
            self._connect.restart()
        worker = Worker(self._connect.url, self._connect.secrets)
        status = worker.status(self._tracked.connector)
        if status and any(task["state"] == "FAILED" for task in status["tasks"]):
            # what `capture apply` does, and what whoever runs Connect does
            worker.restart(self._tracked.connector)
            self.restarted += 1


def drained(kafka: Kafka, expected: int) -> int:
    """Wait until the worker has sent all; gives how many changes consumers see."""
    connection = {"bootstrap.servers": kafka.bootstrap}

    def committed() -> int:
        partitions = ends(connection, [CHANGES])[CHANGES]
        return count_committed(connection, CHANGES, dict.fromkeys(partitions, 0))

    wait_for(lambda: committed() >= expected)
    time.sleep(3)  # any that came twice
    return committed()


def check_events(parts: Parts, senders: Senders) -> None:
    """Every acknowledged event is one row, and every message is accounted for."""
    rows = parts.query("select event_id, _partition, _offset from raw.app_events")
    assert Counter(str(row[0]) for row in rows) == Counter(set(senders.acknowledged))
    assert len({row[1:] for row in rows}) == len(rows)
    rejected = parts.query(
        "select \"partition\", message_offset from raw.quarantine where table_name = 'app_events'"
    )
    assert len(set(rejected)) == len(rejected) == senders.poison
    connection = {"bootstrap.servers": parts.kafka.bootstrap}
    told = sum(ends(connection, [EVENTS])[EVENTS].values())
    assert told == len(rows) + len(rejected) + parts.left_out(EVENTS)
    assert told == parts.accounted(EVENTS)
    name = f"{EVENTS}.dlq"
    assert sum(ends(connection, [name])[name].values()) == len(rejected)


def check_changes(parts: Parts, shop: Shop, before: int, committed: int) -> None:
    """Every change of the database is one message and one row; tombstones are rows, too."""
    rows = parts.query(
        "select _partition, _offset, json_extract_string(_payload, '$.op') from raw.cdc_changes"
    )
    assert len({row[:2] for row in rows}) == len(rows) == committed
    found = Counter(row[2] for row in rows)
    assert found.pop("r") == before
    assert found.pop(None, 0) == shop.made["DELETE"]
    assert found == {
        letter: shop.made[name]
        for letter, name in {"c": "INSERT", "u": "UPDATE", "d": "DELETE", "t": "TRUNCATE"}.items()
        if shop.made[name]
    }


def check_states(parts: Parts, shop: Shop, tables: Tables) -> None:
    """The tables of states, built of what has landed, equal the database."""
    landed = parts.area.files(TABLES[CHANGES])
    tables.land_files(landed)
    tables.build()
    for said, held in STATES.values():
        assert tables.rows(held) == shop.rows(said)
    said_exact, told = exact_values(shop, tables)
    assert told == said_exact


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)

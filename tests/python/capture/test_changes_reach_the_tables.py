"""PostgreSQL, Debezium on Kafka Connect, Kafka: the tables of states equal the database."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
from capture.captured_shop import (
    STATES,
    TOPIC,
    Reader,
    Shop,
    Tables,
    exact_values,
    made_topic,
    running_shop,
)

from ingestion.capture.planning import apply, plan, status
from ingestion.capture.worker import Worker
from waypoint.services.connect import Connect
from waypoint.services.kafka import Kafka


def marked(shop: Shop, number: int) -> str:
    """A change after all others, to be recognised by."""
    marker = f"marker-{number}"
    shop.connection.execute(
        "insert into products (id, name, stock) values (%s, %s, 0)", [10**9 + number, marker]
    )
    shop.made["INSERT"] += 1
    return marker


def assert_tables_equal_the_database(shop: Shop, tables: Tables) -> None:
    for table, (said, held) in STATES.items():
        expected, found = shop.rows(said), tables.rows(held)
        assert found == expected, (
            f"{table}: {len(found)} rows, {len(expected)} expected;"
            f" only there: {sorted(found - expected, key=str)[:3]},"
            f" missing: {sorted(expected - found, key=str)[:3]}"
        )
    said, told = exact_values(shop, tables)
    assert told == said


@pytest.mark.timeout(900)  # all of its servers start
def test_a_database_and_its_changes_become_tables_that_equal_it(
    kafka_server: Kafka,
    connect_worker: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path / "state"))
    topic = made_topic(kafka_server)
    with running_shop(tmp_path / "postgres") as shop:
        shop.change(60)
        before = sum(
            len(shop.rows(f"select id from {t}")) for t in ("users", "bookings", "products")
        )
        shop.made.clear()
        worker = Worker(connect_worker.url, connect_worker.secrets)
        tracked = shop.tracked(topic)

        planned = plan(tracked, worker)
        assert not planned.left
        assert "un'guessed" not in repr(planned)
        apply(planned, worker)
        assert plan(tracked, worker).is_empty

        # large values that do not change are not in the log of such a table
        shop.connection.execute("alter table users replica identity default")
        shop.change(200)
        shop.alter()
        shop.change(150)
        with shop.connection.transaction():
            shop.connection.execute("truncate users")
            shop.connection.execute("insert into users (id, city) values (1, %s)", ["z" * 3000])
        shop.made["TRUNCATE"] += 1
        shop.made["INSERT"] += 1
        shop.connection.execute("update users set segment = 'VIP' where id = 1")
        shop.connection.execute("update users set id = 2000000 where id = 1")
        shop.made["UPDATE"] += 1
        shop.made["DELETE"] += 1
        shop.made["INSERT"] += 1
        shop._ids["users"][:] = []

        reader = Reader(kafka_server, topic, tmp_path / "dumps" / TOPIC)
        tables = Tables(tmp_path / "state")
        reader.export(marked(shop, 1))
        tables.land(tmp_path / "dumps")
        tables.build()
        assert_tables_equal_the_database(shop, tables)

        shop.alter()
        shop.change(100)
        reader.export(marked(shop, 2))
        reader.close()
        tables.land(tmp_path / "dumps")
        tables.build()
        assert_tables_equal_the_database(shop, tables)

        found = dict(
            tables.rows("select operation, count(*) from staging.stg_cdc_changes group by 1")
        )
        assert found.pop("SNAPSHOT") == before
        assert found == dict(shop.made)
        assert status(tracked, worker).is_well
        drift = plan(tracked, worker)
        assert [(c.what, c.was, c.becomes) for c in drift.changes] == [
            ("replica identity of public.users", "default", "full")
        ]
        worker.remove(tracked.connector)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_tables_equal_the_database_after_100_000_changes_and_a_worker_killed_meanwhile(
    kafka_server: Kafka,
    connect_worker: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path / "state"))
    topic = made_topic(kafka_server)
    kills = 0
    chance = random.Random(7)
    with running_shop(tmp_path / "postgres") as shop:
        shop.change(2000)
        shop.made.clear()
        tracked = shop.tracked(topic, name="large")
        worker = Worker(connect_worker.url, connect_worker.secrets)
        apply(plan(tracked, worker), worker)
        shop.connection.execute("alter table users replica identity default")
        reader = Reader(kafka_server, topic, tmp_path / "dumps" / TOPIC)
        tables = Tables(tmp_path / "state")
        for number in range(4):
            # a worker lives no longer than the thread that started it: this one
            changing = threading.Thread(target=change_much, args=(shop, number))
            changing.start()
            for _ in range(2):
                time.sleep(chance.uniform(0.2, 6))
                connect_worker.kill()
                connect_worker.restart()
                kills += 1
            changing.join()
            worker = Worker(connect_worker.url, connect_worker.secrets)
            worker.wait_until_running(tracked.connector)
            reader.export(marked(shop, number))
            tables.land(tmp_path / "dumps")
            tables.build()
            assert_tables_equal_the_database(shop, tables)
        reader.close()

        found = dict(
            tables.rows("select operation, count(*) from staging.stg_cdc_changes group by 1")
        )
        found.pop("SNAPSHOT")
        assert found == dict(shop.made)
        assert sum(found.values()) > 100_000
        print(f"\n{sum(found.values()):,} changes, {kills} kills: {found}")
        worker.remove(tracked.connector)


def change_much(shop: Shop, number: int) -> None:
    """25,500 changes, in most rounds with a column that comes or goes."""
    shop.change(12_500)
    if number % 3:
        shop.alter()
    shop.change(13_000)

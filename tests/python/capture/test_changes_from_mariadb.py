"""MariaDB, Debezium on Kafka Connect, Kafka: the tables of states equal the database."""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from capture.captured_shop import STATES, TOPIC, Reader, Tables, made_topic
from capture.mariadb_shop import PASSWORD, PROGRAMS, MariaShop, running_mariadb_shop

from ingestion.capture.worker import Worker
from waypoint.services.connect import PLUGINS, running_connect, write_secrets
from waypoint.services.kafka import Kafka
from waypoint.services.ports import LOOPBACK

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS),
        reason="MariaDB's server is not installed (Debian: mariadb-server, mariadb-client)",
    ),
]

#: What the tables of states must hold, as JSON: the database's own words for STATES' questions.
SAID = {
    "user_state": "select json_array(id, country, city, lower(segment),"
    " coalesce(marketing_consent, 0), coalesce(location_consent, 0))"
    " from users where nullif(deleted_at, '0000-00-00') is null",
    # a date that is none is empty in the warehouse
    "booking_state": "select json_array(id, user_id, place_id, status,"
    " nullif(check_in, '0000-00-00'), nullif(check_out, '0000-00-00'), guests, currency,"
    " total_amount_cents) from bookings",
    "inventory_levels": "select json_array(id, trim(name), lower(trim(category)), trim(brand),"
    " stock) from products",
}
#: The first of the markers, where it was captured as a change.
MARKED_BEFORE = (
    "select 1 from staging.stg_cdc_changes where operation = 'INSERT' and record_key = '1000000000'"
)
TYPES: dict[str, dict[int, Callable[[Any], Any]]] = {
    "user_state": {4: bool, 5: bool},
    "booking_state": {4: date.fromisoformat, 5: date.fromisoformat},
    "inventory_levels": {},
}


def connector(port: int, bootstrap: str, topic: str, secrets: Path) -> dict[str, str]:
    """As docs/change-capture.md says for MariaDB."""
    return {
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "tasks.max": "1",
        "database.hostname": LOOPBACK,
        "database.port": str(port),
        "database.user": "debezium",
        "database.password": f"${{file:{secrets}:shop.password}}",
        "database.server.id": "4711",
        "database.ssl.mode": "disable",
        "topic.prefix": "shop",
        "database.include.list": "shop",
        "table.include.list": "shop[.]users,shop[.]bookings,shop[.]products",
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
        "schema.history.internal.kafka.topic": f"{topic}-schemas",
        "include.schema.changes": "false",
        "snapshot.mode": "initial",
        "skipped.operations": "none",
        "tombstones.on.delete": "true",
        "decimal.handling.mode": "string",
        # years of two digits are what they are
        "enable.time.adjuster": "false",
        "transforms": "changes",
        "transforms.changes.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.changes.regex": "shop[.]shop[.](?:users|bookings|products)",
        "transforms.changes.replacement": topic,
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.partitions": "1",
        "exactly.once.support": "required",
        "transaction.boundary": "poll",
        "poll.interval.ms": "50",
    }


def assert_tables_equal_the_database(shop: MariaShop, tables: Tables) -> None:
    for table, (_, held) in STATES.items():
        lines = shop.lines(SAID[table])
        expected = {typed(table, json.loads(line)) for line in lines}
        found = tables.rows(held)
        assert found == expected, (
            f"{table}: {len(found)} rows, {len(expected)} expected;"
            f" only there: {sorted(found - expected, key=str)[:3]},"
            f" missing: {sorted(expected - found, key=str)[:3]}"
        )
    prices = [json.loads(n) for n in shop.lines(
        "select json_array(id, cast(price as char)) from bookings"
    )]  # fmt: skip
    told = tables.rows(
        "select booking_id, json_extract_string(after_values, '$.price')"
        " from marts.booking_state join staging.stg_cdc_changes using (change_id)"
    )
    assert {(key, number(value)) for key, value in told} == {
        (key, number(value)) for key, value in prices
    }


def typed(table: str, row: list[Any]) -> tuple[Any, ...]:
    types = TYPES[table]
    return tuple(
        types[place](value) if place in types and value is not None else value
        for place, value in enumerate(row)
    )


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@pytest.mark.usefixtures("connect_jars")
def test_tables_equal_mariadb_after_100_000_changes_and_a_worker_killed_meanwhile(
    kafka_server: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path / "state"))
    topic = made_topic(kafka_server)
    chance = random.Random(11)
    kills = 0
    with (
        running_mariadb_shop(tmp_path / "mariadb") as (shop, port),
        running_connect(
            tmp_path / "connect", kafka_server.bootstrap, plugins=(PLUGINS, "debezium-mariadb")
        ) as connect,
    ):
        shop.change(1000)
        shop.lines("select 1")
        write_secrets(connect.secrets, {"shop.password": PASSWORD})
        worker = Worker(connect.url, connect.secrets)
        worker.configure("maria", connector(port, kafka_server.bootstrap, topic, connect.secrets))
        worker.wait_until_running("maria")
        reader = Reader(kafka_server, topic, tmp_path / "dumps" / TOPIC)
        reader.export(marked(shop, 0))  # what was there before is read by now
        shop.made.clear()
        before = handled(shop)
        tables = Tables(tmp_path / "state")
        for round_number in range(1, 4):
            changing = threading.Thread(target=change_much, args=(shop, round_number))
            changing.start()
            for _ in range(2):
                time.sleep(chance.uniform(0.2, 6))
                connect.kill()
                connect.restart()
                kills += 1
            changing.join()
            worker = Worker(connect.url, connect.secrets)
            worker.wait_until_running("maria")
            reader.export(marked(shop, round_number))
            tables.land(tmp_path / "dumps")
            tables.build()
            assert_tables_equal_the_database(shop, tables)
        reader.close()

        found = dict(
            tables.rows("select operation, count(*) from staging.stg_cdc_changes group by 1")
        )
        found.pop("SNAPSHOT")
        # one may have come by its change, not by the snapshot
        found["INSERT"] -= len(tables.rows(MARKED_BEFORE))
        updates, deletes = (now - was for now, was in zip(handled(shop), before, strict=True))
        # changed keys are told as a delete and an insert; an update to what is there, not at all
        changed_keys = shop.made["DELETE"] - deletes
        assert found == {**shop.made, "UPDATE": updates - changed_keys}
        assert sum(found.values()) > 100_000
        print(f"\n{sum(found.values()):,} changes, {kills} kills: {found}")


def handled(shop: MariaShop) -> tuple[int, int]:
    """How many rows this session has updated, and deleted, as the server counts them."""
    lines = shop.lines("show session status where variable_name in"
                       " ('Handler_update', 'Handler_delete')")  # fmt: skip
    told = dict(line.split("\t") for line in lines)
    return int(told["Handler_update"]), int(told["Handler_delete"])


def change_much(shop: MariaShop, number: int) -> None:
    """37,000 changes, some of them none to the server; a column comes or goes in most rounds."""
    shop.change(18_500)
    if number % 3:
        shop.alter()
    shop.change(18_500)


def marked(shop: MariaShop, number: int) -> str:
    """A change after all others, to be recognised by."""
    marker = f"marker-{number}-"
    shop.connection.execute(
        b"insert into products (id, name, stock) values (%s, %s, 0)", [10**9 + number, marker]
    )
    shop.lines("select 1")
    shop.made["INSERT"] += 1
    return marker

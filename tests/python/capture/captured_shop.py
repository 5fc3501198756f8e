"""A database whose rows change at random, its capture into a topic, and what came of it."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from models.dbt_warehouse import ROOT, DbtWarehouse

from ingestion.capture.tracked import Tracked, tracked
from ingestion.extraction import Context, Source
from ingestion.extractors.dumps import extract
from ingestion.landing import LandingArea
from waypoint.project import Project
from waypoint.services import postgres
from waypoint.services.kafka import Kafka
from waypoint.services.ports import free_ports

TOPIC = "topic_cdc_changes"
MODELS = (
    "staging/operations/stg_cdc_changes",
    "staging/commerce/stg_products",
    "marts/travel/user_state",
    "marts/travel/booking_state",
    "marts/commerce/inventory_levels",
    "marts/behaviour/cdc_operations_5m",
)
PATIENCE = 300.0  # seconds
QUIET: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None}

_TABLES = """
create table users (
    id bigint primary key, email text, country text, city text, segment text,
    marketing_consent boolean, location_consent boolean, deleted_at timestamptz,
    rating numeric, score float8, seen_at timestamp
);
-- large values stand apart, where the log does not tell them again
alter table users alter column city set storage external;
create table bookings (
    id bigint primary key, user_id bigint, place_id text, status text, check_in date,
    check_out date, guests bigint, currency text, total_amount_cents bigint, price numeric(38, 18)
);
create table products (
    id bigint primary key, name text not null, category text, brand text, stock bigint not null
);
create table untracked (id bigint primary key);
"""
_CITIES = (None, "", "Oslo", "Zürich", "東京", 'O\'Hare \\ "quoted"', "x" * 3000, "y" * 9000)
_NUMBERS = (None, "NaN", "0.10", "-12345678901234567890.123456789", "1e-9", "100.00")
_DATES = (None, "infinity", "-infinity", "2026-02-28", "0001-01-01", "9999-12-31")


@contextmanager
def running_shop(folder: Path) -> Iterator[Shop]:
    """The database, reachable as change capture needs it."""
    for remaining in reversed(range(5)):
        port = free_ports(1)[0]
        settings = {"wal_level": "logical", "listen_addresses": "127.0.0.1", "port": str(port)}
        try:
            handle = postgres.start(folder, settings)
            break
        except postgres.PostgresDidNotStart:  # somebody else took the port
            if not remaining:
                raise
    try:
        handle.server.database("shop")
        dsn = f"postgresql://postgres:un'guessed@127.0.0.1:{port}/shop"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(_TABLES.encode())
            yield Shop(dsn, connection)
    finally:
        handle.stop()


@dataclass
class Shop:
    """The database, and changes made to it at random."""

    dsn: str
    connection: psycopg.Connection[Any]
    random: random.Random = field(default_factory=lambda: random.Random(5))
    made: Counter[str] = field(default_factory=Counter)
    _next: int = 0
    _ids: dict[str, list[int]] = field(
        default_factory=lambda: {"users": [], "bookings": [], "products": []}
    )
    _has_extra: bool = False

    def tracked(self, topic: str, name: str = "shop") -> Tracked:
        """As sources.yml would say it."""
        settings = {
            "dsn": self.dsn,
            "tables": {"users": "u", "bookings": "b", "products": "p"},
            "capture": {"topic": topic},
        }
        return tracked(Source(name, "postgres", settings), frozenset({topic}))

    def change(self, count: int) -> None:
        """Make `count` changes of rows or tables, in transactions of one to twenty."""
        left = count
        while left > 0:
            size = min(left, self.random.choice((1, 1, 2, 5, 20)))
            with self.connection.transaction():
                for _ in range(size):
                    self._change_one()
            left -= size

    def alter(self) -> None:
        """Add a column to each table, or drop it again."""
        for table in self._ids:
            what = "drop column extra" if self._has_extra else "add column extra text default 'é'"
            self.connection.execute(f"alter table {table} {what}".encode())
        self._has_extra = not self._has_extra

    def _change_one(self) -> None:
        table = self.random.choice(("users", "bookings", "bookings", "products"))
        ids = self._ids[table]
        dice = self.random.random()
        if not ids or dice < 0.3:
            # new keys, and those of rows that have gone
            key = self._new_key(ids)
            values = {"id": key} | self._values(table, whole=True)
            columns = ", ".join(values)
            places = ", ".join(["%s"] * len(values))
            self._run(f"insert into {table} ({columns}) values ({places})", list(values.values()))
            ids.append(key)
            self.made["INSERT"] += 1
        elif dice < 0.9995 and dice > 0.97:
            place = self.random.randrange(len(ids))
            key = self._new_key(ids)
            self._run(f"update {table} set id = %s where id = %s", [key, ids[place]])
            ids[place] = key
            self.made["DELETE"] += 1
            self.made["INSERT"] += 1
        elif dice <= 0.87:
            values = self._values(table, whole=False)
            listed = ", ".join(f"{name} = %s" for name in values)
            key = self.random.choice(ids)
            self._run(f"update {table} set {listed} where id = %s", [*values.values(), key])
            self.made["UPDATE"] += 1
        elif dice <= 0.97:
            key = ids.pop(self.random.randrange(len(ids)))
            self._run(f"delete from {table} where id = %s", [key])
            self.made["DELETE"] += 1
        else:
            self._run(f"truncate {table}", [])
            ids.clear()
            self.made["TRUNCATE"] += 1

    def _new_key(self, ids: list[int]) -> int:
        if self._next > 50 and self.random.random() < 0.3:
            key = self.random.randrange(1, self._next)
            if key not in ids:
                return key
        self._next += 1
        return self._next

    def _run(self, statement: str, values: list[Any]) -> None:
        self.connection.execute(statement.encode(), values)

    def _values(self, table: str, whole: bool) -> dict[str, Any]:
        pick = self.random.choice
        number = self.random.randrange(1, 2**62)
        everything: dict[str, Any] = {
            "users": {
                "country": pick((None, "NO", "DE")),
                "city": pick(_CITIES),
                "segment": pick((None, "VIP", "basic")),
                "marketing_consent": pick((None, True, False)),
                "location_consent": pick((True, False)),
                "deleted_at": pick((None, None, None, "2026-01-01", "infinity")),
                "rating": pick(_NUMBERS),
                "score": pick((None, "NaN", "infinity", 0.1)),
                "seen_at": pick((None, "infinity", "2026-01-01 10:00:00.123456")),
            },
            "bookings": {
                "user_id": number,
                "place_id": pick((None, "p1", "ü")),
                "status": pick(("pending", "confirmed", None)),
                "check_in": pick(_DATES),
                "check_out": pick(_DATES),
                "guests": pick((None, 1, 4)),
                "currency": pick((None, "EUR", "JPY")),
                "total_amount_cents": pick((None, 0, number)),
                "price": pick((None, "NaN", "12345678901234567890.123456789012345678")),
            },
            "products": {
                "name": pick(("Bag", " Tent ", "x" * 2500)),
                "category": pick((None, " Camping", "Bags")),
                "brand": pick((None, "Nord ")),
                "stock": pick((0, 5, number)),
            },
        }[table]
        if whole:
            return everything
        names = self.random.sample(sorted(everything), self.random.randint(1, 3))
        return {name: everything[name] for name in names}

    def rows(self, query: str) -> set[tuple[Any, ...]]:
        """What the database answers."""
        return set(self.connection.execute(query.encode()).fetchall())


def made_topic(kafka: Kafka) -> str:
    """A topic for changes, of a name of its own."""
    name = f"changes-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    client.create_topics([NewTopic(name, 4, 1)])[name].result(60)
    return name


class Reader:
    """What is committed in a topic, read once and written down as exports of the topic."""

    def __init__(self, kafka: Kafka, topic: str, folder: Path) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "group.id": uuid.uuid4().hex,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                **QUIET,
            }
        )
        self._topic = topic
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(4)])
        self._folder = folder
        self._files = 0
        self.messages = 0
        folder.mkdir(parents=True)

    def export(self, marker: str | None) -> Path:
        """Write down all there is, at least up to a change that holds `marker`; gives the file."""
        self._files += 1
        path = self._folder / f"{self._files:04}.ndjson"
        ended: set[int] = set()
        seen = marker is None
        deadline = datetime.now(UTC).timestamp() + PATIENCE
        with path.open("w", encoding="utf-8") as lines:
            while not seen or len(ended) < 4:
                assert datetime.now(UTC).timestamp() < deadline, f"{marker} did not arrive"
                for message in self._consumer.consume(5000, 0.2):
                    error = message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:
                            ended.add(message.partition())
                        continue
                    ended.discard(message.partition())
                    lines.write(_line(message) + "\n")
                    self.messages += 1
                    value = message.value() or b""
                    if not seen and marker is not None and marker.encode() in value:
                        # what was committed before it is in the other partitions by now
                        seen = True
                        ended.clear()
                        places = self._consumer.position(self._consumer.assignment())
                        self._consumer.assign(places)
        return path

    def close(self) -> None:
        self._consumer.close()


def _line(message: Any) -> str:
    """A message as a dump has it, its value's text as it was sent."""
    value, key = message.value(), message.key()
    head = {
        "topic": TOPIC,
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": key.decode() if key is not None else None,
    }
    text = value.decode() if value is not None else "null"
    return f'{json.dumps(head)[:-1]}, "value": {text}}}'


class Tables:
    """The warehouse's tables of what was captured."""

    def __init__(self, state: Path) -> None:
        self.warehouse = DbtWarehouse.of_models(state, *MODELS)
        self._state = state
        self._area = LandingArea(Project(root=ROOT, state=state).landing_dir)
        self._loaded: set[Path] = set()

    def land(self, dumps: Path) -> int:
        """Land what is new in the folder of exports, and load it; gives how many rows."""
        project = Project(root=ROOT, state=self._state)
        now = datetime.now(UTC).replace(tzinfo=None)
        source = Source("dumps", "dumps", {"folder": str(dumps), "settle": "0 s"})
        outcomes = list(extract(source, Context(project.contracts, self._area, self._state, now)))
        assert not sum(one.rejected for one in outcomes)
        files = sorted((self._area.root / "cdc_changes").glob("*.parquet"))
        new = [file for file in files if file not in self._loaded]
        self._loaded |= set(new)
        if new:
            self.warehouse.load("cdc_changes", new, now)
        return sum(one.landed for one in outcomes)

    def land_files(self, files: list[Path]) -> None:
        """Load files that a loader has landed elsewhere."""
        self.warehouse.load("cdc_changes", files, datetime.now(UTC).replace(tzinfo=None))

    def build(self) -> None:
        """Build the models of the changes, incrementally."""
        self.warehouse.invoke("run")

    def rows(self, query: str) -> set[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse.file)) as connection:
            return set(connection.execute(query).fetchall())


#: Of each table of states: what it must hold, asked of the database, and what it holds.
STATES = {
    "user_state": (
        "select id, country, city, lower(segment), coalesce(marketing_consent, false),"
        " coalesce(location_consent, false) from users where deleted_at is null",
        "select user_id, country, city, segment, marketing_consent, location_consent"
        " from marts.user_state",
    ),
    "booking_state": (
        # no warehouse has dates without end: they are empty there
        "select id, user_id, place_id, status,"
        " case when isfinite(check_in) then check_in end,"
        " case when isfinite(check_out) then check_out end,"
        " guests, currency, total_amount_cents from bookings",
        "select booking_id, user_id, place_id, status, check_in, check_out, guests, currency,"
        " total_amount_cents from marts.booking_state",
    ),
    "inventory_levels": (
        "select id, trim(name), lower(trim(category)), trim(brand), stock from products",
        "select product_id, product_name, category, brand, stock from marts.inventory_levels",
    ),
}


def exact_values(shop: Shop, tables: Tables) -> tuple[set[Any], set[Any]]:
    """The numbers of bookings as the database writes them, and as the last change of each told."""
    told = tables.rows(
        "select booking_id, json_extract_string(after_values, '$.price')"
        " from marts.booking_state join staging.stg_cdc_changes using (change_id)"
    )
    said = {(key, "NaN" if value == "NAN" else value) for key, value in told}
    return shop.rows("select id, price::text from bookings"), said

"""Orders, bookings and payments come late, twice and in any order; the tables come out the same.

A random shop is loaded in several loads: versions of rows, some older than what is there, rows
deleted and found again, refunds of old charges, changes and events that come late, twice or in the
wrong order, an emptied table. After each load the models are built incrementally; at the end once
from scratch. Every table must hold the same rows both times.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from models.dbt_warehouse import DbtWarehouse, Row

# models by their .sql: below the folder alone stand tests too, which look at other tables
MODELS = [
    "+path:models/marts/commerce/*.sql",
    "+path:models/marts/travel/*.sql",
    "+path:models/marts/finance/*.sql",
    "+user_features",
    "+product_features",
    "+reconciliation_daily",
    # and of what there is by then, how many rows there are by day and how good they are
    "rows_checked_daily",
    "contracted_tables",
    "data_quality_scores",
    "volume_anomalies",
]
NOON = datetime(2026, 1, 10, 12)
LOADS = 3


@dataclass
class Shop:
    """A shop that keeps changing; `load()` gives the raw rows of what became known since."""

    chance: random.Random
    rows: dict[str, dict[int, Row]] = field(default_factory=dict)
    history: list[tuple[str, Row]] = field(default_factory=list)  # all versions ever
    charges: dict[str, Row] = field(default_factory=dict)
    withheld: list[tuple[str, Row]] = field(default_factory=list)  # to come in a later load
    loads: int = 0
    offset: int = 0

    def load(self) -> list[tuple[str, Row]]:
        self.loads += 1
        came: list[tuple[str, Row]] = []
        late, self.withheld = self.withheld, []
        for table, row in (*self._new_rows(), *self._changed_rows(), *self._charges()):
            came.append((table, row))
        for table, row in (*self._changes(), *self._events(), *self._transactions()):
            (self.withheld if self.chance.random() < 0.3 else came).append((table, row))
            if self.chance.random() < 0.1:
                came.append((table, dict(row)))  # sent twice
        if self.history and self.loads > 1:  # versions that were overtaken long ago
            came += [(t, dict(r)) for t, r in self.chance.sample(self.history, 3)]
        self.history += [(t, dict(r)) for t, r in came if t.startswith("app_") and "id" in r]
        return came + late

    def moment(self, days: int = 3) -> datetime:
        """Some time of the last days before this load, by the half minute so that times repeat."""
        now = NOON + timedelta(hours=6 * self.loads)
        return now - timedelta(seconds=30 * self.chance.randrange(days * 2880))

    def one(self, table: str) -> int:
        return self.chance.choice(list(self.rows[table]))

    def _add(self, table: str, **values: Any) -> tuple[str, Row]:
        known = self.rows.setdefault(table, {})
        at = self.moment()
        row = {"id": len(known) + 1, **values, "created_at": at, "updated_at": at}
        known[row["id"]] = row
        return table, {**row, "_deleted": False}

    def _new_rows(self) -> Iterator[tuple[str, Row]]:
        chance = self.chance
        for number in range(4):
            yield self._add(
                "app_users",
                email=f"user{number}@example.com",
                country=chance.choice(["DE", "FR"]),
                segment=chance.choice(["basic", "plus"]),
                marketing_consent=True,
                location_consent=False,
                deleted_at=None,
            )
        for number in range(3):
            yield self._add(
                "app_products",
                name=f"product {number}",
                category=chance.choice(["bags", "maps", None]),
                brand=chance.choice(["Alp", None]),
                price_cents=chance.choice([500, 1000]),
                stock=chance.randrange(10),
            )
        for _ in range(8):
            yield self._add(
                "app_orders",
                user_id=self.one("app_users"),
                status="placed",
                currency=chance.choice(["EUR", "EUR", "USD"]),
                total_amount_cents=chance.choice([500, 1000]),
            )
        for _ in range(12):
            yield self._add(
                "app_order_items",
                order_id=self.one("app_orders"),
                product_id=self.one("app_products"),
                quantity=chance.randrange(1, 3),
                unit_price_cents=chance.choice([500, 1000]),
            )
        for _ in range(6):
            arrival = date(2026, 2, 1) + timedelta(days=chance.randrange(20))
            yield self._add(
                "app_bookings",
                user_id=self.one("app_users"),
                place_id=f"place-{chance.randrange(3)}",
                status="pending",
                check_in=arrival,
                check_out=arrival + timedelta(days=chance.randrange(4)),
                guests=2,
                currency="EUR",
                total_amount_cents=10000,
            )
        for _ in range(6):
            yield self._add(
                "app_payments",
                order_id=self.one("app_orders"),
                charge_id=chance.choice([None, f"ch_{chance.randrange(20)}"]),
                amount_cents=chance.choice([500, 1000]),
                status=chance.choice(["pending", "succeeded"]),
            )

    def _changed_rows(self) -> Iterator[tuple[str, Row]]:
        changes: dict[str, Callable[[], Row]] = {
            "app_users": lambda: {
                "segment": self.chance.choice(["basic", "plus"]),
                "deleted_at": self.chance.choice([None, None, self.moment()]),
            },
            "app_products": lambda: {
                "category": self.chance.choice(["bags", "maps"]),
                "stock": self.chance.randrange(10),
            },
            "app_orders": lambda: {"status": self.chance.choice(["paid", "cancelled", "returned"])},
            "app_order_items": lambda: {"quantity": self.chance.randrange(1, 5)},
            "app_bookings": lambda: {"status": self.chance.choice(["confirmed", "cancelled"])},
            "app_payments": lambda: {"charge_id": f"ch_{self.chance.randrange(20)}"},
        }
        for table, change in changes.items():
            for key in self.chance.sample(list(self.rows[table]), 3):
                row = self.rows[table][key]
                row |= {**change(), "updated_at": self.moment()}
                yield table, {**row, "_deleted": False}
            for key in self.chance.sample(list(self.rows[table]), 1):
                # found gone by a full refresh, or found again after all
                yield table, {**self.rows[table][key], "_deleted": self.chance.random() < 0.8}

    def _charges(self) -> Iterator[tuple[str, Row]]:
        chance = self.chance
        for _ in range(8):
            key = f"ch_{len(self.charges)}"
            about = chance.choice(["order_id", "booking_id", None])
            card_country = chance.choice(["DE", "FR", None])
            # some are for orders and bookings that are not known yet
            metadata = {about: str(chance.randrange(1, 40))} if about else {}
            self.charges[key] = {
                "id": key,
                "amount": chance.choice([500, 1000, 9000]),
                "amount_refunded": 0,
                "currency": chance.choice(["eur", "eur", "usd"]),
                "created": int((self.moment() - datetime(1970, 1, 1)).total_seconds()),
                "status": "pending",
                "payment_method_details": json.dumps({"card": {"country": card_country}}),
                "metadata": json.dumps(metadata),
            }
            yield "stripe_charges", dict(self.charges[key])
        for key in chance.sample(list(self.charges), 6):
            charge = self.charges[key]
            charge["status"] = chance.choice(["succeeded", "succeeded", "failed"])
            if charge["status"] == "succeeded":
                charge["amount_refunded"] = chance.choice([0, 500])
            yield "stripe_charges", dict(charge)

    def _changes(self) -> Iterator[tuple[str, Row]]:
        for table in ("users", "bookings", "products"):
            for _ in range(6):
                key = self.chance.randrange(1, 8)
                operation = self.chance.choice(["INSERT", "UPDATE", "UPDATE", "DELETE"])
                values = self.rows[f"app_{table}"].get(key, {})
                yield (
                    "cdc_changes",
                    self._message(
                        change_id=f"{table}-{self.offset}",
                        table_name=f"public.{table}",
                        operation=operation,
                        primary_key=json.dumps({"id": key}),
                        after_values=None
                        if operation == "DELETE"
                        else json.dumps(values, default=str),
                        timestamp=self.moment(1),
                    ),
                )
        if self.chance.random() < 0.5:
            yield (
                "cdc_changes",
                self._message(
                    change_id=f"emptied-{self.offset}",
                    table_name=f"public.{self.chance.choice(['users', 'bookings', 'products'])}",
                    operation="TRUNCATE",
                    timestamp=self.moment(1),
                ),
            )

    def _events(self) -> Iterator[tuple[str, Row]]:
        types = ["search", "booking_view", "booking_created", "payment_completed"]
        for _ in range(80):
            yield (
                "app_events",
                self._message(
                    event_id=f"event-{self.offset}",
                    event_type=self.chance.choice(types),
                    user_id=1,
                    session_id=self.chance.choice([None, *(f"visit-{n}" for n in range(30))]),
                    app_type=self.chance.choice(["web", "mobile"]),
                    timestamp=self.moment(),
                    properties="{}",
                ),
            )

    def _transactions(self) -> Iterator[tuple[str, Row]]:
        for _ in range(8):
            number = self.chance.randrange(20)
            yield (
                "transactions",
                {
                    "transaction_id": f"t{number}",
                    "account_id": f"a{number % 3}",
                    "posted_at": NOON - timedelta(hours=7 * number),
                    "amount": self.chance.choice([-12.5, 30]),
                    "currency": self.chance.choice(["EUR", "USD"]),
                    "category": self.chance.choice(["food", None]),
                    "status": self.chance.choice(["pending", "posted"]),
                    "_file": f"{self.loads}.csv",
                    "_line": self.offset + 2,
                },
            )
            self.offset += 1

    def _message(self, **values: Any) -> Row:
        self.offset += 1
        payload = json.dumps(values, default=str)
        place = {"_partition": 0, "_offset": self.offset, "_payload": payload}
        return {**values, **place, "_kafka_timestamp": NOON + timedelta(days=9)}


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DbtWarehouse:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path))
    return DbtWarehouse.of_project(tmp_path)


def build(warehouse: DbtWarehouse, *options: str) -> None:
    warehouse.invoke("run", "--threads", "2", "--select", *MODELS, *options)


def test_any_sequence_of_loads_builds_the_same_tables(warehouse: DbtWarehouse) -> None:
    shop = Shop(random.Random(1))
    build(warehouse)  # nothing there yet
    with duckdb.connect(str(warehouse.file)) as connection:
        connection.execute("insert into raw.clock values (?)", [NOON + timedelta(days=2)])
    for number in range(1, LOADS + 1):
        tables: dict[str, list[Row]] = {}
        for place, (table, row) in enumerate(shop.load()):
            tables.setdefault(table, []).append({**row, "_batch": f"{number}-{place:05}"})
        loaded_at = NOON + timedelta(hours=6 * number)
        for table, rows in tables.items():
            warehouse.insert(table, rows, loaded_at)
        with duckdb.connect(str(warehouse.file)) as connection:
            connection.executemany(
                "insert into raw.load_history by name select ? as file, ? as table_name,"
                " 'test' as batch, ? as row_count, ? as loaded_at",
                [(f"{t}/{number}", t, len(rows), loaded_at) for t, rows in tables.items()],
            )
        build(warehouse)
    as_it_came = warehouse.tables()

    build(warehouse)
    assert warehouse.tables() == as_it_came, "building again without new rows changed something"

    build(warehouse, "--full-refresh")
    at_once = warehouse.tables()
    # nobody clicks in this shop
    assert {name for name, rows in at_once.items() if not rows} == {"staging.stg_clicks"}
    for name, rows in at_once.items():
        assert as_it_came[name] == rows, name

"""What people and markets do comes late, twice and in any order; the tables come out the same.

Random messages of all the topics are loaded in several loads, some held back for a later one, some
sent again. After each load the models are built incrementally; at the end once from scratch. Every
table must hold the same rows both times.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from models.dbt_warehouse import DbtWarehouse, Row

MODELS = [
    "+path:models/marts/behaviour",
    "+path:models/marts/recommendations",
    "+path:models/marts/market",
    "+user_activity_10m",
    "+place_features",
    "path:models/staging/content",
    "path:models/staging/operations",
]
LOADS = 3
BERLIN = (52.52, 13.405)


def loaded_at(load: int) -> datetime:
    """When the load of that number was loaded; each is on a day of its own, or late on one."""
    return datetime(2026, 1, 10, 2) + timedelta(hours=17 * load)


@dataclass
class World:
    """A small world that goes on; `load()` gives the raw rows of what became known since."""

    chance: random.Random
    loads: int = 0
    offset: int = 0
    sent: list[tuple[str, Row]] = field(default_factory=list)
    withheld: list[tuple[str, Row]] = field(default_factory=list)
    values: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def load(self) -> list[tuple[str, Row]]:
        self.loads += 1
        came, self.withheld = self.withheld, []
        for message in self._messages():
            (self.withheld if self.chance.random() < 0.25 else came).append(message)
        if self.sent:
            again = self.chance.sample(self.sent, 30)
            came += [(table, {**row, **self._place()}) for table, row in again]
        self.sent += came
        return came

    def moment(self) -> datetime:
        """A time of the two hours before this load, by the half minute so that times repeat."""
        return loaded_at(self.loads) - timedelta(seconds=30 * self.chance.randrange(240))

    def _place(self) -> Row:
        self.offset += 1
        return {"_partition": self.offset % 2, "_offset": self.offset}

    def _message(self, table: str, at: datetime, **fields: Any) -> tuple[str, Row]:
        arrived = at + timedelta(seconds=self.chance.randrange(60))
        if self.chance.random() < 0.03:  # a clock that is wrong
            at = self.chance.choice([datetime(1970, 1, 1), at + timedelta(days=400)])
        row = {
            **{k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in fields.items()},
            "timestamp": at,
            "_payload": json.dumps({**fields, "timestamp": at}, default=str),
            "_kafka_timestamp": arrived,
        }
        return table, {**row, **self._place()}

    def _key(self, kind: str) -> str:
        return f"{kind}-{self.loads}-{self.chance.randrange(10**9)}"

    def _position(self) -> dict[str, float]:
        return {
            "lat": BERLIN[0] + self.chance.randrange(-20, 20) / 4000,
            "lng": BERLIN[1] + self.chance.randrange(-20, 20) / 2500,
        }

    def _messages(self) -> Iterator[tuple[str, Row]]:
        for _ in range(80):
            yield from self._app()
        for _ in range(40):
            yield from self._places()
        for _ in range(60):
            yield self._quote()
        for _ in range(25):
            yield self._change()
            yield self._content()
            yield self._log()

    def _app(self) -> Iterator[tuple[str, Row]]:
        chance, user = self.chance, self.chance.randrange(1, 6)
        session = f"s{user}-{chance.randrange(3)}"
        types = ["page_view", "page_view", "search", "booking_created", "payment_completed"]
        yield self._message(
            "app_events",
            self.moment(),
            event_id=self._key("event"),
            event_type=chance.choice(types),
            user_id=user,
            session_id=session,
            app_type=chance.choice(["web", "mobile"]),
            properties={
                "page": chance.choice(["/search", "/places/1", "/places/2"]),
                "country": chance.choice(["DE", "US", "??"]),
                "price": chance.choice([10, 20.5]),
                "currency": chance.choice(["EUR", "USD"]),
                "processing_ms": chance.randrange(100) / 10,
            },
        )
        yield self._message(
            "clickstream",
            self.moment(),
            click_id=self._key("click"),
            user_id=user,
            session_id=session,
            page_url=chance.choice(["https://x.example/Search?q=1", "https://x.example/places/9/"]),
        )

    def _places(self) -> Iterator[tuple[str, Row]]:
        chance, user = self.chance, self.chance.randrange(1, 6)
        place = f"p{chance.randrange(8)}"
        recommendation = self._key("list")
        served_at = self.moment()
        yield self._message(
            "recommendation_logs",
            served_at,
            recommendation_id=recommendation,
            user_id=user,
            session_id=f"s{user}",
            algorithm="a",
            model_version="1",
            context=self._position(),
            items=[
                {"place_id": p, "position": n + 1, "score": 1 - n / 10}
                for n, p in enumerate([place, "p1", "p2"])
            ],
            latency_ms=3.5,
        )
        what = chance.choice(["place_view", "visit", "rating", "save"])
        yield self._message(
            "user_interactions",
            served_at + timedelta(minutes=chance.randrange(-5, 400)),
            event_id=self._key("interaction"),
            event_type="user_interaction",
            user_id=user,
            session_id=f"s{user}",
            data={
                "interaction_type": what,
                "place_id": place,
                "rating": chance.randrange(1, 6) if what == "rating" else None,
                "location": self._position(),
                "context": {"recommendation_id": chance.choice([recommendation, None])},
            },
        )
        yield self._message(
            "location_events",
            self.moment(),
            event_id=self._key("position"),
            user_id=user,
            location=self._position(),
            speed=1.5,
        )
        said = {
            "name": f"Place {place}",
            "category": chance.choice(["museum", "Bar", None]),
            "city": chance.choice(["Berlin", None]),
        }
        if chance.random() < 0.5:
            yield self._message(
                "place_updates",
                self.moment(),
                event_id=self._key("update"),
                place_id=place,
                change=chance.choice(["created", "updated", "updated", "closed"]),
                **said,
                country="DE",
                location=self._position(),
                rating=chance.choice([None, 4.5]),
                price_level=chance.choice([None, 2]),
                source="yelp",
            )
        else:
            data = {"place_id": place, **said, **self._position(), "popularity": chance.random()}
            yield self._external("maps_api", data)

    def _external(self, source: str, data: Row) -> tuple[str, Row]:
        return self._message(
            "external_data",
            self.moment(),
            external_data_id=self._key("item"),
            source=source,
            source_type="api",
            data=data,
        )

    def _content(self) -> tuple[str, Row]:
        return self._external(
            "anything",
            self.chance.choice(
                [
                    {"city": "Berlin", "temperature": 3.5, "humidity": 80},
                    {"platform": "X", "engagement": 3, "reach": 9, "sentiment": "positive"},
                    {
                        "title": f"Title {self.chance.randrange(99)}",
                        "link": f"https://news.example/{self.chance.randrange(6)}",
                        "published": "2026-01-09T10:00:00.000Z",
                    },
                ]
            ),
        )

    def _quote(self) -> tuple[str, Row]:
        return self._message(
            "market_quotes",
            self.moment(),
            symbol=self.chance.choice(["AAA", "AAA", "BBB"]),
            price=self.chance.randrange(90, 110),
            volume=self.chance.randrange(3),
        )

    def _change(self) -> tuple[str, Row]:
        table, key = self.chance.choice(["users", "orders"]), self.chance.randrange(6)
        before = self.values.get((table, key))
        after = {"id": key, "state": self.chance.randrange(100)}
        self.values[table, key] = after
        return self._message(
            "cdc_changes",
            self.moment(),
            change_id=self._key("change"),
            table_name=f"public.{table}",
            operation="UPDATE" if before else "INSERT",
            primary_key={"id": key},
            before_values=before,
            after_values=after,
            source_database="shop",
        )

    def _log(self) -> tuple[str, Row]:
        if self.chance.random() < 0.5:
            return self._message(
                "app_logs",
                self.moment(),
                log_id=self._key("log"),
                service="search",
                level=self.chance.choice(["warning", "INFO", "odd"]),
                message="text",
            )
        return self._message(
            "iot_readings",
            self.moment(),
            reading_id=self._key("reading"),
            device_id="d1",
            device_type="thermostat",
            metric="temperature",
            value=20.5,
            unit="C",
        )


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DbtWarehouse:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path))
    return DbtWarehouse.of_project(tmp_path)


def build(warehouse: DbtWarehouse, *options: str) -> None:
    # few moves make a window here, and little is unusual
    small = "{market_minimum_moves: 3, market_alert_deviations: 1.2}"
    warehouse.invoke(
        "build", "--exclude-resource-type", "test", "unit_test", "--vars", small, "--threads", "2",
        "--select", *MODELS, *options,
    )  # fmt: skip


def load(warehouse: DbtWarehouse, world: World) -> None:
    rows: dict[str, list[Row]] = {}
    for table, row in world.load():
        rows.setdefault(table, []).append(row)
    for table, sent in rows.items():
        warehouse.insert(table, sent, loaded_at(world.loads))


@pytest.mark.long  # the commerce tables' is in every run
@pytest.mark.parametrize("seed", [1])
def test_any_sequence_of_loads_builds_the_same_tables(warehouse: DbtWarehouse, seed: int) -> None:
    build(warehouse)  # nothing there yet
    world = World(random.Random(seed))
    for _ in range(LOADS):
        load(warehouse, world)
        build(warehouse)
    as_it_came = warehouse.tables()

    build(warehouse, "--full-refresh")
    at_once = warehouse.tables()

    assert {name for name, rows in at_once.items() if not rows} <= {
        "staging.stg_users",
        "marts.dim_users",
    }
    assert {name for name, rows in at_once.items() if as_it_came[name] != rows} == set()

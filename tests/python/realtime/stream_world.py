"""What a day and a half of the stream holds, and how it arrives: in several loads, in any order,
some of it twice. Rows are those of the raw tables."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]
Message = tuple[str, Row]  # the raw table, and the row

BEGAN = datetime(2026, 1, 10)
HOURS = 30
USERS = range(1, 6)

#: Tables whose rows come from topics: they have a place in one, and a time of arrival.
TOPICS = frozenset(
    {
        "app_events",
        "clickstream",
        "user_interactions",
        "location_events",
        "place_updates",
        "market_quotes",
    }
)


def loaded_at(load: int) -> datetime:
    """When the load of this number was loaded."""
    return BEGAN + timedelta(days=3, hours=load)


def arrived(messages: list[Message], loads: int, chance: random.Random) -> list[list[Message]]:
    """The messages spread over loads in any order, some of them again in the same or another."""
    copies = chance.sample(messages, len(messages) // 20)
    everything = [*messages, *((table, {**row, "again": True}) for table, row in copies)]
    chance.shuffle(everything)
    found: list[list[Message]] = [[] for _ in range(loads)]
    for offset, (table, row) in enumerate(everything):
        place = {"_batch": f"b{offset:06}"}
        if table in TOPICS:
            late = timedelta(minutes=7) if row.get("again") else timedelta()
            place |= {
                "_partition": offset % 3,
                "_offset": offset,
                "_kafka_timestamp": row["_kafka_timestamp"] + late,
            }
        kept = {name: value for name, value in row.items() if name != "again"}
        found[chance.randrange(loads)].append((table, {**kept, **place}))
    return found


def world(seed: int) -> list[Message]:
    """All that happens."""
    chance = random.Random(seed)
    return [
        *_people(chance),
        *_orders_and_charges(chance),
        *(message for number in range(500) for message in _at_a_screen(chance, number)),
        *(message for number in range(250) for message in _outside(chance, number)),
        *_places(chance),
        *_quotes(chance),
    ]


def _moment(chance: random.Random) -> datetime:
    """By the half minute, so that times repeat; now and then on a window's very edge."""
    if chance.random() < 0.1:
        return BEGAN + timedelta(hours=chance.randrange(HOURS))
    return BEGAN + timedelta(seconds=30 * chance.randrange(HOURS * 120))


def _sent(chance: random.Random, table: str, at: datetime, **fields: Any) -> Message:
    arrives = at + timedelta(seconds=chance.choice([-2, 0, 1, 5, 40]))
    if chance.random() < 0.03:  # a clock that is wrong
        at = chance.choice([datetime(1970, 1, 1), at + timedelta(days=400)])
    row = {
        **{k: json.dumps(v) if isinstance(v, dict) else v for k, v in fields.items()},
        "timestamp": at,
        "_payload": "{}",
        "_kafka_timestamp": arrives,
    }
    return table, row


def _people(chance: random.Random) -> Iterator[Message]:
    for user in USERS:
        for version in range(2):
            changed = BEGAN + timedelta(days=version, minutes=user)
            yield (
                "app_users",
                {
                    "id": user,
                    "email": f"user{user}@example.com",
                    "country": chance.choice(["DE", "FR"]),
                    "marketing_consent": True,
                    "location_consent": user % 2 == 0,
                    "created_at": BEGAN,
                    "updated_at": changed,
                    "_deleted": False,
                },
            )


def _orders_and_charges(chance: random.Random) -> Iterator[Message]:
    for order in range(1, 61):
        row = {
            "id": order,
            "user_id": chance.choice(USERS),
            "currency": chance.choice(["EUR", "EUR", "USD"]),
            "total_amount_cents": chance.choice([500, 1999]),
            "created_at": _moment(chance),
        }
        for version in range(chance.choice([1, 1, 2, 3])):
            changed = row["created_at"] + timedelta(minutes=version)
            status = chance.choice(["placed", "paid", "cancelled"])
            gone = version > 0 and chance.random() < 0.4
            yield "app_orders", {**row, "status": status, "updated_at": changed, "_deleted": gone}
    for charge in range(90):
        country = chance.choice(["DE", "FR", None])
        about = {"order_id": str(chance.randrange(1, 65))}  # some orders are never known
        yield (
            "stripe_charges",
            {
                "id": f"ch_{charge:02}",
                "amount": chance.choice([500, 700, 9000]),
                "amount_refunded": 0,
                "currency": chance.choice(["eur", "eur", "usd"]),
                "created": int((_moment(chance) - datetime(1970, 1, 1)).total_seconds()),
                "status": chance.choice(["succeeded", "succeeded", "succeeded", "failed"]),
                "payment_method_details": json.dumps({"card": {"country": country}}),
                "metadata": json.dumps(about if chance.random() < 0.9 else {}),
            },
        )


def _at_a_screen(chance: random.Random, number: int) -> Iterator[Message]:
    user = chance.choice(USERS)
    session = chance.choice([None, f"s{user}-{chance.randrange(3)}"])
    page = chance.choice(["/search", "/places/1", "/places/2?a=b", "https://x.example/Search", "/"])
    kinds = ["page_view", "search", "booking_view", "booking_created", "payment_completed"]
    yield _sent(
        chance,
        "app_events",
        _moment(chance),
        event_id=f"event-{number:04}",
        event_type=chance.choice(kinds),
        user_id=user,
        session_id=session,
        app_type=chance.choice(["web", "mobile"]),
        properties={"page": page} if chance.random() < 0.9 else {},
    )
    if number % 2:
        yield _sent(
            chance,
            "clickstream",
            _moment(chance),
            click_id=f"click-{number:04}",
            user_id=user,
            session_id=session or "s0",
            page_url=page,
        )


def _position(chance: random.Random) -> dict[str, float]:
    return {"lat": 52.5 + chance.randrange(40) / 1000, "lng": 13.4 + chance.randrange(40) / 1000}


def _outside(chance: random.Random, number: int) -> Iterator[Message]:
    user = chance.choice(USERS)
    rating = chance.choice([None, 1, 4.5, 5, 11])
    said = {
        "interaction_type": chance.choice(["visit", "place_view", "rating"]),
        "place_id": f"p{chance.randrange(6)}",
        "rating": rating,
        "location": _position(chance) if chance.random() < 0.5 else None,
    }
    yield _sent(
        chance,
        "user_interactions",
        _moment(chance),
        event_id=f"interaction-{number:04}",
        event_type="user_interaction",
        user_id=user,
        session_id=chance.choice([None, f"s{user}"]),
        data=said,
    )
    if number % 2:
        yield _sent(
            chance,
            "location_events",
            _moment(chance),
            event_id=f"position-{number:04}",
            user_id=user,
            location=_position(chance),
        )


def _places(chance: random.Random) -> Iterator[Message]:
    for place in range(5):  # of one nothing is known
        for second in chance.sample(range(HOURS * 3600), 6):
            yield _sent(
                chance,
                "place_updates",
                BEGAN + timedelta(seconds=second),
                event_id=f"update-{place}-{second}",
                place_id=f"p{place}",
                change="updated",
                name=f"Place {place}",
                category=chance.choice(["Museum", " bar", None]),
                country="DE",
                source="yelp",
            )


def _quotes(chance: random.Random) -> Iterator[Message]:
    for symbol in ("AAA", "BBB"):
        price, at = 100.0, BEGAN
        for _ in range(400):
            at += timedelta(seconds=chance.choice([30, 30, 60, 90]))
            if chance.random() < 0.01:
                at += timedelta(hours=2)  # a pause, behind which a symbol starts anew
            jump = 0.03 if chance.random() < 0.03 else 0.001
            price = round(price * (1 + chance.uniform(-jump, jump)), 4)
            yield _sent(chance, "market_quotes", at, symbol=symbol, price=price, volume=1)

"""The real-time tables computed anew from all that has arrived, in plain Python: by what their
contracts say, without the models' SQL. Columns that tell when rows were loaded are left out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any
from urllib.parse import urlsplit

from realtime.stream_world import TOPICS, Message, Row

Table = dict[tuple[Any, ...], tuple[Any, ...]]  # the key's values, and the others
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Arrived:
    """What is there of each raw table, each row once, told by the loads in their order."""

    def __init__(self, loads: Iterable[list[Message]]) -> None:
        rows: dict[str, list[Row]] = defaultdict(list)
        for number, load in enumerate(loads):
            for table, row in load:
                rows[table].append({**row, "load": number})
        self.rows = rows

    def first(self, table: str, *key: str) -> list[Row]:
        """The first of the messages with the same key, where its time can be true."""
        found: dict[tuple[Any, ...], Row] = {}
        in_order = sorted(
            self.rows[table], key=lambda r: (r["load"], r["_partition"], r["_offset"])
        )
        for row in in_order:
            found.setdefault(tuple(row[name] for name in key), row)
        assert table in TOPICS
        return [row for row in found.values() if _plausible(row)]

    def newest(self, table: str) -> dict[int, Row]:
        """The last version of each row."""
        found: dict[int, Row] = {}
        for row in sorted(self.rows[table], key=lambda r: r["updated_at"]):
            found[row["id"]] = row
        return found

    def events(self) -> list[Row]:
        return self.first("app_events", "event_id")


def recomputed(loads: Iterable[list[Message]]) -> dict[str, Table]:
    """All eight tables."""
    here = Arrived(loads)
    return {
        "app_event_counts_5m": dict(_event_counts(here)),
        "event_latency_1m": dict(_latency(here)),
        "page_engagement_10m": dict(_engagement(here)),
        "order_activity_5m": dict(_order_activity(here)),
        "conversion_funnel": dict(_funnel(here)),
        "fraud_signals": dict(_fraud(here)),
        "user_activity_10m": dict(_activity(here)),
        "market_alerts": dict(_alerts(here)),
    }


def _plausible(row: Row) -> bool:
    at: datetime = row["timestamp"]
    return datetime(1980, 1, 1) <= at <= row["_kafka_timestamp"] + timedelta(minutes=5)


def _window(at: datetime, minutes: int) -> datetime:
    return datetime.min + (at - datetime.min) // timedelta(minutes=minutes) * timedelta(
        minutes=minutes
    )


def _grouped(rows: Iterable[Row], key: Any) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _event_counts(here: Arrived) -> Iterator[tuple[Any, Any]]:
    def key(row: Row) -> Any:
        return _window(row["timestamp"], 5), row["event_type"], row["app_type"]

    for of, rows in _grouped(here.events(), key).items():
        sessions = {row["session_id"] for row in rows} - {None}
        yield of, (len(rows), len({row["user_id"] for row in rows}), len(sessions))


def _latency(here: Arrived) -> Iterator[tuple[Any, Any]]:
    def key(row: Row) -> Any:
        return _window(row["timestamp"], 1), row["app_type"]

    for of, rows in _grouped(here.events(), key).items():
        waits = sorted(
            max(0.0, (row["_kafka_timestamp"] - row["timestamp"]).total_seconds() * 1000)
            for row in rows
        )
        yield of, (len(waits), *(_percentile(waits, share) for share in (0.5, 0.95, 0.99)),
                   int(waits[-1]))  # fmt: skip


def _percentile(ordered: list[float], share: float) -> float:
    """Between the two values that are nearest, in proportion."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _page(url: str | None) -> str | None:
    """The first part of a page's path."""
    if url is None:
        return None
    return "/" + urlsplit(url).path.lower().strip("/").split("/")[0]


def _engagement(here: Arrived) -> Iterator[tuple[Any, Any]]:
    seen = [
        {"page": _page(row["page_url"]), "user": row["user_id"], "at": row["timestamp"],
         "clicks": 1, "views": 0}
        for row in here.first("clickstream", "click_id")
    ] + [
        {"page": _page(json.loads(row["properties"]).get("page")), "user": row["user_id"],
         "at": row["timestamp"], "clicks": 0, "views": 1}
        for row in here.events()
        if row["event_type"] == "page_view"
    ]  # fmt: skip
    booked = [row for row in here.events() if row["event_type"] == "booking_created"]
    pages = _grouped(
        (row for row in seen if row["page"] is not None),
        lambda row: (_window(row["at"], 10), row["page"]),
    )
    for of, rows in pages.items():
        by_user = _grouped(rows, lambda row: row["user"])
        clickers = sum(any(row["clicks"] for row in rows) for rows in by_user.values())
        bookers = 0
        for user, visits in by_user.items():
            began = min(row["at"] for row in visits)
            bookers += any(
                row["user_id"] == user and began <= row["timestamp"] < began + DAY for row in booked
            )
        users = len(by_user)
        yield of, (
            sum(row["views"] for row in rows), sum(row["clicks"] for row in rows),
            users, clickers, bookers, _ratio(clickers, users), _ratio(bookers, users),
        )  # fmt: skip


def _order_activity(here: Arrived) -> Iterator[tuple[Any, Any]]:
    orders = (row for row in here.newest("app_orders").values() if not row["_deleted"])
    windows = _grouped(orders, lambda row: (row["user_id"], _window(row["created_at"], 5)))
    for of, rows in windows.items():
        currencies = {row["currency"] for row in rows}
        alone = len(currencies) == 1
        yield (
            of,
            (
                len(rows),
                sum(row["status"] == "cancelled" for row in rows),
                len(currencies),
                currencies.pop() if alone else None,
                sum(row["total_amount_cents"] for row in rows) if alone else None,
                min(row["created_at"] for row in rows),
                max(row["created_at"] for row in rows),
            ),
        )


def _funnel(here: Arrived) -> Iterator[tuple[Any, Any]]:
    reached: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    sessions = _grouped(here.events(), lambda row: row["session_id"])
    for session, rows in sessions.items():
        if session is None:
            continue
        rows.sort(key=lambda row: (row["timestamp"], row["event_id"]))
        begins: dict[date, Row] = {}
        for row in rows:
            if row["event_type"] == "search":
                begins.setdefault(row["timestamp"].date(), row)
        starts = sorted(row["timestamp"] for row in begins.values())
        for day, search in begins.items():
            began = search["timestamp"]
            later = [start for start in starts if start > began]
            ended = min([began + DAY, *later[:1]])
            steps, since = reached[day, search["app_type"]], began
            steps[0] += 1
            for place, kind in enumerate(
                ("booking_view", "booking_created", "payment_completed"), start=1
            ):
                times = [
                    row["timestamp"]
                    for row in rows
                    if row["event_type"] == kind and since <= row["timestamp"] < ended
                ]
                if not times:
                    break
                since = min(times)
                steps[place] += 1
    for of, (searches, views, bookings, payments) in reached.items():
        yield of, (
            searches, views, bookings, payments, _ratio(views, searches), _ratio(bookings, views),
            _ratio(payments, bookings), _ratio(payments, searches),
        )  # fmt: skip


def _fraud(here: Arrived) -> Iterator[tuple[Any, Any]]:
    orders, people = here.newest("app_orders"), here.newest("app_users")
    charges = []
    for row in {row["id"]: row for row in here.rows["stripe_charges"]}.values():
        order = json.loads(row["metadata"]).get("order_id")
        if order is not None and int(order) in orders:
            at = datetime.fromtimestamp(row["created"], UTC).replace(tzinfo=None)
            user = orders[int(order)]["user_id"]
            charges.append({**row, "order": int(order), "user": user, "at": at})
    for charge in charges:
        mine = [other for other in charges if other["user"] == charge["user"]]
        pace = sum(charge["at"] - HOUR <= other["at"] <= charge["at"] for other in mine)
        usual = [
            other["amount"]
            for other in mine
            if other["currency"] == charge["currency"]
            and other["status"] == "succeeded"
            and (other["at"], other["id"]) < (charge["at"], charge["id"])
        ]
        ratio = charge["amount"] / fmean(usual) if len(usual) >= 3 else None
        card = json.loads(charge["payment_method_details"])["card"]["country"]
        home = people[charge["user"]]["country"] if charge["user"] in people else None
        signs = {
            "velocity": pace >= 4,
            "amount": ratio is not None and ratio >= 5,
            "geography": card is not None and home is not None and card != home,
        }
        weights = {"velocity": 40, "amount": 35, "geography": 25}
        score = sum(weights[sign] for sign, shows in signs.items() if shows)
        yield (charge["id"],), (
            charge["user"], charge["order"], None, charge["status"], charge["currency"].upper(),
            charge["amount"], card, home, pace, ratio, *signs.values(), score, score >= 50,
            ", ".join(sign for sign, shows in signs.items() if shows) or None, charge["at"],
        )  # fmt: skip


def _activity(here: Arrived) -> Iterator[tuple[Any, Any]]:
    people = here.newest("app_users")
    agreed = {user for user, row in people.items() if row["location_consent"]}
    categories: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for row in here.first("place_updates", "event_id"):
        if row["category"] is not None:
            said = (row["timestamp"], row["category"].strip().lower())
            categories[row["place_id"]].append(said)
    did = [
        {**row, **json.loads(row["data"])} for row in here.first("user_interactions", "event_id")
    ]
    where = [
        (row["user_id"], row["timestamp"], row["event_id"], row["location"])
        for row in did
        if row["location"] is not None
    ] + [
        (row["user_id"], row["timestamp"], row["event_id"], json.loads(row["location"]))
        for row in here.first("location_events", "event_id")
    ]
    last: dict[tuple[int, datetime], str] = {}
    for user, at, _, location in sorted(where, key=lambda told: told[1:3]):
        if user in agreed:
            last[user, _window(at, 10)] = _geohash(location["lat"], location["lng"])

    windows = _grouped(did, lambda row: (row["user_id"], _window(row["timestamp"], 10)))
    for of, rows in windows.items():
        stars = [row["rating"] for row in rows if row["rating"] is not None and row["rating"] <= 5]
        newest: dict[str, datetime] = {}
        for row in rows:
            known = [told for told in categories[row["place_id"]] if told[0] <= row["timestamp"]]
            if known:
                category = max(known)[1]
                newest[category] = max(newest.get(category, datetime.min), row["timestamp"])
        recent = sorted(newest, key=lambda name: (-newest[name].timestamp(), name))
        sessions = _grouped(rows, lambda row: row["session_id"])
        seconds = sum(
            (max(r["timestamp"] for r in visit) - min(r["timestamp"] for r in visit)).seconds
            for session, visit in sessions.items()
            if session is not None
        )
        kinds = Counter(row["interaction_type"] for row in rows)
        yield of, (
            of[1] + timedelta(minutes=10), len(rows), len({row["place_id"] for row in rows}),
            kinds["visit"], len(stars), fmean(stars) if stars else None,
            ",".join(recent) or None, float(seconds), last.get(of),  # type: ignore[call-overload]
            max(row["timestamp"] for row in rows),
        )  # fmt: skip


def _geohash(latitude: float, longitude: float) -> str:
    """Seven letters, by halving the Earth."""
    bounds = [[-180.0, 180.0], [-90.0, 90.0]]
    bits = []
    for number in range(35):
        half, value = bounds[number % 2], (longitude, latitude)[number % 2]
        middle = (half[0] + half[1]) / 2
        bits.append(int(value >= middle))
        half[1 - bits[-1]] = middle
    letters = "0123456789bcdefghjkmnpqrstuvwxyz"
    fives = [bits[first : first + 5] for first in range(0, 35, 5)]
    return "".join(letters[int("".join(map(str, five)), 2)] for five in fives)


def _alerts(here: Arrived) -> Iterator[tuple[Any, Any]]:
    quotes = here.first("market_quotes", "symbol", "timestamp", "price")
    quotes.sort(key=lambda row: (row["timestamp"], row["_partition"], row["_offset"]))
    for symbol, rows in _grouped(quotes, lambda row: row["symbol"]).items():
        moves: list[tuple[datetime, int]] = []
        for before, row in pairwise(rows):
            at = row["timestamp"]
            if before["timestamp"] < at - HOUR:
                continue
            move = round((row["price"] / before["price"] - 1) * 1_000_000)
            trailing = [moved for when, moved in moves if at - HOUR <= when < at]
            moves.append((at, move))
            if len(trailing) < 20 or not stdev(trailing):
                continue
            deviations = (move - fmean(trailing)) / stdev(trailing)
            if abs(deviations) > 4:
                yield (symbol, at, row["price"]), (
                    before["price"], "up" if move > 0 else "down", move / 10_000, len(trailing),
                    fmean(trailing) / 10_000, stdev(trailing) / 10_000, deviations,
                )  # fmt: skip

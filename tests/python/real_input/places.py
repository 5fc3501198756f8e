"""Check-ins, ratings and bike trips, as messages of the topics about people and places.

How it maps:
- a check-in of Foursquare is a visit; the file knows weekday and hour only, so all of them are put
  into the week from Monday, 2 April 2012
- a place of Foursquare is reported as of its first check-in, its rating (of 10) and price as the
  file has them, the sentinel -999 for unknown included
- a rating of MovieLens is a rating of the place `movie-<id>`
- a trip of Citi Bike gives two positions of its rider; who that is, the file does not say, so each
  trip has a rider of its own
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import duckdb
from real_input.dumps import Dumps, iso

FIRST_CHECKIN_USER = 2_000_000
FIRST_RATING_USER = 3_000_000
FIRST_RIDER = 4_000_000

_MONDAY = datetime(2012, 4, 2)
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_UNKNOWN = -999
_GEOHASH_LETTERS = "0123456789bcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True)
class Foursquare:
    """The file of check-ins, and what is true of it."""

    path: Path

    @cached_property
    def checkins(self) -> list[dict[str, str]]:
        with gzip.open(self.path, "rt", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @cached_property
    def places(self) -> dict[str, dict[str, str]]:
        """The first check-in at each place."""
        first: dict[str, dict[str, str]] = {}
        for checkin in self.checkins:
            first.setdefault(checkin["poi"], checkin)
        return first

    def dump(self, dumps: Dumps) -> None:
        with dumps.file("user-interactions", "foursquare.ndjson") as dump:
            for number, checkin in enumerate(self.checkins, 1):
                at = _checked_in_at(checkin)
                user = FIRST_CHECKIN_USER + int(checkin["label"])
                message = {
                    "event_id": f"foursquare-{number}",
                    "event_type": "user_interaction",
                    "timestamp": iso(at),
                    "user_id": user,
                    "session_id": f"foursquare-{checkin['tid']}",
                    "data": {
                        "interaction_type": "visit",
                        "place_id": f"poi-{checkin['poi']}",
                        "location": {"lat": float(checkin["lat"]), "lng": float(checkin["lon"])},
                        "context": {},
                    },
                }
                dump.send(user, message, at)
        with dumps.file("place-updates", "foursquare.ndjson") as dump:
            for poi, checkin in self.places.items():
                at = _checked_in_at(checkin)
                message = {
                    "event_id": f"foursquare-place-{poi}",
                    "place_id": f"poi-{poi}",
                    "timestamp": iso(at),
                    "change": "created",
                    "name": f"{checkin['category']} {poi}",
                    "category": checkin["category"],
                    "city": "New York",
                    "country": "US",
                    "location": {"lat": float(checkin["lat"]), "lng": float(checkin["lon"])},
                    "rating": _of_five(checkin["rating"]),
                    "price_level": int(checkin["price"]),
                    "source": "foursquare",
                }
                dump.send(poi, message, at)

    # what must come out, straight from the file

    def visits_by_place(self) -> Counter[str]:
        return Counter(f"poi-{checkin['poi']}" for checkin in self.checkins)

    def places_with_sentinels(self) -> set[str]:
        """Places whose rating or price is the sentinel: such a report breaks the contract."""
        return {
            f"poi-{poi}"
            for poi, checkin in self.places.items()
            if _UNKNOWN in (float(checkin["rating"]), int(checkin["price"]))
        }

    def places_without_sentinels(self) -> dict[str, tuple[float, int]]:
        """Rating of 5 and price level by place."""
        unusable = self.places_with_sentinels()
        return {
            f"poi-{poi}": (_of_five(checkin["rating"]), int(checkin["price"]))
            for poi, checkin in self.places.items()
            if f"poi-{poi}" not in unusable
        }


@dataclass(frozen=True)
class MovieLens:
    """The file of ratings, and what is true of it."""

    path: Path

    @cached_property
    def ratings(self) -> list[dict[str, str]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def dump(self, dumps: Dumps) -> None:
        with dumps.file("user-interactions", "movielens.ndjson.gz") as dump:
            for rating in self.ratings:
                at = datetime.fromtimestamp(int(rating["timestamp"]), UTC).replace(tzinfo=None)
                user = FIRST_RATING_USER + int(rating["userId"])
                message = {
                    "event_id": f"movielens-{rating['userId']}-{rating['movieId']}",
                    "event_type": "user_interaction",
                    "timestamp": iso(at),
                    "user_id": user,
                    "session_id": None,
                    "data": {
                        "interaction_type": "rating",
                        "place_id": f"movie-{rating['movieId']}",
                        "rating": float(rating["rating"]),
                    },
                }
                dump.send(user, message, at)

    # what must come out, straight from the file

    def by_place(self) -> dict[str, tuple[int, Decimal]]:
        """By place: ratings, and their sum in stars."""
        counts: Counter[str] = Counter()
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for rating in self.ratings:
            place = f"movie-{rating['movieId']}"
            counts[place] += 1
            sums[place] += Decimal(rating["rating"])
        return {place: (counts[place], sums[place]) for place in counts}

    def by_stars(self) -> Counter[float]:
        return Counter(float(rating["rating"]) for rating in self.ratings)


@dataclass(frozen=True)
class CitiBike:
    """The file of bike trips, and what is true of it."""

    path: Path

    def dump(self, dumps: Dumps) -> None:
        """A Parquet dump: the start of each trip in partition 0, its end in partition 1."""
        folder = dumps.folder / "location-events"
        folder.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute(
                f"""
                copy (
                    with trips as (
                        select row_number() over () - 1 as number, *
                        from read_parquet('{self.path}')
                    ),
                    positions as (
                        select number, 0 as part, 'start' as what, datetime_start as moment,
                            lat_start as lat, lon_start as lng, bike_type
                        from trips
                        union all
                        select number, 1, 'end', datetime_end, lat_end, lon_end, bike_type
                        from trips
                    )
                    select
                        'location-events' as topic,
                        cast(part as integer) as "partition",
                        cast(number as bigint) as "offset",
                        epoch_ms(moment) as "timestamp",
                        'dr5' as "key",
                        to_json({{
                            event_id: 'citibike-' || number || '-' || what,
                            user_id: {FIRST_RIDER} + number,
                            timestamp: strftime(moment, '%Y-%m-%dT%H:%M:%S.%gZ'),
                            location: {{lat: lat, lng: lng}},
                            device_type: bike_type || ' bike'
                        }})::varchar as "value"
                    from positions
                    order by part, number
                ) to '{folder / "citibike.parquet"}' (format parquet)
                """
            )

    # what must come out, straight from the file

    def trips(self) -> int:
        with duckdb.connect() as connection:
            return int(
                connection.execute(
                    "select count(*) from read_parquet(?)", [str(self.path)]
                ).fetchall()[0][0]
            )

    def positions_by_hour(self) -> dict[datetime, int]:
        """Starts and ends by the hour in which they were."""
        with duckdb.connect() as connection:
            return dict(
                connection.execute(
                    "select date_trunc('hour', moment), count(*) from ("
                    " select datetime_start as moment from read_parquet($path)"
                    " union all select datetime_end from read_parquet($path)) group by all",
                    {"path": str(self.path)},
                ).fetchall()
            )

    def positions_by_cell(self) -> Counter[str]:
        """Starts and ends by the geohash, seven characters long, of where they were."""
        with duckdb.connect() as connection:
            positions = connection.execute(
                "select lat_start, lon_start from read_parquet($path)"
                " union all select lat_end, lon_end from read_parquet($path)",
                {"path": str(self.path)},
            ).fetchall()
        cells = {position: _geohash(*position, 7) for position in set(positions)}
        return Counter(cells[position] for position in positions)


def _geohash(lat: float, lng: float, length: int) -> str:
    """By halving, bit by bit, as the geohash is defined."""
    south, north, west, east = -90.0, 90.0, -180.0, 180.0
    letters = []
    for letter in range(length):
        number = 0
        for bit in range(5):
            if (5 * letter + bit) % 2 == 0:
                middle = (west + east) / 2
                high = lng >= middle
                west, east = (middle, east) if high else (west, middle)
            else:
                middle = (south + north) / 2
                high = lat >= middle
                south, north = (middle, north) if high else (south, middle)
            number = 2 * number + high
        letters.append(_GEOHASH_LETTERS[number])
    return "".join(letters)


def _checked_in_at(checkin: dict[str, str]) -> datetime:
    return _MONDAY + timedelta(days=_WEEKDAYS.index(checkin["day"]), hours=int(checkin["hour"]))


def _of_five(rating: str) -> float:
    """A rating of 10 as one of 5; the sentinel stays what it is."""
    value = Decimal(rating)
    return float(value if value == _UNKNOWN else value / 2)

"""Market data and weather from the vega data sets, as messages.

How it maps:
- a day of the S&P 500 is one hour of trading, 14:00 to 15:00 UTC: it opens at the day's open, goes
  to the day's high and low and closes at its close; the day's volume comes with the last quote
- a month's price of a stock is one quote
- a day of weather is one report of its highest temperature; an hour of Seattle's normals is one
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from real_input.dumps import Dumps, iso

_QUOTES = (  # column, seconds into the hour
    ("open", 0),
    ("high", 1200),
    ("low", 2400),
    ("close", 3599),
)


@dataclass(frozen=True)
class Vega:
    """The files, and what is true of them."""

    folder: Path

    @cached_property
    def sp500(self) -> list[dict[str, str]]:
        return _rows(self.folder / "sp500-2000.csv")

    @cached_property
    def stocks(self) -> list[dict[str, str]]:
        return _rows(self.folder / "stocks.csv")

    @cached_property
    def days(self) -> list[dict[str, str]]:
        return _rows(self.folder / "weather.csv")

    @cached_property
    def hours(self) -> list[dict[str, str]]:
        return _rows(self.folder / "seattle-weather-hourly-normals.csv")

    def dump(self, dumps: Dumps) -> None:
        with dumps.file("market-data", "sp500.ndjson") as dump:
            for day in self.sp500:
                for column, seconds in _QUOTES:
                    at = _trading_hour(day["date"]) + timedelta(seconds=seconds)
                    volume = int(day["volume"]) if column == "close" else 0
                    dump.send("^GSPC", _quote("^GSPC", day[column], volume, at), at)
        with dumps.file("market-data", "stocks.ndjson") as dump:
            for month in self.stocks:
                at = _first_of_month(month)
                dump.send(month["symbol"], _quote(month["symbol"], month["price"], 0, at), at)
        with dumps.file("topic_external_data", "weather.ndjson") as dump:
            for number, day in enumerate(self.days, 1):
                at = datetime.fromisoformat(day["date"]) + timedelta(hours=12)
                report = {
                    "city": day["location"],
                    "temperature": float(day["temp_max"]),
                    "wind_speed": float(day["wind"]),
                    "condition": day["weather"],
                }
                dump.send("weather_api", _weather(f"weather-{number}", at, report), at)
        with dumps.file("topic_external_data", "weather-normals.ndjson") as dump:
            for number, hour in enumerate(self.hours, 1):
                at = datetime.fromisoformat(hour["date"])
                report = {
                    "city": "Seattle",
                    "temperature": float(hour["temperature"]),
                    "wind_speed": float(hour["wind"]),
                    "pressure_mb": float(hour["pressure"]),
                }
                dump.send("weather_api", _weather(f"normal-{number}", at, report), at)

    # what must come out, straight from the files

    def bars(self) -> dict[tuple[str, datetime], tuple[Decimal, Decimal, Decimal, Decimal, int]]:
        """By symbol and hour: open, high, low, close and volume."""
        bars: dict[tuple[str, datetime], tuple[Decimal, Decimal, Decimal, Decimal, int]] = {
            ("^GSPC", _trading_hour(day["date"])): (
                Decimal(day["open"]),
                Decimal(day["high"]),
                Decimal(day["low"]),
                Decimal(day["close"]),
                int(day["volume"]),
            )
            for day in self.sp500
        }
        for month in self.stocks:
            price = Decimal(month["price"])
            bars[month["symbol"], _first_of_month(month)] = (price, price, price, price, 0)
        return bars

    def weather(self) -> dict[tuple[str, datetime], tuple[float, float, str | None, float | None]]:
        """By city and time: temperature (°C), wind (m/s), condition and pressure (mbar)."""
        reports: dict[tuple[str, datetime], tuple[float, float, str | None, float | None]] = {
            (day["location"], datetime.fromisoformat(day["date"]) + timedelta(hours=12)): (
                float(day["temp_max"]),
                float(day["wind"]),
                day["weather"],
                None,
            )
            for day in self.days
        }
        for hour in self.hours:
            reports["Seattle", datetime.fromisoformat(hour["date"])] = (
                float(hour["temperature"]),
                float(hour["wind"]),
                None,
                float(hour["pressure"]),
            )
        return reports

    def conditions(self) -> Counter[tuple[str, str]]:
        """Days by city and condition."""
        return Counter((day["location"], day["weather"]) for day in self.days)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _trading_hour(day: str) -> datetime:
    return datetime.fromisoformat(day) + timedelta(hours=14)


def _first_of_month(month: dict[str, str]) -> datetime:
    return datetime.strptime(month["date"], "%b %d %Y")


def _quote(symbol: str, price: str, volume: int, at: datetime) -> dict[str, Any]:
    return {"symbol": symbol, "price": float(price), "volume": volume, "timestamp": iso(at)}


def _weather(item: str, at: datetime, report: dict[str, Any]) -> dict[str, Any]:
    return {
        "external_data_id": item,
        "source": "weather_api",
        "source_type": "api",
        "timestamp": iso(at),
        "data": report,
    }

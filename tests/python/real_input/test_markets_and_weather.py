"""Real prices make the bars that they were taken from; real weather comes out as it was."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from duckdb import DuckDBPyConnection
from real_input.datasets import DataSets

pytestmark = [pytest.mark.real_input, pytest.mark.timeout(900)]


def test_hourly_bars_are_those_that_the_quotes_were_made_from(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select symbol, hour_at, open, high, low, close, volume from marts.market_ohlc_hourly"
    ).fetchall()
    assert {(symbol, hour): tuple(bar) for symbol, hour, *bar in rows} == data.vega.bars()


def test_quotes_by_symbol(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select symbol, count(*), sum(price) from staging.stg_market_quotes group by symbol"
    ).fetchall()
    quotes: Counter[str] = Counter({"^GSPC": 4 * len(data.vega.sp500)})
    prices: dict[str, Decimal] = {
        "^GSPC": sum(
            (Decimal(day[c]) for day in data.vega.sp500 for c in ("open", "high", "low", "close")),
            Decimal(0),
        )
    }
    for month in data.vega.stocks:
        quotes[month["symbol"]] += 1
        prices[month["symbol"]] = prices.get(month["symbol"], 0) + Decimal(month["price"])
    assert {symbol: (count, price) for symbol, count, price in rows} == {
        symbol: (quotes[symbol], prices[symbol]) for symbol in quotes
    }


def test_weather_is_what_was_reported(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select city, observed_at, temperature_celsius, wind_meters_per_second, condition,"
        " pressure_millibar from staging.stg_weather"
    ).fetchall()
    assert {(city, at): tuple(report) for city, at, *report in rows} == data.vega.weather()


def test_days_by_city_and_condition(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select city, condition, count(*) from staging.stg_weather"
        " where condition is not null group by all"
    ).fetchall()
    assert {(city, condition): days for city, condition, days in rows} == data.vega.conditions()

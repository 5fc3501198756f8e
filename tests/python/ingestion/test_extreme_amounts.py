"""Amounts so large that their sums would overflow are kept out of raw, which is never cleaned."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypoint.contracts.reading import read_contracts

CONTRACTS = read_contracts(Path(__file__).parents[3] / "contracts")
BIGGEST = 2**63 - 1
#: How many rows of the largest value a sum must hold.
SUMMED = 9_000
QUOTE = (
    "select 'X' as symbol, cast(1 as decimal(18,6)) as price, cast({} as bigint) as volume,"
    " timestamp '2026-01-31 10:00:00' as timestamp, 0 as _partition, cast({} as bigint) as _offset,"
    " timestamp '2026-01-31 10:00:00' as _kafka_timestamp, null as _key, '{{}}' as _payload"
)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("app_bookings", "total_amount_cents"),
        ("app_order_items", "quantity"),
        ("app_order_items", "unit_price_cents"),
        ("app_orders", "total_amount_cents"),
        ("app_payments", "amount_cents"),
        ("market_quotes", "volume"),
        ("stripe_charges", "amount"),
        ("stripe_charges", "amount_refunded"),
    ],
)
def test_sums_of_what_a_contract_allows_fit_into_a_bigint(table, column):
    assert CONTRACTS[f"raw.{table}"].column(column).maximum * SUMMED <= BIGGEST


def test_the_price_of_a_line_fits_into_a_bigint():
    items = CONTRACTS["raw.app_order_items"]
    most = items.column("quantity").maximum * items.column("unit_price_cents").maximum
    assert most <= BIGGEST


def test_a_quote_of_an_impossible_volume_is_kept_apart(world):
    rows = f"{QUOTE.format(BIGGEST, 1)} union all {QUOTE.format(10**14, 2)}"

    landed = world.land(rows, CONTRACTS["raw.market_quotes"])

    assert (landed.rows, landed.rejected) == (1, 1)
    assert world.rejected("message_offset, field, value") == [(1, "volume", str(BIGGEST))]

"""A real hotel's bookings come out by month and status, duplicates and wrong rows accounted for."""

from __future__ import annotations

from collections import Counter

import pytest
from duckdb import DuckDBPyConnection
from real_input.datasets import DataSets

pytestmark = [pytest.mark.real_input, pytest.mark.timeout(900)]


def test_bookings_and_their_value_by_month_of_arrival_and_status(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select strftime(check_in_date, '%Y-%m'), status, count(*), sum(total_amount_cents)"
        " from marts.fct_bookings group by all"
    ).fetchall()
    assert {
        (month, status): (count, cents) for month, status, count, cents in rows
    } == data.hotel.by_month_and_status()


def test_nights_by_length_of_stay(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select nights, count(*) from marts.fct_bookings group by nights"
    ).fetchall()
    assert dict(rows) == data.hotel.by_nights()


def test_bookings_that_equal_another_are_bookings_of_their_own(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    ((bookings, ids),) = warehouse.execute(
        "select count(*), count(distinct booking_id) from marts.fct_bookings"
    ).fetchall()
    rows = [tuple(booking.values()) for booking in data.hotel.bookings]
    assert len(rows) - len(set(rows)) == 6092
    assert bookings == ids == len(rows) - sum(data.hotel.refused().values())


def test_rows_that_cannot_be_are_in_quarantine_with_field_value_and_rule(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select field, value, rule from raw.quarantine where table_name = 'app_bookings'"
    ).fetchall()
    assert Counter(field for field, _, _ in rows) == data.hotel.refused()
    assert set(rows) == {
        ("guests", "0", "guests_at_least_minimum"),
        ("total_amount_cents", "-6380", "total_amount_cents_at_least_minimum"),
    }


def test_the_text_null_is_no_agent(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    agents = warehouse.execute(
        "select user_id - 1200000, count(*) from marts.fct_bookings"
        " inner join marts.dim_users using (user_id) where segment = 'agent' group by user_id"
    ).fetchall()
    ((guests, bookings),) = warehouse.execute(
        "select count(distinct user_id), count(*) from marts.fct_bookings"
        " inner join marts.dim_users using (user_id) where segment = 'guest'"
    ).fetchall()
    assert dict(agents) == data.hotel.by_agent()
    assert guests == bookings == data.hotel.without_agent_and_company()


def test_a_user_knows_how_often_it_booked(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select user_id - 1200000, booking_count, cancelled_booking_count"
        " from ml_features.user_features where segment = 'agent'"
    ).fetchall()
    assert +Counter({agent: kept + cancelled for agent, kept, cancelled in rows}) == (
        data.hotel.by_agent()
    )
    assert sum(cancelled for _, _, cancelled in rows) == data.hotel.cancelled_by_agents()

"""Real shops' orders and payments come out to the cent."""

from __future__ import annotations

from collections import Counter

import pytest
from duckdb import DuckDBPyConnection
from real_input.datasets import DataSets

pytestmark = [pytest.mark.real_input, pytest.mark.timeout(900)]


def test_revenue_by_day_is_what_was_paid_that_day(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select strftime(day, '%Y-%m-%d'), revenue_cents, orders, buyers"
        " from marts.revenue_by_day where currency = 'BRL'"
    ).fetchall()
    assert {day: tuple(figures) for day, *figures in rows} == data.olist.revenue_by_day()


def test_revenue_of_all_days_is_what_was_paid_in_all(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    (figures,) = warehouse.execute(
        "select sum(gross_cents), sum(refunded_cents), sum(revenue_cents), sum(bookings),"
        " count(distinct currency) from marts.revenue_by_day"
    ).fetchall()
    paid = sum(data.olist.paid_by_order().values())
    assert figures == (paid, 0, paid, 0, 1)


def test_orders_by_status(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select status, count(*) from marts.orders_enriched group by status"
    ).fetchall()
    assert dict(rows) == data.olist.orders_by_status()


def test_sales_by_category_of_the_items(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select category, sum(line_amount_cents) from staging.stg_order_items"
        " inner join staging.stg_products using (product_id) group by category"
    ).fetchall()
    assert dict(rows) == data.olist.sales_by_category()


def test_order_totals_by_category_of_the_largest_item(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select category, sum(total_amount_cents) from marts.orders_enriched group by category"
    ).fetchall()
    assert dict(rows) == data.olist.totals_by_main_category()


def test_each_order_was_paid_what_its_charges_add_up_to(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select order_id, sum(net_cents), count(*) from marts.fct_payments group by order_id"
    ).fetchall()
    numbers, charges = data.olist.order_ids, Counter(p["order_id"] for p in data.olist.payments)
    assert {order: (paid, count) for order, paid, count in rows} == {
        numbers[order]: (paid, charges[order]) for order, paid in data.olist.paid_by_order().items()
    }


def test_orders_that_were_not_paid_their_total_stay_as_they_are(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select order_id, total_amount_cents, paid_cents from marts.orders_enriched"
        " inner join (select order_id, sum(net_cents) as paid_cents from marts.fct_payments"
        " group by order_id) as paid using (order_id) where total_amount_cents <> paid_cents"
    ).fetchall()
    numbers, totals = data.olist.order_ids, data.olist.totals
    assert len(rows) == 66
    assert {order: (total, paid) for order, total, paid in rows} == {
        numbers[order]: (totals[order], paid)
        for order, paid in data.olist.paid_by_order().items()
        if paid != totals[order]
    }


def test_the_shops_payments_agree_with_the_charges(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select result, count(*), sum(abs(difference_cents)) from marts.payment_reconciliation"
        " group by result"
    ).fetchall()
    assert rows == [("matched", len(data.olist.payments), 0)]


def test_a_buyer_who_came_back_is_one_user(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select orders, count(*) from (select count(*) as orders from marts.orders_enriched"
        " group by user_id) group by orders"
    ).fetchall()
    orders = Counter(customer["customer_unique_id"] for customer in data.olist.customers)
    assert dict(rows) == Counter(orders.values())


def test_a_users_lifetime_value_is_what_the_person_paid(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select user_id, lifetime_value_cents, order_count, lifetime_currency"
        " from ml_features.user_features where order_count > 0"
    ).fetchall()
    paid: Counter[int] = Counter()
    orders: Counter[int] = Counter()
    paid_by_order = data.olist.paid_by_order()
    for order in data.olist.orders:
        user = data.olist.user_ids[order["customer_id"]]
        orders[user] += 1
        paid[user] += paid_by_order[order["order_id"]]
    assert {user: figures for user, *figures in rows} == {
        user: [paid[user], orders[user], "BRL"] for user in orders
    }


def test_transactions_of_a_file_by_day_category_and_status(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select strftime(day, '%Y-%m-%d'), category, status, transactions, 100 * net_amount"
        " from marts.transactions_summary"
    ).fetchall()
    assert {
        (day, category, status): (count, cents) for day, category, status, count, cents in rows
    } == data.jaffle_shop.by_day_category_and_status()

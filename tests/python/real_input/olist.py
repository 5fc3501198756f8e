"""A Brazilian shop: its orders in the operational database, its payments as charges.

How it maps:
- a user is a `customer_unique_id`; a buyer who ordered twice is one user
- an order's total is what its items cost with their freight; an item's price is without freight
- each payment is a charge of its own at the time the order was approved, whatever it was paid
  with; 66 orders were charged more or less than their total, and both figures stay as they are
- a product costs what it was last sold for, 0 where it never was; nothing is said of stock
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def cents(amount: str) -> int:
    """Reais, as text, in centavos; the text may not be finer than that."""
    value = Decimal(amount) * 100
    assert value == int(value), amount
    return int(value)


@dataclass(frozen=True)
class Olist:
    """The files of the shop, and what is true of them."""

    folder: Path  # of the data

    @cached_property
    def orders(self) -> list[dict[str, str]]:
        return rows(self.folder / "olist_sample10pct/olist_orders_dataset.csv")

    @cached_property
    def items(self) -> list[dict[str, str]]:
        return rows(self.folder / "olist_sample10pct/olist_order_items_dataset.csv")

    @cached_property
    def payments(self) -> list[dict[str, str]]:
        return rows(self.folder / "olist_sample10pct/olist_order_payments_dataset.csv")

    @cached_property
    def customers(self) -> list[dict[str, str]]:
        return rows(self.folder / "olist_sample10pct/olist_customers_dataset.csv")

    @cached_property
    def products(self) -> list[dict[str, str]]:
        return rows(self.folder / "olist_official_dims/olist_products_dataset.csv")

    @cached_property
    def category_names(self) -> dict[str, str]:
        """English by Portuguese; two categories have no translation and keep their name."""
        translation = self.folder / "olist_official_dims/product_category_name_translation.csv"
        return {
            row["product_category_name"]: row["product_category_name_english"]
            for row in rows(translation)
        }

    # as the operational database numbers them

    @cached_property
    def user_ids(self) -> dict[str, int]:
        """The user of each `customer_id`; a new one is made for each order."""
        persons = dict.fromkeys(c["customer_unique_id"] for c in self.customers)
        numbers = {person: number for number, person in enumerate(persons, 1)}
        return {c["customer_id"]: numbers[c["customer_unique_id"]] for c in self.customers}

    @cached_property
    def order_ids(self) -> dict[str, int]:
        return {order["order_id"]: number for number, order in enumerate(self.orders, 1)}

    @cached_property
    def product_ids(self) -> dict[str, int]:
        return {product["product_id"]: number for number, product in enumerate(self.products, 1)}

    @cached_property
    def totals(self) -> dict[str, int]:
        """What each order costs, in centavos."""
        totals: dict[str, int] = defaultdict(int)
        for item in self.items:
            totals[item["order_id"]] += cents(item["price"]) + cents(item["freight_value"])
        return totals

    # rows of the operational database's tables

    def user_rows(self) -> Iterator[dict[str, Any]]:
        bought = {order["customer_id"]: order["order_purchase_timestamp"] for order in self.orders}
        first: dict[int, dict[str, Any]] = {}
        for customer in self.customers:
            user = self.user_ids[customer["customer_id"]]
            at = bought[customer["customer_id"]]
            row = first.setdefault(
                user,
                {
                    "id": user,
                    "country": "BR",
                    "city": customer["customer_city"],
                    "segment": customer["customer_state"],
                    "marketing_consent": False,
                    "location_consent": False,
                    "created_at": at,
                    "updated_at": at,
                },
            )
            row["created_at"] = row["updated_at"] = min(row["created_at"], at)
        yield from first.values()

    def product_rows(self) -> Iterator[dict[str, Any]]:
        prices = {
            item["product_id"]: cents(item["price"])
            for item in sorted(self.items, key=lambda item: item["shipping_limit_date"])
        }
        for product in self.products:
            yield {
                "id": self.product_ids[product["product_id"]],
                "name": product["product_id"],
                "category": self._category(product),
                "brand": None,
                "price_cents": prices.get(product["product_id"], 0),
                "stock": 0,
                "created_at": "2016-09-01 00:00:00",
                "updated_at": "2016-09-01 00:00:00",
            }

    def order_rows(self) -> Iterator[dict[str, Any]]:
        for order in self.orders:
            yield {
                "id": self.order_ids[order["order_id"]],
                "user_id": self.user_ids[order["customer_id"]],
                "status": order["order_status"],
                "currency": "BRL",
                "total_amount_cents": self.totals[order["order_id"]],
                "created_at": order["order_purchase_timestamp"],
                "updated_at": order["order_delivered_customer_date"] or order["order_approved_at"],
            }

    def item_rows(self) -> Iterator[dict[str, Any]]:
        bought = {order["order_id"]: order["order_purchase_timestamp"] for order in self.orders}
        for number, item in enumerate(self.items, 1):
            yield {
                "id": number,
                "order_id": self.order_ids[item["order_id"]],
                "product_id": self.product_ids[item["product_id"]],
                "quantity": 1,
                "unit_price_cents": cents(item["price"]),
                "created_at": bought[item["order_id"]],
                "updated_at": bought[item["order_id"]],
            }

    def payment_rows(self) -> Iterator[dict[str, Any]]:
        for number, payment in enumerate(self.payments, 1):
            at = self._approved[payment["order_id"]]
            yield {
                "id": number,
                "order_id": self.order_ids[payment["order_id"]],
                "booking_id": None,
                "charge_id": _charge_id(number),
                "amount_cents": cents(payment["payment_value"]),
                "status": "succeeded",
                "created_at": at,
                "updated_at": at,
            }

    def charges(self) -> Iterator[dict[str, Any]]:
        """The payments as Stripe would list them."""
        users = {order["order_id"]: self.user_ids[order["customer_id"]] for order in self.orders}
        for number, payment in enumerate(self.payments, 1):
            order = payment["order_id"]
            at = datetime.fromisoformat(self._approved[order]).replace(tzinfo=UTC)
            yield {
                "id": _charge_id(number),
                "object": "charge",
                "amount": cents(payment["payment_value"]),
                "amount_refunded": 0,
                "currency": "brl",
                "created": int(at.timestamp()),
                "customer": f"cus_{users[order]}",
                "status": "succeeded",
                "paid": True,
                "refunded": False,
                "disputed": False,
                "failure_code": None,
                "payment_method_details": {"type": payment["payment_type"]},
                "metadata": {"order_id": str(self.order_ids[order])},
            }

    # what must come out, straight from the files

    def revenue_by_day(self) -> dict[str, tuple[int, int, int]]:
        """By day of approval: centavos, orders, buyers."""
        person_of = {c["customer_id"]: c["customer_unique_id"] for c in self.customers}
        buyer_of = {order["order_id"]: person_of[order["customer_id"]] for order in self.orders}
        amounts: Counter[str] = Counter()
        orders: defaultdict[str, set[str]] = defaultdict(set)
        for payment in self.payments:
            day = self._approved[payment["order_id"]][:10]
            amounts[day] += cents(payment["payment_value"])
            orders[day].add(payment["order_id"])
        return {
            day: (amounts[day], len(orders[day]), len({buyer_of[order] for order in orders[day]}))
            for day in amounts
        }

    def orders_by_status(self) -> Counter[str]:
        return Counter(order["order_status"] for order in self.orders)

    def sales_by_category(self) -> Counter[str | None]:
        """Centavos that items were sold for, without freight, by their product's category."""
        category_of = {p["product_id"]: self._category(p) for p in self.products}
        sales: Counter[str | None] = Counter()
        for item in self.items:
            sales[category_of[item["product_id"]]] += cents(item["price"])
        return sales

    def totals_by_main_category(self) -> Counter[str | None]:
        """Orders' totals in centavos by the category of their dearest item, the first of equals."""
        category_of = {p["product_id"]: self._category(p) for p in self.products}
        dearest: dict[str, dict[str, str]] = {}
        for item in self.items:
            best = dearest.get(item["order_id"])
            if best is None or cents(item["price"]) > cents(best["price"]):
                dearest[item["order_id"]] = item
        totals: Counter[str | None] = Counter()
        for order, item in dearest.items():
            totals[category_of[item["product_id"]]] += self.totals[order]
        return totals

    def paid_by_order(self) -> Counter[str]:
        """Centavos that were charged for each order."""
        paid: Counter[str] = Counter()
        for payment in self.payments:
            paid[payment["order_id"]] += cents(payment["payment_value"])
        return paid

    @cached_property
    def _approved(self) -> dict[str, str]:
        return {order["order_id"]: order["order_approved_at"] for order in self.orders}

    def _category(self, product: dict[str, str]) -> str | None:
        name = product["product_category_name"]
        return self.category_names.get(name, name) or None


def _charge_id(number: int) -> str:
    return f"ch_olist_{number:06d}"

"""A small shop's payments as finance would upload them: one CSV file of transactions.

How it maps: a payment is a transaction of its buyer's account, posted on the day of the order with
the order's status; the shop's cents become dollars; the payment method is the category.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path

_COLUMNS = (
    "transaction_id",
    "account_id",
    "posted_at",
    "amount",
    "currency",
    "merchant",
    "category",
    "status",
)


@dataclass(frozen=True)
class JaffleShop:
    """The files of the shop, and what is true of them."""

    folder: Path

    @cached_property
    def payments(self) -> list[dict[str, str]]:
        return self._rows("raw_payments.csv")

    @cached_property
    def orders(self) -> dict[str, dict[str, str]]:
        return {order["id"]: order for order in self._rows("raw_orders.csv")}

    def drop(self, folder: Path) -> None:
        """Write the file of transactions."""
        folder.mkdir(parents=True)
        with (folder / "jaffle_shop_2018.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows(self._transactions())

    def _transactions(self) -> Iterator[list[str]]:
        for payment in self.payments:
            order = self.orders[payment["order_id"]]
            yield [
                f"jaffle-{payment['id']}",
                f"customer-{order['user_id']}",
                f"{order['order_date']}T00:00:00",
                f"{Decimal(payment['amount']) / 100:.2f}",
                "USD",
                "Jaffle Shop",
                payment["payment_method"],
                order["status"],
            ]

    # what must come out, straight from the files

    def by_day_category_and_status(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        """Payments and their cents by day of the order, payment method and the order's status."""
        figures: dict[tuple[str, str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for payment in self.payments:
            order = self.orders[payment["order_id"]]
            group = order["order_date"], payment["payment_method"], order["status"]
            count, cents = figures[group]
            figures[group] = count + 1, cents + int(payment["amount"])
        return figures

    def _rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

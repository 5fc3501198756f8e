"""Two years of a resort hotel's bookings, as rows of the operational database.

How it maps:
- the file has no booking id: each row is a booking, the 6,092 that equal an earlier one included
- `Check-Out` is completed, `Canceled` is cancelled; `No-Show`, which the file counts as cancelled
  (`IsCanceled`), is cancelled too
- made `LeadTime` days before arrival; last changed on `ReservationStatusDate`
- the amount is the average daily rate times the nights, in euro cents
- who booked is the agent, or else the company; where both are the text NULL, the guest did, who is
  not known and gets a user of its own
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

FIRST_USER = {"guest": 1_000_000, "agent": 1_200_000, "company": 1_300_000}
_STATUS = {"Check-Out": "completed", "Canceled": "cancelled", "No-Show": "cancelled"}
_MONTHS = ["", *(date(2000, month, 1).strftime("%B") for month in range(1, 13))]


@dataclass(frozen=True)
class Hotel:
    """The file of the hotel, and what is true of it."""

    path: Path

    @cached_property
    def bookings(self) -> list[dict[str, str]]:
        """The rows of the file, as they stand there: padded codes and the text NULL included."""
        with gzip.open(self.path, "rt", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def user_rows(self) -> Iterator[dict[str, Any]]:
        users: dict[int, dict[str, Any]] = {}
        for number, booking in enumerate(self.bookings):
            user, made = _user(number, booking), _made_on(booking)
            row = users.setdefault(
                user,
                {
                    "id": user,
                    "country": None,  # the file has three letters for it
                    "city": None,
                    "segment": _booker(booking)[0],
                    "marketing_consent": False,
                    "location_consent": False,
                    "created_at": made,
                    "updated_at": made,
                },
            )
            row["created_at"] = row["updated_at"] = min(row["created_at"], made)
        yield from users.values()

    def booking_rows(self) -> Iterator[dict[str, Any]]:
        for number, booking in enumerate(self.bookings):
            arrival = _arrival(booking)
            yield {
                "id": number + 1,
                "user_id": _user(number, booking),
                "place_id": f"hotel-{booking['HotelNumber']}",
                "status": _STATUS[booking["ReservationStatus"].strip()],
                "check_in": arrival,
                "check_out": arrival + timedelta(days=_nights(booking)),
                "guests": _guests(booking),
                "currency": "EUR",
                "total_amount_cents": _amount(booking),
                "created_at": _made_on(booking),
                "updated_at": max(
                    _made_on(booking), date.fromisoformat(booking["ReservationStatusDate"])
                ),
            }

    # what must come out, straight from the file

    def users(self) -> int:
        """Agents, companies, and guests who booked themselves."""
        agents = {b["Agent"] for b in self.bookings if "NULL" not in b["Agent"]}
        rest = [b for b in self.bookings if "NULL" in b["Agent"]]
        companies = {b["Company"] for b in rest if "NULL" not in b["Company"]}
        guests = sum("NULL" in b["Company"] for b in rest)
        return len(agents) + len(companies) + guests

    def by_agent(self) -> Counter[int]:
        """Bookings by the agent's number; those without one are left out."""
        return Counter(
            int(booking["Agent"]) for booking in self._possible() if "NULL" not in booking["Agent"]
        )

    def cancelled_by_agents(self) -> int:
        return sum(
            booking["IsCanceled"] == "1"
            for booking in self._possible()
            if "NULL" not in booking["Agent"]
        )

    def without_agent_and_company(self) -> int:
        return sum(
            "NULL" in booking["Agent"] and "NULL" in booking["Company"]
            for booking in self._possible()
        )

    def by_nights(self) -> Counter[int]:
        return Counter(_nights(booking) for booking in self._possible())

    def refused(self) -> Counter[str]:
        """Rows that no contract can let through, by the field that is wrong."""
        fields: Counter[str] = Counter()
        for booking in self.bookings:
            if _guests(booking) < 1:
                fields["guests"] += 1
            elif _amount(booking) < 0:
                fields["total_amount_cents"] += 1
        return fields

    def by_month_and_status(self) -> dict[tuple[str, str], tuple[int, int]]:
        """By month of arrival (2015-07) and status: bookings, and what they cost in cents."""
        counts: Counter[tuple[str, str]] = Counter()
        amounts: Counter[tuple[str, str]] = Counter()
        for booking in self._possible():
            month = _MONTHS.index(booking["ArrivalDateMonth"])
            status = "completed" if booking["IsCanceled"].strip() == "0" else "cancelled"
            group = f"{booking['ArrivalDateYear']}-{month:02d}", status
            counts[group] += 1
            amounts[group] += _amount(booking)
        return {group: (counts[group], amounts[group]) for group in counts}

    def _possible(self) -> Iterator[dict[str, str]]:
        """The rows that nothing is wrong with."""
        return (b for b in self.bookings if _guests(b) > 0 and _amount(b) >= 0)


def _booker(booking: dict[str, str]) -> tuple[str, int | None]:
    """Who booked: agent or company with its number, or else the guest."""
    for kind in ("Agent", "Company"):
        if booking[kind].strip() != "NULL":
            return kind.lower(), int(booking[kind])
    return "guest", None


def _user(row: int, booking: dict[str, str]) -> int:
    """The user who made the booking of a row."""
    kind, number = _booker(booking)
    return FIRST_USER[kind] + (row if number is None else number)


def _arrival(booking: dict[str, str]) -> date:
    month = _MONTHS.index(booking["ArrivalDateMonth"])
    return date(int(booking["ArrivalDateYear"]), month, int(booking["ArrivalDateDayOfMonth"]))


def _made_on(booking: dict[str, str]) -> date:
    return _arrival(booking) - timedelta(days=int(booking["LeadTime"]))


def _nights(booking: dict[str, str]) -> int:
    return int(booking["StaysInWeekendNights"]) + int(booking["StaysInWeekNights"])


def _guests(booking: dict[str, str]) -> int:
    return sum(int(booking[kind]) for kind in ("Adults", "Children", "Babies"))


def _amount(booking: dict[str, str]) -> int:
    cents = Decimal(booking["ADR"]) * 100 * _nights(booking)
    assert cents == int(cents), booking["ADR"]
    return int(cents)

"""Named formats of values: the same name for text in tiles and tables and for a chart's axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

#: What stands for a value that is not there.
NOTHING = "–"

Number = int | float | Decimal


@dataclass(frozen=True)
class NumberFormat:
    """How a number is written: in text, and in a chart as d3's patterns for tooltips and axes."""

    text: Callable[[Number], str]
    tooltip: str
    axis: str


def _compact(value: Number) -> str:
    number = float(value)
    for limit, unit, letter in ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(number) >= limit:
            return f"{number / unit:,.{1 if abs(number) < 100 * unit else 0}f} {letter}"
    return f"{number:,.0f}"


NUMBER_FORMATS: Mapping[str, NumberFormat] = {
    "integer": NumberFormat(lambda v: f"{v:,.0f}", ",.0f", "~s"),
    "compact": NumberFormat(_compact, ",.0f", "~s"),
    "decimal": NumberFormat(lambda v: f"{v:,.2f}", ",.2f", ",.2~f"),
    "percent": NumberFormat(lambda v: f"{v:.1%}", ".1%", "~%"),
    "signed_percent": NumberFormat(lambda v: f"{v:+.1%}", "+.1%", "+~%"),
}

#: d3 patterns of times, UTC.
DAY_PATTERN, TIME_PATTERN = "%-d %b %Y", "%-d %b %Y, %H:%M"


def text(value: Any, format_name: str | None = None) -> str:
    """A value as a person reads it; `format_name` is one of `NUMBER_FORMATS`, for numbers."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.day} {value:%b %Y, %H:%M}"
    if isinstance(value, date):
        return f"{value.day} {value:%b %Y}"
    if isinstance(value, int | float | Decimal):
        if format_name:
            return NUMBER_FORMATS[format_name].text(value)
        whole = isinstance(value, int) or value == int(value)
        return f"{value:,.0f}" if whole else f"{value:,.2f}"
    return str(value)


def change(value: Number, previous: Number, format_name: str | None) -> tuple[float, str] | None:
    """How `value` compares with `previous`: its sign, and in words; None where it cannot be said.

    Shares are compared in percentage points, everything else in percent of what was.
    """
    if format_name == "percent":
        points = (float(value) - float(previous)) * 100
        return round(points, 1), f"{abs(points):.1f} points"
    if not previous:
        return None
    share = (float(value) - float(previous)) / abs(float(previous))
    return round(share, 3), f"{abs(share):.1%}" if abs(share) < 10 else f"{abs(share):,.0%}"

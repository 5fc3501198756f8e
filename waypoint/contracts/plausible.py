"""Rules that hold for columns of every kind, and need not be written: what is never meant.

They are warnings. A column whose contract says better (a minimum, a maximum, a pattern, a list of
values) has no need of them, and one that is meant to break one says so in its contract:

    customProperties:
      - property: mayBe
        value: [blank, implausible, empty]
"""

from __future__ import annotations

from typing import Any

from waypoint.contracts.model import Column

#: How the JSON text of a type begins.
JSON_OPENINGS = {"object": "{", "array": "["}

#: The custom property by which a column is left out of some of these rules.
MAY_BE = "mayBe"
BLANK, IMPLAUSIBLE, EMPTY = "blank", "implausible", "empty"

# what programs write that know no time: the zeros and the ends of their calendars
_FIRST_TIME, _LAST_TIME = "1971-01-01", "2100-01-01"
# from here on whole numbers are not exact where numbers are floating: JSON, browsers, features
_INEXACT = 2**53
_LARGEST_INTEGER = 2**31 - 1
_LARGEST_DOUBLE = "1e15"

#: What is left where bytes were read in the wrong encoding.
_ILLEGIBLE = "chr(65533)"


def plausible_rules(column: Column) -> list[dict[str, Any]]:
    """The rules of a column that come with its type: each a name, and a `condition` or `filled`.

    A `condition` is true for a row that breaks the rule. `filled` names a column that has a value
    in some row once there are many.
    """
    exempt = column.custom.get(MAY_BE) or ()
    rules: list[dict[str, Any]] = []
    told = None if IMPLAUSIBLE in exempt else _implausible(column)
    if told:
        rules.append({"name": f"{column.name}_is_plausible", "condition": told})
    told = _illegible(column, may_be_blank=BLANK in exempt)
    if told:
        rules.append({"name": f"{column.name}_is_legible", "condition": told})
    if not column.required and EMPTY not in exempt:
        rules.append({"name": f"{column.name}_is_filled_somewhere", "filled": column.name})
    return rules


def _implausible(column: Column) -> str | None:
    name = column.name
    kind, _, size = column.physical_type.lower().replace(" ", "").partition("(")
    lowest, highest = column.minimum is None, column.maximum is None
    if kind in ("timestamp", "date"):
        return _either(
            f"{name} < '{_FIRST_TIME}'" if lowest else None,
            f"{name} >= '{_LAST_TIME}'" if highest else None,
        )
    limit = _limit(kind, size)
    if limit is None:
        return None
    return _either(
        f"{name} <= -{limit}" if lowest else None,
        f"{name} >= {limit}" if highest else None,
    )


def _limit(kind: str, size: str) -> str | None:
    """From which size on a number is one that stands for none."""
    if kind == "bigint":
        return str(_INEXACT)
    if kind == "integer":
        return str(_LARGEST_INTEGER)
    if kind == "double":
        return _LARGEST_DOUBLE
    if kind == "decimal":
        digits, _, scale = size.rstrip(")").partition(",")
        return "9" * (int(digits) - int(scale or 0))
    return None


def _either(*conditions: str | None) -> str | None:
    return " or ".join(condition for condition in conditions if condition) or None


def _illegible(column: Column, may_be_blank: bool) -> str | None:
    """Texts that say nothing; metadata of a message may be blank where it may lack."""
    name = column.name
    if column.physical_type.lower() != "varchar":
        return None
    if column.valid_values is not None or column.pattern is not None:
        return None
    if column.logical_type in JSON_OPENINGS:  # JSON
        return f"left({name}, 1) <> '{JSON_OPENINGS[column.logical_type]}'"
    if column.is_metadata:  # whole messages among it, too long to be read through
        garbled = f"left({name}, 1) = {_ILLEGIBLE}"
        may_be_blank = may_be_blank or not column.required
    else:
        garbled = f"contains({name}, {_ILLEGIBLE})"
    return garbled if may_be_blank else f"{name} = '' or {garbled}"

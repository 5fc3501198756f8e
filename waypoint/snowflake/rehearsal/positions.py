"""Snowflake's functions of positions that its stand-in has not, written anew.

Halving intervals bit by bit, not as the project's own macro does it for DuckDB: what a rehearsal
compares is not one implementation with itself.
"""

from __future__ import annotations

from typing import Any

_LETTERS = "0123456789bcdefghjkmnpqrstuvwxyz"


def st_point(longitude: float, latitude: float) -> str:
    """A position (degrees) as text that loses nothing."""
    return f"{longitude!r} {latitude!r}"


def st_geohash(point: str, precision: int) -> str:
    """The geohash of a position, `precision` characters long."""
    longitude, latitude = map(float, point.split())
    around = {0: [-180.0, 180.0], 1: [-90.0, 90.0]}
    letters = []
    bit = 0
    for _ in range(precision):
        number = 0
        for _ in range(5):
            value, interval = ((longitude, around[0]), (latitude, around[1]))[bit % 2]
            middle = (interval[0] + interval[1]) / 2
            upper = value >= middle
            interval[0 if upper else 1] = middle
            number = number * 2 + upper
            bit += 1
        letters.append(_LETTERS[number])
    return "".join(letters)


def add_to(connection: Any) -> None:
    """Make the functions known to a DuckDB and all connections to it."""
    connection.create_function("st_point", st_point, ["DOUBLE", "DOUBLE"], "VARCHAR")
    connection.create_function("st_geohash", st_geohash, ["VARCHAR", "INTEGER"], "VARCHAR")

"""Whether one column type holds everything that another does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from waypoint.contracts.changes.verdicts import Kind

_TYPE = re.compile(r"\s*([a-z][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*", re.I)

_INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "integer": 4, "bigint": 8}
_FLOATS = {"real": 4, "float": 4, "double": 8, "double precision": 8}
_DECIMALS = ("decimal", "numeric", "number")
_TEXTS = ("varchar", "text", "string", "char", "character varying")
_UNBOUNDED = 1_000_000_000


@dataclass(frozen=True)
class _Size:
    """A type's family, and what it holds of it: each measure larger holds more."""

    family: str
    measures: tuple[int, ...]


def type_change(before: str, after: str) -> Kind | None:
    """How a column's type changed; None where both names mean the same.

    Only within one family (whole numbers, floats, decimals, texts) can a type be wider than
    another; every other difference is another type.
    """
    old, new = _size(before), _size(after)
    if old == new:
        return None
    if old.family != new.family or len(old.measures) != len(new.measures):
        return Kind.COLUMN_RETYPED
    pairs = list(zip(old.measures, new.measures, strict=True))
    if any(o > n for o, n in pairs):
        return Kind.TYPE_NARROWED
    return Kind.TYPE_WIDENED


def _size(name: str) -> _Size:
    match = _TYPE.fullmatch(name)
    if match is None:
        return _Size(name.strip().lower(), ())
    word, first, second = match[1].lower(), match[2], match[3]
    if word in _INTEGERS:
        return _Size("integer", (_INTEGERS[word],))
    if word in _FLOATS:
        return _Size("float", (_FLOATS[word],))
    if word in _DECIMALS and first:
        scale = int(second or 0)
        return _Size("decimal", (int(first) - scale, scale))
    if word in _TEXTS:
        return _Size("text", (int(first) if first else _UNBOUNDED,))
    return _Size(name.strip().lower(), ())

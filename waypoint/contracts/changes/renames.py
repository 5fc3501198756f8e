"""Columns that are the same under a new name: dropped and added at once, and saying the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

Column = Mapping[str, Any]
Columns = Mapping[str, Column]

#: How alike two columns must be, of 1: what they say of themselves counts most.
_ALIKE_ENOUGH = 0.72
_OF_DESCRIPTION, _OF_NAME, _OF_TYPE, _OF_PLACE = 0.5, 0.2, 0.2, 0.1


@dataclass(frozen=True)
class Rename:
    """A column's old and new name; `path` is the old one with those of the fields around it."""

    path: str
    old: str
    new: str


def align(
    before: Sequence[Column], after: Sequence[Column], around: str = ""
) -> tuple[list[Column], list[Rename]]:
    """The later columns under their earlier names, so that like is compared with like.

    Columns are as written in the contract; those inside of objects and arrays are aligned too.
    """
    was = {column["name"]: column for column in before}
    renamed = renamed_columns(was, {column["name"]: column for column in after})
    older = {new: old for old, new in renamed.items()}
    renames = [Rename(f"{around}{old}", old, new) for old, new in renamed.items()]
    aligned: list[Column] = []
    for column in after:
        name = older.get(column["name"], column["name"])
        inner, found = _align_inside(was.get(name, {}), column, f"{around}{name}.")
        renames += found
        aligned.append({**column, **inner, "name": name})
    return aligned, renames


def _align_inside(
    before: Column, after: Column, around: str
) -> tuple[dict[str, Any], list[Rename]]:
    if before.get("properties") and after.get("properties"):
        columns, renames = align(before["properties"], after["properties"], around)
        return {"properties": columns}, renames
    if before.get("items") and after.get("items"):
        inner, renames = _align_inside(before["items"], after["items"], around)
        return ({"items": {**after["items"], **inner}} if inner else {}), renames
    return {}, []


def renamed_columns(before: Columns, after: Columns) -> dict[str, str]:
    """New names by the old ones; `before` and `after` are columns as written, by name.

    A column is renamed if one that is gone and one that has come are alike: in description, type,
    name and place, no matter in which order they stand.
    """
    gone = [name for name in before if name not in after]
    come = [name for name in after if name not in before]
    likeness = {(old, new): _likeness(old, new, before, after) for old in gone for new in come}
    renames: dict[str, str] = {}
    for old, new in sorted(likeness, key=lambda pair: -likeness[pair]):
        if likeness[old, new] < _ALIKE_ENOUGH:
            break
        if old not in renames and new not in renames.values():
            renames[old] = new
    return renames


def _likeness(old: str, new: str, before: Columns, after: Columns) -> float:
    was, now = before[old], after[new]
    descriptions = (" ".join(str(c.get("description", "")).split()) for c in (was, now))
    same_type = _type(was) == _type(now)
    same_place = list(before).index(old) == list(after).index(new)
    return (
        _OF_DESCRIPTION * _ratio(*descriptions)
        + _OF_NAME * _ratio(old, new)
        + _OF_TYPE * same_type
        + _OF_PLACE * same_place
    )


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio() if one and other else 0.0


def _type(column: Mapping[str, Any]) -> str:
    return str(column.get("physicalType") or column.get("logicalType"))

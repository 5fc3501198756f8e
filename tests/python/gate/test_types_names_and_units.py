"""Which types hold what others do, which columns are the same renamed, which units a text names."""

from __future__ import annotations

from typing import Any

import pytest

from waypoint.contracts.changes.renames import align, renamed_columns
from waypoint.contracts.changes.rules import units
from waypoint.contracts.changes.types import type_change


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("integer", "int", None),
        ("varchar", "text", None),
        ("decimal(18,2)", "number(18, 2)", None),
        ("integer", "bigint", "type widened"),
        ("bigint", "integer", "type narrowed"),
        ("float", "double", "type widened"),
        ("varchar(20)", "varchar", "type widened"),
        ("varchar", "varchar(20)", "type narrowed"),
        ("decimal(10,2)", "decimal(18,2)", "type widened"),
        ("decimal(10,2)", "decimal(12,4)", "type widened"),
        ("decimal(18,2)", "decimal(18,4)", "type narrowed"),  # two digits less before the point
        ("decimal(18,4)", "decimal(18,2)", "type narrowed"),
        ("bigint", "decimal(18,0)", "column retyped"),
        ("decimal(18,2)", "double", "column retyped"),
        ("date", "timestamp", "column retyped"),
        ("struct<a int>", "struct<a int, b int>", "column retyped"),
    ],
)
def test_types(before: str, after: str, change: str | None) -> None:
    assert type_change(before, after) == change


def a_column(
    name: str, kind: str = "varchar", description: str = "", **more: Any
) -> dict[str, Any]:
    return {"name": name, "physicalType": kind, "description": description, **more}


def renames(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, str]:
    return renamed_columns({c["name"]: c for c in before}, {c["name"]: c for c in after})


def test_the_same_column_under_a_new_name() -> None:
    before = [a_column("a", "bigint", "The reader."), a_column("b", "date", "The day.")]
    after = [a_column("a", "bigint", "The reader."), a_column("c", "date", "The day.")]
    assert renames(before, after) == {"b": "c"}


def test_another_column_in_its_place_is_no_renaming() -> None:
    before = [a_column("fee", "decimal(10,2)", "What the loan cost in euros.")]
    after = [a_column("shelf", "varchar", "Where the book stands.")]
    assert renames(before, after) == {}


def test_each_finds_its_own() -> None:
    before = [
        a_column("lat", "double", "Latitude in degrees."),
        a_column("lng", "double", "Longitude in degrees."),
    ]
    after = [
        a_column("longitude", "double", "Longitude in degrees."),
        a_column("latitude", "double", "Latitude in degrees."),
    ]
    assert renames(before, after) == {"lat": "latitude", "lng": "longitude"}


def test_fields_inside_of_objects_and_arrays_are_followed() -> None:
    inner = [a_column("branch", description="The library's branch.")]
    newer = [a_column("house", description="The library's branch.")]
    before = [a_column("places", items={"properties": inner})]
    after = [a_column("places", items={"properties": newer})]
    aligned, found = align(before, after)
    assert [(one.path, one.new) for one in found] == [("places.branch", "house")]
    assert aligned[0]["items"]["properties"][0]["name"] == "branch"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What it cost in cents.", {"cent"}),
        ("What it cost, in the currency's smallest unit.", {"cent"}),
        ("How long it took, in ms.", {"millisecond"}),
        ("How long it took, in milliseconds (ms).", {"millisecond"}),
        ("When it was lent (UTC).", {"utc"}),
        ("Centre of the place.", set()),
    ],
)
def test_units(text: str, found: set[str]) -> None:
    assert units(text) == found

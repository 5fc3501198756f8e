"""The macros that work on positions, rendered as dbt renders them and run on DuckDB."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest
from jinja2 import Environment

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT.parent / "shared" / "data" / "conformance" / "geohash" / "vectors.csv"


def rendered(call: str) -> str:
    """The SQL of a macro call, with the macros of macros/geography and DuckDB's dispatch."""
    macros = "".join(p.read_text() for p in sorted((ROOT / "macros/geography").glob("*.sql")))
    dispatch = "{% macro geohash_(a, b, c) %}{{ duckdb__geohash(a, b, c) }}{% endmacro %}"
    environment = Environment(extensions=["jinja2.ext.do"])
    return environment.from_string(f"{macros}{dispatch}{{{{ {call} }}}}").render().strip()


def geohash(latitude: float | None, longitude: float | None, precision: int) -> str | None:
    sql = rendered(f"geohash_('latitude', 'longitude', {precision})")
    row = duckdb.execute(
        f"select {sql} from (select cast(? as double) as latitude, cast(? as double) as longitude)",
        [latitude, longitude],
    ).fetchone()
    assert row
    return row[0]


def test_geohashes_agree_with_the_published_vectors() -> None:
    if not VECTORS.exists():
        pytest.skip(f"the test vectors are not there: {VECTORS}")
    with VECTORS.open() as file:
        vectors = list(csv.DictReader(file))
    with duckdb.connect() as connection:
        connection.execute(
            "create table vector (latitude double, longitude double, p int, hash text)"
        )
        connection.executemany(
            "insert into vector values (?, ?, ?, ?)",
            [(v["lat"], v["lon"], v["precision"], v["geohash"]) for v in vectors],
        )
        wrong = []
        for precision in range(1, 13):
            sql = rendered(f"geohash_('latitude', 'longitude', {precision})")
            wrong += connection.execute(
                f"select *, {sql} as ours from vector where p = ? and ours is distinct from hash",
                [precision],
            ).fetchall()

    assert len(vectors) > 400
    assert wrong == []


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        (52.52, 13.405, "u33dc0c"),
        (-90.0, -180.0, "0000000"),
        # the last row and column include the pole and the 180th meridian
        (90.0, 180.0, "zzzzzzz"),
        (0.0, 0.0, "s000000"),
        (90.1, 0.0, None),
        (0.0, -180.1, None),
        (None, 0.0, None),
    ],
)
def test_geohash_of_seven_characters(
    latitude: float | None, longitude: float | None, expected: str | None
) -> None:
    assert geohash(latitude, longitude, 7) == expected


def test_a_longer_geohash_begins_with_the_shorter_one() -> None:
    longest = geohash(-33.8568, 151.2153, 12)

    assert longest
    assert [geohash(-33.8568, 151.2153, n) for n in range(1, 12)] == [
        longest[:n] for n in range(1, 12)
    ]


@pytest.mark.parametrize(
    ("one", "other", "meters"),
    [
        ((52.52, 13.405), (52.52, 13.405), 0),
        ((52.52, 13.405), (48.8566, 2.3522), 877_460),  # Berlin, Paris
        ((0.0, 179.9), (0.0, -179.9), 22_239),  # across the 180th meridian
        ((90.0, 0.0), (-90.0, 0.0), 20_015_115),
    ],
)
def test_meters_between_positions(
    one: tuple[float, float], other: tuple[float, float], meters: float
) -> None:
    sql = rendered(f"haversine_meters('{one[0]}', '{one[1]}', '{other[0]}', '{other[1]}')")
    row = duckdb.execute(f"select {sql}").fetchone()
    assert row
    assert row[0] == pytest.approx(meters, rel=0.001, abs=1)


def test_the_middle_of_a_part_of_the_grid_falls_into_that_part() -> None:
    index = rendered("grid_index(grid_centre('part', 180, 18), 180, 18)")
    wrong = duckdb.execute(
        f"select part from range(0, 262144, 97) as t(part) where {index} <> part"
    )
    assert wrong.fetchall() == []

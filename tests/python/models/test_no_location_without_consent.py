"""Where people were who do not agree to it is in no mart, no feature and no copy, by value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pytest
from models.dbt_warehouse import ROOT, DbtWarehouse, Row

from waypoint.access.copies import copy_paths, cut, roles_with_a_copy
from waypoint.project import Project

pytestmark = pytest.mark.long  # each query's consent is looked at in every run, by lineage

RECOMMENDATIONS = "staging/recommendations"
MODELS = [
    "staging/commerce/stg_users",
    f"{RECOMMENDATIONS}/base_location_events",
    f"{RECOMMENDATIONS}/base_recommendations",
    f"{RECOMMENDATIONS}/base_user_interactions",
    f"{RECOMMENDATIONS}/stg_place_updates",
    f"{RECOMMENDATIONS}/stg_location_events",
    f"{RECOMMENDATIONS}/stg_recommendations",
    f"{RECOMMENDATIONS}/stg_user_interactions",
    "marts/recommendations/fact_recommendations",
    "ml_features/user_activity_10m",
]
#: Everybody was somewhere of their own: by their number, a cell that nobody else was in.
CELLS = {1: "u33dc0cm", 2: "u33dc1pt", 3: "u33db3rk", 4: "u33e1x9q"}
#: Which place is near is of no account here; each cell has one of its own.
NEAREST = f"{RECOMMENDATIONS}/stg_nearest_places"
NEAR_EVERY_CELL = (
    "select geohash, 'near-' || geohash as place_id, 'bar' as category, 'Berlin' as city from"
    f" (values {', '.join(repr((cell[:7], 0)) for cell in CELLS.values())}) as cells(geohash, n)"
)
AGREES, REFUSES, CHANGES, UNKNOWN = CELLS
FIRST, SECOND, THIRD = (datetime(2026, 1, 10, 12) + timedelta(days=n) for n in range(3))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtWarehouse]:
    """What four people did in places; the account of the last is not known."""
    state = tmp_path_factory.mktemp("consent")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WAYPOINT_STATE", str(state))
        warehouse = DbtWarehouse.of_models(state, *MODELS, instead={NEAREST: NEAR_EVERY_CELL})
        warehouse.invoke("run", "--select", "stg_users")  # makes the raw tables
        for table, rows in _raw().items():
            warehouse.insert(table, rows, FIRST)
        yield warehouse


@pytest.fixture(autouse=True)
def _state(warehouse: DbtWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYPOINT_STATE", str(warehouse.state))


def test_only_those_who_agree_have_been_anywhere(warehouse: DbtWarehouse) -> None:
    _say(warehouse, FIRST, {AGREES: True, REFUSES: False, CHANGES: True})
    _build(warehouse)

    assert shown(warehouse) == {AGREES, CHANGES}
    assert outcomes(warehouse) == len(CELLS)


def test_who_withdraws_is_nowhere_and_who_agrees_later_is_shown(warehouse: DbtWarehouse) -> None:
    _say(warehouse, SECOND, {CHANGES: False, UNKNOWN: True})
    _build(warehouse)

    assert shown(warehouse) == {AGREES, UNKNOWN}
    assert outcomes(warehouse) == len(CELLS)  # what was done stays, without where


def test_a_build_from_scratch_shows_the_same(warehouse: DbtWarehouse) -> None:
    _say(warehouse, THIRD, {CHANGES: True, UNKNOWN: False})
    _build(warehouse)
    assert shown(warehouse) == {AGREES, CHANGES}
    as_it_came = warehouse.tables()

    _build(warehouse, "--full-refresh")
    assert warehouse.tables() == as_it_came


def test_the_search_finds_a_position_that_gets_by(warehouse: DbtWarehouse) -> None:
    with duckdb.connect(str(warehouse.file)) as connection:
        connection.execute("create table marts.dim_places (place_id varchar)")
        connection.execute("insert into marts.dim_places values (?)", [f"at {CELLS[REFUSES][:7]}"])

    assert REFUSES in shown(warehouse)


def _say(warehouse: DbtWarehouse, when: datetime, consents: dict[int, bool]) -> None:
    people = [
        {
            "id": person,
            "email": f"person-{person}@example.com",
            "marketing_consent": False,
            "location_consent": agreed,
            "created_at": FIRST - timedelta(days=9),
            "updated_at": when,
            "_deleted": False,
        }
        for person, agreed in consents.items()
    ]
    warehouse.insert("app_users", people, when + timedelta(hours=1))


def _build(warehouse: DbtWarehouse, *options: str) -> None:
    warehouse.invoke("run", "--threads", "2", *options)


def shown(warehouse: DbtWarehouse) -> set[int]:
    """Who was where, by marts, features and analysts' copy, all of their columns searched."""
    project = Project(ROOT, warehouse.state)
    (role,) = roles_with_a_copy(project)
    copy = copy_paths(project)[role.name]
    copy.parent.mkdir(exist_ok=True)
    copy.unlink(missing_ok=True)
    with duckdb.connect(str(warehouse.file)) as connection:
        texts = [
            json.dumps(row, default=str)
            for table in ("marts", "ml_features")
            for name in _tables(connection, table)
            for row in connection.execute(f"select * from {table}.{name}").fetchall()
        ]
        cut(connection, project, role, copy)
    with duckdb.connect(str(copy), read_only=True) as connection:
        names = _tables(connection, "marts")
        assert "fact_recommendations" in names
        texts += [
            json.dumps(row, default=str)
            for name in names
            for row in connection.execute(f"select * from marts.{name}").fetchall()
        ]
    # a cell, a place near to it, or either of the numbers of the position
    return {
        person
        for person, cell in CELLS.items()
        for text in texts
        if cell[:7] in text or any(str(n) in text for n in _position(person).values())
    }


def outcomes(warehouse: DbtWarehouse) -> int:
    """How many people have a click on what was recommended to them, and activity beside it."""
    with duckdb.connect(str(warehouse.file)) as connection:
        ((people,),) = connection.execute(
            "select count(distinct user_id) from marts.fact_recommendations"
            " join ml_features.user_activity_10m using (user_id) where is_clicked"
        ).fetchall()
    return int(people)


def _tables(connection: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    found = connection.execute(
        "select table_name from information_schema.tables"
        " where table_schema = ? and table_catalog = current_database()",
        [schema],
    ).fetchall()
    return [name for (name,) in found]


def _position(person: int) -> dict[str, float]:
    """A position in the person's cell, as the device says it."""
    low, high = [-90.0, -180.0], [90.0, 180.0]
    bits = [
        "0123456789bcdefghjkmnpqrstuvwxyz".index(letter) >> shift & 1
        for letter in CELLS[person]
        for shift in (4, 3, 2, 1, 0)
    ]
    for index, bit in enumerate(bits):
        axis = 1 - index % 2
        middle = (low[axis] + high[axis]) / 2
        (low if bit else high)[axis] = middle
    lat, lng = ((below + above) / 2 for below, above in zip(low, high, strict=True))
    return {"lat": lat, "lng": lng}


def _raw() -> dict[str, list[Row]]:
    """For each person a recommendation, a click on it, and a position, from where they were."""
    at = FIRST - timedelta(hours=1)

    def message(person: int, **fields: object) -> Row:
        texts = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in fields.items()}
        sent = {"timestamp": at, "_kafka_timestamp": at, "_partition": 0, "_offset": person}
        return {**texts, **sent, "user_id": person, "_payload": json.dumps(fields)}

    def did(person: int) -> Row:
        return {
            "interaction_type": "place_view",
            "place_id": "p1",
            "location": _position(person),
            "context": {"recommendation_id": f"r{person}"},
        }

    return {
        "recommendation_logs": [
            message(
                person,
                recommendation_id=f"r{person}",
                session_id=f"s{person}",
                algorithm="a",
                model_version="1",
                context=_position(person),
                items=[{"place_id": "p1", "position": 1}],
            )
            for person in CELLS
        ],
        "user_interactions": [
            message(person, event_id=f"i{person}", session_id=f"s{person}", data=did(person))
            for person in CELLS
        ],
        "location_events": [
            message(person, event_id=f"x{person}", location=_position(person), device_type="phone")
            for person in CELLS
        ],
    }

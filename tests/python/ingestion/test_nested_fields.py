"""What the topic's contract demands within objects and arrays is checked before anything lands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from waypoint.contracts.reading import read_contracts

COLUMNS = {"id": "varchar required", "data": "object", "items": "array"}
WITHIN = {
    "data": {
        "kind": "varchar in=a|b",
        "code": "varchar required like=[a-z]+",
        "stars": "double min=0 max=5",
        "note": "varchar",
        "at": "timestamp",
        "place": {"lat": "double required min=-90 max=90", "within": {"rank": "bigint min=1"}},
    },
    "items": {"name": "varchar required", "rank": "bigint min=1"},
}


@pytest.fixture
def clicks(world):
    world.topic("clicks", "raw_clicks", COLUMNS, WITHIN)
    return world


def land(world, drops, *values, topic="clicks"):
    lines = (
        {"topic": topic, "partition": 0, "offset": n, "timestamp": 1769853600000, "value": value}
        for n, value in enumerate(values)
    )
    drops.write(f"{topic}/a.ndjson", "".join(json.dumps(line) + "\n" for line in lines))
    return world.extract("dumps", folder=str(drops.folder))


@pytest.mark.parametrize(
    "more",
    [
        {"data": {"code": "x"}},
        {"data": {"code": "x", "kind": "b", "stars": 5, "note": {"any": 1}, "unknown": [1]}},
        {"data": {"code": "x", "stars": "4.5", "at": "2026-01-31T10:00:00Z", "place": None}},
        {"data": {"code": "x", "place": {"lat": -90, "within": {"rank": 1}}}},
        {"data": None, "items": []},
        {"items": [{"name": "a", "rank": 1}, {"name": "b"}, {"name": "c", "rank": None}]},
        {},
    ],
)
def test_messages_that_keep_to_it_land(clicks, drops, more):
    (outcome,) = land(clicks, drops, {"id": "m", **more})

    assert (outcome.landed, outcome.rejected) == (1, 0)


@pytest.mark.parametrize(
    ("more", "field", "value", "rule"),
    [
        ({"data": {}}, "data.code", None, "data.code_is_required"),
        ({"data": {"code": None}}, "data.code", None, "data.code_is_required"),
        ({"data": {"code": "X1"}}, "data.code", "X1", "data.code_matches_pattern"),
        ({"data": {"code": "x", "kind": "c"}}, "data.kind", "c", "data.kind_is_allowed"),
        (
            {"data": {"code": "x", "stars": 7}},
            "data.stars",
            "7.0",
            "data.stars_at_most_maximum",
        ),
        (
            {"data": {"code": "x", "stars": -1}},
            "data.stars",
            "-1.0",
            "data.stars_at_least_minimum",
        ),
        ({"data": {"code": "x", "stars": "many"}}, "data.stars", "many", "data.stars_is_number"),
        ({"data": {"code": "x", "stars": "NaN"}}, "data.stars", "NaN", "data.stars_is_number"),
        ({"data": {"code": "x", "stars": [4]}}, "data.stars", "[4]", "data.stars_is_number"),
        ({"data": {"code": "x", "at": "soon"}}, "data.at", "soon", "data.at_is_timestamp"),
        ({"data": {"code": "x", "place": "here"}}, "data.place", '"here"', "data.place_is_object"),
        (
            {"data": {"code": "x", "place": {}}},
            "data.place.lat",
            None,
            "data.place.lat_is_required",
        ),
        (
            {"data": {"code": "x", "place": {"lat": 1, "within": {"rank": 0}}}},
            "data.place.within.rank",
            "0",
            "data.place.within.rank_at_least_minimum",
        ),
        ({"items": [{"name": "a"}, {"rank": 2}]}, "items.name", None, "items.name_is_required"),
        ({"items": [{"name": "a"}, 3]}, "items.name", None, "items.name_is_required"),
        (
            {"items": [{"name": "a", "rank": 1}, {"name": "b", "rank": 0}]},
            "items.rank",
            "0",
            "items.rank_at_least_minimum",
        ),
        (
            {"items": [{"name": "a", "rank": "first"}]},
            "items.rank",
            "first",
            "items.rank_is_integer",
        ),
    ],
)
def test_a_message_that_breaks_it_is_kept_with_the_field_and_what_stood_there(
    clicks, drops, more, field, value, rule
):
    (outcome,) = land(clicks, drops, {"id": "good", "data": {"code": "x"}}, {"id": "m", **more})

    assert (outcome.landed, outcome.rejected) == (1, 1)
    ((at, *found, reason, payload),) = clicks.rejected(
        "message_offset, field, value, rule, reason, payload"
    )
    assert (at, found) == (1, [field, value, rule])
    assert reason.startswith(f"{field}: ")
    assert json.loads(payload) == {"id": "m", **more}


def test_a_text_that_was_sent_as_json_is_no_text(clicks, drops):
    land(clicks, drops, {"id": "m", "data": {"code": "x", "kind": ["a"]}})

    ((reason,),) = clicks.rejected("reason")
    assert """data.kind: '["a"]' is not a text but JSON""" in reason


def test_all_that_is_wrong_with_a_message_is_told_at_once(clicks, drops):
    land(clicks, drops, {"data": {"stars": 9, "place": {"lat": 91}}})

    ((reason,),) = clicks.rejected("reason")
    assert reason.split("; ") == [
        "id: is missing",
        "data.code: is missing",
        "data.stars: '9.0' is above the maximum 5",
        "data.place.lat: '91.0' is above the maximum 90",
    ]


PROJECT = read_contracts(Path(__file__).parents[3] / "contracts")
INTERACTION = {
    "event_id": "e",
    "event_type": "user_interaction",
    "timestamp": "2026-01-31T10:00:00Z",
    "user_id": 1,
}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"rating": 7}, "data.rating"),
        ({"rating": -1}, "data.rating"),
        ({"context": {"position_in_results": 0}}, "data.context.position_in_results"),
        ({"location": {"lat": 1, "lng": 1, "accuracy": -1}}, "data.location.accuracy"),
    ],
)
def test_interactions_that_would_break_the_build_never_land(world, drops, data, field):
    world.contracts = list(PROJECT.values())
    with_place = {"interaction_type": "rating", "place_id": "p"}

    good = {**INTERACTION, "data": with_place}
    bad = {**INTERACTION, "data": with_place | data}
    (outcome,) = land(world, drops, good, bad, topic="user-interactions")

    assert (outcome.landed, outcome.rejected) == (1, 1)
    assert world.rejected("field") == [(field,)]

"""`waypoint extract`, `land` and `load`, as people type them."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def library(connected_tiny_project):
    return connected_tiny_project


def test_what_was_dropped_is_landed_then_loaded_then_known(library):
    landed = library.waypoint("land", "--json").json

    sums = {o["table"]: (o["read"], o["landed"], o["rejected"]) for o in landed["sources"]}
    assert sums == {"members": (3, 2, 1), "lendings": (4, 4, 0)}
    assert landed["failed_sources"] == []

    loaded = library.waypoint("load", "--json").json
    assert loaded["rows"] == {"lendings": 4, "members": 2, "quarantine": 1}

    assert library.waypoint("land").out == "nothing new\n"
    assert library.waypoint("load").out == "nothing new to load\n"


def test_a_summary_for_people_says_what_was_rejected_and_where_it_stands(library):
    out = library.waypoint("land").out

    assert "known already" in out
    assert "raw.quarantine" in out


def test_one_source_or_table_can_be_chosen(library):
    outcomes = library.waypoint("land", "--table", "members", "--json").json["sources"]
    assert {o["table"] for o in outcomes} == {"members"}

    outcomes = library.waypoint("land", "--source", "lending_desk", "--json").json["sources"]
    assert {o["table"] for o in outcomes} == {"lendings"}


def test_given_files_are_landed(library, tmp_path):
    cards = tmp_path / "late.csv"
    cards.write_text("card,name,joined\nC0009,Zoë,2026-02-01\n")
    slips = tmp_path / "slips.jsonl"
    slips.write_text((library.desk / "lending-slips" / "0.ndjson").read_text())

    one = library.waypoint("land", cards, "--table", "members", "--json").json["sources"]
    other = library.waypoint("land", slips, "--topic", "lending-slips", "--json").json["sources"]
    again = library.waypoint("land", cards, "--table", "members", "--json").json["sources"]

    assert [(o["source"], o["landed"]) for o in one] == [("card_index", 1)]
    assert [(o["source"], o["landed"]) for o in other] == [("lending_desk", 4)]
    assert [(o["landed"], o["unchanged"]) for o in again] == [(0, 1)]


def test_a_source_that_fails_stops_no_other(library):
    (library.desk / "unheard-of").mkdir()
    (library.desk / "unheard-of" / "a.ndjson").write_text("{}")

    ended = library.waypoint("land", "--json")

    assert ended.code == 1
    assert {o["table"] for o in ended.json["sources"]} == {"members", "lendings"}
    ((failed),) = ended.json["failed_sources"]
    assert failed["source"] == "lending_desk"
    assert "no contract for the topic 'unheard-of'" in failed["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["land", "--source", "nobody"], "there is no source 'nobody'"),
        (["extract", "--source", "card_index"], "use waypoint land"),
        (["land", "--table", "nothing"], "there is no contract for raw.nothing"),
        (["land", "a.csv"], "say what the files hold"),
        (["land", "a.csv", "--table", "members"], "a.csv: No such file"),
        (["land", "--topic", "lending-slips"], "name the files, too"),
    ],
)
def test_wrong_usage_is_said_and_does_nothing(library, arguments, words):
    ended = library.waypoint(*arguments)

    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert not (library.state / "landing").exists()


def test_a_load_of_a_warehouse_that_is_held_says_by_whom(library):
    import duckdb

    library.waypoint("land")
    library.waypoint("load")
    with duckdb.connect(str(library.state / "warehouse" / "waypoint.duckdb")):
        ended = library.waypoint("load")

    assert ended.code == 3
    assert "waypoint.duckdb is held open by process" in ended.err


def test_json_is_the_only_thing_on_stdout(library):
    assert json.loads(library.waypoint("land", "--json").out)["sources"]


def test_sources_that_are_not_connected_are_left_out_and_named(library):
    ended = library.waypoint("land", "--json", LIBRARY_LENDING_DESK="")

    assert {o["table"] for o in ended.json["sources"]} == {"members"}
    assert "left out: lending_desk (LIBRARY_LENDING_DESK is not set)" in ended.err

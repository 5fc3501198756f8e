"""`waypoint quarantine`: what a person sees of rejected rows, and does about them."""

from __future__ import annotations

from typing import Any

CONTRACT = "contracts/raw/members.yaml"


def test_a_rejected_row_is_listed_replayed_once_and_loaded(connected_tiny_project: Any) -> None:
    library = connected_tiny_project
    landed = library.waypoint("land", "--json")
    assert landed.code == 0, landed.err
    listed = library.waypoint("quarantine", "list", "--rows", "--json")
    assert listed.code == 0, listed.err
    (group,) = listed.json["groups"]
    assert (group["table"], group["rows"]) == ("members", 1)
    (row,) = listed.json["rows"]
    assert row["place"] == "2026-03.csv, line 4"
    assert row["id"].endswith("#0")

    unchanged = library.waypoint("quarantine", "replay")
    assert "of 1 rows 0 landed, 1 still break" in unchanged.out

    path = library.root / CONTRACT
    text = path.read_text()
    pattern = next(line for line in text.splitlines() if "pattern:" in line)
    path.write_text(text.replace(pattern, pattern.split("pattern:")[0] + "pattern: '.*'"))
    tried = library.waypoint("quarantine", "replay", "--dry-run", "--json")
    assert [(r["landed"], r["batch"]) for r in tried.json["replayed"]] == [(1, None)]
    done = library.waypoint("quarantine", "replay", "--table", "members", "--json")
    assert [r["landed"] for r in done.json["replayed"]] == [1]
    again = library.waypoint("quarantine", "replay", "--json")
    assert again.json["replayed"] == []
    assert "no rejected rows are open" in library.waypoint("quarantine", "list").out
    loaded = library.waypoint("load", "--json")
    assert loaded.json["rows"]["members"] == 3


def test_a_table_that_is_not_there_is_refused(tiny_project: Any) -> None:
    for command in ("list", "replay"):
        ended = tiny_project.waypoint("quarantine", command, "--table", "nothing")
        assert ended.code == 2
        assert "there is no such raw table" in ended.err


def test_a_time_that_is_none_is_refused_and_an_empty_quarantine_is_fine(tiny_project: Any) -> None:
    ended = tiny_project.waypoint("quarantine", "list", "--since", "yesterday")
    assert ended.code == 2 and "--since" in ended.err
    ended = tiny_project.waypoint("quarantine", "list", "--since", "2 days", "--json")
    assert (ended.code, ended.json) == (0, {"groups": []})

"""A project that has nothing to do with this repository's runs through the same command line."""

from __future__ import annotations

import shutil

import pytest

from ingestion.bookkeeping import TABLES


def test_its_sources_become_its_marts(published_tiny_project):
    library = published_tiny_project

    days = library.waypoint("query", "from marts.lendings_by_day order by 1", "--json").json
    lent = library.waypoint("query", "from staging.stg_lendings order by slip", "--json").json

    assert [(d["lent_date"], d["lendings"], d["members"]) for d in days] == [
        ("2026-03-01", 2, 2),  # a slip that was sent twice counts once
        ("2026-03-02", 1, 1),
    ]
    assert [row["member_name"] for row in lent] == ["Ada", "Björn", "Ada"]


def test_its_status_has_its_tables_and_owners(published_tiny_project):
    status = published_tiny_project.waypoint("status", "--json").json

    tables = {f"{t['schema']}.{t['name']}": t for t in status["tables"]}
    assert set(tables) == {
        "raw.members",
        "raw.lendings",
        "staging.stg_lendings",
        "marts.lendings_by_day",
        *(f"raw.{name}" for name in TABLES),
    }
    assert tables["raw.members"]["rows"] == 2
    assert tables["marts.lendings_by_day"]["owner"] == "branch-library"
    assert all(t["fresh"] for t in status["tables"])


def test_what_broke_its_contract_is_told_with_file_line_and_reason(published_tiny_project):
    (row,) = published_tiny_project.waypoint("query", "from raw.quarantine", "--json").json

    place = {name: row[name] for name in ("table_name", "file", "line", "field", "value")}
    assert place == {
        "table_name": "members",
        "file": "2026-03.csv",
        "line": 4,
        "field": "card",
        "value": "none",
    }


@pytest.fixture(scope="module")
def history(published_tiny_project, tmp_path_factory):
    """The summaries of further runs: over the same, over one more slip, and rebuilt."""
    root = tmp_path_factory.mktemp("history") / "library"
    shutil.copytree(published_tiny_project.root, root)
    library = type(published_tiny_project)(root, published_tiny_project.environment)
    library = library.with_desk(root / "more")
    answers = {"again": library.run()}
    library.lend("1.ndjson", ("S4", "C0002", "C 1", "2026-03-02T11:00:00.000Z", 7), offset=4)
    question = "select * exclude (loaded_at) from staging.stg_lendings order by all"
    answers["more"] = library.run()
    answers["increments"] = library.waypoint("query", question, "--json").json
    answers["rebuilt"] = library.run("--full-refresh")
    answers["from scratch"] = library.waypoint("query", question, "--json").json
    return answers


def test_the_same_input_again_changes_nothing(history):
    assert history["again"]["loaded"] == {}
    assert [t["name"] for t in history["again"]["tables"] if t["new"]] == []


def test_more_input_is_added(history):
    assert history["more"]["loaded"] == {"lendings": 1}
    assert {t["name"]: t["new"] for t in history["more"]["tables"]}["stg_lendings"] == 1


def test_a_full_refresh_gives_the_same_as_the_increments(history):
    assert history["from scratch"] == history["increments"]
    assert [t["name"] for t in history["rebuilt"]["tables"] if t["new"]] == []

"""`status` and `query` on a published copy, for people and for programs."""

from __future__ import annotations

import csv
import io
import shutil
from datetime import datetime

from waypoint.errors import Exit


def test_status_names_the_published_file_the_page_and_the_time(published_tiny_project):
    status = published_tiny_project.waypoint("status", "--json").json

    assert set(status) == {"tables", "warehouse", "page", "as_of", "copies"}
    assert status["warehouse"] == str(published_tiny_project.state / "published/waypoint.duckdb")
    assert status["page"] == str(published_tiny_project.state / "published/index.html")
    assert datetime.fromisoformat(status["as_of"]) == datetime(2026, 3, 2, 12)
    assert {"schema", "name", "rows", "fresh", "level", "owner"} <= set(status["tables"][0])


def test_a_table_that_breaks_its_promise_is_late(published_tiny_project, tmp_path):
    library = _copy(published_tiny_project, tmp_path)
    (library.state / "clock.json").write_text('{"as_of": "2026-03-02T15:00:00"}')
    soon = _levels(library)
    (library.state / "clock.json").write_text('{"as_of": "2026-03-02T17:00:00"}')
    late = _levels(library)

    assert soon["stg_lendings"] == ("warn", True)  # 2 h to the warning, 4 h to the broken promise
    assert late["stg_lendings"] == ("late", False)
    assert late["lendings"] == ("fresh", True)  # its contract promises a day


def test_a_table_that_is_under_contract_but_not_there_is_missing(published_tiny_project, tmp_path):
    library = _copy(published_tiny_project, tmp_path)
    contracts = library.root / "contracts" / "marts"
    text = (contracts / "lendings_by_day.yaml").read_text()
    (contracts / "not_built.yaml").write_text(text.replace("lendings_by_day", "not_built"))

    assert _levels(library)["not_built"] == ("missing", False)


def test_query_gives_exact_values_to_programs(published_tiny_project):
    sql = "select 9007199254740993 as big, 0.10::decimal(9,2) as cents, null as none, 'ä' as text"

    as_json = published_tiny_project.waypoint("query", sql, "--json").json
    as_csv = published_tiny_project.waypoint("query", sql, "--csv").out

    assert as_json == [{"big": 9007199254740993, "cents": "0.10", "none": None, "text": "ä"}]
    assert list(csv.reader(io.StringIO(as_csv))) == [
        ["big", "cents", "none", "text"],
        ["9007199254740993", "0.10", "", "ä"],
    ]


def test_query_without_rows_is_an_empty_array(published_tiny_project):
    assert published_tiny_project.waypoint("query", "select 1 where false", "--json").json == []


def test_query_keeps_to_its_limit(published_tiny_project):
    sql = "from range(25000)"

    limited = published_tiny_project.waypoint("query", sql, "--json", "--limit", "3").json
    whole = published_tiny_project.waypoint("query", sql, "--csv").out
    shown = published_tiny_project.waypoint("query", sql)

    assert [row["range"] for row in limited] == [0, 1, 2]
    assert len(whole.splitlines()) == 25001
    assert "99" in shown.out.split()
    assert "100" not in shown.out.split()
    assert "first 100 rows" in shown.err


def test_a_mistake_in_sql_is_one_line(published_tiny_project):
    ended = published_tiny_project.waypoint("query", "select nothing from nowhere")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "nowhere" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_nothing_can_be_changed_by_a_query(published_tiny_project):
    ended = published_tiny_project.waypoint("query", "delete from raw.members")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "read-only" in ended.err


def test_a_query_whose_reader_goes_away_ends_quietly(published_tiny_project):
    process = published_tiny_project.started("query", "from range(300000)", "--csv")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    process.wait(timeout=30)

    assert process.stderr is not None
    assert process.stderr.read() == ""


def _levels(library):
    tables = library.waypoint("status", "--json").json["tables"]
    return {t["name"]: (t["level"], t["fresh"]) for t in tables}


def _copy(library, folder):
    shutil.copytree(library.root, folder / "copy", symlinks=True)
    return type(library)(folder / "copy", library.environment)

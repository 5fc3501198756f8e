"""`waypoint lineage impact` and `upstream`: offline, down to columns, on projects of any kind."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from lineage.shop import NODES, SOURCES, written


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return written(tmp_path, NODES, SOURCES)


def by_table(answer: Any) -> dict[str, Any]:
    return {entry["table"]: entry for entry in answer["tables"]}


def test_a_column_s_values_are_followed_to_the_dashboard(waypoint: Any, manifest: Path) -> None:
    ended = waypoint("lineage", "impact", "raw.sales.amount", "--manifest", manifest, "--json")
    assert ended.code == 0, ended.err
    tables = by_table(ended.json)
    assert {name: t["values"] for name, t in tables.items()} == {
        "clean.orders": {"cents": ["raw.sales.amount"]},
        "shown.days": {"cents": ["clean.orders.cents"]},
    }
    assert not any(t["rows"] for t in tables.values())
    assert [e["label"] for e in ended.json["exposures"]] == ["Money by Day"]
    assert ended.json["exposures"][0]["values"] == {"shown.days": ["cents"]}
    assert ended.json["owners"] == ["clean-team", "shown-team", "board"]


def test_a_filter_decides_rows_all_the_way_even_where_they_are_only_counted(
    waypoint: Any, manifest: Path
) -> None:
    ended = waypoint("lineage", "impact", "sales.is_test", "--manifest", manifest, "--json")
    tables = by_table(ended.json)
    assert tables["clean.orders"]["rows_decided_by"] == ["raw.sales.is_test"]
    assert tables["shown.how_many"]["rows_follow"] == ["clean.orders"]
    assert all(not t["values"] for t in tables.values())
    assert {e["label"] for e in ended.json["exposures"]} == {"Money by Day", "Counter"}


def test_what_nothing_uses_reaches_nothing(waypoint: Any, manifest: Path) -> None:
    ended = waypoint("lineage", "impact", "raw.sales.note", "--manifest", manifest)
    assert ended.code == 0
    assert "reaches nothing" in ended.out


def test_upstream_tells_values_from_what_decides_rows(waypoint: Any, manifest: Path) -> None:
    ended = waypoint("lineage", "upstream", "money by day", "--manifest", manifest, "--json")
    assert ended.code == 0, ended.err
    tables = by_table(ended.json)
    assert tables["raw.sales"]["values"] == {"amount": ["clean.orders.cents"]}
    assert tables["raw.sales"]["decides_rows_of"] == {
        "id": ["shown.days"],
        "is_test": ["clean.orders"],
    }
    assert tables["raw.days"]["values"] == {}
    assert tables["raw.days"]["decides_rows_of"] == {"day": ["shown.days"], "sale": ["shown.days"]}


@pytest.mark.parametrize("name", ["money", "Money by Day", "exposure.shop.money"])
def test_an_exposure_goes_by_name_label_or_id(waypoint: Any, manifest: Path, name: str) -> None:
    ended = waypoint("lineage", "upstream", name, "--manifest", manifest)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("Money by Day")
    assert "raw.sales  source, raw-team" in ended.out


def test_people_get_a_tree_with_owners_columns_and_rows(waypoint: Any, manifest: Path) -> None:
    ended = waypoint("lineage", "impact", "raw.sales", "--manifest", manifest)
    said = re.sub(r"[ │├└─]+", " ", ended.out)
    assert "clean.orders model, clean-team\n carries id; cents ← amount; status ← state" in said
    assert "rows by is_test" in said
    assert "Money by Day dashboard, board <board@example.com>\n uses cents" in said
    assert "raw.sales reaches 3 tables and 2 exposures" in said


@pytest.mark.parametrize(
    ("direction", "name", "offered"),
    [
        ("impact", "raw.sale", "raw.sales"),
        ("impact", "raw.sales.amuont", "amount"),
        ("impact", "money", "lineage upstream"),
        ("upstream", "Money by Dya", "Money by Day"),
        ("upstream", "shown.days.cent", "cents"),
    ],
)
def test_an_unknown_name_is_answered_with_those_alike(
    waypoint: Any, manifest: Path, direction: str, name: str, offered: str
) -> None:
    ended = waypoint("lineage", direction, name, "--manifest", manifest)
    assert ended.code == 2
    assert ended.err.startswith(f"waypoint: {name}")
    assert offered in ended.err


def test_a_picture_needs_nothing_else(waypoint: Any, manifest: Path, tmp_path: Path) -> None:
    picture = tmp_path / "impact.svg"
    waypoint("lineage", "impact", "raw.sales", "--manifest", manifest, "--picture", picture)
    drawn = ElementTree.parse(picture)
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"raw.sales", "clean.orders", "shown.days", "Money by Day", "cents"} <= {*texts}
    assert len([*drawn.iter("{http://www.w3.org/2000/svg}path")]) == 5
    assert not re.search(r"(href|src|@import|url\()", picture.read_text())


def test_mermaid_and_no_other_suffix(waypoint: Any, manifest: Path, tmp_path: Path) -> None:
    asked = ("lineage", "upstream", "counter", "--manifest", manifest, "--picture")
    ended = waypoint(*asked, tmp_path / "counter.mmd")
    assert ended.code == 0, ended.err
    assert "-.->" in (tmp_path / "counter.mmd").read_text()
    ended = waypoint(*asked, tmp_path / "counter.bmp")
    assert ended.code == 2
    assert ".svg" in ended.err


def test_a_project_that_describes_no_columns_is_answered_from_its_queries(
    waypoint: Any, tmp_path: Path
) -> None:
    path = written(
        tmp_path,
        [entry | {"columns": {}} for entry in NODES],
        [entry | {"columns": {}} for entry in SOURCES],
    )
    ended = waypoint("lineage", "impact", "raw.sales.amount", "--manifest", path, "--json")
    assert ended.code == 0, ended.err
    assert by_table(ended.json)["shown.days"]["values"] == {"cents": ["clean.orders.cents"]}


def test_a_yml_that_describes_some_of_the_columns_hides_none(waypoint: Any, tmp_path: Path) -> None:
    described = {"columns": {"id": {"name": "id"}}}
    nodes = [NODES[0] | described, NODES[1] | {"columns": {}}, NODES[2]]
    path = written(tmp_path, nodes, [SOURCES[0] | described, SOURCES[1]])
    ended = waypoint("lineage", "impact", "raw.sales.amount", "--manifest", path, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["not_traceable"] == {}
    assert by_table(ended.json)["shown.days"]["values"] == {"cents": ["clean.orders.cents"]}


def test_a_query_that_cannot_be_read_counts_in_full_and_is_named(
    waypoint: Any, tmp_path: Path
) -> None:
    broken = [NODES[0] | {"compiled_code": "select from from"}, *NODES[1:]]
    path = written(tmp_path, broken, SOURCES)
    ended = waypoint("lineage", "impact", "raw.sales.note", "--manifest", path)
    assert ended.code == 0, ended.err
    assert "Money by Day" in ended.out
    assert "! clean.orders: models/orders.sql: not traceable" in ended.out


def test_no_manifest_is_made_by_compiling(tiny_project: Any) -> None:
    ended = tiny_project.waypoint("lineage", "impact", "raw.lendings.card", "--json")
    assert ended.code == 0, ended.err
    assert "marts.lendings_by_day" in by_table(ended.json)
    # and what was traced is remembered beside it
    assert (tiny_project.root / "target" / "lineage_traced.json").is_file()
    again = tiny_project.waypoint("lineage", "impact", "raw.lendings.card", "--json")
    assert again.json == ended.json
    changed = tiny_project.root / "models" / "marts" / "lendings_by_day.sql"
    changed.write_text(changed.read_text() + "\n")
    stale = tiny_project.waypoint("lineage", "impact", "raw.lendings.card")
    assert "lendings_by_day.sql was changed since the project was compiled" in stale.err


def test_a_manifest_that_is_not_there_names_what_makes_it(waypoint: Any) -> None:
    ended = waypoint("lineage", "impact", "x", "--manifest", "nowhere.json")
    assert ended.code == 2
    assert "dbt compile" in ended.err


def test_a_model_that_the_last_run_left_out_is_read_where_dbt_left_it(
    waypoint: Any, tmp_path: Path
) -> None:
    path = written(tmp_path, [NODES[0] | {"compiled_code": None}, *NODES[1:]], SOURCES)
    left = tmp_path / "compiled" / "shop" / "models" / "orders.sql"
    left.parent.mkdir(parents=True)
    left.write_text(NODES[0]["compiled_code"])
    ended = waypoint("lineage", "impact", "raw.sales.amount", "--manifest", path, "--json")
    assert ended.json["not_traceable"] == {}
    assert "shown.days" in by_table(ended.json)
    shutil.rmtree(left.parent)

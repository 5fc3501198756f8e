"""A pull request's build: what it changed is built, the rest is read from what is published."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import duckdb
import pytest
from forking import run_dbt

SLIM_BUILD = [
    *("build", "--target", "slim"),
    *("--select", "state:modified+", "--defer", "--state", "var/published/state"),
]


@pytest.fixture
def built_after_a_change(published_tiny_project, tmp_path):
    """A mart of the published project is changed and built into the empty warehouse `slim`."""
    root = tmp_path / "library"
    shutil.copytree(published_tiny_project.root, root)
    mart = root / "models/marts/lendings_by_day.sql"
    changed = mart.read_text().replace("count(*)", "10 * count(*)")
    assert changed != mart.read_text()
    mart.write_text(changed)
    (root / "var/slim").mkdir()
    ended = run_dbt(
        SLIM_BUILD,
        root,
        {k: v for k, v in os.environ.items() if not k.startswith(("WAYPOINT_", "DBT_"))},
    )
    assert ended.code == 0, ended.out
    return root


def test_only_what_changed_is_built_and_reads_the_published_rest(built_after_a_change):
    results = json.loads((built_after_a_change / "target/run_results.json").read_text())["results"]
    built = {r["unique_id"] for r in results if r["unique_id"].startswith("model.")}
    assert built == {"model.library.lendings_by_day"}
    with duckdb.connect(str(built_after_a_change / "var/slim/slim.duckdb")) as slim:
        rows = slim.execute(
            "select lendings from marts.lendings_by_day order by lent_date"
        ).fetchall()
        tables = slim.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_type = 'BASE TABLE'"
        ).fetchall()
    assert rows == [(20,), (10,)]
    assert tables == [("marts", "lendings_by_day")]


def test_the_published_copy_stays_as_it_was(published_tiny_project, built_after_a_change):
    published = Path("var/published/waypoint.duckdb")
    after = (built_after_a_change / published).read_bytes()
    assert after == (published_tiny_project.root / published).read_bytes()

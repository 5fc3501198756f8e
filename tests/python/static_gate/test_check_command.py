"""`waypoint snowflake check`: what dbt compiles for Snowflake, without an account."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import CommandLine, Library

pytest.importorskip("dbt.adapters.snowflake")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    return Library.copied_to(tmp_path_factory.mktemp("gate") / "library")


def test_a_sound_project_raises_no_alarm_and_needs_no_credentials(library: Library) -> None:
    ended = library.waypoint("snowflake", "check", "--json")
    assert ended.code == 0, ended.out + ended.err
    assert ended.json["findings"] == []
    assert ended.json["statements"] >= 4  # two models, one of them twice, and tests


def test_a_mistake_is_told_with_file_and_line_and_ends_it_with_1(
    library: Library, tmp_path: Path
) -> None:
    root = tmp_path / "library"
    shutil.copytree(library.root, root)
    model = root / "models/marts/lendings_by_day.sql"
    text = model.read_text()
    model.write_text(
        text.replace("max(loaded_at) as loaded_at", "arg_max(loaded_at, card) as loaded_at")
    )
    staging = root / "models/staging/stg_lendings.sql"
    text = staging.read_text()
    staging.write_text(
        text.replace(
            "once._loaded_at as loaded_at",
            "{% if is_incremental() %}now(){% else %}once._loaded_at{% endif %} as loaded_at",
        )
    )
    ended = CommandLine(root).waypoint("snowflake", "check", "--json")
    assert ended.code == 1, ended.out + ended.err
    found = {(f["file"], f["variant"], f["rule"]): f for f in ended.json["findings"]}
    planted = found["models/marts/lendings_by_day.sql", "full", "function"]
    (line,) = [n for n, t in enumerate(model.read_text().splitlines(), 1) if "arg_max" in t]
    assert planted["line"] == line
    assert "max_by" in planted["mend"]
    # what only the next runs would meet is met here
    assert ("models/staging/stg_lendings.sql", "incremental", "function") in found


def test_a_project_that_does_not_compile_is_unusable_input(
    library: Library, tmp_path: Path
) -> None:
    root = tmp_path / "library"
    shutil.copytree(library.root, root)
    (root / "models/marts/lendings_by_day.sql").write_text("select * from {{ ref('nothing') }}")
    ended = CommandLine(root).waypoint("snowflake", "check")
    assert ended.code == 2
    assert "nothing" in ended.err


@pytest.mark.long
def test_this_project_raises_no_alarm(tmp_path: Path) -> None:
    ended = CommandLine(ROOT).waypoint("snowflake", "check", "--json", WAYPOINT_STATE=str(tmp_path))
    assert ended.code == 0, ended.out + ended.err
    assert ended.json["findings"] == []

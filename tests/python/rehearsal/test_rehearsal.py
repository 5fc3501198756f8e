"""`waypoint snowflake rehearse`: the same rows from dbt-snowflake on a stand-in as from DuckDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import CommandLine, Library

pytest.importorskip("dbt.adapters.snowflake")
pytest.importorskip("fakesnow")

from waypoint.dbt_running import Progress, run_dbt, target_dir
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.snowflake.rehearsal import rehearsing
from waypoint.snowflake.rehearsal.reporting import as_data
from waypoint.snowflake.rehearsal.running import rehearse_project

#: dbt in this process takes long where many share its machine.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def landed(connected_tiny_project: Library) -> Project:
    """The tiny project with something landed, in two files of the topic."""
    library = connected_tiny_project
    library.lend("1.ndjson", ("S4", "C0002", "A 17", "2026-03-02T11:00:00.000Z", 21), offset=4)
    ended = library.waypoint("land")
    assert ended.code == 0, ended.err
    (library.state / "clock.json").write_text('{"as_of": "2026-03-02T12:00:00"}')
    return Project(library.root, library.state)


def dbt_in_this_process(project: Project, command: list[str], watch: Any) -> None:
    """As `run_dbt`, without the seconds that a process of dbt takes to start."""
    if project.target != "snowflake":
        run_dbt(project, command, watch)
        return
    from dbt.cli.main import dbtRunner

    watch(Progress(0, 0, 0, "reading the project"))
    folders = ["--project-dir", str(project.root), "--target-path", str(target_dir(project))]
    options = ["--target", "snowflake", "--log-path", str(project.state / "logs"), "--quiet"]
    dbtRunner().invoke([*command, *folders, *options])


def test_the_library_gives_the_same_rows_in_both_runs(
    landed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsing, "run_dbt", dbt_in_this_process)
    told: list[str] = []

    result = rehearse_project(landed, str(landed.state), say=told.append)

    data = as_data(result, "landed")
    assert data["equal"], json.dumps(data, indent=1)
    assert [m["name"] for m in data["models"]] == ["marts.lendings_by_day", "staging.stg_lendings"]
    assert {m["name"] for m in data["realtime"]} == {m["name"] for m in data["models"]}
    runs = {m["name"]: m["runs"] for m in data["models"]}
    first, second = (runs["staging.stg_lendings"][run]["rows"] for run in ("first", "incremental"))
    assert 0 < first < second  # the second load brought rows, and they came by an incremental run
    assert data["tests"]["alike"]["first"] > 0
    assert data["tests"]["different"] == []
    assert any("Snowflake" in text for text in told)


def test_what_has_not_landed_cannot_be_rehearsed(tiny_project: Library, tmp_path: Path) -> None:
    project = Project(tiny_project.root, tmp_path / "var")
    with pytest.raises(UnusableInput, match="nothing has landed there"):
        rehearse_project(project, str(tmp_path))
    with pytest.raises(UnusableInput, match="no scenario"):
        rehearse_project(project)


@pytest.mark.long
def test_a_model_that_differs_on_snowflake_is_found(landed: Project) -> None:
    model = landed.root / "models/marts/lendings_by_day.sql"
    text = model.read_text()
    # greatest of a null is null on Snowflake, and the other value on DuckDB
    planted = text.replace("cast(count(*) as bigint)", "cast(greatest(count(*), null) as bigint)")
    assert planted != text
    model.write_text(planted)
    ended = CommandLine(landed.root).waypoint(
        "snowflake", "rehearse", "--input", landed.state, "--json", WAYPOINT_STATE=landed.state
    )
    assert ended.code == 1, ended.out + ended.err
    found = {m["name"]: m for m in ended.json["models"]}
    assert found["staging.stg_lendings"]["equal"]
    run = found["marts.lendings_by_day"]["runs"]["first"]
    assert not found["marts.lendings_by_day"]["equal"]
    assert run["columns"].get("lendings") or "error on Snowflake" in run["problem"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_model_of_this_project_gives_the_same_rows(tmp_path: Path) -> None:
    ended = CommandLine(ROOT).waypoint(
        "snowflake", "rehearse", "--json", WAYPOINT_STATE=str(tmp_path / "var")
    )
    assert ended.code == 0, _told(ended)
    assert len(ended.json["models"]) >= 60
    assert ended.json["rows_loaded"][1] > 0


def _told(ended: Any) -> str:
    different = [m for m in ended.json["models"] if not m["equal"]] if ended.out else []
    return json.dumps(different, indent=1)[:20_000] + ended.err[-5_000:]

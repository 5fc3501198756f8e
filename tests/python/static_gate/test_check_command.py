"""`waypoint snowflake check`: what dbt compiles for Snowflake, without an account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import CommandLine, Library

from waypoint.cli.app import run_command
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.snowflake.checking import check
from waypoint.snowflake.compiling import compiled

pytest.importorskip("dbt.adapters.snowflake")
#: dbt in this process takes long where many share its machine.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[3]


def changed(library: Library, folder: Path, file: str, old: str, new: str) -> Project:
    """A copy of the project in which a file reads otherwise."""
    from static_gate.conftest import copy_of

    project = copy_of(library, folder)
    path = project.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return project


def test_a_sound_project_raises_no_alarm_and_needs_no_credentials(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command(["--project-dir", str(project.root), "snowflake", "check", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["findings"] == []
    assert said["statements"] >= 4  # two models, one of them twice, and tests


def test_nothing_is_compiled_again_until_something_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = check(project)

    def refused(_project: Project) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr("waypoint.snowflake.checking.compiled", refused)
    assert check(project) == first

    monkeypatch.setenv("WAYPOINT_SCHEMA_PREFIX", "pr_7_")
    with pytest.raises(AssertionError, match="compiled again"):
        check(project)


def test_a_mistake_is_told_with_file_and_line_and_ends_it_with_1(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = changed(
        library,
        tmp_path / "library",
        "models/marts/lendings_by_day.sql",
        "max(loaded_at) as loaded_at",
        "arg_max(loaded_at, card) as loaded_at",
    )
    staging = project.root / "models/staging/stg_lendings.sql"
    staging.write_text(
        staging.read_text().replace(
            "once._loaded_at as loaded_at",
            "{% if is_incremental() %}now(){% else %}once._loaded_at{% endif %} as loaded_at",
        )
    )
    code = run_command(["--project-dir", str(project.root), "snowflake", "check", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert code == 1
    found = {(f["file"], f["variant"], f["rule"]): f for f in findings}
    planted = found["models/marts/lendings_by_day.sql", "full", "function"]
    model = (project.root / "models/marts/lendings_by_day.sql").read_text()
    (line,) = [n for n, t in enumerate(model.splitlines(), 1) if "arg_max" in t]
    assert planted["line"] == line
    assert "max_by" in planted["mend"]
    # what only the next runs would meet is met here
    assert ("models/staging/stg_lendings.sql", "incremental", "function") in found

    # and told again, however often it is asked
    again = check(project)
    assert len(again.findings) == len(findings)


def test_a_project_that_does_not_compile_is_unusable_input(
    library: Library, tmp_path: Path
) -> None:
    project = changed(
        library,
        tmp_path / "library",
        "models/marts/lendings_by_day.sql",
        "{{ ref('stg_lendings') }}",
        "{{ ref('nothing') }}",
    )
    with pytest.raises(UnusableInput, match="nothing"):
        check(project)


def test_who_builds_in_a_shared_database_has_schemas_of_their_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYPOINT_SCHEMA_PREFIX", "pr_7_")
    models = {one.table: one.sql for one in compiled(project) if one.table}
    assert set(models) == {"pr_7_staging.stg_lendings", "pr_7_marts.lendings_by_day"}
    assert "WAYPOINT.pr_7_staging.stg_lendings" in models["pr_7_marts.lendings_by_day"]
    assert "WAYPOINT.raw.lendings" in models["pr_7_staging.stg_lendings"]  # what landed is shared


@pytest.mark.long
def test_this_project_raises_no_alarm(tmp_path: Path) -> None:
    ended = CommandLine(ROOT).waypoint("snowflake", "check", "--json", WAYPOINT_STATE=str(tmp_path))
    assert ended.code == 0, ended.out + ended.err
    assert ended.json["findings"] == []

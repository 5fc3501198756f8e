"""Versions of a model: derived from their contracts, built side by side, and named by a view."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from forking import run_dbt
from gate.change_table import column, level
from gate.conftest import Repository

from waypoint.contracts.rendering import derived_files
from waypoint.errors import UnusableInput
from waypoint.project import Project

CONTRACT = "marts.loans_by_day"


def split(repository: Repository) -> None:
    """Version 1 deprecated, and version 2 beside it, in which fees are in cents."""
    old, new = repository.document(CONTRACT), repository.document(CONTRACT)
    repository.path(CONTRACT).unlink()
    old["status"] = "deprecated"
    old["schema"][0]["physicalName"] = "loans_by_day_v1"
    level(old, "endOfLife", value="2026-03-31")
    new["version"] = "2.1.0"
    new["schema"][0]["physicalName"] = "loans_by_day_v2"
    column(new, "fees").update(name="fee_cents", logicalType="integer", physicalType="bigint")
    repository.write(f"{CONTRACT}-v1", old)
    repository.write(f"{CONTRACT}-v2", new)
    models = repository.home / "models/marts"
    sql = (models / "loans_by_day.sql").read_text()
    (models / "loans_by_day.sql").rename(models / "loans_by_day_v1.sql")
    cents = sql.replace("decimal(18, 2)) as fees", "bigint) as fee_cents")
    (models / "loans_by_day_v2.sql").write_text(cents)


def derived(repository: Repository) -> Any:
    text = (repository.home / "models/marts/loans_by_day.yml").read_text()
    return yaml.safe_load(text)["models"][0]


def test_one_file_holds_all_versions(repository: Repository) -> None:
    split(repository)
    repository.render()
    model = derived(repository)
    assert model["name"] == "loans_by_day"
    assert [version["v"] for version in model["versions"]] == [1, 2]
    first, second = model["versions"]
    assert first["deprecation_date"] == date(2026, 3, 31) and "deprecation_date" not in second
    assert second["config"]["contract"] == {"enforced": True}
    assert second["config"]["meta"]["contract_version"] == "2.1.0"
    assert [c["name"] for c in second["columns"]] == ["day", "loans", "fee_cents", "loaded_at"]
    assert second["data_tests"][0]["contract_rules"]["name"] == "loans_by_day_v2__contract"


def test_who_names_no_version_stays_with_the_old_one(repository: Repository) -> None:
    split(repository)
    repository.render()
    assert derived(repository)["latest_version"] == 1


def test_when_the_old_one_is_gone_the_name_moves_on(repository: Repository) -> None:
    split(repository)
    repository.path(f"{CONTRACT}-v1").unlink()
    (repository.home / "models/marts/loans_by_day_v1.sql").unlink()
    repository.render()
    assert derived(repository)["latest_version"] == 2


def test_other_tables_are_derived_as_before(repository: Repository) -> None:
    def files() -> dict[Path, str]:
        return derived_files(Project.find(repository.home))

    before = files()
    split(repository)
    after = files()

    def of_others(found: dict[Path, str]) -> dict[Path, str]:
        return {path: text for path, text in found.items() if "loans_by_day" not in path.name}

    assert of_others(before) == of_others(after)


def test_a_version_beside_a_file_without_number_is_refused(repository: Repository) -> None:
    second = repository.document(CONTRACT)
    second["version"] = "2.0.0"
    second["schema"][0]["physicalName"] = "loans_by_day_v2"
    repository.write(f"{CONTRACT}-v2", second)
    repository.put("models/marts/loans_by_day_v2.sql", "select 1")
    with pytest.raises(UnusableInput, match=r"loans_by_day.yaml, line 1: .* needs a number too"):
        repository.render()


def test_a_table_that_ends_without_successor_says_so_to_dbt(repository: Repository) -> None:
    repository.edit(CONTRACT, lambda d: d.update(status="deprecated"))
    repository.edit(CONTRACT, lambda d: level(d, "endOfLife", value="2026-03-31"))
    repository.render()
    assert derived(repository)["deprecation_date"] == date(2026, 3, 31)


def build(repository: Repository) -> None:
    ended = run_dbt(["build", "--quiet"], repository.home, os.environ | {"WAYPOINT_STATE": "var"})
    assert ended.code == 0, ended.out + ended.err


def columns(repository: Repository, table: str) -> list[str]:
    with duckdb.connect(str(repository.home / "library.duckdb"), read_only=True) as connection:
        return [c[0] for c in connection.execute(f"select * from marts.{table}").description]


def test_dbt_builds_both_and_a_view_on_the_old_one(repository: Repository) -> None:
    """Also where a table of the name without a number is left from before, and once it is gone."""
    build(repository)
    split(repository)
    repository.render()
    build(repository)
    assert "fees" in columns(repository, "loans_by_day_v1")
    assert "fee_cents" in columns(repository, "loans_by_day_v2")
    assert "fees" in columns(repository, "loans_by_day")

    repository.path(f"{CONTRACT}-v1").unlink()
    (repository.home / "models/marts/loans_by_day_v1.sql").unlink()
    repository.render()
    build(repository)
    assert "fee_cents" in columns(repository, "loans_by_day")

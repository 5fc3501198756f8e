"""Derived files: byte-stable, restored when lost, refused when edited by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from waypoint.contracts.reading import InvalidContract
from waypoint.contracts.rendering import (
    DERIVED_FOLDERS,
    ContractWithoutTable,
    DerivedFilesStale,
    derived_files,
    render,
)
from waypoint.project import Project

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: staging.stg_loans
name: Loans
version: 1.2.0
status: active
domain: library
team: {name: desk}
schema:
  - name: stg_loans
    description: Books that were lent.
    dataGranularityDescription: One row per loan.
    properties:
      - {name: loan_id, logicalType: integer, physicalType: bigint, primaryKey: true,
         description: The desk's number.}
      - {name: state, logicalType: string, physicalType: varchar, required: true,
         description: Where it stands.,
         quality: [{metric: invalidValues, arguments: {validValues: [out, back]}, mustBe: 0}]}
      - {name: loaded_at, logicalType: timestamp, physicalType: timestamp, description: When.}
    quality:
      - name: not_back_before_out
        type: sql
        query: "select count(*) from {object} where loan_id < 0"
        mustBe: 0
        severity: warning
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "dbt_project.yml").write_text("name: library\n")
    (tmp_path / "contracts/staging").mkdir(parents=True)
    (tmp_path / "contracts/staging/stg_loans.yaml").write_text(CONTRACT)
    (tmp_path / "models/desk").mkdir(parents=True)
    (tmp_path / "models/desk/stg_loans.sql").write_text("select 1")
    return Project.find(tmp_path)


def test_the_derived_file_stands_beside_its_model(project: Project) -> None:
    render(project)
    derived = yaml.safe_load((project.root / "models/desk/stg_loans.yml").read_text())
    model = derived["models"][0]
    assert model["config"]["contract"] == {"enforced": True}
    assert [c["data_type"] for c in model["columns"]] == ["bigint", "varchar", "timestamp"]


def test_a_table_has_one_test_that_names_every_rule_and_those_that_only_warn(
    project: Project,
) -> None:
    render(project)
    derived = yaml.safe_load((project.root / "models/desk/stg_loans.yml").read_text())
    (test,) = (t["contract_rules"] for t in derived["models"][0]["data_tests"])
    rules = {rule["name"]: rule for rule in test["arguments"]["rules"]}
    errors = [name for name, rule in rules.items() if "warns" not in rule]
    assert errors == [
        "loan_id_is_unique",
        "loan_id_is_required",
        "state_is_required",
        "state_is_allowed",
    ]
    assert rules["not_back_before_out"]["condition"] == "loan_id < 0"
    assert "config" not in test


def test_rendering_twice_gives_the_same_bytes(project: Project) -> None:
    assert render(project)
    assert render(project) == []


def test_a_deleted_derived_file_is_restored(project: Project) -> None:
    render(project)
    path = project.root / "models/desk/stg_loans.yml"
    before = path.read_bytes()
    path.unlink()
    render(project)
    assert path.read_bytes() == before


def test_a_hand_edit_fails_the_check_and_is_named(project: Project) -> None:
    render(project)
    path = project.root / "models/desk/stg_loans.yml"
    path.write_text(path.read_text().replace("bigint", "integer"))
    with pytest.raises(DerivedFilesStale, match=r"models/desk/stg_loans.yml"):
        render(project, check=True)


def test_the_check_writes_nothing(project: Project) -> None:
    with pytest.raises(DerivedFilesStale):
        render(project, check=True)
    assert not (project.root / "models/desk/stg_loans.yml").exists()


def test_what_a_gone_contract_left_behind_is_removed(project: Project) -> None:
    render(project)
    (project.root / "contracts/staging/stg_loans.yaml").unlink()
    again = Project.find(project.root)
    render(again)
    assert not (project.root / "models/desk/stg_loans.yml").exists()


def test_hand_written_yml_survives(project: Project) -> None:
    path = project.root / "models/desk/stg_loans__unit_tests.yml"
    path.write_text("unit_tests: []\n")
    render(project)
    assert path.read_text() == "unit_tests: []\n"


def test_a_contract_without_a_table_is_refused_by_name(project: Project) -> None:
    (project.root / "models/desk/stg_loans.sql").unlink()
    with pytest.raises(ContractWithoutTable, match=r"contracts/staging/stg_loans.yaml"):
        render(project)


def test_an_unquoted_yes_or_no_among_allowed_values_is_explained(project: Project) -> None:
    path = project.root / "contracts/staging/stg_loans.yaml"
    path.write_text(path.read_text().replace("[out, back]", "[out, off]"))
    with pytest.raises(InvalidContract, match=r"stg_loans.yaml, line 19: .* put it in quotes"):
        render(project)


def test_this_project_is_restored_when_every_derived_file_is_lost(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    written = ("contracts", "models", "dbt_project", "seeds", "macros")
    for name in (*written, *DERIVED_FOLDERS):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / "dbt_project.yml", tmp_path)
    project = Project.find(tmp_path)
    before = derived_files(project)
    for path in before:
        path.unlink()

    render(project)

    assert {path: path.read_text() for path in before} == before
    assert render(project, check=True) == []

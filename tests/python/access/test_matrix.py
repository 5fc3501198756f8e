"""Who sees what of which column, as the policy of roles and the contracts say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from waypoint.access.files import files, matrix_file
from waypoint.access.matrix import MASKED, NONE, READ, TOKEN, as_csv, matrix
from waypoint.cli.app import run_command
from waypoint.contracts.roles import read_roles

READABLE = (READ, MASKED, TOKEN)


@pytest.fixture(scope="module")
def cells(project):
    return matrix(project.contracts, read_roles(project))


def test_every_role_is_told_of_every_column(project, cells):
    columns = sum(len(table.columns) for table in project.contracts.tables)

    assert len(cells) == columns * len(read_roles(project))


def test_nobody_sees_personal_data_as_it_is(cells):
    assert not [cell for cell in cells if cell.pii and cell.access == READ]


def test_through_a_mart_personal_data_is_seen_as_tokens_only(cells):
    seen = {c.access for c in cells if c.pii and c.schema in ("marts", "ml_features")}

    assert seen == {TOKEN, NONE}


@pytest.mark.parametrize(
    ("role", "schemas"),
    [
        ("analyst", {"marts"}),
        ("data_engineer", {"raw", "staging", "marts", "ml_features"}),
        ("ml_engineer", {"staging", "ml_features"}),
    ],
)
def test_a_role_reads_the_schemas_of_its_policy_and_no_others(cells, role, schemas):
    assert {c.schema for c in cells if c.role == role and c.access in READABLE} == schemas


def test_programs_read_only_tables_that_name_them(project, cells):
    named = {
        table.full_name
        for table in project.contracts.tables
        if "service_account" in {role.name for role in table.roles}
    }

    read = {
        f"{c.schema}.{c.table}"
        for c in cells
        if c.role == "service_account" and c.access in READABLE
    }

    assert read == named
    assert named < {table.full_name for table in project.contracts.tables}


def test_the_privacy_team_can_let_a_role_see_personal_data_but_not_through_a_mart(project):
    roles = dict(read_roles(project))
    roles["data_engineer"] = replace(roles["data_engineer"], privacy=True)

    seen = {(c.schema, c.access) for c in matrix(project.contracts, roles) if c.pii}

    assert ("raw", READ) in seen
    assert ("marts", READ) not in seen
    assert ("ml_features", READ) not in seen


def test_a_contract_cannot_give_more_than_the_policy(project):
    roles = {"analyst": replace(read_roles(project)["analyst"], read=())}

    assert {cell.access for cell in matrix(project.contracts, roles)} == {NONE}


def test_what_is_committed_is_what_the_contracts_say(project):
    stale = [path.name for path, text in files(project).items() if path.read_text() != text]

    assert stale == [], "run `waypoint contracts render`, look at the difference and commit it"


def test_another_policy_makes_the_committed_matrix_stale(project):
    roles = {name: role for name, role in read_roles(project).items() if name != "analyst"}

    assert matrix_file(project).read_text() != as_csv(matrix(project.contracts, roles))


def test_check_says_that_the_matrix_is_stale(project, tmp_path, monkeypatch, capsys):
    (tmp_path / "dbt_project.yml").write_text("name: anything\n")
    (tmp_path / "dbt_project").mkdir()
    (tmp_path / "dbt_project/roles.yml").write_text("analyst: {read: [marts]}\n")
    monkeypatch.chdir(tmp_path)

    assert run_command(["access", "matrix", "--check"]) == 1
    assert "contracts render" in capsys.readouterr().err

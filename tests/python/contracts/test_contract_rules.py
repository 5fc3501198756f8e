"""The dbt test of a contract fails for each kind of rule, and names the rule and the count."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
from dbt.cli.main import dbtRunner

from waypoint.contracts.rendering import render
from waypoint.project import Project

ROOT = Path(__file__).parents[3]

PROPERTIES = """
      - {name: id, logicalType: integer, physicalType: bigint, primaryKey: true, description: Id.}
      - {name: state, logicalType: string, physicalType: varchar, required: true,
         description: Its state.,
         quality: [{metric: invalidValues, arguments: {validValues: ['on', 'off']}, mustBe: 0}]}
      - {name: score, logicalType: integer, physicalType: bigint, description: Points.,
         logicalTypeOptions: {minimum: 0, maximum: 10}}
      - {name: code, logicalType: string, physicalType: varchar, description: A code.,
         logicalTypeOptions: {pattern: '[A-Z]{3}-\\d+'}}
      - {name: parent_id, logicalType: integer, physicalType: bigint, description: Its parent.,
         relationships: [{to: parents.id}]}
"""
HEAD = """
apiVersion: v3.1.0
kind: DataContract
id: staging.{name}
version: 1.0.0
status: active
team: {{name: testers}}
schema:
  - name: {name}
    description: A table.
    properties:
"""
QUALITY = """
    quality:
      - {name: off_has_no_score, type: sql, mustBe: 0,
         query: "select count(*) from {object} where state = 'off' and score is not null"}
      - {name: no_more_than_parents, type: sql, mustBe: 0, severity: warning,
         query: "select count(*) from {object} as c join {staging.parents} as p on c.id = p.id"}
"""


def project_with_rows(folder: Path, rows: str) -> Project:
    """A project with one table of `rows` (a VALUES list) whose contract has every kind of rule."""
    macros = os.path.relpath(ROOT / "macros", folder)
    (folder / "dbt_project.yml").write_text(
        f"name: rules\nprofile: rules\nmacro-paths: [{macros}]\nmodels: {{+materialized: table}}\n"
    )
    (folder / "profiles.yml").write_text(
        "rules: {target: duckdb, outputs: "
        f"{{duckdb: {{type: duckdb, path: '{folder}/w.duckdb', schema: staging}}}}}}"
    )
    (folder / "contracts/staging").mkdir(parents=True)
    (folder / "models").mkdir()
    parent_key = PROPERTIES.strip("\n").splitlines()[0] + "\n"
    (folder / "contracts/staging/parents.yaml").write_text(HEAD.format(name="parents") + parent_key)
    (folder / "contracts/staging/things.yaml").write_text(
        HEAD.format(name="things") + PROPERTIES.strip("\n") + QUALITY
    )
    (folder / "models/parents.sql").write_text("select cast(7 as bigint) as id")
    (folder / "models/things.sql").write_text(
        "select cast(id as bigint) as id, cast(state as varchar) as state,"
        " cast(score as bigint) as score, cast(code as varchar) as code,"
        " cast(parent_id as bigint) as parent_id"
        f" from (values {rows}) as v (id, state, score, code, parent_id)"
    )
    project = Project.find(folder)
    render(project)
    return project


def broken_rules(project: Project) -> dict[str, int]:
    """Build the project; the rules that its tests say are broken, with their counts."""
    return {rule: count for rule, count, _ in findings(project)[0]}


def findings(project: Project) -> tuple[list[tuple[str, int, str]], set[str]]:
    """Build the project; what its tests find (rule, count, severity), and how they ended."""
    folders = {
        "--project-dir": project.root,
        "--profiles-dir": project.root,
        "--target-path": project.root / "target",
        "--log-path": project.root / "logs",
    }
    options = [str(word) for option in folders.items() for word in option]
    dbtRunner().invoke(["--quiet", "build", *options])
    results = json.loads((project.root / "target/run_results.json").read_text())["results"]
    broken: list[tuple[str, int, str]] = []
    ends = set()
    with duckdb.connect(str(project.root / "w.duckdb")) as warehouse:
        for result in results:
            assert result["status"] != "error", result["message"]
            if result["unique_id"].startswith("test.") and result["failures"]:
                ends.add(result["status"])
                broken += warehouse.execute(result["compiled_code"]).fetchall()
    return broken, ends


def test_a_table_that_keeps_its_contract_passes(tmp_path: Path) -> None:
    project = project_with_rows(tmp_path, "(1, 'on', 5, 'ABC-1', 7), (2, 'off', null, null, null)")
    assert broken_rules(project) == {}


def test_each_kind_of_rule_is_counted_under_its_name(tmp_path: Path) -> None:
    rows = """
        (1, 'on', 5, 'ABC-1', 7), (1, 'on', 5, 'ABC-1', 7),
        (null, 'on', 0, 'ABC-1', 7),
        (3, null, 10, 'ABC-1', 7),
        (4, 'broken', 5, 'ABC-1', 7),
        (5, 'on', -1, 'ABC-1', 7), (6, 'on', 11, 'ABC-1', 7), (8, 'on', 12, 'ABC-1', 7),
        (9, 'on', 5, 'abc-1', 7), (10, 'on', 5, 'ABC-1x', 7),
        (11, 'on', 5, 'ABC-1', 8),
        (12, 'off', 5, 'ABC-1', 7),
        (7, 'on', 5, 'ABC-1', 7)
    """
    project = project_with_rows(tmp_path, rows)
    assert broken_rules(project) == {
        "id_is_unique": 1,
        "id_is_required": 1,
        "state_is_required": 1,
        "state_is_allowed": 1,
        "score_at_least_minimum": 1,
        "score_at_most_maximum": 2,
        "code_matches_pattern": 2,
        "parent_id_refers_to_parents": 1,
        "off_has_no_score": 1,
        "no_more_than_parents": 1,
    }


def test_a_rule_that_only_warns_fails_no_test(tmp_path: Path) -> None:
    project = project_with_rows(tmp_path, "(7, 'on', 5, 'ABC-1', 7)")
    assert findings(project) == ([("no_more_than_parents", 1, "warning")], {"warn"})


def test_an_error_beside_a_warning_fails_the_test(tmp_path: Path) -> None:
    project = project_with_rows(tmp_path, "(7, null, 5, 'ABC-1', 7)")
    found, ends = findings(project)
    assert sorted(found) == [
        ("no_more_than_parents", 1, "warning"),
        ("state_is_required", 1, "error"),
    ]
    assert ends == {"fail"}

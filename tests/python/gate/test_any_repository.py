"""The gate works wherever contracts stand under git, and says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gate.change_table import BY_DAY, LOANS, column, drop
from gate.conftest import Repository, finding, names

from waypoint.contracts.changes.checking import check


def without_dbt(repository: Repository) -> None:
    for name in ("dbt_project.yml", "profiles.yml"):
        (repository.home / name).unlink()
    repository.commit("contracts alone")


def test_below_the_root_of_a_larger_repository(monorepository: Repository) -> None:
    monorepository.edit(LOANS, lambda d: drop(d, "fee"))
    report = monorepository.check()
    assert "lending_board" in names(finding(report, LOANS))
    ended = monorepository.waypoint("contracts", "check", "--base", "main")
    assert ended.returncode == 1, ended.stderr


def test_without_dbt_it_classifies_and_says_what_it_does_not_know(repository: Repository) -> None:
    without_dbt(repository)
    repository.edit(LOANS, lambda d: drop(d, "fee"))
    ended = repository.waypoint("contracts", "check", "--base", "HEAD", "--json")
    report = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert report["consumers_known"] is False
    assert "not known" in report["remarks"][0] and "dbt compile" in report["remarks"][0]
    changes = report["findings"][0]["changes"]
    assert [c["kind"] for c in changes if c["breaking"]] == ["column dropped"]


def test_without_dbt_it_says_so_to_people_too(repository: Repository) -> None:
    without_dbt(repository)
    repository.edit(LOANS, lambda d: drop(d, "fee"))
    ended = repository.waypoint("contracts", "check", "--base", "HEAD")
    assert "is not known" in ended.stdout


def test_roles_and_topics_are_known_without_a_manifest(repository: Repository) -> None:
    repository.edit(BY_DAY, lambda d: drop(d, "loans"))
    found = finding(repository.check(manifest=False), BY_DAY)
    assert names(found) == {"analyst", "lending-days"}


def test_without_a_manifest_nobody_can_prove_that_all_were_told(repository: Repository) -> None:
    repository.edit(BY_DAY, lambda d: drop(d, "loans"))
    cover = finding(repository.check(manifest=False), BY_DAY).cover
    assert cover is not None
    told = next(c for c in cover.conditions if c.name == "notification")
    assert not told.met and "dbt compile" in told.do


def test_a_manifest_that_was_not_compiled_gives_consumers_by_table(repository: Repository) -> None:
    manifest = json.loads(repository.manifest.read_text())
    for node in manifest["nodes"].values():
        node.pop("compiled_code", None)
    repository.manifest.write_text(json.dumps(manifest))
    repository.edit(LOANS, lambda d: drop(d, "note"))  # which nobody reads
    report = repository.check()
    assert "marts.loans_by_day" in names(finding(report, LOANS))
    assert any("by table" in remark and "dbt compile" in remark for remark in report.remarks)


def test_a_table_that_the_manifest_does_not_know_is_named(repository: Repository) -> None:
    manifest = json.loads(repository.manifest.read_text())
    manifest["nodes"] = {
        name: node for name, node in manifest["nodes"].items() if node["name"] != "loans_by_day"
    }
    repository.manifest.write_text(json.dumps(manifest))
    repository.edit(BY_DAY, lambda d: drop(d, "loans"))
    assert any("marts.loans_by_day is in no manifest" in r for r in repository.check().remarks)


def test_the_bases_manifest_knows_who_was_changed_along(
    repository: Repository, tmp_path: Path
) -> None:
    """A model that this branch keeps from reading the column read it until now."""
    base_manifest = tmp_path / "base.json"
    base_manifest.write_text(repository.manifest.read_text())
    manifest = json.loads(repository.manifest.read_text())
    for node in manifest["nodes"].values():
        if node["name"] == "loans_by_day":
            node["compiled_code"] = node["compiled_code"].replace("sum(fee)", "sum(0)")
    repository.manifest.write_text(json.dumps(manifest))
    repository.edit(LOANS, lambda d: drop(d, "fee"))
    assert BY_DAY not in names(finding(repository.check(), LOANS))
    both = check(
        repository.contracts, "HEAD", manifest=repository.manifest, base_manifest=base_manifest
    )
    assert BY_DAY in names(finding(both, LOANS))


def test_what_others_merged_since_is_not_this_branchs_doing(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "mine")
    repository.edit(LOANS, lambda d: column(d, "note").update(description="Something else."))
    repository.commit("mine")
    repository.git("switch", "--quiet", "main")
    repository.edit(BY_DAY, lambda d: d["team"].update(name="desk"))
    repository.commit("theirs")
    repository.git("switch", "--quiet", "mine")
    report = repository.check("main")
    assert [found.contract for found in report.findings] == [LOANS]


def test_what_is_not_committed_counts_too(repository: Repository) -> None:
    repository.write("marts.new", repository.document(BY_DAY) | {"id": "marts.new"})
    repository.edit("marts.new", lambda d: d["schema"][0].update(name="new"))
    report = repository.check()
    assert [(f.contract, f.changes[0][0].kind) for f in report.findings] == [
        ("marts.new", "contract added")
    ]


def test_a_file_that_is_only_written_differently_is_no_change(repository: Repository) -> None:
    path = repository.path(LOANS)
    path.write_text("# a comment\n" + path.read_text())
    assert repository.check().findings == ()


def test_a_contract_that_moves_to_another_folder_is_told_as_such(repository: Repository) -> None:
    repository.git("mv", "contracts/marts/loans_by_day.yaml", "contracts/ml_features/")
    report = repository.check()
    found = finding(report, BY_DAY)
    assert found.changes[0][0].what == "marts.loans_by_day is now called ml_features.loans_by_day"
    assert "lending_board" in names(found)


def test_draft_contracts_promise_nothing(repository: Repository) -> None:
    repository.edit(LOANS, lambda d: d.update(status="draft"))
    repository.commit("a draft")
    repository.edit(LOANS, lambda d: drop(d, "fee"))
    assert repository.check().exit_code == 0


@pytest.mark.parametrize("suffix", [".yml", ".yaml"])
def test_contracts_may_stand_in_the_folder_itself(suffix: str, repository: Repository) -> None:
    without_dbt(repository)
    document: Any = repository.document(BY_DAY)
    flat = repository.contracts / f"loans_by_day{suffix}"
    flat.write_text(repository.path(BY_DAY).read_text())
    repository.path(BY_DAY).unlink()
    repository.commit("flat")
    drop(document, "loans")
    flat.write_text(json.dumps(document))
    assert repository.check(manifest=False).exit_code == 1

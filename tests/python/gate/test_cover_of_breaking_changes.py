"""A breaking change passes with all four: decision, window, notice, and both versions built."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from gate.change_table import column, drop, level
from gate.conftest import MONDAY, Repository, finding

CONTRACT = "marts.loans_by_day"
ENDS = MONDAY + timedelta(days=14)
TOLD = ("lending_board", "dashboard"), ("lending-days", "topic"), ("analyst", "role")


def write_decision(repository: Repository) -> None:
    repository.put(
        "docs/adr/0001-fees-in-cents.md",
        "# Fees in cents\n\nmarts.loans_by_day 2.0.0 says fees in cents: sums were rounded.\n",
    )


def write_notice(repository: Repository, day: date = MONDAY, *told: tuple[str, str]) -> None:
    document = {
        "contract": CONTRACT,
        "version": "2.0.0",
        "told": [
            {"consumer": name, "kind": kind, "by": "slack", "at": f"{day}T10:00:00Z"}
            for name, kind in told or TOLD
        ],
    }
    repository.put(f"docs/notices/{CONTRACT}-v2.yml", yaml.safe_dump(document))


def split(repository: Repository, ends: date | None = ENDS) -> None:
    """Version 1 kept, renamed and deprecated; version 2 beside it, with other fees."""
    old, new = repository.document(CONTRACT), repository.document(CONTRACT)
    repository.git(
        "mv", "contracts/marts/loans_by_day.yaml", "contracts/marts/loans_by_day-v1.yaml"
    )
    old["schema"][0]["physicalName"] = "loans_by_day_v1"
    if ends is not None:
        old["status"] = "deprecated"
        level(old, "endOfLife", value=str(ends))
    repository.write(f"{CONTRACT}-v1", old)
    new["version"] = "2.0.0"
    new["schema"][0]["physicalName"] = "loans_by_day_v2"
    drop(new, "loans")
    column(new, "fees").update(physicalType="bigint", logicalType="integer")
    column(new, "fees").update(description="Fees in cents.")
    repository.write(f"{CONTRACT}-v2", new)


def split_models(repository: Repository) -> None:
    models = repository.home / "models/marts"
    sql = (models / "loans_by_day.sql").read_text()
    (models / "loans_by_day.sql").rename(models / "loans_by_day_v1.sql")
    (models / "loans_by_day_v2.sql").write_text(sql)
    repository.render()


def covered(repository: Repository) -> None:
    """All four, on Monday."""
    write_decision(repository)
    write_notice(repository)
    split(repository)
    split_models(repository)


def missing(repository: Repository, today: date = MONDAY) -> set[str]:
    """The conditions that are not met."""
    cover = finding(repository.check("main", today=today), CONTRACT).cover
    assert cover is not None
    return {condition.name for condition in cover.conditions if not condition.met}


@pytest.fixture
def branch(repository: Repository) -> Repository:
    repository.git("switch", "--quiet", "--create", "fees-in-cents")
    return repository


def test_with_all_four_it_passes(branch: Repository) -> None:
    covered(branch)
    report = branch.check("main")
    assert finding(report, CONTRACT).outcome == "breaking, covered"
    assert report.exit_code == 0


def test_with_nothing_all_four_are_asked_for(branch: Repository) -> None:
    branch.edit(CONTRACT, lambda d: drop(d, "loans"))
    assert missing(branch) == {"decision", "window", "notification", "side by side"}
    assert branch.check("main").exit_code == 1


def remove_decision(repository: Repository) -> None:
    (repository.home / "docs/adr/0001-fees-in-cents.md").unlink()


def name_another_version(repository: Repository) -> None:
    repository.put("docs/adr/0001-fees-in-cents.md", "marts.loans_by_day 12.0.0, at v20")


def name_another_contract(repository: Repository) -> None:
    repository.put("docs/adr/0001-fees-in-cents.md", "old_marts.loans_by_day_archive 2.0.0")


def remove_notice(repository: Repository) -> None:
    (repository.home / f"docs/notices/{CONTRACT}-v2.yml").unlink()


def forget_a_consumer(repository: Repository) -> None:
    write_notice(repository, MONDAY, *TOLD[:2])


def forget_the_end(repository: Repository) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["status"] = "active"

    repository.edit(f"{CONTRACT}-v1", edit)
    repository.render()


def end_too_early(repository: Repository) -> None:
    early = str(ENDS - timedelta(days=1))
    repository.edit(f"{CONTRACT}-v1", lambda d: level(d, "endOfLife", value=early))
    repository.render()


def remove_old_model(repository: Repository) -> None:
    (repository.home / "models/marts/loans_by_day_v1.sql").unlink()


def forget_to_render(repository: Repository) -> None:
    (repository.home / "models/marts/loans_by_day.yml").write_text("version: 2\n")


@pytest.mark.parametrize(
    ("spoil", "condition"),
    [
        (remove_decision, "decision"),
        (name_another_version, "decision"),
        (name_another_contract, "decision"),
        (forget_the_end, "window"),
        (end_too_early, "window"),
        (remove_notice, "notification"),
        (forget_a_consumer, "notification"),
        (remove_old_model, "side by side"),
        (forget_to_render, "side by side"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_each_of_the_four_is_needed(
    spoil: Callable[[Repository], None], condition: str, branch: Repository
) -> None:
    covered(branch)
    spoil(branch)
    assert missing(branch) == {condition}
    assert branch.check("main").exit_code == 1


def test_who_was_not_told_is_named(branch: Repository) -> None:
    covered(branch)
    forget_a_consumer(branch)
    cover = finding(branch.check("main"), CONTRACT).cover
    assert cover is not None
    found = next(c.found for c in cover.conditions if c.name == "notification")
    assert "analyst" in found and "Lending Board" not in found


def test_the_old_version_gone_at_once_is_refused(branch: Repository) -> None:
    covered(branch)
    branch.path(f"{CONTRACT}-v1").unlink()
    report = branch.check("main")
    kinds = {change.kind for found in report.findings for change, _ in found.changes}
    assert "version removed" in kinds
    assert report.exit_code == 1


def test_a_bumped_version_alone_is_not_two_versions(branch: Repository) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["version"] = "2.0.0"
        drop(document, "loans")

    branch.edit(CONTRACT, edit)
    write_decision(branch)
    write_notice(branch)
    assert missing(branch) == {"window", "side by side"}


def test_renaming_the_file_to_its_version_breaks_nobody(branch: Repository) -> None:
    covered(branch)
    branch.path(f"{CONTRACT}-v2").unlink()
    branch.edit(f"{CONTRACT}-v1", lambda d: d.update(status="active"))
    report = branch.check("main")
    kinds = {change.kind for found in report.findings for change, _ in found.changes}
    assert "named by its version" in kinds
    assert report.exit_code == 0


# how the 14 days are counted


def test_until_it_is_committed_the_window_begins_today(branch: Repository) -> None:
    covered(branch)
    tuesday = MONDAY + timedelta(days=1)
    assert missing(branch, today=tuesday) == {"window"}


def test_once_committed_it_began_on_that_day(branch: Repository) -> None:
    covered(branch)
    branch.commit("two versions")
    assert missing(branch, today=MONDAY + timedelta(days=200)) == set()


def test_a_later_edit_of_the_old_contract_moves_nothing(branch: Repository) -> None:
    covered(branch)
    branch.commit("two versions")
    branch.edit(f"{CONTRACT}-v1", lambda d: d.update(tags=["old"]))
    branch.render()
    branch.commit("a tag", day=MONDAY + timedelta(days=10))
    assert missing(branch, today=MONDAY + timedelta(days=10)) == set()


def test_an_end_that_is_moved_counts_from_when_it_was_moved(branch: Repository) -> None:
    covered(branch)
    branch.commit("two versions")
    later = MONDAY + timedelta(days=8)
    nearer = str(later + timedelta(days=8))
    branch.edit(f"{CONTRACT}-v1", lambda d: level(d, "endOfLife", value=nearer))
    branch.render()
    branch.commit("another end", day=later)
    assert missing(branch, today=later) == {"window"}


def test_the_merge_counts_not_the_commits_that_it_brings(branch: Repository) -> None:
    covered(branch)
    branch.commit("two versions")
    friday = MONDAY + timedelta(days=4)
    branch.git("tag", "before", "main")
    branch.git("switch", "--quiet", "main")
    branch.git("merge", "--quiet", "--no-ff", "-m", "merge", "fees-in-cents", day=friday)
    cover = finding(branch.check("before", today=friday), CONTRACT).cover
    assert cover is not None
    window = next(c for c in cover.conditions if c.name == "window")
    assert not window.met and "10 days" in window.found


def test_the_window_does_not_begin_before_the_last_was_told(branch: Repository) -> None:
    covered(branch)
    write_notice(branch, MONDAY + timedelta(days=2))
    branch.commit("two versions")
    assert missing(branch, today=MONDAY + timedelta(days=2)) == {"window"}


# the end


@pytest.fixture
def announced(branch: Repository) -> Repository:
    """Both versions on main since Monday; a branch to take the old one away."""
    covered(branch)
    branch.commit("two versions")
    branch.git("switch", "--quiet", "main")
    branch.git("merge", "--quiet", "--ff-only", "fees-in-cents")
    branch.git("switch", "--quiet", "--create", "the-end")
    branch.path(f"{CONTRACT}-v1").unlink()
    return branch


def test_the_old_version_may_not_go_before_its_day(announced: Repository) -> None:
    report = announced.check("main", today=ENDS - timedelta(days=1))
    assert report.exit_code == 1
    cover = finding(report, CONTRACT).cover
    assert cover is not None
    window = next(c for c in cover.conditions if c.name == "window")
    assert f"promised until {ENDS}" in window.found


def test_on_its_day_it_may_go(announced: Repository) -> None:
    report = announced.check("main", today=ENDS)
    kinds = [change.kind for change, _ in finding(report, CONTRACT).changes]
    assert kinds == ["version removed after its date"]
    assert report.exit_code == 0


def test_a_removal_committed_too_early_stays_refused(announced: Repository) -> None:
    announced.commit("too early", day=ENDS - timedelta(days=1))
    assert announced.check("main", today=ENDS + timedelta(days=30)).exit_code == 1


def test_an_end_that_is_brought_forward_breaks(announced: Repository) -> None:
    announced.git("restore", ".")
    nearer = str(ENDS - timedelta(days=3))
    announced.edit(f"{CONTRACT}-v1", lambda d: level(d, "endOfLife", value=nearer))
    report = announced.check("main")
    assert "end of life earlier" in {c.kind for c, _ in finding(report, CONTRACT).changes}
    assert report.exit_code == 1


def test_a_table_without_successor_ends_by_announcement(repository: Repository) -> None:
    def deprecate(document: dict[str, Any]) -> None:
        document["status"] = "deprecated"
        level(document, "endOfLife", value=str(ENDS))

    repository.edit(CONTRACT, deprecate)
    assert repository.check().exit_code == 0
    repository.commit("the end is announced")
    repository.path(CONTRACT).unlink()
    assert repository.check(today=ENDS - timedelta(days=1)).exit_code == 1

    report = repository.check(today=ENDS)
    cover = finding(report, CONTRACT).cover
    assert cover is not None and report.exit_code == 1
    assert {c.name for c in cover.conditions if not c.met} == {"decision", "notification"}

    repository.put("docs/adr/0002-no-days.md", "marts.loans_by_day ends with 1.0.0\n")
    write_notice(repository)
    notices = repository.home / "docs/notices"
    text = (notices / f"{CONTRACT}-v2.yml").read_text().replace("2.0.0", "1.0.0")
    (notices / f"{CONTRACT}-v1.yml").write_text(text)
    assert repository.check(today=ENDS).exit_code == 0


def test_a_table_that_was_never_deprecated_may_not_go(repository: Repository) -> None:
    repository.path(CONTRACT).unlink()
    report = repository.check()
    assert [c.kind for c, _ in finding(report, CONTRACT).changes] == ["contract removed"]
    assert report.exit_code == 1

"""The report: on the terminal, as JSON, and as a comment on a pull request."""

from __future__ import annotations

import json

from gate.change_table import BY_DAY, LOANS, column, drop
from gate.conftest import Repository

from waypoint.contracts.changes.telling import COMMENT_MARK


def break_and_reword(repository: Repository) -> None:
    repository.edit(LOANS, lambda d: drop(d, "fee"))
    repository.edit(
        BY_DAY, lambda d: column(d, "loans").update(description="Loans | *begun* @all.")
    )


def test_nothing_changed(repository: Repository) -> None:
    ended = repository.waypoint("contracts", "check", "--base", "HEAD")
    assert ended.returncode == 0
    assert "none changed" in ended.stdout


def test_people_read_what_breaks_for_whom_and_what_to_do(repository: Repository) -> None:
    break_and_reword(repository)
    ended = repository.waypoint("contracts", "check", "--base", "HEAD")
    assert ended.returncode == 1
    said = ended.stdout
    assert "column fee is dropped" in said
    assert "models: marts.loans_by_day (fees)" in said
    assert "dashboards: Lending Board" in said
    assert "roles: analyst, data_engineer, ml_engineer" in said
    assert "write docs/adr/" in said
    assert "stg_loans-v1.yaml" in said and "stg_loans-v2.yaml" in said
    assert "waypoint contracts notify staging.stg_loans --base HEAD" in said
    assert said.index("staging.stg_loans") < said.index("marts.loans_by_day 1.0.0")
    assert said.strip().splitlines()[-1].endswith("staging.stg_loans: breaking without cover")


def test_json_holds_the_same(repository: Repository) -> None:
    break_and_reword(repository)
    ended = repository.waypoint("contracts", "check", "--base", "HEAD", "--json")
    report = json.loads(ended.stdout)
    assert report["outcome"] == "breaking" and report["exit_code"] == ended.returncode == 1
    assert report["not_covered"] == [LOANS]
    assert (report["contracts"], report["changed"], report["breaking"]) == (7, 2, 1)
    loans = next(found for found in report["findings"] if found["contract"] == LOANS)
    (change,) = loans["changes"]
    assert change["breaks"]["models"] is True and change["breaks"]["producers"] is False
    board = next(c for c in change["consumers"] if c["name"] == "lending_board")
    assert (board["kind"], board["email"]) == ("dashboard", "desk@library.example")
    assert [c["name"] for c in loans["cover"]["conditions"]] == [
        "decision",
        "window",
        "notification",
        "side by side",
    ]
    assert all(c["do"] for c in loans["cover"]["conditions"] if not c["met"])


def test_the_comment_is_found_again_and_shows_texts_as_they_are(repository: Repository) -> None:
    repository.edit(LOANS, lambda d: column(d, "note").update(unique=True))
    repository.edit(LOANS, lambda d: column(d, "state")["quality"].clear())
    repository.edit(BY_DAY, lambda d: d["team"].update(name="<b>@all</b> | x"))
    ended = repository.waypoint("contracts", "check", "--base", "HEAD", "--markdown")
    assert ended.returncode == 1
    assert ended.stdout.startswith(COMMENT_MARK)
    assert "| What breaks | For whom |" in ended.stdout
    assert "| ❌ decision |" in ended.stdout
    assert "<b>" not in ended.stdout and "@all" not in ended.stdout
    assert "\\| x" in ended.stdout


def test_one_answer_at_a_time(repository: Repository) -> None:
    ended = repository.waypoint("contracts", "check", "--base", "HEAD", "--json", "--markdown")
    assert ended.returncode == 2
    assert "choose one" in ended.stderr


def test_the_help_teaches(repository: Repository) -> None:
    said = repository.waypoint("contracts", "check", "--help").stdout
    assert "Examples:" in said and "Exit codes:" in said and "--base" in said

"""Notes in the short form become contracts that say what the notes said, and mark the rest."""

from __future__ import annotations

import textwrap

import pytest
import yaml

NOTES = """\
model: stg_loans
description: Books that left the desk.
owner: branch-library
columns:
  - {name: loan_id, type: bigint, description: The slip's number., tests: [not_null, unique]}
  - {name: card, type: varchar, pii: true, tests: [not_null, {relationships: members.card}]}
  - {name: days, type: int, tests: [positive]}
  - {name: fee, type: "decimal(18,2)", tests: [positive]}
  - {name: status, type: text, tests: [{accepted_values: [out, back, "no"]}]}
  - {name: loaded_at, type: timestamp, tests: [not_null]}
freshness:
  warn_after: 2 hours
"""


def drafted(desk, notes, *options):
    desk.put("notes.yml", notes)
    ended = desk.waypoint("contracts", "import", "short", "notes.yml", *options)
    assert ended.code == 0, ended.err
    return ended


def contract(desk, name):
    return yaml.safe_load((desk.root / "contracts" / f"{name}.yaml").read_text())


def columns(document):
    return {column["name"]: column for column in document["schema"][0]["properties"]}


def test_columns_types_and_tests_are_taken_over(desk):
    drafted(desk, NOTES)
    found = columns(contract(desk, "staging/stg_loans"))
    assert found["loan_id"] == {
        "name": "loan_id",
        "logicalType": "integer",
        "physicalType": "bigint",
        "primaryKey": True,
        "required": True,
        "description": "The slip's number.",
    }
    assert found["card"]["classification"] == "pii"
    assert found["card"]["relationships"] == [{"to": "members.card"}]
    assert found["days"]["physicalType"] == "integer"
    assert found["days"]["logicalTypeOptions"] == {"minimum": 1}
    (values,) = found["status"]["quality"]
    assert values["arguments"]["validValues"] == ["out", "back", "no"]


def test_positive_decimals_are_above_nothing_at_all(desk):
    drafted(desk, NOTES)
    (rule,) = contract(desk, "staging/stg_loans")["schema"][0]["quality"]
    assert rule["query"] == "select count(*) from {object} where fee <= 0"


def test_a_warning_alone_gives_twice_its_time_and_a_question(desk):
    ended = drafted(desk, NOTES, "--json")
    document = contract(desk, "staging/stg_loans")
    (freshness,) = document["slaProperties"]
    assert (freshness["value"], freshness["unit"]) == (4, "h")
    assert freshness["element"] == "stg_loans.loaded_at"
    assert any("twice the warning" in todo["what"] for todo in ended.json["todos"])


def test_what_nobody_said_is_marked_and_refused_by_lint(desk):
    ended = drafted(desk, NOTES)
    text = (desk.root / "contracts/staging/stg_loans.yaml").read_text()
    assert "status: draft" in text
    assert "what days counts or measures, and in which unit" in text
    assert "TODO" in ended.out
    linted = desk.waypoint("contracts", "lint")
    assert linted.code == 1
    assert "still to decide" in linted.out


def test_a_finished_draft_passes_lint(desk):
    drafted(desk, NOTES)
    path = desk.root / "contracts/staging/stg_loans.yaml"
    document = yaml.safe_load(path.read_text())
    document |= {"status": "active", "domain": "lending"}
    document["schema"][0]["dataGranularityDescription"] = "One row per slip."
    document["schema"][0]["quality"][0]["description"] = "Nobody is paid for reading."
    document["customProperties"].pop()
    columns(document)["card"]["relationships"] = []
    for column in document["schema"][0]["properties"]:
        if column["description"].startswith("TODO"):
            column["description"] = f"The loan's {column['name']}."
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    linted = desk.waypoint("contracts", "lint")
    assert linted.code == 0, linted.out


@pytest.mark.parametrize(
    "notes",
    [
        f"{NOTES}---\n{NOTES.replace('stg_loans', 'loans_by_day')}",
        yaml.safe_dump([yaml.safe_load(NOTES), yaml.safe_load(NOTES) | {"model": "loans_by_day"}]),
    ],
    ids=["documents", "list"],
)
def test_one_file_can_hold_several_tables(desk, notes):
    drafted(desk, notes)
    assert contract(desk, "staging/stg_loans")["id"] == "staging.stg_loans"
    assert contract(desk, "marts/loans_by_day")["id"] == "marts.loans_by_day"


def test_a_dry_run_writes_nothing(desk):
    ended = drafted(desk, NOTES, "--dry-run")
    assert "would write contracts/staging/stg_loans.yaml" in ended.out
    assert not (desk.root / "contracts").exists()


def test_what_is_there_is_kept_unless_forced(desk):
    drafted(desk, NOTES)
    path = desk.put("contracts/staging/stg_loans.yaml", "mine: true\n")
    again = desk.waypoint("contracts", "import", "short", "notes.yml")
    assert again.code == 2
    assert "stg_loans.yaml" in again.err
    assert path.read_text() == "mine: true\n"
    drafted(desk, NOTES, "--force")
    assert "mine" not in path.read_text()


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ("", "holds no models"),
        ("model: [", "not readable as YAML"),
        ("columns: []", "a model without a name"),
        ("model: x", "x: has no columns"),
        ("model: x\ncolumns: [{name: a}]", "x, column a: has no type"),
        ("model: x\ncolumns: [{name: a, type: int}, {name: a, type: int}]", "is there twice"),
        ("model: x\ncolumns: [{name: a, type: int, tests: [nice]}]", "test 'nice' is not known"),
        ("model: x\ncolumns: [{name: a, type: text, tests: [positive]}]", "is for numbers"),
        ("model: x\ncolums: []", "'colums' is not known"),
        ("model: x\ncolumns: [{name: a, type: int}]\nfreshness: {warn_after: soon}", "freshness"),
        ("model: ../../x\ncolumns: [{name: a, type: int}]", "cannot be the name"),
        ("model: x\nschema: ..\ncolumns: [{name: a, type: int}]", "cannot be the name"),
        ("model: x\ndescription: [a]\ncolumns: [{name: a, type: int}]", "where a text belongs"),
        (
            "model: x\ncolumns: [{name: a, type: text, tests: [{accepted_values: [[a]]}]}]",
            "is not known",
        ),
        (
            "model: x\ncolumns: [{name: a, type: int}]\nfreshness: {warn_after: 2 h}",
            "'loaded_at', which is no column",
        ),
    ],
)
def test_notes_that_cannot_be_used_are_told_with_their_place(desk, notes, said):
    desk.put("notes.yml", notes)
    ended = desk.waypoint("contracts", "import", "short", "notes.yml")
    assert ended.code == 2
    assert said in ended.err
    assert not (desk.root / "contracts").exists()


def test_the_example_of_the_help_can_be_used_as_it_stands(desk, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = desk.waypoint("contracts", "import", "short", "--help").out
    example = shown.partition("(---):")[2].partition("Also known")[0]
    drafted(desk, textwrap.dedent("\n".join(line.rstrip() for line in example.splitlines())))
    assert columns(contract(desk, "staging/stg_loans"))["days"]["logicalTypeOptions"]

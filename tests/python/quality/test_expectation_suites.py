"""What `waypoint quality run` finds, says and writes, with Great Expectations itself."""

from __future__ import annotations

import json

import pytest
from quality.shelf import Shelf


def test_tables_that_keep_their_contracts_meet_every_expectation(shelf: Shelf) -> None:
    code, document = shelf.quality()
    assert code == 0
    assert [table["table"] for table in document["tables"]] == ["marts.loans", "marts.renewals"]
    assert all(not table["findings"] and table["passed"] for table in document["tables"])
    assert document["tables"][0]["rows"] == document["tables"][0]["looked_at"] == 200
    assert document["seconds"] > 0 and document["cpu_seconds"] > 0


def test_each_broken_rule_is_found_under_its_own_name(shelf: Shelf) -> None:
    broken = {
        "shelfmark_is_required": "shelfmark = null",
        "shelfmark_matches_pattern": "shelfmark = 'A 1234'",
        "state_is_allowed": "state = 'lost'",
        "days_at_least_minimum": "days = 0",
        "days_at_most_maximum": "days = 61",
        "fine_at_least_minimum": "fine = -0.01",
        "lent_date_at_least_minimum": "lent_date = date '1999-12-31'",
        "not_returned_before_lent": "returned_date = date '2026-01-31'",
    }
    shelf.change(
        *(
            f"update marts.loans set {change} where loan_id = {loan}"
            for loan, change in enumerate(broken.values())
        ),
        "insert into marts.loans select * from marts.loans where loan_id = 100",
        "insert into marts.renewals values (2, 1, 'slip 4')",
    )
    assert shelf.findings() == {
        **{f"marts.loans.{rule}": "error" for rule in broken},
        "marts.loans.loan_id_is_unique": "error",
        "marts.renewals.loan_id_and_renewal_is_unique": "error",
        "marts.renewals.slip_is_unique": "error",
    }


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (
            "alter table marts.loans alter days type bigint;"
            "alter table marts.loans alter lent_date type timestamp;"
            "alter table marts.loans add column colour varchar",
            {"days_is_of_its_type", "lent_date_is_of_its_type", "columns_are_the_contracts"},
        ),
        ("drop table marts.loans", {"table_is_there"}),
    ],
)
def test_a_table_of_another_shape_is_found(shelf: Shelf, change: str, rules: set[str]) -> None:
    shelf.change(*change.split(";"))
    found = shelf.findings(["--select", "marts.loans"])
    assert found == {f"marts.loans.{rule}": "error" for rule in rules}


def test_a_column_that_is_gone_is_told_for_each_rule_on_it(shelf: Shelf) -> None:
    shelf.change("alter table marts.loans drop column days")
    code, document = shelf.quality("--select", "marts.loans")
    rules = {finding["rule"]: finding["detail"] for finding in document["tables"][0]["findings"]}
    assert code == 1
    assert rules.pop("columns_are_the_contracts").startswith("found ['loan_id', 'shelfmark'")
    assert {"days_is_of_its_type", "days_at_most_maximum", "fines_are_for_late_books"} <= set(rules)
    assert all('column "days"' in detail for detail in rules.values())


def test_warnings_are_told_and_let_the_command_pass(shelf: Shelf) -> None:
    shelf.change("update marts.loans set fine = 1 where loan_id = 5")
    code, document = shelf.quality()
    assert code == 0
    finding = document["tables"][0]["findings"][0]
    assert (finding["rule"], finding["severity"]) == ("fines_are_for_late_books", "warning")


def test_age_warns_first_and_fails_when_the_promise_is_broken(shelf: Shelf) -> None:
    shelf.set_clock("2026-03-02 14:00:00")
    assert shelf.findings() == {"marts.loans.is_well_within_its_promise": "warning"}
    shelf.set_clock("2026-03-02 15:00:01")
    assert shelf.findings()["marts.loans.is_as_fresh_as_promised"] == "error"


def test_an_empty_table_that_promises_freshness_is_late(shelf: Shelf) -> None:
    shelf.change("delete from marts.loans", "delete from marts.renewals")
    assert shelf.findings()["marts.loans.is_as_fresh_as_promised"] == "error"


def test_of_a_large_table_the_newest_rows_are_looked_at(shelf: Shelf) -> None:
    shelf.change("update marts.loans set state = 'lost' where loan_id = 150")  # an old one
    code, document = shelf.quality("--rows", "100")
    assert (code, document["tables"][0]["rows"], document["tables"][0]["looked_at"]) == (
        0,
        200,
        100,
    )
    shelf.change("update marts.loans set state = 'lost' where loan_id = 50")
    code, document = shelf.quality("--rows", "100")
    assert code == 1
    assert document["tables"][0]["findings"][0]["detail"] == "1 of 100 rows"


def test_data_docs_open_alone_and_show_nobodys_data(shelf: Shelf) -> None:
    shelf.change("update marts.loans set reader = 'Ada L.', shelfmark = 'of Ada L.', days = 99")
    shelf.quality()
    shelf.quality()  # in the place of the older ones
    pages = list(shelf.data_docs.rglob("*.html"))
    texts = [page.read_text() for page in pages]
    assert len(pages) == 5  # an index, and for each table its suite and its result
    assert all("http://" not in text and "https://" not in text for text in texts)
    assert all("Ada L." not in text for text in texts)
    index = (shelf.data_docs / "index.html").read_text()
    assert "shelfmark_matches_pattern" in index
    assert sum(f'href="{page.relative_to(shelf.data_docs)}"' in index for page in pages) == 2


def test_critical_tables_are_those_that_are_tagged(shelf: Shelf) -> None:
    _, document = shelf.quality("--critical")
    assert [table["table"] for table in document["tables"]] == ["marts.loans"]


def test_what_cannot_be_looked_at_is_said_in_words(shelf: Shelf) -> None:
    assert shelf.quality("--select", "marts.nothing")[0] == 2
    assert shelf.quality("--critical", "--all")[0] == 2
    (shelf.root / "contracts" / "marts" / "loans.yaml").unlink()
    code, said = shelf.quality("--critical")
    assert code == 2 and "tagged critical" in said
    shelf.published.unlink()
    code, said = shelf.quality()
    assert code == 2 and "nothing is published yet" in said


def test_every_suite_is_great_expectations_own_format(pytestconfig: pytest.Config) -> None:
    from great_expectations import ExpectationSuite

    files = sorted((pytestconfig.rootpath / "expectations").glob("*.json"))
    assert files
    ids: set[str] = set()
    for file in files:
        document = json.loads(file.read_text())
        written_back = ExpectationSuite(**document).to_json_dict()
        assert written_back["expectations"] == document["expectations"], file.name
        assert written_back["name"] == document["name"] == file.stem
        rules = [expectation["meta"]["rule"] for expectation in document["expectations"]]
        assert len(set(rules)) == len(rules), file.name
        ids |= {expectation["id"] for expectation in document["expectations"]}
    assert len(ids) == sum(len(json.loads(f.read_text())["expectations"]) for f in files)

"""Our contract tests, run by dbt, beside `datacontract test` on the same tables.

The same rules are read from the same contracts by two programs that share no code, and the same
are found to be broken. What the other one does not check, or checks differently, is said here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from conftest import TINY_PROJECT, CommandLine
from quality import oracle
from quality.shelf import LOANS, NOW, RENEWALS, TABLES

from waypoint.contracts.plausible import plausible_rules
from waypoint.contracts.reading import read_contracts
from waypoint.contracts.rules import table_rules

RAW_TABLES = """on-run-start:
  - "{{ create_missing_raw_tables() }}"
"""
SPOILED = {
    "loans.loan_id_is_unique": "insert into marts.loans select * from marts.loans where days = 30",
    "loans.shelfmark_is_required": "update marts.loans set shelfmark = null where loan_id = 21",
    "loans.shelfmark_matches_pattern": "update marts.loans set shelfmark = 'a' where loan_id = 22",
    "loans.state_is_allowed": "update marts.loans set state = 'lost' where loan_id = 23",
    "loans.days_at_least_minimum": "update marts.loans set days = 0 where loan_id = 24",
    "loans.days_at_most_maximum": "update marts.loans set days = 61 where loan_id = 25",
    "loans.fine_at_least_minimum": "update marts.loans set fine = -0.01 where loan_id = 26",
    "loans.lent_date_at_least_minimum": "update marts.loans set lent_date = date '1999-12-31'"
    " where loan_id = 27",
    "loans.not_returned_before_lent": "update marts.loans set returned_date = date '2026-01-31'",
    "loans.fines_are_for_late_books": "update marts.loans set fine = 1 where loan_id = 5",
    "renewals.loan_id_and_renewal_is_unique": "insert into marts.renewals values (2, 1, 'slip 99')",
    "renewals.slip_is_unique": "update marts.renewals set slip = 'slip 4' where slip = 'slip 5'",
    "renewals.renewals_are_of_lent_books": "insert into marts.renewals values (151, 1, 'slip 98')",
}
#: Broken too, and looked at by ours alone.
OURS_ALONE = {
    "renewals.loan_id_refers_to_loans": "insert into marts.renewals values (999, 1, 'slip 97')",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A dbt project whose two tables keep their contracts."""
    root = tmp_path_factory.mktemp("agreeing") / "library"
    (root / "contracts" / "marts").mkdir(parents=True)
    (root / "contracts" / "marts" / "loans.yaml").write_text(LOANS)
    (root / "contracts" / "marts" / "renewals.yaml").write_text(RENEWALS)
    (root / "models" / "marts").mkdir(parents=True)
    for statement in filter(None, map(str.strip, TABLES.split(";"))):
        head, _, query = statement.partition(" as\n")
        if query:
            (root / "models" / "marts" / f"{head.split('.')[-1]}.sql").write_text(query + "\n")
    shutil.copytree(TINY_PROJECT / "macros", root / "macros")
    shutil.copy(TINY_PROJECT / "profiles.yml", root)
    settings = (TINY_PROJECT / "dbt_project.yml").read_text()
    # there are no raw tables here that could be missing
    (root / "dbt_project.yml").write_text(settings.replace(RAW_TABLES, ""))
    library = CommandLine(root)
    (root / "var").mkdir()
    (root / "var" / "clock.json").write_text(f'{{"as_of": "{NOW.replace(" ", "T")}"}}')
    rendered = library.waypoint("contracts", "render")
    assert rendered.code == 0, rendered.err
    built = library.waypoint("build", "--json")
    assert built.code == 0, built.out + built.err
    assert built.json["broken_rules"] == []
    return library


def says(project: CommandLine, folder: Path) -> dict[str, oracle.Verdict]:
    """What `datacontract test` says of each table."""
    database = project.root / "var" / "warehouse" / "waypoint.duckdb"
    return {
        contract.name: oracle.verdict(contract, oracle.prepared(contract, database, folder))
        for contract in read_contracts(project.root / "contracts").tables
    }


@pytest.mark.long
def test_both_find_the_same_rules_broken(project: CommandLine, tmp_path: Path) -> None:
    clean = says(project, tmp_path)
    assert all(not table.broken and not table.misshapen for table in clean.values())
    both = {f"{table}.{rule}" for table, found in clean.items() for rule in found.checked}
    ours = {
        f"{contract.name}.{rule['name']}"
        for contract in read_contracts(project.root / "contracts").tables
        for rule in table_rules(contract)
    }
    # what is plausible of any column comes from no contract
    implied = {
        f"{contract.name}.{rule['name']}"
        for contract in read_contracts(project.root / "contracts").tables
        for column in contract.columns
        for rule in plausible_rules(column)
    }
    assert ours - both - implied == set(OURS_ALONE)
    assert both <= ours

    with duckdb.connect(str(project.root / "var/warehouse/waypoint.duckdb")) as connection:
        for change in (*SPOILED.values(), *OURS_ALONE.values()):
            connection.execute(change)
    tested = project.waypoint("build", "--json", "--", "--resource-type", "test")
    assert tested.code == 1
    found_by_us = {
        f"{rule['table'].split('.')[-1]}.{rule['rule']}": rule["severity"]
        for rule in tested.json["broken_rules"]
    }
    found_by_the_other = {
        f"{table}.{rule}": severity
        for table, found in says(project, tmp_path).items()
        for rule, severity in found.broken.items()
    }
    assert set(found_by_us) == {*SPOILED, *OURS_ALONE}
    assert found_by_the_other == {rule: found_by_us[rule] for rule in SPOILED}
    assert set(found_by_the_other.values()) == {"error", "warning"}


def test_a_pattern_is_of_the_whole_text_to_us_and_of_a_part_to_the_other(tmp_path: Path) -> None:
    """The standard says nothing of it; with ^ and $, as our contracts write, both agree."""
    database = tmp_path / "library.duckdb"
    with duckdb.connect(str(database)) as connection:
        for statement in filter(str.strip, TABLES.split(";")):
            connection.execute(statement)
        connection.execute("update marts.loans set shelfmark = 'far too long A 1 indeed'")
    found = {}
    for name, pattern in (("whole", "^[A-Z] [0-9]{1,3}$"), ("part", "[A-Z] [0-9]{1,3}")):
        folder = tmp_path / name / "marts"
        folder.mkdir(parents=True)
        (folder / "loans.yaml").write_text(LOANS.replace("^[A-Z] [0-9]{1,3}$", pattern))
        contract = read_contracts(tmp_path / name)["marts.loans"]
        copy = oracle.prepared(contract, database, tmp_path / name)
        found[name] = oracle.verdict(contract, copy).broken
    assert found == {"whole": {"shelfmark_matches_pattern": "error"}, "part": {}}

"""The statements for Snowflake: readable by a parser, in a safe order, and drift from them seen."""

from __future__ import annotations

import logging

import pytest
import sqlglot
from access.standin import StandIn
from sqlglot import exp

from waypoint.access.account import apply, read_facts, record, recorded
from waypoint.access.snowflake import drift, plan
from waypoint.cli.app import run_command

KEY = "0123456789abcdef" * 4

#: Statements that sqlglot's Snowflake dialect does not take apart, by their beginning, and why.
NOT_TAKEN_APART = {
    "create role ": "has no roles with a comment",
    "alter role ": "has no roles",
    "create masking policy ": "has no masking policies",
    "alter masking policy ": "has no masking policies",
    "create row access policy ": "has no row access policies",
    "alter row access policy ": "has no row access policies",
    "alter tag ": "has no policies on tags",
    "alter table ": "has no tags on columns and no row access policies",
    "grant ": "has no grants on what is to come",
}


@pytest.fixture(scope="module")
def made(project):
    return plan(project)


@pytest.fixture
def account(made):
    account = StandIn()
    apply(account, made, KEY)
    return account


def test_a_parser_takes_every_statement_apart_but_those_it_has_no_words_for(made, caplog):
    caplog.set_level(logging.CRITICAL, logger="sqlglot")
    left = {}
    for statement in made.statements:
        try:
            parsed = sqlglot.parse(statement.sql, dialect="snowflake")
        except sqlglot.errors.ParseError:
            parsed = [exp.Command()]
        assert len(parsed) == 1, statement.sql
        if isinstance(parsed[0], exp.Command):
            begins = [b for b in NOT_TAKEN_APART if statement.sql.startswith(b)]
            assert begins, f"neither parsed nor excepted: {statement.sql}"
            left[begins[0]] = True
            if begins[0] == "grant ":
                assert " on future " in statement.sql

    assert set(left) == set(NOT_TAKEN_APART), "an exception that is none any more"


def test_the_bodies_of_policies_are_expressions_and_queries_that_a_parser_takes_apart(made):
    bodies = [s.sql.split(" -> ", 1)[1] for s in made.statements if " -> " in s.sql]

    assert bodies
    for body in bodies:
        tree = sqlglot.parse_one(f"select {body}", dialect="snowflake")
        assert isinstance(tree, exp.Select)
        assert not list(tree.find_all(exp.Command))


def test_the_same_contracts_make_the_same_plan(project, made):
    assert plan(project).text == made.text


def test_no_table_is_granted_before_it_is_protected(made):
    statements = [statement.sql for statement in made.statements]
    protection = [n for n, s in enumerate(statements) if s.startswith("alter table")]
    grants = [n for n, s in enumerate(statements) if s.startswith("grant")]

    assert max(protection) < min(grants)


def test_no_future_select_where_a_new_table_could_hold_personal_data(project, made):
    holding = {
        table.schema.upper()
        for table in project.contracts.tables
        if any(column.classification == "pii" for column in table.columns)
    }
    granted = {
        s.sql.split(" in schema ")[1].split()[0].split(".")[1]
        for s in made.statements
        if s.sql.startswith("grant select on future tables")
    }

    assert not holding & granted


def test_what_is_run_can_be_run_again(made):
    for statement in made.statements:
        if statement.sql.startswith("create "):
            assert "if not exists" in statement.sql or "or replace" in statement.sql
        if statement.sql.startswith("insert "):
            assert "where not exists" in statement.sql


def test_the_key_is_bound_and_stands_in_no_statement(made, account):
    assert [parameters for _, parameters in account.ran if parameters] == [(KEY,)]
    assert not [sql for sql, _ in account.ran if KEY in sql]
    assert len(account.ran) == len(made.statements)


def test_nothing_differs_once_the_plan_was_run_and_run_again(made, account):
    apply(account, made, KEY)

    assert list(drift(made.facts, read_facts(account, made))) == []


def test_where_nothing_was_applied_all_is_missing(made):
    found = list(drift(made.facts, read_facts(StandIn(is_empty=True), made)))

    assert len(found) == len(made.facts)
    assert {line.split(":")[0] for line in found} == {"missing"}


def test_a_grant_that_somebody_took_away_is_drift(made, account):
    gone = ("SELECT", "TABLE", "WAYPOINT.MARTS.FCT_BOOKINGS", "ANALYST")
    account.grants.remove(gone)

    assert list(drift(made.facts, read_facts(account, made))) == [
        "missing: grant SELECT on TABLE WAYPOINT.MARTS.FCT_BOOKINGS to ANALYST"
    ]


def test_a_grant_that_somebody_changed_is_drift(made, account):
    account.grants.remove(("SELECT", "TABLE", "WAYPOINT.MARTS.FCT_BOOKINGS", "ANALYST"))
    account.grants.add(("UPDATE", "TABLE", "WAYPOINT.MARTS.FCT_BOOKINGS", "ANALYST"))

    assert list(drift(made.facts, read_facts(account, made))) == [
        "missing: grant SELECT on TABLE WAYPOINT.MARTS.FCT_BOOKINGS to ANALYST",
        "extra: grant UPDATE on TABLE WAYPOINT.MARTS.FCT_BOOKINGS to ANALYST",
    ]


@pytest.mark.parametrize(
    "extra",
    [
        ("SELECT", "TABLE", "WAYPOINT.RAW.APP_USERS", "ANALYST"),
        ("USAGE", "ROLE", "TRANSFORMER", "ANALYST"),
        ("SELECT", "TABLE", "WAYPOINT.GOVERNANCE.TOKEN_KEYS", "DATA_ENGINEER"),
    ],
    ids=["a table", "another role", "the key of tokens"],
)
def test_what_a_role_has_beyond_its_contracts_is_drift(made, account, extra):
    account.grants.add(extra)

    (line,) = drift(made.facts, read_facts(account, made))

    assert line == "extra: grant {} on {} {} to {}".format(*extra)


def test_a_role_may_use_warehouses_and_other_databases(made, account):
    account.grants.add(("USAGE", "WAREHOUSE", "REPORTING", "ANALYST"))
    account.grants.add(("USAGE", "DATABASE", "SNOWFLAKE", "ANALYST"))

    assert list(drift(made.facts, read_facts(account, made))) == []


def test_a_future_grant_that_nobody_asked_for_is_drift(made, account):
    account.future.add(("SELECT", "TABLE", "WAYPOINT.RAW", "ANALYST"))

    assert list(drift(made.facts, read_facts(account, made))) == [
        "extra: future grant SELECT on TABLEs in WAYPOINT.RAW to ANALYST"
    ]


def test_a_column_that_lost_its_mask_is_drift(made, account):
    del account.tags["WAYPOINT.RAW.APP_USERS", "EMAIL"]
    account.tags["WAYPOINT.RAW.APP_USERS", "PHONE"] = (
        "WAYPOINT.GOVERNANCE.PERSONAL_DATA",
        "token",
    )

    found = list(drift(made.facts, read_facts(account, made)))

    assert [line.split(":")[0] for line in found] == ["missing", "missing", "extra"]
    assert found[0].endswith("= masked on WAYPOINT.RAW.APP_USERS.EMAIL")


def test_a_policy_that_was_taken_off_is_drift(made, account):
    del account.policies["WAYPOINT.GOVERNANCE.RAW_LOCATION_EVENTS_CONSENT"]

    (line,) = drift(made.facts, read_facts(account, made))

    assert line.startswith("missing: policy WAYPOINT.GOVERNANCE.RAW_LOCATION_EVENTS_CONSENT")


@pytest.mark.parametrize("kind", ["masking policy", "row access policy"])
def test_a_policy_whose_body_somebody_changed_is_drift(made, account, kind):
    policy = next(name for name in made.policies if made.kinds[name] == kind)
    account.bodies[policy] = "true"

    missing, extra = drift(made.facts, read_facts(account, made))

    assert missing.startswith(f"missing: {kind} {policy} says ")
    assert extra == f"extra: {kind} {policy} says true"


def test_layout_of_a_policys_body_is_no_drift(made, account):
    account.bodies = {name: body.replace(" ", "\n  ") for name, body in account.bodies.items()}

    assert list(drift(made.facts, read_facts(account, made))) == []


def test_a_record_says_the_same_as_the_account(made, account, tmp_path):
    path = tmp_path / "access.json"
    record(path, read_facts(account, made))

    assert recorded(path) == made.facts


def test_diff_ends_with_1_where_a_record_differs(project, made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(project.root)
    path = tmp_path / "access.json"
    record(path, made.facts)
    same = run_command(["access", "diff", "--state", str(path)])
    record(path, frozenset(sorted(made.facts)[1:]))
    capsys.readouterr()

    assert same == 0
    assert run_command(["access", "diff", "--state", str(path)]) == 1
    assert f"missing: {sorted(made.facts)[0]}" in capsys.readouterr().out


def test_apply_needs_a_key_that_is_long_enough(project, monkeypatch, capsys):
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("WAYPOINT_TOKEN_KEY", raising=False)
    without = run_command(["access", "apply"])
    monkeypatch.setenv("WAYPOINT_TOKEN_KEY", "hunter2")
    short = run_command(["access", "apply"])

    assert (without, short) == (2, 2)
    assert "hunter2" not in capsys.readouterr().err

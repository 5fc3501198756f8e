"""Tokens are the same on both warehouses, and others once the key was changed."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
import sqlglot
from access.standin import StandIn

from waypoint.access.snowflake import rotation
from waypoint.access.tokens import duckdb_token, key_of, snowflake_token, token
from waypoint.errors import UnusableInput
from waypoint.privacy.rotating import rotate_kept_key, rotate_on_account, versions
from waypoint.project import Project

KEY = "0123456789abcdef" * 4
#: Made once with `printf %s "$key$(printf %s "$key$value" | sha256sum | ...)" | sha256sum`.
VECTORS = {
    "ada@example.com": "2e9c7790956eef2a7de4c87dcd5aab095f0b3bec6e0c2c4c12ac256d6095d519",
    "Tomás Chen": "9f2a757aea6fca2b6f26ef42662f5df08d026dbe617bc9679ee550727809d70d",
    "": "f1fdd1797473341bba59afba623762793c9dae4deb45caa2a7f827ea5c63d7db",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("WAYPOINT_TOKEN_KEY", raising=False)
    return Project(root=tmp_path, state=tmp_path / "var")


@pytest.mark.parametrize(("value", "expected"), VECTORS.items())
def test_tokens_are_the_fixed_ones_in_python_and_in_both_warehouses(
    value: str, expected: str
) -> None:
    in_duckdb = duckdb.execute(
        f"select {duckdb_token('$value')}", {"key": KEY, "value": value}
    ).fetchall()
    # Snowflake's own SQL, taken apart by its dialect and run by the functions of the same meaning
    sql = sqlglot.transpile(
        f"select {snowflake_token(':key', ':value')}", read="snowflake", write="duckdb"
    )[0]
    as_snowflake = duckdb.execute(
        re.sub(r":(key|value)", r"$\1", sql), {"key": KEY, "value": value}
    ).fetchall()

    assert token(KEY, value) == expected
    assert in_duckdb == as_snowflake == [(expected,)]


def test_the_expression_for_snowflake_is_the_agreed_one() -> None:
    assert snowflake_token("k", "v") == "sha2(k || sha2(k || v, 256), 256)"


def test_a_rotated_key_makes_other_tokens_and_the_old_one_is_kept_for_its_owner(
    project: Project,
) -> None:
    old = key_of(project)

    made = rotate_kept_key(project)
    again = rotate_kept_key(project)

    assert (made.version, again.version) == (2, 3)
    assert len({version.fingerprint for version in versions(project)}) == 3
    assert key_of(project) not in (old, made.fingerprint)
    assert (project.state / "token.key.1").read_text() == old
    assert token(old, "ada") != token(key_of(project), "ada")
    for path in project.state.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert old not in (project.state / "token-keys.json").read_text()


def test_a_key_of_the_environment_is_not_rotated_here(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYPOINT_TOKEN_KEY", KEY)

    with pytest.raises(UnusableInput, match="changed there"):
        rotate_kept_key(project)


def test_on_an_account_the_new_key_is_bound_and_comes_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WAYPOINT_TOKEN_KEY", KEY)
    account = StandIn()

    rotate_on_account(account, "WAYPOINT")

    ((sql, parameters),) = account.ran
    assert parameters == (KEY, KEY) and KEY not in sql
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as waypoint")
        connection.execute("create schema waypoint.governance")
        connection.execute(
            "create table waypoint.governance.token_keys (token_key varchar, made_at timestamp)"
        )
        runs = sqlglot.transpile(rotation("WAYPOINT"), read="snowflake", write="duckdb")[0]
        for key in (KEY, KEY, KEY[::-1]):
            connection.execute(runs, [key, key])
        kept = connection.execute("select count(*) from waypoint.governance.token_keys").fetchall()
    assert kept == [(2,)]

"""A role's copy holds what it may see: its tables, and no personal data, searched for by value."""

from __future__ import annotations

import stat
from pathlib import Path

import duckdb
import pytest

from waypoint import building, dbt_running
from waypoint.access.matrix import TOKEN, columns_seen, is_personal, table_access
from waypoint.access.tokens import KEY_VARIABLE, duckdb_token, key_of, snowflake_token, token
from waypoint.building import LastBuild
from waypoint.contracts.roles import read_roles
from waypoint.errors import Exit, UnusableInput
from waypoint.project import Project
from waypoint.publishing import publish

KEY = "0123456789abcdef" * 4
#: How personal values begin; they are found in the bytes of a file too.
SECRET = "mrs-secret"


@pytest.fixture(scope="module")
def published(project, tmp_path_factory) -> Project:
    """This project's tables with a few rows, personal data in each column that is to hold some."""
    copy = Project(root=project.root, state=tmp_path_factory.mktemp("published"))
    dbt_running.prepare(copy)
    with duckdb.connect(str(copy.warehouse_file)) as connection:
        for table in project.contracts.tables:
            connection.execute(f"create schema if not exists {table.schema}")
            columns = ", ".join(
                f"'{SECRET}-{table.name}-' || n as \"{c.name}\""
                if is_personal(c) and c.physical_type == "varchar"
                else f'cast(null as {c.physical_type}) as "{c.name}"'
                for c in table.columns
            )
            connection.execute(
                f"create table {table.full_name} as select {columns} from range(5) r(n)"
            )
        connection.execute(
            """
            create view marts.transactions_summary as
                select * from waypoint.marts.transactions_summary_v1;
            drop table marts.table_status;
            create view marts.table_status as
                select 'people' as table_name, count(email) as row_count, min(email) as unsaid
                from waypoint.staging.stg_users;
            drop table marts.market_alerts;
            create view marts.market_alerts as select * from waypoint.marts.market_moves;
            create table marts.nobody_said_what_this_is as select 'mrs-secret' as email;
            alter table marts.dim_users add column unsaid varchar default 'mrs-secret';
            """
        )
    building.remember(copy, LastBuild(failures=0, partial=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        publish(copy)
    return copy


@pytest.fixture
def analyst(published):
    with duckdb.connect(str(published.published_file.with_name("analyst.duckdb"))) as connection:
        yield connection


def test_the_warehouse_does_hold_the_values_that_are_searched_for(published):
    """Else the searches below would prove nothing."""
    assert SECRET.encode() in published.published_file.read_bytes()


def test_no_personal_value_is_in_the_bytes_of_the_copy(published):
    assert SECRET.encode() not in published.published_file.with_name("analyst.duckdb").read_bytes()


def test_no_personal_value_is_in_any_column_of_the_copy(analyst):
    columns = analyst.execute(
        "select table_schema, table_name, column_name from information_schema.columns"
    ).fetchall()

    assert columns
    for schema, table, column in columns:
        found = analyst.execute(
            f'select count(*) from "{schema}"."{table}"'
            f" where contains(cast(\"{column}\" as varchar), '{SECRET}')"
        ).fetchall()
        assert found == [(0,)], f"{schema}.{table}.{column}"


def test_the_copy_has_the_role_s_tables_and_no_others(published, analyst):
    role = read_roles(published)["analyst"]
    expected = {t.full_name for t in published.contracts.tables if table_access(role, t)}

    found = analyst.execute(
        "select table_schema || '.' || table_name from information_schema.tables"
    ).fetchall()

    assert {name for (name,) in found} == expected | {"marts.transactions_summary"}


def test_a_personal_value_is_there_as_its_token(published, analyst):
    role = read_roles(published)["analyst"]
    tokens = [
        (table, column)
        for table in published.contracts.tables
        for column, access in columns_seen(role, table)
        if access == TOKEN
    ]

    assert tokens
    for table, column in tokens:
        found = analyst.execute(f"select {column.name} from {table.full_name}").fetchall()
        assert {value for (value,) in found} == {
            token(KEY, f"{SECRET}-{table.name}-{n}") for n in range(5)
        }


def test_views_stay_views_where_the_copy_has_what_they_read(analyst):
    views = analyst.execute("select view_name from duckdb_views() where not internal").fetchall()

    assert {name for (name,) in views} == {"market_alerts", "transactions_summary"}
    assert analyst.execute("select count(*) from marts.market_alerts").fetchall() == [(5,)]


def test_the_copy_can_be_attached_under_any_name(published):
    path = published.published_file.with_name("analyst.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as elsewhere (read_only)")

        assert connection.execute("select count(*) from elsewhere.marts.market_alerts").fetchall()


def test_a_failed_cut_leaves_all_copies_as_they_were(published, monkeypatch):
    before = [_stamp(published, name) for name in ("waypoint", "analyst")]
    monkeypatch.setenv(KEY_VARIABLE, "short")

    with pytest.raises(UnusableInput, match="could be guessed"):
        publish(published)

    assert [_stamp(published, name) for name in ("waypoint", "analyst")] == before
    assert not list(published.published_file.parent.glob("*.tmp*"))


def test_the_same_value_has_the_same_token_on_both_warehouses():
    value = "Ünï'ted"
    with duckdb.connect() as connection:
        bound = {"key": KEY, "value": value}
        ours = connection.execute(f"select {duckdb_token('$value')}", bound).fetchall()
        # Snowflake's sha2(text, 256) is what DuckDB calls sha256
        connection.execute("create macro sha2(text, bits) as sha256(text)")
        theirs = connection.execute(f"select {snowflake_token('$key', '$value')}", bound)

        assert ours == theirs.fetchall() == [(token(KEY, value),)]


def test_the_key_that_is_made_is_kept_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    project = Project(root=tmp_path, state=tmp_path / "var")

    key = key_of(project)

    assert key_of(project) == key
    assert len(key) == 64
    assert stat.S_IMODE((tmp_path / "var" / "token.key").stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    project = Project(root=tmp_path, state=tmp_path / "var")
    key_of(project)
    (tmp_path / "var" / "token.key").chmod(0o644)

    with pytest.raises(UnusableInput, match="read by others") as refused:
        key_of(project)
    assert refused.value.exit_code == Exit.UNUSABLE_INPUT


def _stamp(project: Project, name: str) -> tuple[int, int]:
    path: Path = project.published_file.with_name(f"{name}.duckdb")
    return path.stat().st_ino, path.stat().st_size

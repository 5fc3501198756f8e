"""Where the stand-in was unlike Snowflake in what dbt and the loader use, and is not any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fakesnow")
import snowflake.connector as connector

from waypoint.contracts.model import Contracts
from waypoint.snowflake.gate import Gate
from waypoint.snowflake.rehearsal.positions import st_geohash, st_point
from waypoint.snowflake.rehearsal.standin import serving
from waypoint.snowflake.statement import Finding, Statement


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        serving(tmp_path_factory.mktemp("account")) as account,
        connector.connect(**account.connector) as connection,
    ):
        connection.cursor().execute("create schema if not exists staging")
        yield connection


@pytest.fixture
def run(connection: Any) -> Any:
    return lambda statement: connection.cursor().execute(statement).fetchall()


def test_a_null_timestamp_stays_null(run: Any) -> None:
    query = "select column1 as t from values (null::timestamp_ntz), ('2026-01-31 10:00:00.000005')"
    assert run(query) == [(None,), (datetime(2026, 1, 31, 10, 0, 0, 5),)]


def test_a_table_made_of_a_query_keeps_its_required_columns(run: Any) -> None:
    def make(value: str) -> None:
        run(
            "create or replace transient table staging.needed (id bigint not null, name varchar)"
            f" as (select id, name from (select {value} as id, 'a' as name) as it)"
        )

    make("1")
    with pytest.raises(connector.errors.ProgrammingError):
        make("null")


def test_a_temporary_table_can_stand_in_a_schema(run: Any) -> None:
    run("create or replace temporary table WAYPOINT.staging.passing as (select 1 as one)")
    assert run("select one from WAYPOINT.staging.passing") == [(1,)]


def test_merge_updates_and_inserts_and_says_how_many(connection: Any, run: Any) -> None:
    run("create or replace table staging.versions (id bigint, name varchar)")
    run("insert into staging.versions values (1, 'a'), (2, 'b')")
    cursor = connection.cursor().execute(
        "merge into staging.versions as dest using (select 2 as id, 'c' as name union all"
        " select 3, 'd') as source on dest.id = source.id"
        " when matched then update set name = source.name"
        " when not matched then insert (id, name) values (source.id, source.name)"
    )
    assert cursor.rowcount == 2
    rows = run("select id, name from staging.versions order by id")
    assert rows == [(1, "a"), (2, "c"), (3, "d")]


def test_sums_of_exact_numbers_are_exact(run: Any) -> None:
    query = "select sum(x) from (select 9007199254740993 as x union all select 2) as it"
    assert run(query) == [(9007199254740995,)]
    query = "select sum(cast(column1 as decimal(18,2))) from values ('0.10'), ('0.20')"
    assert run(query) == [(Decimal("0.30"),)]


def test_trim_takes_off_the_characters_that_it_is_told(run: Any) -> None:
    assert run("select trim('a, b, ', ', '), trim('  c ')") == [("a, b", "c")]


def test_the_kind_of_a_variant_is_that_of_its_json(run: Any) -> None:
    query = "select typeof(try_parse_json(column1)) from values ('[1]'), ('{\"a\": 1}'), ('[')"
    assert run(query) == [("ARRAY",), ("OBJECT",), (None,)]


def test_a_dollar_sign_within_a_text_is_that(run: Any) -> None:
    assert run("select '$oid'") == [("$oid",)]


def test_a_quoted_step_of_a_path_finds_its_value(run: Any) -> None:
    query = """select get_path(try_parse_json('{"a": {"$oid": "7"}}'), 'a["$oid"]')::varchar"""
    assert run(query) == [("7",)]


def test_a_comment_within_an_expression_does_no_harm(run: Any) -> None:
    query = """
        select
            -- the middle
            percentile_cont(0.5) within group (
                order by abs(column1)
            ) / 2 as middle
        from values (-4), (2), (8)
    """
    assert [float(middle) for (middle,) in run(query)] == [2.0]


def test_a_statement_that_fails_is_told_at_once_and_the_session_goes_on(run: Any) -> None:
    run("begin")
    with pytest.raises(connector.errors.ProgrammingError):
        run("select match_recognize_nothing(1)")
    run("rollback")
    assert run("select 1") == [(1,)]


def test_apostrophes_in_comments_of_tables_do_no_harm(run: Any) -> None:
    run("create or replace table staging.remarked (id bigint)")
    run("comment on table staging.remarked is 'it''s here'")


@pytest.mark.parametrize(
    ("latitude", "longitude", "geohash"),
    [
        # published examples of the algorithm
        (57.64911, 10.40744, "u4pruydqqvj"),
        (42.605, -5.603, "ezs42"),
        (48.8583, 2.2945, "u09tunq"),
        (-90.0, -180.0, "0000000"),
    ],
)
def test_geohashes_are_those_of_the_algorithm(
    latitude: float, longitude: float, geohash: str, run: Any
) -> None:
    assert st_geohash(st_point(longitude, latitude), len(geohash)) == geohash
    query = f"select st_geohash(st_makepoint({longitude}, {latitude}), {len(geohash)})"
    assert run(query) == [(geohash,)]


@pytest.mark.parametrize(
    "query",
    [
        "select strftime(t, '%Y') as it from (select timestamp '2026-01-31 10:00:00' as t)",
        "select arg_max(a, b) as it from (select 1 as a, 2 as b)",
        "select epoch(t) as it from (select timestamp '2026-01-31 10:00:00' as t)",
        "select quantile_cont(a, 0.5) as it from (select 1 as a)",
        "select count(*) filter (where a > 0) as it from (select 1 as a)",
        "select distinct on (a) b as it from (select 1 as a, 2 as b)",
        "select cast(a as hugeint) as it from (select 1 as a)",
        """select '{"a": 1}'->>'a' as it""",
        """select get_path(parse_json('{"$a": 1}'), '$a') as it""",
    ],
)
def test_what_it_takes_and_snowflake_does_not_is_refused_by_the_gate(query: str, run: Any) -> None:
    assert len(run(query)) == 1  # fails where the stand-in has become stricter: say so in the docs
    assert refused(query)
    assert not refused("select max(a) as it from (select 1 as a)")


def refused(query: str) -> list[Finding]:
    return Gate(Contracts([])).findings(Statement("lenient", Path("lenient.sql"), query))


def test_roles_and_grants_are_answered_and_have_no_effect(run: Any) -> None:
    run("create or replace table staging.granted (id bigint)")
    run("grant select on table staging.granted to role NOBODY_MADE_THIS_ROLE")
    run("revoke select on table staging.granted from role NOBODY_MADE_THIS_ROLE")


def test_lengths_of_texts_are_not_kept(run: Any) -> None:
    run("create or replace table staging.short (name varchar(2))")
    run("insert into staging.short values ('longer')")
    assert run("select name from staging.short") == [("longer",)]


def test_nothing_is_left_open(tmp_path: Any) -> None:
    import socket
    import threading

    before = threading.active_count()
    with serving(tmp_path) as account:
        port = account.connector["port"]
    with socket.socket() as probe, pytest.raises(OSError):
        probe.connect(("127.0.0.1", port))
    assert threading.active_count() <= before

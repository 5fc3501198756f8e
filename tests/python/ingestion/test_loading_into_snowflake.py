"""The statements for Snowflake, and the order in which a load runs them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from ingestion.loading import FileNotLoadable, LandedFile, RowsLost
from ingestion.loading import snowflake as target
from ingestion.snowflake_account import DEFAULTS, REQUIRED, connection_arguments
from waypoint.errors import Unavailable, UnusableInput

TIME = datetime(2026, 1, 31, 10, 0, 0, 5)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "it's here" / "loans" / "2026" / "b1.parquet"
    path.parent.mkdir(parents=True)
    duckdb.sql("copy (select 'B' as book, 'x' as \"timestamp\") to ? ", params=[str(path)])
    return LandedFile("loans/2026/b1.parquet", "loans", "2026/b1", path)


def test_tables_are_made_with_types_of_both_warehouses():
    assert target.create_table("loans", {"book": "varchar", "timestamp": "timestamp"}) == (
        'create table if not exists "RAW"."LOANS" ("BOOK" varchar, "TIMESTAMP" timestamp_ntz)'
    )


def test_files_are_put_where_they_stand_in_the_landing_area(file):
    statement = target.put(file)

    assert statement.startswith("put 'file:///")
    assert "it%27s%20here" in statement or "it\\'s" in statement
    assert "'@raw.landing/loans/2026' auto_compress = false overwrite = false" in statement


def test_copy_names_files_and_matches_columns_by_name(file):
    assert target.copy_into("loans", [file]) == (
        "copy into \"RAW\".\"LOANS\" from '@raw.landing/loans/' files = ('2026/b1.parquet')"
        " file_format = (format_name = 'raw.landed')"
        " match_by_column_name = case_insensitive on_error = abort_statement force = true"
    )


def test_names_and_texts_are_quoted():
    assert target.name('a"b') == '"A""B"'
    assert target.literal("a'b\\c") == "'a\\'b\\\\c'"


class Recorded(Exception):
    """The driver's error."""


class Connection:
    """Remembers statements, and answers those that ask."""

    def __init__(self, answers=None):
        self.statements = []
        self.answers = answers or {}

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def execute(self, statement):
        self.statements.append(statement)
        self.answer = next(
            (a for words, a in self.answers.items() if statement.startswith(words)), []
        )
        if isinstance(self.answer, Exception):
            raise self.answer
        return self

    def fetchall(self):
        return self.answer


COLUMNS = {
    "select table_name, column_name": [
        ("LOANS", "BOOK"), ("LOANS", "TIMESTAMP"), ("LOANS", "_LOADED_AT"),
    ]
}  # fmt: skip


def load(answers, file):
    connection = Connection(COLUMNS | answers)
    warehouse = target.SnowflakeWarehouse(connection, Recorded)
    return connection, lambda: warehouse.load([file], TIME, TIME)


def test_a_load_is_one_transaction_after_the_files_are_up(file):
    connection, run = load({"select count": [(1,)]}, file)

    loaded = run()

    assert loaded.rows == {"loans": 1}
    verbs = [" ".join(statement.split()[:2]) for statement in connection.statements]
    assert verbs == [
        "select table_name,", f"put {connection.statements[1].split()[1]}", "begin", "copy into",
        "insert into", 'update "RAW"."LOANS"', "select count(case", "delete from", "insert into",
        "commit",
    ]  # fmt: skip


def test_all_rows_of_a_load_get_its_time(file):
    connection, run = load({"select count": [(1,)]}, file)
    run()

    (stamped,) = [s for s in connection.statements if s.startswith("update")]
    assert stamped == (
        'update "RAW"."LOANS" set "_LOADED_AT" = \'2026-01-31 10:00:00.000005\'::timestamp_ntz'
        ' where "_LOADED_AT" is null'
    )


def test_what_has_streamed_in_gets_the_time_of_the_next_load_and_is_listed():
    answers = {
        "select table_name, column_name": [
            ("CLICKS", c) for c in ("PAGE", "_OFFSET", "_BATCH", "_LOADED_AT")
        ],
        "select 'clicks'": [("clicks", 3)],
        "select count(*)": [(3,)],
    }
    connection = Connection(answers)

    loaded = target.SnowflakeWarehouse(connection, Recorded).load([], TIME, None)

    assert loaded.rows == {"clicks": 3}
    assert loaded.loaded_at == TIME
    began, _, stamped, counted, listed = connection.statements[1:6]
    assert began == "begin"
    assert stamped == target.stamp("clicks", TIME)
    assert counted.endswith("coalesce(\"_BATCH\", '') like 'snowpipe/%'")
    assert "'clicks/snowpipe/2026-01-31T10:00:00.000005', 'clicks'" in listed


def test_streamed_rows_are_none_of_those_that_files_have(file):
    columns = [("LOANS", c) for c in ("BOOK", "TIMESTAMP", "_OFFSET", "_BATCH", "_LOADED_AT")]
    connection, run = load(
        {
            "select table_name, column_name": columns,
            "select count(case": [(1,)],
            "select count(*)": [(2,)],
        },
        file,
    )

    assert run().rows == {"loans": 3}

    (counted,) = [s for s in connection.statements if s.startswith("select count(case")]
    assert counted.endswith("and not coalesce(\"_BATCH\", '') like 'snowpipe/%'")
    assert sum(s.startswith("update") for s in connection.statements) == 1


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"select count": [(0,)]}, RowsLost),
        ({"copy into": Recorded("Numeric value 'x' is not recognized")}, FileNotLoadable),
        ({"update": Recorded("gone away")}, Unavailable),
    ],
)
def test_a_load_that_fails_is_rolled_back(file, answers, error):
    connection, run = load(answers, file)

    with pytest.raises(error):
        run()

    assert connection.statements[-1] == "rollback"
    assert "commit" not in connection.statements


def test_a_file_with_a_column_that_the_table_lacks_is_named(file):
    connection, run = load({}, file)
    connection.answers["select table_name, column_name"] = [("LOANS", "BOOK")]

    with pytest.raises(FileNotLoadable, match=r"b1\.parquet: raw\.loans has no column 'timestamp'"):
        run()


def test_only_what_is_missing_is_created():
    connection = Connection(COLUMNS)
    warehouse = target.SnowflakeWarehouse(connection, Recorded)

    warehouse.prepare({"loans": {"book": "varchar", "price": "double"}, "new": {"a": "date"}})

    assert connection.statements[-2:] == [
        'alter table "RAW"."LOANS" add column if not exists "PRICE" double',
        'create table if not exists "RAW"."NEW" ("A" date)',
    ]


def test_credentials_come_from_the_environment():
    with pytest.raises(UnusableInput, match="needs SNOWFLAKE_USER"):
        connection_arguments({"SNOWFLAKE_ACCOUNT": "a"})

    arguments = connection_arguments(
        {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PRIVATE_KEY_PATH": "/k.p8"}
    )

    assert arguments == {
        "account": "a", "user": "u", "private_key_file": "/k.p8",
        "authenticator": "SNOWFLAKE_JWT", "role": "TRANSFORMER", "warehouse": "TRANSFORMING",
        "database": "WAYPOINT",
    }  # fmt: skip


def test_what_the_profile_reads_is_what_is_read_here():
    profile = (Path(__file__).parents[3] / "profiles.yml").read_text()

    for variable in (*REQUIRED.values(), *(name for name, _ in DEFAULTS.values())):
        assert f"env_var('{variable}'" in profile

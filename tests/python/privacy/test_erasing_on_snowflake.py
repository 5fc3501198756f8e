"""What erasing runs on Snowflake: the same code, statements that parse, ids only as parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from ingestion.belonging import SNOWFLAKE
from waypoint.contracts.person_keys import people
from waypoint.privacy.person import Person, find
from waypoint.privacy.tables import erase_tables, raw_rows
from waypoint.privacy.warehouses import fill_ids, fill_values
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
ID, VALUE = "person-4711", "grace@example.com"


class Recorder:
    """A warehouse that has every table under contract, and in each a row of the person's."""

    dialect = SNOWFLAKE
    lists = "RAW."

    def __init__(self, project: Project) -> None:
        self.project = project
        self.ran: list[tuple[str, tuple[Any, ...]]] = []

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.ran.append((sql, tuple(parameters)))
        if "information_schema" in sql:
            passing = [("RAW", name, "VALUE", "TEXT") for name in ("ERASED_IDS", "ERASED_VALUES")]
            return passing + [
                (table.schema.upper(), table.name.upper(), column.name.upper(), "TEXT")
                for table in self.project.contracts.tables
                for column in table.columns
            ]
        if sql.startswith("select count(*)"):
            return [(1,)]
        if sql.startswith("select distinct table_name"):
            return [("app_events",)]
        return []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    project = Project(root=ROOT, state=tmp_path_factory.mktemp("state"), target="snowflake")
    warehouse = Recorder(project)
    known = people(project.contracts)
    assert known is not None
    find(list(raw_rows(warehouse, project.contracts)), known, [ID])
    person = Person({known.kind: frozenset([ID])}, (VALUE,))
    fill_ids(warehouse, person.ids)
    fill_values(warehouse, person.values)
    erase_tables(warehouse, project.contracts, person, known.kind, dry_run=False)
    return warehouse


def test_every_statement_is_one_that_snowflakes_dialect_takes_apart(recorded: Recorder) -> None:
    for sql, _ in recorded.ran:
        (parsed,) = sqlglot.parse(sql, dialect="snowflake")
        assert parsed is not None
        assert not isinstance(parsed, exp.Command), sql


def test_ids_and_values_stand_in_no_statement(recorded: Recorder) -> None:
    assert not [sql for sql, _ in recorded.ran if ID in sql or VALUE in sql]
    bound = [parameter for _, parameters in recorded.ran for parameter in parameters]
    assert {ID, VALUE} <= set(bound)


def test_rows_go_from_every_table_that_has_keys_of_people(recorded: Recorder) -> None:
    deleted = {sql.split(" where ")[0] for sql, _ in recorded.ran if sql.startswith("delete ")}

    for name in ('"RAW"."APP_USERS"', '"STAGING"."STG_ORDERS"', '"STAGING"."USERS_HISTORY"'):
        assert f"delete from {name}" in deleted
    assert not [sql for sql in deleted if '"RAW"."QUARANTINE"' in sql]
    assert [sql for sql, _ in recorded.ran if sql.startswith('update "RAW"."QUARANTINE"')]


def test_the_lists_of_what_is_sought_stay_as_they_are(recorded: Recorder) -> None:
    changed = [sql for sql, _ in recorded.ran if sql.startswith(("update ", "delete "))]

    assert not [sql for sql in changed if sql.split('" ')[0].endswith(("_IDS", "_VALUES"))]


def test_all_of_it_is_one_transaction(recorded: Recorder) -> None:
    words = [sql.split()[0] for sql, _ in recorded.ran]
    changing = [n for n, word in enumerate(words) if word in ("delete", "update")]

    assert words.count("begin") == words.count("commit") == 1
    assert words.index("begin") < min(changing) <= max(changing) < words.index("commit")

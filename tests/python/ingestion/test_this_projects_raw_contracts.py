"""What this project's raw contracts demand can be checked at landing."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingestion.extractors import KINDS
from ingestion.messages import topic_of
from ingestion.sources import read_sources
from ingestion.validation import document_type, validation
from waypoint.contracts.reading import read_contracts
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
CONTRACTS = read_contracts(ROOT / "contracts")
LANDING = [topic.name for topic in CONTRACTS.topics if "landsIn" in topic.custom]


@pytest.mark.parametrize("contract", CONTRACTS.in_schema("raw"), ids=lambda c: c.name)
def test_rows_given_as_text_can_be_checked(contract):
    types = {column.name: "VARCHAR" for column in contract.columns}
    nulls = ", ".join(f'cast(null as varchar) as "{name}"' for name in types)

    checked = validation(contract, f"select {nulls}", types, thousands=True)

    with duckdb.connect() as connection:
        query = f"select count(*) from ({checked.typed}) where {checked.good}"
        (good,) = connection.execute(query).fetchall()[0]
        query = f"select {checked.problem} as p from ({checked.typed}) where not ({checked.good})"
        bad = connection.execute(query).fetchall()
    assert good + len(bad) == 1


@pytest.mark.parametrize("name", LANDING)
def test_messages_of_each_topic_can_be_taken_apart(name):
    topic = topic_of(name, CONTRACTS)

    with duckdb.connect() as connection:
        ((document,),) = connection.execute(
            f"select json_transform('{{}}', {document_type(topic.contract)})"
        ).fetchall()

    assert set(document) == {column.name for column in topic.contract.source_columns}


@pytest.mark.parametrize("name", LANDING)
def test_late_messages_of_each_topic_can_be_seen(name):
    topic = topic_of(name, CONTRACTS)

    assert topic.event_time is None or topic.contract.column("_late").physical_type == "boolean"


@pytest.mark.parametrize("name", LANDING)
def test_what_topics_demand_within_objects_can_be_checked(name):
    topic = topic_of(name, CONTRACTS)
    types = {
        column.name: "JSON" if column.logical_type in ("object", "array") else "VARCHAR"
        for column in topic.contract.source_columns
    }
    nulls = ", ".join(f'cast(null as {kind}) as "{column}"' for column, kind in types.items())

    checked = validation(topic.contract, f"select {nulls}", types, objects=topic.columns)

    with duckdb.connect() as connection:
        connection.execute(f"select {checked.problem}, {checked.good} from ({checked.typed})")


def test_sources_are_of_known_kinds_and_land_in_tables_under_contract():
    for source in read_sources(Project(ROOT, ROOT / "var"), {}):
        assert source.kind in KINDS
        tables = source.settings.get("tables", {})
        for table in (*tables.values(), *filter(None, [source.settings.get("table")])):
            assert f"raw.{table}" in CONTRACTS

"""No column carries personal data without its contract saying so, by lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lineage.shop import node

from waypoint.access.leaks import leaks
from waypoint.contracts.model import Contracts
from waypoint.contracts.reading import read_contracts
from waypoint.lineage.graph import LineageGraph

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {schema}.{table}
name: {table}
version: 1.0.0
status: active
team: {{name: library}}
schema:
  - name: {table}
    properties:
      - {{name: member_id, logicalType: integer, physicalType: bigint}}
      - {{name: contact, logicalType: string, physicalType: varchar{more}}}
"""
PII = ", classification: pii"
WAIVED = ", customProperties: [{property: notPersonal, value: a number of people}]"


@pytest.fixture
def found(tmp_path: Path):
    """What is found where staging and mart say `more` of the column made of members' contacts."""

    def find(staging: str, mart: str, sql: str = "select member_id, contact from staging.people"):
        contracts = _contracts(tmp_path, {"raw": PII, "staging": staging, "marts": mart})
        graph = LineageGraph(_manifest(sql), "duckdb")
        return [str(leak) for leak in leaks(graph, contracts)]

    return find


def test_nothing_is_found_where_all_that_is_personal_is_classified(found):
    assert found(PII, PII) == []


def test_a_planted_leak_is_found(found):
    assert found(PII, "") == ["marts.readers.contact is made of staging.people.contact"]


def test_an_open_classification_hides_no_leak(found):
    assert len(found(PII, ", classification: internal")) == 1


def test_a_leak_is_found_where_it_begins(found):
    assert found("", "") == ["staging.people.contact is made of raw.members.email"]


def test_a_leak_through_an_expression_is_found(found):
    sql = "select member_id, upper(split_part(contact, '@', 1)) as contact from staging.people"

    assert len(found(PII, "", sql)) == 1


def test_a_column_that_has_no_contract_is_found(found):
    sql = "select member_id, 'none' as contact, contact as backdoor from staging.people"

    assert found(PII, "", sql) == ["marts.readers.backdoor is made of staging.people.contact"]


def test_a_waiver_with_a_reason_is_taken(found):
    sql = "select member_id, count(contact) as contact from staging.people group by member_id"

    assert found(PII, WAIVED, sql) == []


def test_leaving_the_column_out_is_no_leak(found):
    assert found(PII, "", "select member_id, 'none' as contact from staging.people") == []


def _contracts(folder: Path, more: dict[str, str]) -> Contracts:
    for schema, table in {"raw": "members", "staging": "people", "marts": "readers"}.items():
        text = CONTRACT.format(schema=schema, table=table, more=more[schema])
        if schema == "raw":
            text = text.replace("contact", "email")
        (folder / schema).mkdir()
        (folder / schema / f"{table}.yaml").write_text(text)
    return read_contracts(folder)


def _manifest(mart: str) -> dict[str, Any]:
    people = "select member_id, lower(email) as contact from raw.members"
    nodes = [
        node("model", "staging.people", "member_id contact", "source.shop.members", people),
        node("model", "marts.readers", "member_id contact", "model.shop.people", mart),
    ]
    sources = [node("source", "raw.members", "member_id email")]
    return {
        "metadata": {"adapter_type": "duckdb", "project_name": "shop"},
        "nodes": {n["unique_id"]: n for n in nodes},
        "sources": {n["unique_id"]: n for n in sources},
        "exposures": {},
    }

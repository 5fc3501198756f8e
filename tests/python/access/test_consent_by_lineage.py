"""What needs consent is asked for it by the query that passes it on, by lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lineage.shop import node

from waypoint.access.consent import without_consent
from waypoint.contracts.reading import read_contracts
from waypoint.errors import UnusableInput
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
{columns}
"""
COLUMN = "      - {{name: {name}, logicalType: string, physicalType: {kind}{more}}}"
SAID = "{about: member_id, agreed: staging.people.agreed}"
NEEDS = f", classification: pii, customProperties: [{{property: needsConsent, value: {SAID}}}]"
PII = ", classification: pii"
IN_WORDS = ", customProperties: [{property: needsConsent, value: how often, not where}]"

ASKING = """\
select seen.member_id, case when people.agreed then seen.shelf end as shelf
from staging.seen left join staging.people on seen.member_id = people.member_id
"""


@pytest.fixture
def found(tmp_path: Path):
    """What is found in a mart made of where people were seen."""

    def find(mart: str, shelf: str = PII, kept: str = NEEDS, raw: str = NEEDS) -> list[str]:
        tables = {
            "raw.sightings": [("shelf", raw)],
            "staging.seen": [("shelf", kept)],
            "staging.people": [("agreed", "")],
            "marts.walks": [("shelf", shelf)],
        }
        for full_name, columns in tables.items():
            schema, table = full_name.split(".")
            lines = [
                COLUMN.format(name=n, kind="boolean" if n == "agreed" else "varchar", more=more)
                for n, more in columns
            ]
            (tmp_path / schema).mkdir(exist_ok=True)
            text = CONTRACT.format(schema=schema, table=table, columns="\n".join(lines))
            (tmp_path / schema / f"{table}.yaml").write_text(text)
        graph = LineageGraph(_manifest(mart), "duckdb")
        return [str(one) for one in without_consent(graph, read_contracts(tmp_path))]

    return find


def test_a_query_that_asks_passes(found) -> None:
    assert found(ASKING) == []


def test_one_that_does_not_ask_is_found(found) -> None:
    assert found("select member_id, shelf from staging.seen") == [
        "marts.walks.shelf is made of staging.seen.shelf and does not ask staging.people.agreed"
    ]


def test_neither_a_classification_nor_a_promise_lets_a_mart_pass_it_on(found) -> None:
    assert len(found("select member_id, shelf from staging.seen", PII)) == 1
    assert len(found("select member_id, shelf from staging.seen", NEEDS)) == 1


def test_joining_people_without_looking_at_what_they_said_is_not_asking(found) -> None:
    sql = "select seen.member_id, shelf from staging.seen join staging.people using (member_id)"

    assert len(found(sql)) == 1


def test_an_expression_does_not_hide_it(found) -> None:
    assert len(found("select member_id, upper(left(shelf, 1)) as shelf from staging.seen")) == 1


def test_one_way_that_asks_does_not_excuse_another_column(found) -> None:
    sql = ASKING.replace("seen.member_id,", "seen.member_id, seen.shelf as backdoor,")

    assert found(sql) == [
        "marts.walks.backdoor is made of staging.seen.shelf and does not ask staging.people.agreed"
    ]


def test_it_is_found_where_it_begins(found) -> None:
    assert found(ASKING, kept=PII) == [
        "staging.seen.shelf is made of raw.sightings.shelf and does not ask staging.people.agreed"
    ]


def test_a_reason_in_words_is_taken(found) -> None:
    sql = "select member_id, count(shelf) as shelf from staging.seen group by member_id"

    assert found(sql, IN_WORDS) == []


def test_a_consent_that_nobody_can_have_given_is_an_error(found) -> None:
    with pytest.raises(UnusableInput, match="no column says who agreed"):
        found(ASKING, kept=NEEDS.replace("people.agreed", "people.agrees"))


def _manifest(mart: str) -> dict[str, Any]:
    seen = "select member_id, shelf from raw.sightings"
    people = "select member_id, agreed from raw.members"
    nodes = [
        node("model", "staging.seen", "member_id shelf", "source.shop.sightings", seen),
        node("model", "staging.people", "member_id agreed", "source.shop.members", people),
        node(
            "model",
            "marts.walks",
            "member_id shelf",
            "model.shop.seen model.shop.people",
            mart,
        ),
    ]
    sources = [
        node("source", "raw.sightings", "member_id shelf"),
        node("source", "raw.members", "member_id agreed"),
    ]
    return {
        "metadata": {"adapter_type": "duckdb", "project_name": "shop"},
        "nodes": {n["unique_id"]: n for n in nodes},
        "sources": {n["unique_id"]: n for n in sources},
        "exposures": {},
    }

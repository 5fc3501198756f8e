"""The change events that Debezium's documentation shows, of all its connectors, become changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb
import pytest
from models.dbt_warehouse import ROOT, DbtWarehouse, Row

DOCUMENTS = ROOT.parent / "shared" / "data" / "cdc" / "debezium" / "docs_json_repaired"
LOADED_AT = datetime(2026, 6, 1)
OPERATIONS = {
    "c": "INSERT",
    "u": "UPDATE",
    "d": "DELETE",
    "r": "SNAPSHOT",
    "t": "TRUNCATE",
    "m": "MESSAGE",
}

pytestmark = pytest.mark.real_input


@pytest.fixture(scope="module")
def documents() -> list[Any]:
    if not DOCUMENTS.is_dir():
        pytest.skip(f"the documents are not there: {DOCUMENTS}")
    return [json.loads(path.read_text()) for path in sorted(DOCUMENTS.glob("*.json"))]


@pytest.fixture(scope="module")
def changes(
    documents: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, tuple[Any, ...]]]:
    """What staging makes of the documents, by the offset that each was given."""
    state = tmp_path_factory.mktemp("debezium")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYPOINT_STATE", str(state))
        warehouse = DbtWarehouse.of_project(state)
        warehouse.invoke("run", "--select", "stg_cdc_changes")  # makes the raw tables
        rows = [message(offset, document) for offset, document in enumerate(documents)]
        warehouse.insert("cdc_changes", rows, LOADED_AT)
        warehouse.invoke("run", "--select", "stg_cdc_changes")
    with duckdb.connect(str(warehouse.file)) as connection:
        staged = connection.execute(
            "select kafka_offset, operation, schema_name, table_name, before_values, after_values,"
            " changed_at from staging.stg_cdc_changes"
        ).fetchall()
    yield {row[0]: row[1:] for row in staged}


def message(offset: int, document: Any) -> Row:
    return {
        "_partition": 0,
        "_offset": offset,
        "_kafka_timestamp": LOADED_AT,
        "_payload": None if document is None else json.dumps(document),
    }


def envelope(document: Any) -> dict[str, Any]:
    inside = document.get("payload", document) if isinstance(document, dict) else {}
    return inside if isinstance(inside, dict) else {}


def table(document: Any) -> str:
    source = envelope(document).get("source") or {}
    return source.get("table") or source.get("collection") or ""


def test_every_change_of_a_table_is_staged(
    documents: list[Any], changes: dict[int, tuple[Any, ...]]
) -> None:
    expected = {
        offset: OPERATIONS[envelope(document)["op"]]
        for offset, document in enumerate(documents)
        if envelope(document).get("op") in OPERATIONS
        and (table(document) or envelope(document)["op"] == "m")
    }
    # a change that is shown on two pages, noticed at different times, is one change
    told = {o: [envelope(documents[o]).get(k) for k in ("source", "after")] for o in expected}
    copies = {o for o in told if told[o] in [told[p] for p in told if p < o]}

    assert len(expected) > 30
    assert {o: row[0] for o, row in changes.items()} == {
        o: operation for o, operation in expected.items() if o not in copies
    }


def test_rows_before_and_after_are_what_the_envelope_holds(
    documents: list[Any], changes: dict[int, tuple[Any, ...]]
) -> None:
    for offset, (_, _, table_name, before, after, changed_at) in changes.items():
        said = envelope(documents[offset])
        for values, name in ((before, "before"), (after, "after")):
            # MongoDB's connector sends documents as text
            whole = said.get(name)
            whole = json.loads(whole) if isinstance(whole, str) else whole
            assert (json.loads(values) if values else None) == whole
        assert (table_name or "") == table(documents[offset])
        assert datetime(2000, 1, 1) < changed_at <= LOADED_AT

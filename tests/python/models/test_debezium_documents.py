"""What Debezium's documentation shows, of all its connectors, as messages of the topic.

Each document lands or is refused with a reason, and what of it is a change of a row becomes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from models.dbt_warehouse import ROOT, DbtWarehouse

from ingestion.extraction import Context, Source
from ingestion.extractors.dumps import extract
from ingestion.landing import LandingArea
from waypoint.project import Project

FOLDER = ROOT.parent / "shared" / "data" / "cdc" / "debezium"
LOADED_AT = datetime(2026, 6, 1)
TOPIC = "topic_cdc_changes"
OPERATIONS = {
    "c": "INSERT",
    "u": "UPDATE",
    "d": "DELETE",
    "r": "SNAPSHOT",
    "t": "TRUNCATE",
    "m": "MESSAGE",
}

pytestmark = pytest.mark.real_input

Change = tuple[Any, ...]


@dataclass
class Captured:
    """The documents by their offset, and what became of each."""

    documents: list[Any]
    landed: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captured]:
    if not FOLDER.is_dir():
        pytest.skip(f"the documents are not there: {FOLDER}")
    found = Captured([json.loads(p.read_text()) for p in sorted(FOLDER.glob("docs_json*/*.json"))])
    state = tmp_path_factory.mktemp("debezium")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYPOINT_STATE", str(state))
        area = landed_documents(found.documents, state)
        warehouse = DbtWarehouse.of_models(state, "staging/operations/stg_cdc_changes")
        files = sorted((area.root / "cdc_changes").glob("*.parquet"))
        warehouse.load("cdc_changes", files, LOADED_AT)
        with duckdb.connect(str(warehouse.file)) as connection:
            found.landed = {
                o for (o,) in connection.execute("select _offset from raw.cdc_changes").fetchall()
            }
            if any((area.root / "quarantine").rglob("*.parquet")):
                found.refused = dict(
                    connection.execute(
                        "select message_offset, reason from"
                        f" read_parquet('{area.root}/quarantine/**/*.parquet')"
                    ).fetchall()
                )
        warehouse.invoke("run")
    with duckdb.connect(str(warehouse.file)) as connection:
        staged = connection.execute(
            "select kafka_offset, operation, table_name, before_values, after_values, changed_at,"
            " connector, log_position, record_key from staging.stg_cdc_changes"
        ).fetchall()
    found.changes = {row[0]: row[1:] for row in staged}
    yield found


def landed_documents(documents: list[Any], state: Path) -> LandingArea:
    """The documents, and a tombstone after them, landed as an export of the topic."""
    dump = state / "dumps" / TOPIC / "documents.ndjson"
    dump.parent.mkdir(parents=True)
    with dump.open("w") as lines:
        for offset, document in enumerate([*documents, None]):
            message = {
                "topic": TOPIC,
                "partition": 0,
                "offset": offset,
                "timestamp": int(LOADED_AT.timestamp() * 1000) + offset,
                "key": None,
                "value": document,
            }
            lines.write(json.dumps(message) + "\n")
    project = Project(root=ROOT, state=state)
    area = LandingArea(project.landing_dir)
    source = Source("dumps", "dumps", {"folder": str(dump.parent.parent), "settle": "0 s"})
    outcomes = list(extract(source, Context(project.contracts, area, state, LOADED_AT)))
    assert sum(o.read for o in outcomes) == len(documents) + 1
    return area


def envelope(document: Any) -> dict[str, Any]:
    inside = document.get("payload", document) if isinstance(document, dict) else {}
    return inside if isinstance(inside, dict) else {}


def operation(document: Any) -> str | None:
    said = envelope(document)
    is_json = isinstance(said.get("data"), dict)
    return said.get("op") or (said.get("iodebeziumop") if is_json else None)


def table(document: Any) -> str:
    said = envelope(document)
    if "iodebeziumop" in said:
        return str(said["iodebeziumtable"])
    source = said.get("source") or {}
    return source.get("table") or source.get("collection") or ""


def place(document: Any) -> Any:
    """What a change is known by: where in its source's log it stands, and what it says."""
    said = envelope(document)
    source = said.get("source")
    if not isinstance(source, dict):
        return said
    where = ("db", "schema", "table", "collection", "ts_ms", "txId", "lsn", "file", "pos", "ord")
    return [source.get(name) for name in where], said.get("before"), said.get("after")


def values(document: Any, name: str) -> Any:
    """What a document says of the row `before` or `after`, MongoDB's in plain JSON."""
    said = envelope(document)
    if "iodebeziumop" in said:
        said = said["data"].get("payload", said["data"])
    whole = said.get(name)
    return plain(json.loads(whole)) if isinstance(whole, str) else whole


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$numberLong"}:
            return int(value["$numberLong"])
        return {name: plain(inner) for name, inner in value.items()}
    return value


def test_every_document_lands_or_is_refused_with_a_reason(captured: Captured) -> None:
    offsets = set(range(len(captured.documents) + 1))

    assert len(offsets) > 120
    assert captured.landed | set(captured.refused) == offsets
    assert not captured.landed & set(captured.refused)
    assert all(captured.refused.values())


def test_every_change_of_a_table_is_staged_and_nothing_else(captured: Captured) -> None:
    documents = captured.documents
    expected = {
        offset: OPERATIONS[operation(document) or ""]
        for offset, document in enumerate(documents)
        if operation(document) in OPERATIONS and (table(document) or operation(document) == "m")
    }
    # a change that is shown on two pages, noticed at different times, is one change
    told = {o: [operation(documents[o]), place(documents[o])] for o in expected}
    copies = {o for o in told if told[o] in [told[p] for p in told if p < o]}

    assert len(expected) > 50
    assert {o: row[0] for o, row in captured.changes.items()} == {
        o: name for o, name in expected.items() if o not in copies
    }


def test_rows_before_and_after_are_what_the_document_holds(captured: Captured) -> None:
    for offset, (_, table_name, before, after, changed_at, *_rest) in captured.changes.items():
        document = captured.documents[offset]
        for kept, name in ((before, "before"), (after, "after")):
            assert (json.loads(kept) if kept else None) == values(document, name)
        assert (table_name or "") == table(document)
        assert datetime(2000, 1, 1) < changed_at <= LOADED_AT + timedelta(minutes=1)


def test_connectors_of_databases_tell_where_in_their_log_a_change_stands(
    captured: Captured,
) -> None:
    placed = {connector for *_, connector, position, _ in captured.changes.values() if position}

    assert placed >= {"postgresql", "mysql", "mariadb", "mongodb", "sqlserver", "db2"}


def test_documents_of_mongodb_have_keys_as_other_rows(captured: Captured) -> None:
    keys = {key for *_, connector, _, key in captured.changes.values() if connector == "mongodb"}

    assert keys == {"1004"}

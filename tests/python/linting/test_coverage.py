"""Everything has a contract and every contract is about something: what is planted is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Library

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {schema}.{name}
name: Extra
version: 1.0.0
status: active
domain: lending
team: {{name: branch-library}}
schema:
  - name: {name}
    physicalType: {kind}
    description: One too many.
    properties:
      - {{name: a, logicalType: string, physicalType: varchar, description: An a.}}
      - {{name: {extra}, logicalType: string, physicalType: varchar, description: Extra.}}
"""
SCENARIO = """\
period: {{history: 1 day, full: 1 day}}
topics:
  folder: LIBRARY_LENDING_DESK
  messages: {{{topics}}}
"""


@pytest.fixture
def built(published_tiny_project: Library, tmp_path: Path) -> Library:
    """A copy of the tiny project with what a run built, to plant differences in."""
    shutil.copytree(published_tiny_project.root, tmp_path / "library", symlinks=False)
    return Library(tmp_path / "library")


def report(library: Library) -> tuple[int, Any]:
    ended = library.waypoint("contracts", "coverage", "--json")
    return ended.code, ended.json


def test_a_project_that_is_all_under_contract(built: Library) -> None:
    code, found = report(built)
    assert (code, found["gaps"]) == (0, [])
    assert found["contracts"] == 8
    assert found["compared"]["dbt"] == found["compared"]["warehouse"] == 7


def in_warehouse(library: Library, statement: str) -> None:
    with duckdb.connect(str(library.state / "warehouse/waypoint.duckdb")) as connection:
        connection.execute(statement)


def in_manifest(library: Library, change: Callable[[dict[str, Any]], object]) -> None:
    path = library.root / "target/manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def add_node(manifest: dict[str, Any], kind: str, name: str, materialized: str = "table") -> None:
    manifest["nodes"][f"{kind}.library.{name}"] = {
        "resource_type": kind,
        "schema": "marts",
        "alias": name,
        "config": {"materialized": materialized},
    }


def write(library: Library, schema: str, name: str, kind: str = "table", extra: str = "b") -> None:
    path = library.root / f"contracts/{schema}/{name}.yaml"
    path.write_text(CONTRACT.format(schema=schema, name=name, kind=kind, extra=extra))


def lands_in(library: Library, table: str) -> None:
    write(library, "topics", "returns", "topic")
    path = library.root / "contracts/topics/returns.yaml"
    path.write_text(
        path.read_text() + f"customProperties: [{{property: landsIn, value: {table}}}]\n"
    )


def play(library: Library, *topics: str) -> None:
    (library.root / "scenario").mkdir()
    listed = ", ".join(f"{topic}: slips" for topic in topics)
    (library.root / "scenario/scenario.yml").write_text(SCENARIO.format(topics=listed))


def more_sources(library: Library, text: str) -> None:
    path = library.root / "ingestion/sources.yml"
    path.write_text(path.read_text() + text)


PLANTED: dict[str, tuple[Callable[[Library], object], list[tuple[str, str]]]] = {
    "a table that nobody described": (
        lambda b: in_warehouse(b, "create table marts.rogue (a int)"),
        [("marts.rogue", "the warehouse holds")],
    ),
    "a view in a schema of its own": (
        lambda b: in_warehouse(b, "create schema private; create view private.v as select 1 as a"),
        [("private.v", "the warehouse holds")],
    ),
    "a table that is gone": (
        lambda b: in_warehouse(b, "drop table marts.lendings_by_day"),
        [("marts.lendings_by_day", "does not hold it")],
    ),
    "a model without a contract": (
        lambda b: in_manifest(b, lambda m: add_node(m, "model", "rogue")),
        [("marts.rogue", "dbt knows the model")],
    ),
    "a snapshot without a contract": (
        lambda b: in_manifest(b, lambda m: add_node(m, "snapshot", "rogue_history")),
        [("marts.rogue_history", "dbt knows the snapshot")],
    ),
    "a model that is no table": (
        lambda b: in_manifest(b, lambda m: add_node(m, "model", "part", "ephemeral")),
        [],
    ),
    "a source that dbt does not know": (
        lambda b: in_manifest(b, lambda m: m["sources"].popitem()),
        [("raw.", "dbt does not know it")],
    ),
    "a contract about nothing": (
        lambda b: write(b, "marts", "extra"),
        [("marts.extra", "dbt does not know it"), ("marts.extra", "does not hold it")],
    ),
    "a contract that is gone": (
        lambda b: (b.root / "contracts/staging/stg_lendings.yaml").unlink(),
        [("staging.stg_lendings", "dbt knows"), ("staging.stg_lendings", "the warehouse holds")],
    ),
    "a topic's contract that is gone": (
        lambda b: (b.root / "contracts/topics/lending-slips.yaml").unlink(),
        [("raw.lendings", "no topic's contract lands in it")],
    ),
    "a topic that is played and not described": (
        lambda b: play(b, "lending-slips", "returns"),
        [("topics.returns", "the scenario plays it")],
    ),
    "a topic that is described and never sent": (
        lambda b: (play(b, "lending-slips"), lands_in(b, "lendings")),
        [("topics.returns", "nobody sends to it")],
    ),
    "a topic that lands nowhere": (
        lambda b: lands_in(b, "nowhere"),
        [("raw.nowhere", "which has no contract")],
    ),
    "a source that fills a table without a contract": (
        lambda b: more_sources(b, "fines: {kind: files, folder: x, pattern: '*', table: fines}\n"),
        [("raw.fines", "the source fines fills")],
    ),
    "a raw table that no source fills": (
        lambda b: write(b, "raw", "fines", extra="_source"),
        [("raw.fines", "dbt"), ("raw.fines", "does not hold"), ("raw.fines", "no source fills it")],
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_missing_or_left_over_is_named(planted: str, built: Library) -> None:
    plant, expected = PLANTED[planted]
    plant(built)
    code, found = report(built)
    gaps = found["gaps"]
    assert code == (1 if expected else 0), gaps
    assert len(gaps) == len(expected), gaps
    for name, said in expected:
        assert any(gap["name"].startswith(name) and said in gap["problem"] for gap in gaps), gaps
    assert all(gap["mend"] for gap in gaps)


def test_nothing_was_built_yet(tiny_project: Library) -> None:
    ended = tiny_project.waypoint("contracts", "coverage")
    assert ended.code == 2
    assert "there is no manifest" in ended.err and "Traceback" not in ended.err


def test_a_manifest_that_is_none(built: Library) -> None:
    (built.root / "target/manifest.json").write_text("[]")
    ended = built.waypoint("contracts", "coverage")
    assert ended.code == 2 and "no manifest of dbt's" in ended.err

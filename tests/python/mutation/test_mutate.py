"""`waypoint contracts mutate` finds the damage that a contract would not notice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Library

STAGED = "staging.stg_lendings"


@pytest.fixture(scope="module")
def busy_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The tiny project with enough lendings for rules that want many rows, built."""
    library = Library.copied_to(tmp_path_factory.mktemp("busy") / "library").connected()
    slips = [
        (f"S{n}", "C0001" if n % 3 else "C0002", f"B {n}", f"2026-03-01T{n % 24:02}:00:00.000Z", 14)
        for n in range(100, 400)
    ]
    library.lend("1.ndjson", *slips, offset=100)
    library.run()
    return library


def survivors(report: Any, operator: str) -> set[str | None]:
    return {s["column"] for s in report["survivors"] if s["operator"] == operator}


@pytest.mark.long
def test_a_strong_contract_notices(busy_library: Library) -> None:
    ended = busy_library.waypoint("contracts", "mutate", "--select", STAGED, "--json")
    strong = ended.json
    assert strong["mutants"] == strong["killed"] + len(strong["survivors"]) > 20
    assert [c["contract"] for c in strong["contracts"]] == [STAGED]
    for operator in ("null", "duplicate", "doubled_rows", "wrong_type", "stale_table"):
        assert survivors(strong, operator) == set()
    assert ended.code == (0 if strong["score"] >= 0.95 else 1)


def test_what_a_weak_contract_misses_is_told(busy_library: Library, tmp_path: Path) -> None:
    shutil.copytree(busy_library.root, tmp_path / "weak", symlinks=True)
    weak = Library(tmp_path / "weak", busy_library.environment)
    contract = weak.root / "contracts" / "staging" / "stg_lendings.yaml"
    text = contract.read_text().replace("        primaryKey: true\n", "")
    # broken before any damage is done, so that it proves nothing
    broken = "select count(distinct slip) from {object}"
    text = text.replace("select count(*) from {object} where due_date < lent_at", broken)
    contract.write_text(text)
    assert weak.waypoint("contracts", "render").code == 0
    ended = weak.waypoint("contracts", "mutate", "-s", STAGED, "--json", "--at-least", "99")
    found = ended.json
    assert ended.code == 1
    assert found["mutants"] == found["killed"] + len(found["survivors"]) > 20
    assert survivors(found, "duplicate") == survivors(found, "doubled_rows") == {None}
    for operator in ("null", "wrong_type", "stale_table"):  # by what the contract still says
        assert survivors(found, operator) == set()
    assert {
        "contract": STAGED,
        "operator": "duplicate",
        "column": None,
        "detail": "some rows twice",
    } in found["survivors"]


@pytest.mark.long
def test_what_is_there_is_only_read(busy_library: Library) -> None:
    warehouse = busy_library.state / "warehouse" / "waypoint.duckdb"
    before = warehouse.read_bytes()
    ended = busy_library.waypoint("contracts", "mutate", "-s", "raw.members", "--at-least", "1")
    assert ended.code == 0
    assert "mutants killed" in ended.out
    assert warehouse.read_bytes() == before


def test_unusable_input(tiny_project: Library) -> None:
    ended = tiny_project.waypoint("contracts", "mutate", "-s", "staging.nothing")
    assert ended.code == 2
    assert "staging.nothing" in ended.err
    ended = tiny_project.waypoint("contracts", "mutate")
    assert ended.code == 2
    assert "waypoint run" in ended.err

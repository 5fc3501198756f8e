"""The models that observe the tables know them from the contracts and promise what they do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from waypoint.contracts.derived.observability import DATA_DAY, data_day, files
from waypoint.contracts.model import Contract, Freshness
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.status import freshness_level

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def project() -> Project:
    return Project(ROOT, ROOT / "var")


def observed(project: Project) -> list[Contract]:
    return [c for c in project.contracts.tables if c.domain != "observability"]


def derived(project: Project, name: str) -> str:
    return next(text for path, text in files(project).items() if path.stem == name)


def test_every_table_that_has_a_time_is_counted(project: Project) -> None:
    counted = set(re.findall(r"'table': \"(.*)\"", derived(project, "rows_checked_daily")))
    timeless = {c.full_name for c in observed(project)} - counted
    assert counted
    assert all(
        not any(column.name.endswith("loaded_at") for column in project.contracts[name].columns)
        for name in timeless
    )


def test_promises_are_those_that_status_measures(project: Project) -> None:
    rows = re.findall(
        r"^ +\('(.*)'\S* ?.*?, (\S+), (\S+)\),?$", derived(project, "contracted_tables"), re.M
    )
    promised = {name.split("'")[0]: (warn, late) for name, warn, late in rows}
    for contract in observed(project):
        promise = contract.freshness
        expected = (
            (
                f"{promise.warn_after.total_seconds() / 60:.0f}",
                f"{promise.error_after.total_seconds() / 60:.0f}",
            )
            if promise
            else ("null", "null")
        )
        assert promised[contract.full_name] == expected


def test_status_draws_its_lines_where_the_view_does() -> None:
    unit_tests = ROOT / "models/marts/observability/table_status__unit_tests.yml"
    case: dict[str, Any] = yaml.safe_load(unit_tests.read_text())["unit_tests"][0]
    contracted, counted, _ = (given["rows"] for given in case["given"])
    looked_at = datetime(2026, 1, 1, 12)
    assert str(looked_at) in case["overrides"]["macros"]["as_of"]

    def level(table: dict[str, Any]) -> str:
        newest = [r["newest_at"] for r in counted if r["table_name"] == table["table_name"]]
        age = (looked_at - max(newest)).total_seconds() if newest else None
        if "late_after_minutes" not in table:
            return freshness_level(None, age)
        warn, late = (table[f"{word}_after_minutes"] for word in ("warn", "late"))
        promise = Freshness("loaded_at", timedelta(minutes=warn), timedelta(minutes=late))
        return freshness_level(promise, age)

    expected = {row["table_name"]: row["freshness"] for row in case["expect"]["rows"]}
    assert {table["table_name"]: level(table) for table in contracted} == expected


def test_what_observes_does_not_observe_itself(project: Project) -> None:
    names = [c.full_name for c in project.contracts.tables if c.domain == "observability"]
    texts = "".join(files(project).values())
    assert names
    assert not [name for name in names if f"'{name}'" in texts or f'"{name}"' in texts]


def test_a_contract_says_which_column_the_day_is_of(project: Project) -> None:
    contract = next(
        c for c in observed(project) if {"created_at", "updated_at", "loaded_at"} <= names(c)
    )
    named = replace(contract, custom={DATA_DAY: "updated_at"})
    day = data_day(named)
    assert day is not None and day.column.name == "updated_at"
    with pytest.raises(UnusableInput, match="no_such_column"):
        data_day(replace(contract, custom={DATA_DAY: "no_such_column"}))


def test_without_a_word_the_day_is_found_in_the_contract(project: Project) -> None:
    contract = next(
        c for c in observed(project) if {"created_at", "updated_at", "loaded_at"} <= names(c)
    )
    bare = replace(contract, custom={}, retention_element=None)
    found = [
        data_day(replace(bare, retention_element="updated_at")),
        data_day(bare),
        data_day(replace(bare, columns=tuple(c for c in bare.columns if c.name == "loaded_at"))),
        data_day(replace(bare, columns=tuple(c for c in bare.columns if c.name != "loaded_at"))),
    ]
    assert [day and (day.column.name, day.happened) for day in found] == [
        ("updated_at", True),
        ("created_at", True),
        ("loaded_at", False),
        None,
    ]


def names(contract: Contract) -> set[str]:
    return {column.name for column in contract.columns}

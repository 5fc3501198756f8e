"""Exposures say what their dashboards really read: the page's sections, down to the column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from waypoint.lineage.columns import trace
from waypoint.pages.definition import Section, read_page
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
PROJECT = Project.find(ROOT)
SECTIONS = {section.title: section for section in read_page(PROJECT.pages_dir).sections}


def exposures() -> dict[str, dict[str, Any]]:
    files = (ROOT / "dbt_project" / "exposures").glob("*.yml")
    found = [e for file in files for e in yaml.safe_load(file.read_text())["exposures"]]
    return {exposure["name"]: exposure for exposure in found}


def section_of(exposure: dict[str, Any]) -> str | None:
    return exposure.get("config", {}).get("meta", {}).get("section")


def reads_of(section: Section) -> dict[str, set[str]]:
    """The columns of each table that the queries of a section read."""
    columns = {c.full_name: [column.name for column in c.columns] for c in PROJECT.contracts.tables}
    queries = [t.sql for t in section.tiles] + [t.trend for t in section.tiles if t.trend]
    queries += [panel.sql for panel in section.panels if panel.sql]
    reads: dict[str, set[str]] = {}
    for sql in queries:
        for ref in trace(sql, columns).reads:
            reads.setdefault(ref.table, set()).add(ref.column)
    return reads


def tables_of(exposure: dict[str, Any]) -> set[str]:
    """Full names of the tables that an exposure depends on."""
    names = [text.split("'")[-2] for text in exposure["depends_on"]]
    return {c.full_name for c in PROJECT.contracts.tables if c.name in names}


def test_every_section_of_the_page_is_a_dashboard() -> None:
    shown = {section_of(exposure) for exposure in exposures().values()} - {None}
    assert shown == set(SECTIONS)


@pytest.mark.parametrize("name", [n for n, e in exposures().items() if section_of(e)])
def test_an_exposure_names_what_its_section_reads(name: str) -> None:
    exposure = exposures()[name]
    reads = reads_of(SECTIONS[section_of(exposure) or ""])
    assert tables_of(exposure) == set(reads)
    for table, columns in exposure["config"]["meta"]["columns"].items():
        assert set(columns) == reads[table], f"{name} reads {sorted(reads[table])} of {table}"


def test_churn_prediction_takes_all_of_its_features() -> None:
    churn = exposures()["churn_prediction"]
    assert churn["type"] == "ml"
    assert tables_of(churn) >= {"ml_features.user_features", "marts.revenue_by_day"}
    assert "config" not in churn  # no list of columns: every one

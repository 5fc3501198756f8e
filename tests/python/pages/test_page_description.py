"""What a page's YAML may say, and what a person is told where it is wrong."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from waypoint.contracts.model import Contracts
from waypoint.contracts.reading import read_contracts
from waypoint.pages import render_page
from waypoint.pages.data import MOST_ROWS, ask
from waypoint.pages.definition import InvalidPage, read_page
from waypoint.pages.formats import change, text

ROOT = Path(__file__).parents[3]
AS_OF = datetime(2026, 1, 15, 10)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    return folder


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "some.duckdb"
    duckdb.connect(str(path)).close()
    return path


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{titel: A}", r"sections\[0\]: unknown word 'titel'"),
        ("{text: A}", r"sections\[0\]: 'title' is missing"),
        ("{title: A, panels: [{title: B}]}", r"panels\[0\]: a panel shows one of"),
        ("{title: A, panels: [{title: B, table: {a: A}}]}", r"panels\[0\]: 'sql' is missing"),
        (
            "{title: A, panels: [{title: B, sql: c, chart: {mark: pie, x: a}}]}",
            r"panels\[0\]\.chart: mark 'pie'",
        ),
        (
            "{title: A, panels: [{title: B, sql: c, chart: {mark: bar, y: {field: a, unit: x}}}]}",
            r"panels\[0\]\.chart\.y: unit 'x'",
        ),
        ("{title: A, tiles: [{title: B}]}", r"tiles\[0\]: 'sql' is missing"),
        ("{title: A, tiles: {title: B}}", r"sections\[0\]\.tiles: expected a list"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_place(pages: Path, section: str, told: str) -> None:
    (pages / "overview.yml").write_text(f"title: T\nsections: [{section}]\n")
    with pytest.raises(InvalidPage, match=rf"overview\.yml, .*{told}"):
        read_page(pages)


def test_a_folder_without_a_page_is_told(pages: Path) -> None:
    with pytest.raises(InvalidPage, match="no page is described there"):
        read_page(pages)


def test_sections_of_several_files_make_one_page_in_the_order_of_their_names(pages: Path) -> None:
    (pages / "2.yml").write_text("sections: [{title: Second}]\n")
    (pages / "1.yml").write_text("title: Both\nsections: [{title: First}]\n")
    page = read_page(pages)
    assert page.title == "Both"
    assert [section.title for section in page.sections] == ["First", "Second"]


def test_a_page_that_cannot_be_made_leaves_the_old_one(pages: Path, warehouse: Path) -> None:
    out = warehouse.parent / "index.html"
    (pages / "overview.yml").write_text("title: T\nsections: []\n")
    render_page(warehouse, pages, [], out, AS_OF)
    before = out.read_bytes()
    (pages / "overview.yml").write_text("title: T\nsektions: []\n")
    with pytest.raises(InvalidPage):
        render_page(warehouse, pages, [], out, AS_OF)
    assert out.read_bytes() == before
    assert [p.name for p in out.parent.glob("index*")] == ["index.html"]


def test_a_page_is_the_same_bytes_for_the_same_data(pages: Path, warehouse: Path) -> None:
    (pages / "overview.yml").write_text(
        "title: T\nsections: [{title: A, panels: [{title: B, sql: 'select 1 as a, 2 as b',"
        " chart: {mark: bar, x: a, y: b}}]}]\n"
    )
    first = render_page(warehouse, pages, [], warehouse.parent / "1.html", AS_OF)
    second = render_page(warehouse, pages, [], warehouse.parent / "2.html", AS_OF)
    assert first.path.read_bytes() == second.path.read_bytes()


def test_problems_of_queries_are_told_not_raised() -> None:
    with duckdb.connect() as connection:
        assert "missing_table" in ask(connection, "select * from missing_table").problem
        assert "does not run" in ask(connection, "selec 1").problem
        assert "no column 'b'" in ask(connection, "select 1 as a", ["b"]).problem
        assert "aggregate" in ask(connection, f"from range({MOST_ROWS + 1})").problem
        assert ask(connection, f"from range({MOST_ROWS})").problem == ""


@pytest.mark.parametrize(
    ("value", "format_name", "shown"),
    [
        (1234567, "integer", "1,234,567"),
        (1234567, "compact", "1.2 M"),
        (54321.9, "compact", "54.3 k"),
        (9999, "compact", "9,999"),
        (-2_500_000_000, "compact", "-2.5 B"),
        (0.1234, "percent", "12.3%"),
        (0.0333, "signed_percent", "+3.3%"),
        (1.5, None, "1.50"),
        (None, "integer", "–"),
        (float("nan"), "integer", "–"),
        (True, None, "yes"),
        (datetime(2026, 1, 5, 9, 3), None, "5 Jan 2026, 09:03"),
        (datetime(2026, 1, 5).date(), None, "5 Jan 2026"),
    ],
)
def test_values_are_written_for_people(value: object, format_name: str | None, shown: str) -> None:
    assert text(value, format_name) == shown


def test_a_change_from_nothing_is_not_a_percentage() -> None:
    assert change(5, 0, "integer") is None
    assert change(5, 4, "integer") == (0.25, "25.0%")
    assert change(3, 4, "integer") == (-0.25, "25.0%")
    assert change(-3, -4, "integer") == (0.25, "25.0%")
    assert change(0.05, 0, "percent") == (5.0, "5.0 points")


def test_every_query_of_this_project_s_page_runs_on_tables_as_contracts_describe_them(
    tmp_path: Path,
) -> None:
    contracts: Contracts = read_contracts(ROOT / "contracts")
    path = tmp_path / "waypoint.duckdb"
    with duckdb.connect(str(path)) as connection:
        for contract in contracts.tables:
            columns = ", ".join(f"{c.name} {c.physical_type}" for c in contract.columns)
            connection.execute(f"create schema if not exists {contract.schema}")
            connection.execute(f"create table {contract.full_name} ({columns})")
    rendered = render_page(path, ROOT / "dbt_project" / "pages", [], tmp_path / "index.html", AS_OF)
    assert rendered.problems == ()

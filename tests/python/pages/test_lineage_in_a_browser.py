"""The lineage page, opened in a real browser from its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lineage.shop import NODES, SOURCES, written
from playwright.sync_api import Browser, Page

from waypoint.lineage.graph import LineageGraph
from waypoint.lineage.page import LineagePage, write_page

HOSTILE = "</script><script>document.title='owned'</script><img src='http://127.0.0.1:9/x'>"


@dataclass
class Opened:
    """A page in the browser, and what it did that it should not."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def boxes(self) -> set[str]:
        """What the graph shows, by link."""
        heads = self.page.locator("#graph .node > a").all()
        return {str(head.get_attribute("href")).removeprefix("#") for head in heads}

    def columns(self, table: str) -> list[str]:
        """The columns that a table's box lists."""
        box = self.page.locator(".node", has=self.page.locator(f"> a[href='#{table}']"))
        return box.locator("li").all_inner_texts()

    def shows(self, what: str) -> None:
        self.page.wait_for_selector(f"html[data-shown='{what}']")


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> LineagePage:
    folder = tmp_path_factory.mktemp("lineage")
    nodes = [NODES[0] | {"description": HOSTILE}, *NODES[1:]]
    manifest = written(folder, nodes, SOURCES)
    return write_page(
        LineageGraph.read(manifest), folder / "lineage.html", page="index.html", catalogue=True
    )


@contextmanager
def opened(
    browser: Browser, lineage: LineagePage, what: str = "", width: int = 1280
) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": width, "height": 800})
    found = Opened(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.goto(lineage.path.as_uri() + (f"#{what}" if what else ""))
    found.shows(what or "everything")
    yield found
    assert found.complaints == []
    context.close()


def test_everything_is_there_from_sources_to_dashboards(
    browser: Browser, lineage: LineagePage
) -> None:
    with opened(browser, lineage) as found:
        assert found.boxes() == {
            "raw.sales",
            "raw.days",
            "clean.orders",
            "shown.days",
            "shown.how_many",
            "exposure.money",
            "exposure.counter",
        }
        assert found.page.locator("#graph path").count() == 6
        lefts = {
            name: found.page.locator(f".node > a[href='#{name}']").bounding_box()["x"]
            for name in ("raw.sales", "clean.orders", "shown.days", "exposure.money")
        }
        assert sorted(lefts, key=lefts.__getitem__) == list(lefts)
        assert found.page.locator("#about").is_hidden()


def test_a_column_shows_where_its_value_goes_and_where_it_does_not(
    browser: Browser, lineage: LineagePage
) -> None:
    with opened(browser, lineage, "raw.sales.amount") as found:
        boxes = {"raw.sales", "clean.orders", "shown.days", "exposure.money"}
        assert found.boxes() == boxes
        assert found.columns("clean.orders") == ["cents"]
        assert found.columns("exposure.money") == ["cents"]
        assert found.page.locator("#graph path:not(.rows)").count() == 3
        told = found.page.locator("#about").inner_text()
        assert "Money by Day" in told and "board <board@example.com>" in told


def test_a_column_that_only_filters_reaches_rows(browser: Browser, lineage: LineagePage) -> None:
    with opened(browser, lineage, "raw.sales.is_test") as found:
        assert "shown.how_many" in found.boxes()
        assert found.columns("clean.orders") == []
        assert found.page.locator("#graph path:not(.rows)").count() == 0
        assert "Decides rows of\nclean.orders" in found.page.locator("#about").inner_text()


def test_a_click_goes_from_everything_to_a_table_to_a_column_and_back(
    browser: Browser, lineage: LineagePage
) -> None:
    with opened(browser, lineage) as found:
        found.page.locator(".node > a[href='#clean.orders']").click()
        found.shows("clean.orders")
        assert found.columns("clean.orders") == ["id", "cents", "status"]
        assert found.columns("raw.sales") == ["id", "amount", "state"]
        assert "raw.days" not in found.boxes()  # neither before nor behind it
        found.page.locator(".node li a[href='#clean.orders.cents']").click()
        found.shows("clean.orders.cents")
        assert found.columns("raw.sales") == ["amount"]
        found.page.go_back()
        found.shows("clean.orders")
        found.page.get_by_role("link", name="Show everything").click()
        found.shows("everything")


def test_it_is_searched_and_walked_by_keyboard(browser: Browser, lineage: LineagePage) -> None:
    with opened(browser, lineage) as found:
        keyboard = found.page.keyboard
        keyboard.press("/")
        keyboard.type("sales amo")
        assert found.page.get_by_role("option").all_inner_texts() == ["raw.sales.amountcolumn"]
        keyboard.press("Enter")
        found.shows("raw.sales.amount")
        keyboard.press("/")
        keyboard.type("days")
        options = found.page.get_by_role("option")
        first, second = options.nth(0).inner_text(), options.nth(1).inner_text()
        keyboard.press("ArrowDown")
        assert options.nth(1).get_attribute("aria-selected") == "true"
        keyboard.press("Enter")
        found.shows(second.removesuffix("model").removesuffix("source"))
        assert first != second
        # the keyboard goes on in what is told
        keyboard.press("Tab")
        assert found.page.evaluate("document.activeElement.closest('#about') !== null")
        keyboard.press("Escape")
        found.shows("everything")


@pytest.mark.parametrize("what", ["", "shown.days", "raw.sales.amount", "exposure.money"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, lineage: LineagePage, what: str
) -> None:
    with opened(browser, lineage, what, width=375) as found:
        content, screen = found.page.evaluate(
            "[document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert content <= screen
        assert found.page.get_by_role("combobox").is_visible()


def test_it_asks_nothing_of_the_network_and_runs_no_text(
    browser: Browser, lineage: LineagePage
) -> None:
    with opened(browser, lineage, "clean.orders") as found:
        assert len(found.requests) == 1
        assert found.page.title() == "Lineage, from source to dashboard"
        assert HOSTILE in found.page.locator("#about").inner_text()


def test_tables_lead_to_the_catalogue_and_links_name_what_they_show(
    browser: Browser, lineage: LineagePage
) -> None:
    with opened(browser, lineage, "shown.days.cents") as found:
        link = found.page.get_by_role("link", name="In the catalogue")
        assert link.get_attribute("href") == "catalogue.html#shown.days.cents"
    with opened(browser, lineage) as found:
        found.page.goto(lineage.path.as_uri() + "#no.such.table")
        found.shows("everything")


def test_a_run_writes_it_and_the_catalogue_leads_to_it(published_tiny_project: Any) -> None:
    published = published_tiny_project.state / "published"
    assert "marts.lendings_by_day" in (published / "lineage.html").read_text()
    catalogue = (published / "catalogue.html").read_text()
    assert 'href="lineage.html#marts.lendings_by_day"' in catalogue


def test_the_command_writes_it_anywhere(published_tiny_project: Any, tmp_path: Path) -> None:
    out = tmp_path / "somewhere" / "lineage.html"
    ended = published_tiny_project.waypoint("lineage", "page", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["tables"] > 0
    assert out.read_text().startswith("<!doctype html>")
    assert "catalogue.html" not in out.read_text()  # none stands beside it

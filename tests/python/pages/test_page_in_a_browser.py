"""The rendered page, opened in a real browser from its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Page

from waypoint.pages import Rendered, render_page
from waypoint.status import FRESH, LATE, TableStatus

AS_OF = datetime(2026, 1, 15, 10)
DAYS = 14
HOSTILE = "</script><script>document.title='owned'</script><img src='http://127.0.0.1:9/x'>"

WAREHOUSE = f"""
create schema marts;
create table marts.yield_by_day as
select
    cast(timestamp '2026-01-01' + interval 1 day * range as date) as day,
    field,
    cast(100 + 10 * range as decimal(18,2)) as tons
from range({DAYS}), (values ('north'), ('south')) fields(field);
create table marts.notes as select '{HOSTILE.replace("'", "''")}' as note, 3 as seen;
create table marts.nothing as select 1 as a, 2 as b limit 0;
"""

PAGE = """
title: How the farm is doing
text: Yields & notes.
sections:
  - title: Yields
    text: Tons by day.
    tiles:
      - title: Harvest
        sql: select 1234567 as value, 1000000 as previous, 't' as unit
        trend: select tons as value from marts.yield_by_day order by day
        format: integer
        compared_to: the year before
        better: up
      - title: Lost
        sql: select 0.031 as value, 0.025 as previous
        format: percent
        compared_to: the year before
        better: down
    panels:
      - title: Tons by day
        sql: select day, field, tons from marts.yield_by_day order by day, field
        chart:
          mark: bar
          x: {field: day, unit: day}
          y: {field: tons, format: integer}
          color: {field: field}
      - title: Tons by field
        sql: select day, field, tons from marts.yield_by_day order by field, day
        chart:
          mark: line
          each: field
          x: {field: day, unit: day}
          y: tons
      - title: Whiskers
        sql: |
          select day, min(tons) as low, max(tons) + 5 as high, 'grew' as direction
          from marts.yield_by_day where day <= getvariable('as_of') group by day order by day
        chart:
          x: {field: day, unit: day}
          color: {field: direction, legend: false, colors: {grew: good, fell: bad}}
          layers:
            - {mark: rule, y: low, y2: high}
            - {mark: bar, size: 4, y: low, y2: high}
  - title: Notes
    panels:
      - title: What people wrote
        sql: select note, seen from marts.notes
        chart: {mark: bar, x: seen, y: note}
      - title: As a table
        sql: select note, seen from marts.notes
        table: {note: Note, seen: Seen}
  - title: What is not there
    panels:
      - title: Missing
        empty: No forecast yet.
        sql: select * from marts.forecast
        table: {a: A}
      - title: Empty
        empty: Nothing so far.
        sql: select a, b from marts.nothing
        chart: {mark: bar, x: a, y: b}
  - title: Data
    panels:
      - title: Tables
        status: true
"""

STATUS = [
    TableStatus("marts", "yield_by_day", 28, AS_OF, 0.0, True, FRESH, "field-data", 7200, 14400),
    TableStatus("raw", "scales", 9, AS_OF, 90000.0, False, LATE, "field-data", 7200, 14400),
]


@dataclass
class Opened:
    """A page in the browser, and what it did that it should not."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    folder = tmp_path_factory.mktemp("page")
    with duckdb.connect(str(folder / "farm.duckdb")) as connection:
        connection.execute(WAREHOUSE)
    pages = folder / "pages"
    pages.mkdir()
    (pages / "overview.yml").write_text(PAGE)
    return render_page(folder / "farm.duckdb", pages, STATUS, folder / "out" / "index.html", AS_OF)


@contextmanager
def opened(
    browser: Browser, path: Path, width: int = 1280, scheme: str = "light"
) -> Iterator[Opened]:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
        timezone_id="America/New_York",  # the page says UTC wherever it is read
    )
    found = Opened(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.goto(path.as_uri())
    found.page.wait_for_selector("html[data-drawn]", timeout=60_000)
    yield found
    context.close()


@pytest.fixture(scope="module")
def wide(browser: Browser, rendered: Rendered) -> Iterator[Opened]:
    with opened(browser, rendered.path) as found:
        yield found


def marks(page: Page, title: str, kind: str) -> int:
    panel = page.locator(".panel", has=page.get_by_role("heading", name=title, exact=True))
    return panel.locator(f".chart svg .mark-{kind}.role-mark path").count()


def test_charts_are_drawn_with_a_mark_for_each_row(wide: Opened) -> None:
    assert marks(wide.page, "Tons by day", "rect") == 2 * DAYS
    assert marks(wide.page, "Whiskers", "rect") == DAYS
    assert marks(wide.page, "Tons by field", "line") == 2  # a chart for each field


def test_nothing_is_asked_of_the_network(wide: Opened) -> None:
    assert [url for url in wide.requests if not url.startswith("file:")] == []
    assert len(wide.requests) == 1


def test_the_browser_has_nothing_to_complain_about(wide: Opened) -> None:
    assert wide.complaints == []


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, rendered: Rendered, width: int) -> None:
    with opened(browser, rendered.path, width) as found:
        size = "[document.documentElement.scrollWidth, window.innerWidth]"
        content, screen = found.page.evaluate(size)
        assert content <= screen
        found.page.evaluate(
            "document.querySelectorAll('details').forEach((d) => { d.open = true })"
        )
        content, screen = found.page.evaluate(size)
        assert content <= screen


def test_the_title_says_for_when_the_page_is(wide: Opened) -> None:
    assert wide.page.title() == "How the farm is doing, as of 15 Jan 2026, 10:00 UTC"
    assert wide.page.get_by_role("heading", level=1).inner_text() == "How the farm is doing"


def test_days_are_days_in_utc_whatever_the_reader_s_zone(wide: Opened) -> None:
    chart = wide.page.locator(".chart").first
    assert "4 Jan" in chart.inner_text()
    chart.locator(".mark-rect.role-mark path").first.hover()
    tooltip = wide.page.locator("#vg-tooltip-element")
    tooltip.wait_for()
    assert "1 Jan 2026" in tooltip.inner_text()


def test_tiles_say_how_a_number_compares(wide: Opened) -> None:
    harvest, lost = wide.page.locator(".tile").all()
    assert harvest.locator(".value").inner_text().split() == ["1,234,567", "t"]
    assert "up 23.5% from the year before" in harvest.inner_text()
    assert harvest.locator(".good").count() == 1
    assert harvest.locator("svg path").count() == 1
    assert "up 0.6 points from the year before" in lost.inner_text()
    assert lost.locator(".bad").count() == 1


def test_text_from_the_data_is_shown_and_never_run(wide: Opened) -> None:
    assert "farm" in wide.page.title()
    assert wide.page.get_by_role("cell", name=HOSTILE, exact=True).first.is_visible()
    assert wide.page.locator("main img").count() == 0


def test_what_is_missing_or_empty_says_so_and_the_rest_is_shown(
    wide: Opened, rendered: Rendered
) -> None:
    missing, empty = wide.page.locator(".none").all_inner_texts()
    assert missing.startswith("No forecast yet.")
    assert "forecast" in missing.removeprefix("No forecast yet.")
    assert empty == "Nothing so far."
    assert [problem.partition(":")[0] for problem in rendered.problems] == ["Missing"]


def test_schemas_with_a_broken_promise_stand_open(wide: Opened) -> None:
    assert wide.page.get_by_role("row", name="scales late 9").is_visible()
    assert not wide.page.get_by_text("yield_by_day fresh").is_visible()
    assert wide.page.locator("details.schema[open]").count() == 1


def test_each_chart_has_a_name_and_its_numbers_as_a_table(wide: Opened) -> None:
    charts = wide.page.locator(".chart[role=img]")
    assert charts.count() == 5
    assert all(chart.get_attribute("aria-label") for chart in charts.all())
    wide.page.get_by_text("Numbers and query").first.press("Enter")
    region = wide.page.get_by_role("region", name="Table: Tons by day")
    assert region.get_by_role("row").count() == 1 + 2 * DAYS
    assert region.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts() == [
        "1 Jan 2026",
        "north",
        "100",
    ]


def test_dark_readers_get_dark_charts(browser: Browser, rendered: Rendered, wide: Opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    bar = ".chart svg .mark-rect.role-mark path"
    with opened(browser, rendered.path, scheme="dark") as dark:
        assert dark.page.evaluate(ground) != wide.page.evaluate(ground)
        dark_fill = dark.page.locator(bar).first.get_attribute("fill")
        assert dark_fill != wide.page.locator(bar).first.get_attribute("fill")
        # and a reader who switches need not load the page again
        dark.page.emulate_media(color_scheme="light")
        dark.page.wait_for_function(
            "([bar, old]) => document.querySelector(bar)?.getAttribute('fill') !== old",
            arg=[bar, dark_fill],
        )


def test_the_numbers_are_there_without_a_script(browser: Browser, rendered: Rendered) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(rendered.path.as_uri())
    page.get_by_text("Numbers and query").first.click()
    assert page.get_by_role("cell", name="230", exact=True).first.is_visible()
    context.close()

"""The catalogue of this repository's contracts, opened in a real browser from its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

from waypoint.catalogue import Catalogue, write_catalogue
from waypoint.catalogue.entries import anchor, flattened, is_personal
from waypoint.contracts.model import Contracts, Role
from waypoint.pages import render_page
from waypoint.project import Project

ROOT = Path(__file__).parents[3]
HOSTILE = "</script><script>document.title='owned'</script><img src='http://127.0.0.1:9/x'>"
TABLE = "marts.revenue_by_day"


@dataclass
class Opened:
    """The catalogue in the browser, and what it did that it should not."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        """The ids of the entries that can be seen."""
        visible = "all => all.filter((e) => e.checkVisibility()).map((e) => e.id)"
        found: list[str] = self.page.locator(".entry").evaluate_all(visible)
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """This repository with a state of its own, a manifest in it, and one odd contract."""
    project = Project(root=ROOT, state=tmp_path_factory.mktemp("catalogue") / "var")
    contracts = dict(project.contracts)
    contracts[TABLE] = replace(
        contracts[TABLE],
        description=f"What was earned. {HOSTILE}",
        roles=(Role("analyst", "read", ("team lead",)),),
    )
    project.__dict__["contracts"] = Contracts(list(contracts.values()))
    sources = {
        f"source.x.raw.{name}": {
            "schema": "raw", "identifier": name, "resource_type": "source", "columns": {},
        }
        for name in ("stripe_charges",)
    }  # fmt: skip
    nodes = {
        "model.x.stg_payments": _node("staging", "stg_payments", ["source.x.raw.stripe_charges"]),
        "model.x.revenue_by_day": _node("marts", "revenue_by_day", ["model.x.stg_payments"]),
    }
    exposure = {
        "name": "revenue_overview", "label": "Revenue Overview", "type": "dashboard",
        "owner": {"name": "commerce-data", "email": ""},
        "depends_on": {"nodes": ["model.x.revenue_by_day"]},
    }  # fmt: skip
    manifest = {
        "metadata": {"adapter_type": "duckdb"},
        "nodes": nodes,
        "sources": sources,
        "exposures": {"exposure.x.revenue_overview": exposure},
    }
    target = project.state / "target"
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return project


def _node(schema: str, name: str, parents: list[str]) -> dict[str, object]:
    return {
        "schema": schema, "alias": name, "resource_type": "model", "columns": {},
        "original_file_path": f"models/{name}.sql", "depends_on": {"nodes": parents},
    }  # fmt: skip


@pytest.fixture(scope="module")
def written(project: Project) -> Catalogue:
    return write_catalogue(project)


@contextmanager
def opened(
    browser: Browser, path: Path, at: str = "", width: int = 1280, scheme: str = "light"
) -> Iterator[Opened]:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    found = Opened(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.goto(path.as_uri() + (f"#{at}" if at else ""))
    found.page.wait_for_selector("html[data-ready]", state="attached")
    yield found
    context.close()


@pytest.fixture
def catalogue(browser: Browser, written: Catalogue) -> Iterator[Opened]:
    with opened(browser, written.path) as found:
        yield found


def test_every_contract_has_an_entry_and_every_column_a_place(
    project: Project, catalogue: Opened
) -> None:
    entries = catalogue.page.locator(".entry").evaluate_all("all => all.map((e) => e.id)")
    assert sorted(entries) == sorted(anchor(c) for c in project.contracts.values())
    places = catalogue.page.locator("[data-column]").evaluate_all("all => all.map((e) => e.id)")
    assert sorted(places) == sorted(
        f"{anchor(c)}.{name}"
        for c in project.contracts.values()
        for name, _ in flattened(c.columns)
    )


def test_it_is_light_and_asks_nothing_of_the_network(written: Catalogue, catalogue: Opened) -> None:
    assert written.size < 2_000_000
    assert len(catalogue.requests) == 1
    assert catalogue.complaints == []


def test_every_link_leads_somewhere(catalogue: Opened) -> None:
    dead = catalogue.page.locator("main a[href^='#']").evaluate_all(
        "all => all.map((a) => a.getAttribute('href').slice(1))"
        ".filter((id) => !document.getElementById(id))"
    )
    assert dead == []


def test_a_deep_link_opens_its_table_or_column(browser: Browser, written: Catalogue) -> None:
    with opened(browser, written.path, f"{TABLE}.gross_cents") as found:
        row = found.page.locator(f"[id='{TABLE}.gross_cents']")
        expect(row).to_be_in_viewport()
        assert found.page.locator(".entry[open]").count() == 1


def test_an_entry_says_who_and_what_and_how_old(browser: Browser, written: Catalogue) -> None:
    with opened(browser, written.path, TABLE) as found:
        said = found.page.locator(f"[id='{TABLE}']").inner_text()
    for words in (
        "commerce-data",
        "One row per UTC day and currency",
        "warns after 2 hours, fails after 4 hours",
        "revenue is gross less refunds",
        "Comes from\nstaging.stg_payments",
        "Is used in\nRevenue Overview (dashboard, commerce-data)",
        "analyst reads; granted by team lead",
        "refers to staging.ref_currencies.currency",
    ):
        assert words in said


def test_tables_lead_to_each_other(browser: Browser, written: Catalogue) -> None:
    with opened(browser, written.path, "staging.stg_payments") as found:
        entry = found.page.locator("[id='staging.stg_payments']")
        entry.locator(".lineage").get_by_role("link", name=TABLE).click()
        expect(found.page.locator(f"[id='{TABLE}'][open]")).to_be_in_viewport()


def test_a_topic_shows_where_it_lands_and_its_schemas(browser: Browser, written: Catalogue) -> None:
    with opened(browser, written.path, "topics.market-data") as found:
        entry = found.page.locator("[id='topics.market-data']")
        assert entry.get_by_role("link", name="raw.market_quotes").is_visible()
        entry.get_by_text("Avro schema").click()
        assert '"logicalType": "decimal"' in entry.inner_text()


def test_words_and_columns_are_found(catalogue: Opened) -> None:
    catalogue.page.keyboard.press("/")
    catalogue.page.keyboard.type("gross_cents revenue")
    assert TABLE in catalogue.shown
    assert len(catalogue.shown) < 10
    assert "gross_cents" in catalogue.page.locator(f"[id='{TABLE}'] .found").inner_text()
    catalogue.page.keyboard.press("Escape")
    assert len(catalogue.shown) > 90
    catalogue.page.keyboard.type("no such words anywhere")
    assert catalogue.shown == []
    assert catalogue.page.get_by_text("Nothing is like this.").is_visible()


def test_filters_narrow_what_is_shown(project: Project, catalogue: Opened) -> None:
    catalogue.page.get_by_label("Schema").select_option("raw")
    catalogue.page.get_by_label("Personal data").select_option("yes")
    assert sorted(catalogue.shown) == sorted(
        c.full_name for c in project.contracts.in_schema("raw") if is_personal(c)
    )
    assert catalogue.page.locator("#count").inner_text() == (
        f"{len(catalogue.shown)} of {len(project.contracts)}"
    )
    catalogue.page.get_by_role("button", name="Show all").click()
    expect(catalogue.page.locator("#count")).to_have_text(f"{len(project.contracts)} in all")


def test_a_link_to_what_is_filtered_away_shows_it(catalogue: Opened) -> None:
    catalogue.page.get_by_label("Schema").select_option("raw")
    catalogue.page.evaluate(f"location.hash = '{TABLE}'")
    expect(catalogue.page.locator(f"[id='{TABLE}'][open]")).to_be_in_viewport()


def test_it_can_be_read_with_the_keyboard_alone(catalogue: Opened) -> None:
    catalogue.page.keyboard.press("/")
    catalogue.page.keyboard.type("gross_cents")
    first = catalogue.shown[0]
    for _ in range(20):
        catalogue.page.keyboard.press("Tab")
        if catalogue.page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    catalogue.page.keyboard.press("Enter")
    assert catalogue.page.locator(f"[id='{first}'][open]").count() == 1
    assert catalogue.page.url.endswith(f"#{first}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_is_wider_than_the_screen(
    browser: Browser, written: Catalogue, width: int, scheme: str
) -> None:
    with opened(browser, written.path, width=width, scheme=scheme) as found:
        found.page.evaluate(
            "document.querySelectorAll('details').forEach((d) => { d.open = true })"
        )
        content, screen = found.page.evaluate(
            "[document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert content <= screen


def test_text_of_a_contract_is_shown_and_never_run(browser: Browser, written: Catalogue) -> None:
    with opened(browser, written.path, TABLE) as found:
        assert found.page.title() == "Catalogue of tables and topics"
        assert HOSTILE in found.page.locator(f"[id='{TABLE}'] .body > p").first.inner_text()


def test_it_can_be_read_without_a_script(browser: Browser, written: Catalogue) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written.path.as_uri())
    page.locator(f"[id='{TABLE}'] > summary").click()
    assert page.locator(f"[id='{TABLE}'] table").is_visible()
    context.close()


def test_without_a_manifest_it_says_that_lineage_is_not_known(tmp_path: Path) -> None:
    written = write_catalogue(Project(root=ROOT, state=tmp_path / "var"))
    assert not written.lineage
    assert "is known when the warehouse has been built" in written.path.read_text()


def test_a_run_writes_it(published_tiny_project: Any) -> None:
    html = (published_tiny_project.state / "published" / "catalogue.html").read_text()
    assert 'id="raw.members"' in html


def test_the_page_and_the_catalogue_link_each_other(written: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "one.yml").write_text("title: One\nsections: [{title: A, panels: []}]\n")
    duckdb.connect(str(tmp_path / "waypoint.duckdb")).close()
    page = render_page(
        tmp_path / "waypoint.duckdb",
        tmp_path / "pages",
        [],
        tmp_path / "index.html",
        datetime(2026, 1, 31),
        catalogue=written.path,
    )
    assert 'href="catalogue.html"' in page.path.read_text()
    assert 'href="index.html"' in written.path.read_text()


def test_the_command_writes_it_anywhere(published_tiny_project: Any, tmp_path: Path) -> None:
    ended = published_tiny_project.waypoint(
        "contracts", "catalogue", "--out", tmp_path / "site", "--json"
    )
    assert ended.code == 0, ended.err
    assert Path(ended.json["path"]).read_text().startswith("<!doctype html>")
    assert ended.json["lineage"] is True

"""Data Docs: Great Expectations' own pages about what was expected and what was found.

GE's pages take styles, scripts and pictures from half a dozen servers, and its index is drawn by
them. Here whatever comes from elsewhere is taken out, a small style sheet goes in, and the index is
written anew: the pages open without a network and tell nobody that they were opened.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waypoint.quality.results import TableResult

_SITE = "waypoint"
_FROM_ELSEWHERE = re.compile(
    r"<script[^>]*\bsrc=\"https?://[^>]*>\s*(</script>)?"
    r"|<(link|img)\b[^>]*\b(href|src)=\"https?://[^>]*>"
    r"|<footer>.*?</footer>"
    r"|\burl\('https?://[^)]*\)",
    re.DOTALL,
)


def write_data_docs(
    context: Any, folder: Path, results: Sequence[TableResult], as_of: datetime
) -> Path:
    """Write the pages of the suites and results in `context`, in the place of older ones."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    context.add_data_docs_site(
        site_name=_SITE,
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(fresh),
            },
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    context.build_data_docs(site_names=[_SITE])
    style = f"<style>\n{Path(__file__).with_suffix('.css').read_text()}</style>\n"
    for page in fresh.rglob("*.html"):
        text = _FROM_ELSEWHERE.sub("", page.read_text())
        page.write_text(text.replace("</head>", f"{style}</head>", 1))
    index = fresh / "index.html"
    index.write_text(_index(results, as_of, style, _pages(fresh)))
    shutil.rmtree(
        fresh / "static", ignore_errors=True
    )  # pictures and fonts of nothing that is left
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return folder / "index.html"


def _pages(site: Path) -> dict[str, str]:
    """The page of each table's result, relative to the index, by the table's full name."""
    found = {}
    for page in site.glob("validations/*/*/*/*/*.html"):
        schema, table = page.relative_to(site / "validations").parts[:2]
        found[f"{schema}.{table}"] = page.relative_to(site).as_posix()
    return found


def _index(
    results: Sequence[TableResult], as_of: datetime, style: str, pages: Mapping[str, str]
) -> str:
    rows = "\n".join(_row(table, pages.get(table.table)) for table in results)
    failed = sum(table.errors for table in results)
    warned = sum(table.warnings for table in results)
    met = sum(table.passed for table in results)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What was expected of the tables</title>
{style}</head>
<body>
<main>
<h1>What was expected of the tables</h1>
<p>As of {as_of:%Y-%m-%d %H:%M} UTC: {met:,} expectations met, {failed} failed, {warned} warned, of
{len(results)} tables. Of large tables the newest rows were looked at.</p>
<table>
<thead><tr><th>table</th><th class="number">rows</th><th class="number">looked at</th>
<th class="number">met</th><th class="number">failed</th><th class="number">warned</th>
<th>owner</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{"".join(_findings(results))}</main>
</body>
</html>
"""


def _row(table: TableResult, page: str | None) -> str:
    name = escape(table.table)
    linked = f'<a href="{escape(page)}">{name}</a>' if page else name
    return (
        f"<tr><td>{linked}</td>"
        f'<td class="number">{table.rows:,}</td><td class="number">{table.looked_at:,}</td>'
        f'<td class="number met">{table.passed}</td>'
        f'<td class="number failed">{table.errors or ""}</td>'
        f'<td class="number warned">{table.warnings or ""}</td><td>{escape(table.owner)}</td></tr>'
    )


def _findings(results: Sequence[TableResult]) -> Iterator[str]:
    for severity, heading, kind in (("error", "Failed", "failed"), ("warning", "Warned", "warned")):
        found = [(t, f) for t in results for f in t.findings if f.severity == severity]
        if found:
            listed = "\n".join(
                f"<li>{escape(table.table)}: <code>{escape(finding.rule)}</code>: "
                f"{escape(finding.detail)}</li>"
                for table, finding in found
            )
            yield f'<h2 class="{kind}">{heading}</h2>\n<ul>\n{listed}\n</ul>\n'

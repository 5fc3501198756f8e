"""Rendering a page: definition and published warehouse in, one self-contained HTML file out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypoint.pages import charts, sparkline, status
from waypoint.pages.data import Answer, ask
from waypoint.pages.definition import Page, Panel, Section, TableColumn, Tile, read_page
from waypoint.pages.formats import NOTHING, change, text
from waypoint.status import TableStatus
from waypoint.warehouse import reading

if TYPE_CHECKING:
    import duckdb

#: Rows of a table that are shown at most; a chart's own table is cut there, too.
MOST_SHOWN = 200

#: Nothing may be fetched: the file is all there is. Vega makes functions of its expressions.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)


#: What the page's script needs of Vega.
_LIBRARY = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Rendered:
    """The page that was written, and what could not be shown in it, in people's words."""

    path: Path
    problems: tuple[str, ...]


@dataclass
class _Work:
    """What the parts of one page share while it is put together."""

    connection: duckdb.DuckDBPyConnection
    tables: Sequence[TableStatus]
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    problems: list[str] = field(default_factory=list)


def render_page(
    published_file: Path,
    pages_dir: Path,
    table_status: Sequence[TableStatus],
    out_file: Path,
    as_of: datetime,
    catalogue: Path | None = None,
    lineage: Path | None = None,
) -> Rendered:
    """Write the page that `pages_dir` describes from the published warehouse, whole or not at all.

    A query that cannot be answered, or has no rows, leaves a box that says so. In the queries,
    `getvariable('as_of')` is the time for which the page is made (UTC, no zone). A `catalogue` and
    a page of the `lineage` that stand in the same folder are linked.

    Raises:
        InvalidPage: the description cannot be used.
        Unavailable: the published file cannot be opened.
    """
    page = read_page(pages_dir)
    with reading(published_file) as connection:
        connection.execute("set variable as_of = cast(? as timestamp)", [as_of])
        work = _Work(connection, table_status)
        html = _document(page, as_of, work, {"Catalogue": catalogue, "Lineage": lineage})
    out_file.parent.mkdir(parents=True, exist_ok=True)
    temporary = out_file.with_name(f"{out_file.name}.tmp{os.getpid()}")
    try:
        temporary.write_text(html, encoding="utf-8")
        os.replace(temporary, out_file)
    finally:
        temporary.unlink(missing_ok=True)
    return Rendered(out_file, tuple(work.problems))


def _document(page: Page, as_of: datetime, work: _Work, beside: Mapping[str, Path | None]) -> str:
    named = [(f"part-{index}", section) for index, section in enumerate(page.sections, start=1)]
    links = "".join(
        f'<li><a href="#{name}">{escape(section.title)}</a></li>' for name, section in named
    )
    links += "".join(
        f'<li><a href="{escape(path.name)}">{escape(title)}</a></li>'
        for title, path in beside.items()
        if path is not None
    )
    parts = "\n".join(_section(name, section, work) for name, section in named)
    moment = f"{text(as_of)} UTC"
    here = files("waypoint.pages")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(page.title)}, as of {moment}</title>
<link rel="icon" href="data:,">
<style>
{here.joinpath("page.css").read_text(encoding="utf-8")}
</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top"><div class="wide">
<h1>{escape(page.title)}</h1>
<p><span class="asof">As of <time datetime="{as_of:%Y-%m-%dT%H:%M:%SZ}">{moment}</time>.</span>
{escape(page.text)}</p>
</div></header>
<nav class="parts" aria-label="Parts of this page"><ul class="wide">{links}</ul></nav>
<main id="content" class="wide">
{parts}
</main>
<footer class="wide">Made from the published warehouse as of {moment}. All times are UTC.</footer>
<script>
{_library()}
</script>
<script>
{here.joinpath("page.js").read_text(encoding="utf-8")}
</script>
</body>
</html>
"""


@cache
def _library() -> str:
    """The charts' JavaScript, whole."""
    import vl_convert

    # a script's text ends at the first such tag, wherever it stands
    return vl_convert.javascript_bundle(_LIBRARY).replace("</script", "<\\/script")


def _section(name: str, section: Section, work: _Work) -> str:
    said = f"<p>{escape(section.text)}</p>" if section.text else ""
    tiles = "".join(_tiles(tile, work) for tile in section.tiles)
    panels = "".join(_panel(panel, work) for panel in section.panels)
    return (
        f'<section class="part" id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{escape(section.title)}</h2>{said}'
        + (f'<div class="tiles">{tiles}</div>' if tiles else "")
        + (f'<div class="panels">{panels}</div>' if panels else "")
        + "</section>"
    )


# tiles


def _tiles(tile: Tile, work: _Work) -> str:
    answer = ask(work.connection, tile.sql, ["value"])
    if answer.problem:
        work.problems.append(f"{tile.title}: {answer.problem}")
    records = answer.records()
    if not records:
        return _tile(tile, {"value": None}, [], answer.problem or "no data yet")
    trends = _trends(tile, work)
    return "".join(_tile(tile, record, trends.get(record.get("label"), [])) for record in records)


def _tile(tile: Tile, record: dict[str, Any], trend: list[float], note: str = "") -> str:
    label = record.get("label")
    title = f"{tile.title}, {label}" if label else tile.title
    unit = f" <small>{escape(str(record['unit']))}</small>" if record.get("unit") else ""
    value = text(record["value"], tile.format)
    compared = note or _comparison(tile, record)
    return (
        f'<div class="tile"><h3>{escape(title)}</h3>'
        f'<p class="value">{escape(value)}{unit if value != NOTHING else ""}</p>'
        + (f'<p class="change">{escape(note) if note else compared}</p>' if compared else "")
        + sparkline.drawn(trend)
        + "</div>"
    )


def _comparison(tile: Tile, record: dict[str, Any]) -> str:
    """How the value compares with `previous`, as HTML: never by colour alone."""
    if not tile.compared_to:
        return ""
    value, previous = record["value"], record.get("previous")
    against = escape(tile.compared_to)
    found = None if value is None or previous is None else change(value, previous, tile.format)
    if found is None:
        return f"nothing to compare with in {against}"
    sign, words = found
    if sign == 0:
        return f"<b>unchanged</b> from {against}"
    direction = "up" if sign > 0 else "down"
    tone = "" if tile.better == "neither" else "good" if tile.better == direction else "bad"
    arrow = "▲" if sign > 0 else "▼"
    return (
        f'<b class="{tone}"><span aria-hidden="true">{arrow}</span> {direction} {words}</b>'
        f" from {against}"
    )


def _trends(tile: Tile, work: _Work) -> dict[Any, list[float]]:
    if not tile.trend:
        return {}
    answer = ask(work.connection, tile.trend, ["value"])
    if answer.problem:
        work.problems.append(f"{tile.title}, trend: {answer.problem}")
    trends: dict[Any, list[float]] = {}
    for record in answer.records():
        trends.setdefault(record.get("label"), []).append(float(record["value"] or 0))
    return trends


# panels


def _panel(panel: Panel, work: _Work) -> str:
    said = f"<p>{escape(panel.text)}</p>" if panel.text else ""
    return (
        f'<div class="panel {panel.width}"><h3>{escape(panel.title)}</h3>{said}'
        f"{_content(panel, work)}</div>"
    )


def _content(panel: Panel, work: _Work) -> str:
    if panel.status:
        return status.overview(work.tables) if work.tables else _nothing(panel.empty)
    if panel.chart:
        needed = charts.needed_columns(panel.chart)
    else:
        needed = [column.field for column in panel.table]
    answer = ask(work.connection, panel.sql, needed)
    if answer.problem:
        work.problems.append(f"{panel.title}: {answer.problem}")
        return _nothing(f"{panel.empty} {answer.problem}")
    if not answer.rows:
        return _nothing(panel.empty)
    if panel.chart is None:
        return _table(answer, panel.table, panel.title)
    return _figures(panel, answer, work) + _behind(panel, answer)


def _nothing(why: str) -> str:
    return f'<p class="none">{escape(why)}</p>'


def _figures(panel: Panel, answer: Answer, work: _Work) -> str:
    assert panel.chart is not None
    figures = []
    for label, spec in charts.specs(panel.chart, answer):
        name = f"spec-{next(work.ids)}"
        told = ". ".join(part for part in (panel.title, label, panel.text) if part)
        told = f"Chart: {told.rstrip('.')}. The numbers follow as a table."
        caption = f"<figcaption>{escape(label)}</figcaption>" if label else ""
        figures.append(
            # Vega takes the role of the element that it draws in, so the name stands around it
            f'<figure>{caption}<div class="chart" role="img" aria-label="{escape(told)}">'
            f'<div data-spec="{name}" style="min-height:{panel.chart.height}px"></div></div>'
            f'<script type="application/json" id="{name}">{_embedded(spec)}</script></figure>'
        )
    return figures[0] if len(figures) == 1 else f'<div class="split">{"".join(figures)}</div>'


def _embedded(value: Any) -> str:
    """JSON that can stand in an HTML script element, whatever texts are in it."""
    packed = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return packed.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _behind(panel: Panel, answer: Answer) -> str:
    assert panel.chart is not None
    known = {
        c.field: TableColumn(c.field, c.title or _title(c.field), c.format)
        for layer in panel.chart.layers
        for c in layer.channels.values()
    }
    columns = tuple(known.get(name) or TableColumn(name, _title(name)) for name in answer.columns)
    return (
        "<details><summary>Numbers and query</summary>"
        f"{_table(answer, columns, panel.title)}"
        f"<pre><code>{escape(panel.sql.strip())}</code></pre></details>"
    )


def _title(column: str) -> str:
    return column.replace("_", " ").capitalize()


def _table(answer: Answer, columns: Sequence[TableColumn], caption: str) -> str:
    kinds = {"quantitative": ' class="number"', "temporal": ' class="time"'}
    classes = [kinds.get(answer.kind(column.field), "") for column in columns]
    head = "".join(
        f'<th scope="col"{shape if "number" in shape else ""}>{escape(column.title)}</th>'
        for column, shape in zip(columns, classes, strict=True)
    )
    body = []
    for record in answer.records()[:MOST_SHOWN]:
        cells = "".join(
            f"<td{shape}>{escape(text(record[column.field], column.format))}</td>"
            for column, shape in zip(columns, classes, strict=True)
        )
        body.append(f"<tr>{cells}</tr>")
    left = len(answer.rows) - MOST_SHOWN
    more = f'<p class="more">and {left:,} more rows</p>' if left > 0 else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {escape(caption)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}</div>"
    )

"""The lineage page: one HTML file that asks for nothing outside of itself.

The file holds the whole graph as JSON; its script lays out what is looked at. Links into it name a
table, a column or an exposure: `lineage.html#marts.revenue_by_day`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from waypoint.lineage.graph import Exposure, LineageGraph, Table

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
_SWEEPS = 4  # over the layers, each time with less crossing


@dataclass(frozen=True)
class LineagePage:
    """The file that was written, and what is in it."""

    path: Path
    size: int  # bytes
    tables: int
    exposures: int


def write_page(
    graph: LineageGraph, path: Path, page: str = "", catalogue: bool | None = None
) -> LineagePage:
    """Write the page of a graph, whole or not at all.

    `page` is the name of a page beside it to go back to. Tables are linked to the catalogue where
    it stands beside the page, or `catalogue` says that it will.
    """
    from waypoint.catalogue.rendering import FILE

    if catalogue is None:
        catalogue = path.with_name(FILE).is_file()
    html = _document(graph, page, FILE if catalogue else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        temporary.write_text(html, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return LineagePage(path, path.stat().st_size, len(graph.tables), len(graph.exposures))


def page_data(graph: LineageGraph, catalogue: str = "") -> dict[str, Any]:
    """The graph as the page's script reads it: tables in drawing order, each with its layer."""
    layers = _layers(graph)
    queries = graph.queries
    return {
        "catalogue": catalogue,
        "tables": [
            _table(graph, graph.tables[name], number)
            for number, layer in enumerate(layers)
            for name in layer
        ],
        "exposures": [_exposure(graph, exposure) for exposure in graph.exposures.values()],
        "values": {
            f"{name}.{column}": sorted(str(ref) for ref in refs if _counts(graph, ref.table, name))
            for name, query in queries.items()
            for column, refs in query.outputs.items()
            if column in graph.columns(name)
        },
        "rows": {
            name: sorted(str(ref) for ref in query.deciding if _counts(graph, ref.table, name))
            for name, query in queries.items()
        },
        "reads": {
            name: sorted(table for table in query.tables if _counts(graph, table, name))
            for name, query in queries.items()
        },
    }


def _counts(graph: LineageGraph, table: str, of: str) -> bool:
    """An incremental model reads itself, too: that adds nothing."""
    return table != of and table in graph.tables


def _table(graph: LineageGraph, table: Table, layer: int) -> dict[str, Any]:
    return {
        "name": table.name,
        "kind": table.kind,
        "owner": table.owner,
        "about": table.description,
        "layer": layer,
        "columns": [
            [column, table.types.get(column, ""), table.told.get(column, "")]
            for column in graph.columns(table.name)
        ],
    }


def _exposure(graph: LineageGraph, exposure: Exposure) -> dict[str, Any]:
    return {
        "name": exposure.name,
        "label": exposure.label,
        "kind": exposure.kind,
        "owner": exposure.owner,
        "email": exposure.email,
        "about": exposure.description,
        "uses": {
            table: [ref.column for ref in sorted(graph.columns_of(table)) if exposure.uses(ref)]
            for table in exposure.tables
        },
    }


def _layers(graph: LineageGraph) -> list[list[str]]:
    """Tables by the longest way from a source, each layer in an order with little crossing."""
    rank: dict[str, int] = {}
    for name in graph.build_order:
        rank[name] = 1 + max((rank[p] for p in graph.tables[name].parents), default=-1)
    layers: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name in graph.build_order:
        layers[rank[name]].append(name)
    children: dict[str, list[str]] = {}
    for table in graph.tables.values():
        for parent in table.parents:
            children.setdefault(parent, []).append(table.name)
    parents = {table.name: table.parents for table in graph.tables.values()}
    for sweep in range(_SWEEPS):
        neighbours: Mapping[str, Sequence[str]] = children if sweep % 2 else parents
        for layer in reversed(layers) if sweep % 2 else layers:
            _sort(layer, neighbours, _places(layers))
    return layers


def _places(layers: Sequence[Sequence[str]]) -> dict[str, float]:
    """How far down each table stands in its layer, from 0 to 1."""
    return {
        name: (place + 0.5) / len(layer) for layer in layers for place, name in enumerate(layer)
    }


def _sort(
    layer: list[str], neighbours: Mapping[str, Sequence[str]], places: Mapping[str, float]
) -> None:
    def middle(name: str) -> float:
        around = [places[other] for other in neighbours.get(name, ())]
        return sum(around) / len(around) if around else places[name]

    layer.sort(key=middle)


def _document(graph: LineageGraph, page: str, catalogue: str) -> str:
    data = json.dumps(page_data(graph, catalogue), ensure_ascii=False, separators=(",", ":"))
    # a script's text ends at the first such tag, wherever it stands
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    pages, here = files("waypoint.pages"), files("waypoint.lineage")
    links = [
        f'<a href="{escape(page)}">What the tables say</a>' if page else "",
        f'<a href="{escape(catalogue)}">What they hold and promise</a>' if catalogue else "",
    ]
    sources = sum(table.kind == "source" for table in graph.tables.values())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Lineage, from source to dashboard</title>
<link rel="icon" href="data:,">
<style>
{pages.joinpath("page.css").read_text(encoding="utf-8")}
{here.joinpath("page.css").read_text(encoding="utf-8")}
</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top"><div class="wide">
<h1>From source to dashboard</h1>
<p>{len(graph.tables)} tables, {sources} of them sources, and {len(graph.exposures)} dashboards and
models that use them. Choose a table or a column to see what it is made of and what it reaches.
{" · ".join(link for link in links if link)}</p>
</div></header>
<div class="bar"><div class="wide">
<form class="find" role="search">
<input type="search" id="search" placeholder="Table, column or dashboard" autocomplete="off"
 role="combobox" aria-expanded="false" aria-controls="found" aria-autocomplete="list"
 aria-label="Search tables, columns and dashboards" aria-keyshortcuts="/">
<ul id="found" role="listbox" aria-label="Found" hidden></ul>
</form>
<p id="legend"></p>
<a id="all" href="#" hidden>Show everything</a>
</div></div>
<main id="content" class="lineage" tabindex="-1">
<noscript><p class="none">The graph is drawn by JavaScript. <code>waypoint lineage impact</code> and
<code>waypoint lineage upstream</code> answer the same questions in a terminal.</p></noscript>
<section id="about" aria-live="polite" hidden></section>
<div id="canvas" role="region" aria-label="Graph of tables" tabindex="0">
<div id="graph"></div></div>
</main>
<footer class="wide">Solid lines carry values; dashed ones only decide which rows there are.
Read from the SQL that dbt compiled. Press / to search, Escape to go back.</footer>
<script type="application/json" id="data">{data}</script>
<script>
{here.joinpath("page.js").read_text(encoding="utf-8")}
</script>
</body>
</html>
"""

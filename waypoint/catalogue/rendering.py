"""Writing the catalogue: one HTML file that asks for nothing outside of itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from waypoint.catalogue.entries import Surroundings, entry, is_personal
from waypoint.catalogue.neighbours import find_neighbours, graph_of
from waypoint.contracts.derived import avro, json_schema
from waypoint.contracts.derived.topics import schema_path
from waypoint.contracts.model import TOPICS, Contract
from waypoint.dbt_running import target_dir
from waypoint.project import Project

#: Where the catalogue stands in the folder it is written to.
FILE = "catalogue.html"

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
#: Schemas in the order of the data's way; others stand after these, by name.
_ORDER = ("marts", "ml_features", "staging", "raw", TOPICS)
_DERIVED = {"JSON Schema": json_schema, "Avro schema": avro}


@dataclass(frozen=True)
class Catalogue:
    """The file that was written; `lineage` tells whether there was a manifest to know it from."""

    path: Path
    size: int  # bytes
    tables: int
    topics: int
    lineage: bool


def write_catalogue(project: Project, folder: Path | None = None) -> Catalogue:
    """Write the catalogue of the project's contracts, whole or not at all.

    It stands beside the page, unless another `folder` is given. What is upstream and downstream of
    a table is told by dbt's manifest, where there is one.

    Raises:
        InvalidContract: a contract cannot be read.
    """
    contracts = project.contracts
    graph = graph_of(target_dir(project) / "manifest.json")
    path = (folder or project.page_file.parent) / FILE
    lineage = path.with_name(project.lineage_file.name)
    around = Surroundings(
        contracts=contracts,
        neighbours=find_neighbours(contracts, graph),
        known=graph is not None,
        schemas=_derived_schemas(project),
        lineage=lineage.name if lineage.is_file() else "",
    )
    page = project.page_file.name if folder is None and project.pages_dir.is_dir() else ""
    _write(path, _document(list(contracts.values()), around, page))
    return Catalogue(
        path=path,
        size=path.stat().st_size,
        tables=len(contracts.tables),
        topics=len(contracts.topics),
        lineage=graph is not None,
    )


def _write(path: Path, html: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        temporary.write_text(html, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _derived_schemas(project: Project) -> dict[str, dict[str, str]]:
    """The derived schemas of each topic, by title."""
    texts = {title: module.files(project) for title, module in _DERIVED.items()}
    return {
        topic.full_name: {
            title: texts[title][schema_path(project, topic, module.ENDING)]
            for title, module in _DERIVED.items()
        }
        for topic in project.contracts.topics
    }


def _document(contracts: list[Contract], around: Surroundings, page: str) -> str:
    def place(contract: Contract) -> tuple[int, str]:
        known = contract.schema in _ORDER
        return (_ORDER.index(contract.schema) if known else len(_ORDER), contract.schema)

    contracts.sort(key=lambda c: (*place(c), c.name))
    sections = "\n".join(
        _section(schema, list(group), around)
        for schema, group in groupby(contracts, lambda c: c.schema)
    )
    topics = sum(contract.schema == TOPICS for contract in contracts)
    personal = sum(map(is_personal, contracts))
    pages, here = files("waypoint.pages"), files("waypoint.catalogue")
    back = f'<a href="{escape(page)}">What the tables say</a> is on the page.' if page else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Catalogue of tables and topics</title>
<link rel="icon" href="data:,">
<style>
{pages.joinpath("page.css").read_text(encoding="utf-8")}
{here.joinpath("catalogue.css").read_text(encoding="utf-8")}
</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="top"><div class="wide">
<h1>Tables and topics</h1>
<p>What each holds, who answers for it and what is promised: {len(contracts) - topics} tables and
{topics} topics under contract, {personal} of them with personal data. {back}</p>
</div></header>
<form class="filters" role="search"><div class="wide">
<input type="search" id="search" placeholder="Name, column or words" autocomplete="off"
 aria-label="Search tables, topics and columns" aria-keyshortcuts="/">
{_choice("schema", "Schema", "every schema", (c.schema for c in contracts))}
{_choice("domain", "Domain", "every domain", (c.domain for c in contracts))}
{_choice("owner", "Owner", "every owner", (c.owner for c in contracts))}
<select id="pii" aria-label="Personal data"><option value="">personal or not</option>
<option value="yes">personal data</option><option value="no">no personal data</option></select>
<output id="count" aria-live="polite"></output>
<button type="reset" hidden>Show all</button>
</div></form>
<main id="content" class="wide">
{sections}
<p class="none" id="nothing" hidden>Nothing is like this.</p>
</main>
<footer class="wide">Made from the contracts. Press / to search.</footer>
<script>
{here.joinpath("catalogue.js").read_text(encoding="utf-8")}
</script>
</body>
</html>
"""


def _choice(name: str, label: str, every: str, values: Iterable[str]) -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(value)}</option>'
        for value in sorted(set(values) - {""})
    )
    return (
        f'<select id="{name}" aria-label="{label}"><option value="">{every}</option>'
        f"{options}</select>"
    )


def _section(schema: str, contracts: list[Contract], around: Surroundings) -> str:
    name = f"part-{escape(schema)}"
    entries = "\n".join(entry(contract, around) for contract in contracts)
    return (
        f'<section class="part" id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{escape(schema)}</h2>\n{entries}\n</section>'
    )

"""`waypoint contracts catalogue`: all tables and topics on one page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json


def catalogue(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write it here, instead of beside the page."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was written as JSON.")] = False,
) -> None:
    """Write the catalogue: every table and topic, to search and read, in one HTML file.

    What it says comes from the contracts, and who reads a table from dbt's manifest, once the
    warehouse has been built. `waypoint run` writes it too.

    \b
    Examples:
      waypoint contracts catalogue --open
      waypoint contracts catalogue --out site/
    """
    from waypoint.catalogue import write_catalogue

    written = write_catalogue(invocation(context).project, out.absolute() if out else None)
    if as_json:
        print_json(asdict(written))
    else:
        unknown = "" if written.lineage else "; nothing is built, so lineage is not known"
        answer().print(
            f"{written.tables} tables and {written.topics} topics, {written.size / 1e3:,.0f} kB"
            f"{unknown}: {written.path.as_uri()}",
            markup=False,
        )
    if show:
        typer.launch(written.path.as_uri())

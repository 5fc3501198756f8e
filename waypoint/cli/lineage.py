"""`waypoint lineage ...`: what breaks if this changes, and what is this made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import Invocation, invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from waypoint.lineage.answers import Answer
    from waypoint.lineage.graph import LineageGraph

lineage = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Follow data from source to dashboard, down to the column.",
)

_Manifest = Annotated[
    Path | None,
    typer.Option(
        help=r"dbt's compiled manifest. \[default: the project's; it is compiled if there is none]",
        metavar="FILE",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]
_Picture = Annotated[
    Path | None,
    typer.Option(help="Draw the answer, too: a file .svg, or .mmd for Mermaid.", metavar="FILE"),
]


@lineage.callback()
def family() -> None:
    """Follow data from source to dashboard, down to the column."""


@lineage.command()
def impact(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            help="Tables or columns: schema.table, schema.table.column; the schema can be left out"
            " where the table's name is its own.",
            metavar="TABLE[.COLUMN]...",
        ),
    ],
    manifest: _Manifest = None,
    picture: _Picture = None,
    as_json: _Json = False,
) -> None:
    """Say what breaks if this changes: every table, column, dashboard and model downstream.

    A table carries a value where one of its columns is made of the changed ones. Its rows are
    decided by columns that it filters, joins or groups by; rows that come and go do so in every
    table that reads them. Nothing is run: the answer comes from the compiled SQL.

    \b
    Examples:
      waypoint lineage impact raw.stripe_charges
      waypoint lineage impact raw.stripe_charges.amount --picture impact.svg
      waypoint lineage impact stg_orders.status stg_orders.user_id --json
    """
    from waypoint.lineage.answers import impact as reached

    shared = invocation(context)
    graph = _graph(shared, manifest)
    with remarks(shared.quiet).status("following columns"):
        found = reached(graph, names)
    _tell(found, picture, as_json, shared)


@lineage.command()
def upstream(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            help="Exposures by name or label, tables or columns.",
            metavar="EXPOSURE|TABLE[.COLUMN]...",
        ),
    ],
    manifest: _Manifest = None,
    picture: _Picture = None,
    as_json: _Json = False,
) -> None:
    """Say what this is made of: every table and column upstream, back to the sources.

    \b
    Examples:
      waypoint lineage upstream "Revenue Overview"
      waypoint lineage upstream marts.revenue_by_day.buyers
      waypoint lineage upstream churn_prediction --picture churn.svg
    """
    from waypoint.lineage.answers import upstream as made_of

    shared = invocation(context)
    graph = _graph(shared, manifest)
    with remarks(shared.quiet).status("following columns"):
        found = made_of(graph, names)
    _tell(found, picture, as_json, shared)


@lineage.command()
def emit(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(
            help=r"A file, or the URL of a receiver. \[default: what OpenLineage's variables say]",
            metavar="FILE|URL",
        ),
    ] = None,
    target_path: Annotated[
        Path | None,
        typer.Option(
            help=r"The folder where dbt left manifest and results. \[default: the project's]",
            metavar="FOLDER",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the events as JSON; with --to, send them, too.")
    ] = False,
) -> None:
    """Send what dbt ran last as OpenLineage events: tables, columns, tests, owners, exposures.

    `waypoint build` and `waypoint run` do it by themselves where OpenLineage's variables are set;
    this is for those who run dbt by other means. The same run gives the same events again.

    \b
    Settings, as everywhere in OpenLineage:
      OPENLINEAGE_URL, OPENLINEAGE_API_KEY      a receiver
      OPENLINEAGE__TRANSPORT__TYPE=file ...     other ways: file, kafka ...
      OPENLINEAGE_NAMESPACE                     of jobs, instead of the project's name
      OPENLINEAGE_PARENT_ID                     the run that started dbt: namespace/job/run id
      OPENLINEAGE_DISABLED=true                 nothing is sent

    \b
    Examples:
      waypoint lineage emit --to events.ndjson
      waypoint lineage emit --to http://localhost:5000
      waypoint lineage emit --json | jq '.[].job.name'

    \b
    Exit codes: 0 sent; 2 nothing to send, or nowhere; 3 the receiver did not take all.
    """
    import os

    from waypoint.dbt_running import target_dir
    from waypoint.lineage.emitting import (
        client_of_environment,
        client_to,
        event_documents,
        events_of_target,
        is_configured,
    )
    from waypoint.lineage.emitting import emit as send

    shared = invocation(context)
    project = shared.project
    sends = to is not None or (not as_json and is_configured(os.environ, project.root))
    if not sends and not as_json:
        raise UnusableInput(
            "nothing says where the events go",
            hint="--to FILE|URL or OPENLINEAGE_URL does; --json prints them",
        )
    events = events_of_target(project, target_path or target_dir(project))
    if sends:
        emission = send(events, client_to(to) if to else client_of_environment())
        if emission.problem:
            raise Unavailable(emission.problem, hint="the same command sends the same events again")
        remarks(shared.quiet).print(f"{emission.sent} events sent", markup=False)
    if as_json:
        print_json(event_documents(events))


@lineage.command()
def page(
    context: typer.Context,
    manifest: _Manifest = None,
    out: Annotated[
        Path | None,
        typer.Option(help=r"Where to write it. \[default: beside the page]", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was written as JSON.")] = False,
) -> None:
    """Write the lineage page: the graph from sources to dashboards, to click through and search.

    It is one HTML file that asks for nothing outside of itself, and can be sent to somebody. Its
    links name what they show: lineage.html#marts.revenue_by_day.buyers. `waypoint run` writes it,
    too, beside its page.

    \b
    Examples:
      waypoint lineage page
      waypoint lineage page --out /tmp/lineage.html
    """
    from dataclasses import asdict

    from waypoint.lineage.page import write_page

    shared = invocation(context)
    graph = _graph(shared, manifest)
    path = out or shared.project.lineage_file
    beside = "" if out or not shared.project.page_file.is_file() else shared.project.page_file.name
    try:
        written = write_page(graph, path, page=beside)
    except OSError as error:
        raise UnusableInput(f"{path}: {error.strerror}") from None
    if as_json:
        print_json(asdict(written))
    else:
        what = f"{written.tables} tables, {written.exposures} exposures, {written.size:,} bytes"
        remarks(shared.quiet).print(what)
        answer().print(written.path.resolve().as_uri(), markup=False)


def _graph(shared: Invocation, manifest: Path | None) -> LineageGraph:
    from waypoint.lineage.finding import changed_since_compiled, graph_of
    from waypoint.lineage.graph import LineageGraph

    if manifest is not None:
        return LineageGraph.read(manifest, lenient=True)
    console = remarks(shared.quiet)
    with console.status("reading the manifest"):
        graph = graph_of(shared.project)
    changed = changed_since_compiled(shared.project)
    if changed is not None:
        name = changed.relative_to(shared.project.root)
        console.print(f"{name} was changed since the project was compiled: `dbt compile`")
    return graph


def _tell(found: Answer, picture: Path | None, as_json: bool, shared: Invocation) -> None:
    if picture is not None:
        _draw(found, picture)
        remarks(shared.quiet).print(f"wrote {picture}", markup=False)
    if as_json:
        print_json(found.document())
        return
    from waypoint.lineage.telling import print_answer

    print_answer(found, answer())


def _draw(found: Answer, picture: Path) -> None:
    from waypoint.lineage.drawing import mermaid, svg

    kinds = {".svg": svg, ".mmd": mermaid}
    if picture.suffix not in kinds:
        raise UnusableInput(
            f"--picture {picture}: not a kind of picture that can be drawn",
            hint=f"end the name in {' or '.join(kinds)}",
        )
    try:
        picture.write_text(kinds[picture.suffix](found), encoding="utf-8")
    except OSError as error:
        raise UnusableInput(f"--picture {picture}: {error.strerror}") from None

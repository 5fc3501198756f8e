"""`waypoint quality run`: Great Expectations' suites on the tables, and Data Docs about them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress
from waypoint.errors import Exit, UnusableInput
from waypoint.quality.batches import ROWS

if TYPE_CHECKING:
    from rich.console import Console

    from waypoint.contracts.model import Contract
    from waypoint.project import Project
    from waypoint.quality.results import QualityRun

quality = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Hold the tables against Great Expectations' suites, derived from the contracts.",
)


@quality.callback()
def family() -> None:
    """Hold the tables against Great Expectations' suites, derived from the contracts."""


@quality.command()
def run(
    context: typer.Context,
    critical: Annotated[
        bool, typer.Option("--critical", help="The tables whose contracts are tagged critical.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help=r"Every table under contract. \[default]")
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="SCHEMA.TABLE", help="This table; can be repeated."),
    ] = None,
    built: Annotated[
        bool,
        typer.Option("--built", help="Look at what was built last, not at what is published."),
    ] = False,
    rows: Annotated[
        int, typer.Option(min=1, help="Of larger tables, look at so many rows, the newest.")
    ] = ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Run the suites of some or all tables in one process, and write Data Docs.

    Great Expectations gives a second opinion on what `waypoint build` has tested already: it looks
    at rows in memory, of large tables at the newest only, and its pages are for people. The exit
    code is 1 where an expectation of severity error is not met; warnings are shown.

    \b
    Examples:
      waypoint quality run                  all tables
      waypoint quality run --critical       those of a scheduled run
      waypoint quality run --select marts.revenue_by_day --json
    """
    from waypoint.quality.running import run_suites

    shared = invocation(context)
    chosen = _chosen(shared.project, critical, everything, select or [])
    with progress(shared.quiet) as display:
        bar = display.add_task("quality", total=len(chosen), detail="")
        found = run_suites(
            shared.project,
            chosen,
            rows=rows,
            built=built,
            watch=lambda table, done, total: display.update(
                bar, completed=done, total=total, detail=f"{done}/{total}  {table}"
            ),
        )
        display.update(bar, completed=len(chosen), detail="")
    if as_json:
        print_json(quality_document(found))
    else:
        print_quality(found, answer())
    if not found.succeeded:
        raise typer.Exit(Exit.FOUND_FAILURES)


def _chosen(
    project: Project, critical: bool, everything: bool, select: list[str]
) -> list[Contract]:
    from waypoint.quality.running import ALL, CRITICAL, chosen_tables, selected_tables

    if critical + everything + bool(select) > 1:
        raise UnusableInput("--critical, --all and --select exclude each other; give one of them")
    if select:
        return selected_tables(project, select)
    return chosen_tables(project, CRITICAL if critical else ALL)


def print_quality(found: QualityRun, console: Console) -> None:
    """What was found, for people: a line for each table, then what is not as expected."""
    from rich.table import Table

    shown = Table("table", "rows", "looked at", "met", "failed", "warned", "s", "owner", box=None)
    for column in shown.columns[1:7]:
        column.justify = "right"
    for table in found.tables:
        shown.add_row(
            table.table,
            f"{table.rows:,}",
            f"{table.looked_at:,}",
            str(table.passed),
            f"[red]{table.errors}[/]" if table.errors else "",
            f"[yellow]{table.warnings}[/]" if table.warnings else "",
            f"{table.seconds:.1f}",
            table.owner,
        )
    console.print(shown)
    print_findings(found, console)
    console.print(f"cost: {found.seconds:.1f} s, {found.cpu_seconds:.1f} s of CPU")
    console.print(f"data docs: {found.data_docs.as_uri()}", markup=False)


def print_findings(found: QualityRun, console: Console) -> None:
    """What is not as expected, errors first, and the counts."""
    for mark, severity in (("✗", "error"), ("!", "warning")):
        for table in found.tables:
            for finding in table.findings:
                if finding.severity == severity:
                    console.print(
                        f"{mark} {table.table}: {finding.rule}: {finding.detail}", markup=False
                    )
    console.print(
        f"\n{sum(table.passed for table in found.tables):,} expectations met, "
        f"{sum(table.errors for table in found.tables)} failed, "
        f"{sum(table.warnings for table in found.tables)} warned, "
        f"as of {found.as_of:%Y-%m-%d %H:%M} UTC"
    )


def quality_document(found: QualityRun) -> dict[str, Any]:
    """What was found, for programs."""
    return {
        "succeeded": found.succeeded,
        "as_of": found.as_of,
        "tables": [
            asdict(table) | {"errors": table.errors, "warnings": table.warnings}
            for table in found.tables
        ],
        "data_docs": str(found.data_docs),
        "seconds": round(found.seconds, 3),
        "cpu_seconds": round(found.cpu_seconds, 3),
    }

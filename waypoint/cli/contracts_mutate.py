"""`waypoint contracts mutate`: whether the contracts would notice damage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress
from waypoint.errors import Exit

if TYPE_CHECKING:
    from waypoint.contracts.mutation.model import Score


def mutate(
    context: typer.Context,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select",
            "-s",
            metavar="SCHEMA.TABLE",
            help="Only this table, or all of a schema; can be given several times.",
        ),
    ] = None,
    at_least: Annotated[
        float,
        typer.Option("--at-least", metavar="PERCENT", min=0, max=100, help="The score to reach."),
    ] = 95.0,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A manifest of `dbt compile --full-refresh`; compiled anew unless given.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Damage copies of the built tables in every way, and say what no rule would notice.

    Operators that know nothing of the rules null values, duplicate and drop
    rows, put ids that exist nowhere, values out of range and of the wrong type,
    take predicates out of the models' queries, change their joins, and let
    tables go stale. A damage is killed where a check fires that reads what was
    damaged. What survives is a finding: a rule is missing.

    The warehouse is only read. docs/mutation.md says what counts as damage.

    \b
    Examples:
      waypoint contracts mutate                             after waypoint run
      waypoint contracts mutate -s marts.revenue_by_day
      waypoint contracts mutate -s marts --at-least 98 --json

    \b
    Exit codes:
      0 the score is reached; 1 it is not;
      2 unusable input: no such contract, or nothing is built.
    """
    from waypoint.contracts.mutation.running import mutate as mutate_contracts
    from waypoint.contracts.mutation.telling import document, print_report

    shared = invocation(context)
    project = shared.project
    with progress(shared.quiet) as display:
        task = display.add_task("damaging tables", total=None, detail="compiling")

        def watch(score: Score, done: int, total: int) -> None:
            display.update(task, completed=done, total=total, detail=score.contract)

        report = mutate_contracts(project, select or (), manifest, watch)
    if as_json:
        print_json(document(report))
    else:
        print_report(report, answer())
    if report.share is not None and report.share * 100 < at_least:
        raise typer.Exit(Exit.FOUND_FAILURES)

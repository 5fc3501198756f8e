"""`waypoint contracts coverage`: everything under contract, and every contract about something."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json
from waypoint.errors import Exit, UnusableInput


def coverage(
    context: typer.Context,
    manifest: Annotated[
        Path | None,
        typer.Option(help="dbt's manifest, instead of the last build's.", metavar="FILE"),
    ] = None,
    warehouse: Annotated[
        Path | None,
        typer.Option(help="A DuckDB warehouse, instead of the project's.", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Say which tables and topics have no contract, and which contracts no table or topic.

    Compares the contracts with dbt's manifest (models, seeds, snapshots, sources),
    with every schema of the warehouse, with the topics that are sent to, and with
    the tables that the sources fill.

    \b
    Examples:
      waypoint build && waypoint contracts coverage

    \b
    Exit codes:
      0 all is under contract; 1 something is missing or left over;
      2 unusable input: nothing was built yet, or a file cannot be read.
    """
    from waypoint.contracts.coverage import coverage as compare
    from waypoint.dbt_running import target_dir
    from waypoint.warehouse import EMBEDDED

    project = invocation(context).project
    if warehouse is None and project.target != EMBEDDED:
        raise UnusableInput(
            f"the target {project.target} is not looked into",
            hint="compare a local build: take --target away, or name a --warehouse",
        )
    found = compare(
        project,
        manifest or target_dir(project) / "manifest.json",
        warehouse or project.warehouse_file,
    )
    if as_json:
        print_json(
            {
                "contracts": found.contracts,
                "compared": dict(found.sides),
                "gaps": [asdict(gap) for gap in found.gaps],
            }
        )
    else:
        console = answer()
        for gap in found.gaps:
            console.print(f"✗ {gap.problem}", markup=False)
            console.print(f"  → {gap.mend}", markup=False)
        sides = ", ".join(f"{number} in {side}" for side, number in found.sides.items())
        said = f"{len(found.gaps)} do not agree" if found.gaps else "all of them agree"
        console.print(f"{found.contracts} contracts; {sides}: {said}", markup=False)
    if found.gaps:
        raise typer.Exit(Exit.FOUND_FAILURES)

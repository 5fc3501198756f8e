"""`waypoint maintain`: what a warehouse needs once a week."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json


def maintain(
    context: typer.Context,
    report: Annotated[
        bool, typer.Option("--report", help="Only say what is past its retention; change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was found, as JSON.")] = False,
) -> None:
    """Say which tables hold rows past their retention, compact the warehouse, remove old files.

    Rows are not removed: what is past its retention is for its owner to see. Removed are logs that
    are older than 30 days, and files that killed writers left behind.

    \b
    Examples:
      waypoint maintain
      waypoint maintain --report --json | jq '.retained[] | select(.expired > 0)'
    """
    from waypoint.locking import changing_state
    from waypoint.maintenance import maintain as run

    project = invocation(context).project
    with nullcontext() if report else changing_state(project, "waypoint maintain"):
        found = run(project, only_report=report)
    if as_json:
        print_json(asdict(found))
        return
    console = answer()
    expired = [table for table in found.retained if table.expired]
    for table in expired:
        console.print(
            f"{table.table}: {table.expired:,} of {table.rows:,} rows are older than"
            f" {table.retention_days:g} days ({table.owner})",
            markup=False,
        )
    console.print(
        f"{len(found.retained)} tables promise a retention, {len(expired)} hold older rows"
    )
    if found.size_before is not None and found.size_after is not None and not report:
        console.print(f"warehouse: {found.size_before:,} bytes, now {found.size_after:,}")
    console.print(f"{len(found.removed)} files removed")

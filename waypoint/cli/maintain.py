"""`waypoint maintain`: what a warehouse needs once a week."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from waypoint.maintenance import Maintained


def maintain(
    context: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "--report", help="Only say what would be done; change nothing."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, as JSON.")] = False,
) -> None:
    """Delete rows past their retention, put landed files together, tidy the warehouse.

    What is kept how long stands in the contracts, and so does whether expired rows are archived
    first. Rows stay while something is built from them that keeps them for longer; the summary
    says what. Logs go after 30 days. Not part of any run: docs/airflow.md has the rules.

    On Snowflake the statements are printed and not run.

    \b
    Examples:
      waypoint maintain --dry-run
      waypoint maintain
      waypoint maintain --json | jq '.retained[] | select(.removed > 0)'
    """
    from waypoint.locking import changing_state
    from waypoint.maintenance import maintain as run

    project = invocation(context).project
    with nullcontext() if dry_run else changing_state(project, "waypoint maintain"):
        found = run(project, dry_run=dry_run)
    if as_json:
        print_json(asdict(found))
        return
    if found.statements:
        for statement in found.statements:
            typer.echo(statement if statement.startswith("--") else f"{statement};")
        return
    _tell(answer(), found)


def _tell(console: Console, found: Maintained) -> None:
    would = "would be " if found.dry_run else ""
    for table in found.retained:
        if not table.expired:
            continue
        line = (
            f"{table.table}: {table.expired:,} of {table.rows:,} rows are older than"
            f" {table.retention_days:g} days"
        )
        if table.held_by:
            more = len(table.held_by) - 1
            line += f"; they stay, since {table.held_by[0]}" + (f" (and {more} more)" * (more > 0))
        else:
            line += f", {table.removed:,} {would}removed"
            line += f" ({table.archived:,} {would}archived)" * bool(table.archived)
            line += f"; {table.waiting:,} wait for the next build" * bool(table.waiting)
        console.print(line, markup=False)
    for one in found.compacted:
        line = f"{one.table}: {one.files_before} landed files {would}put together in one"
        line += f", {one.removed:,} expired rows left out" * bool(one.removed)
        console.print(line, markup=False)
    removed = sum(table.removed for table in found.retained)
    console.print(
        f"{len(found.retained)} tables promise a retention; {removed:,} rows {would}removed,"
        f" {sum(one.files_before for one in found.compacted)} landed files {would}put together,"
        f" {len(found.removed)} old files removed"
    )
    if found.size_before is not None and found.size_after is not None and not found.dry_run:
        console.print(f"warehouse: {found.size_before:,} bytes, now {found.size_after:,}")

"""`waypoint status`: how the published tables are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from waypoint.status import Status

_COLOURS = {"fresh": "green", "warn": "yellow", "late": "red", "missing": "red"}


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The status as JSON.")] = False,
) -> None:
    """Show every published table: its rows, newest load, freshness and owner.

    A table is fresh while it keeps its contract's promise; `warn` means that the promise is about
    to be broken. Ages are by the project's clock: the real time, or the stored time of a played
    period.

    \b
    Examples:
      waypoint status
      waypoint status --json | jq '.tables[] | select(.fresh | not)'
    """
    from waypoint.status import read_status

    found = read_status(invocation(context).project)
    if as_json:
        print_json(found.document())
    else:
        print_status(found, answer())


def print_status(found: Status, console: Console) -> None:
    """The status as a table for people."""
    from rich.table import Table

    table = Table("table", "rows", "newest (UTC)", "age", "freshness", "owner", box=None)
    table.columns[1].justify = "right"
    table.columns[3].justify = "right"
    for entry in found.tables:
        table.add_row(
            f"{entry.schema}.{entry.name}",
            "-" if entry.rows is None else f"{entry.rows:,}",
            f"{entry.newest:%Y-%m-%d %H:%M}" if entry.newest else "-",
            "-" if entry.age_seconds is None else age(entry.age_seconds),
            f"[{_COLOURS[entry.level]}]{entry.level}[/]",
            entry.owner,
        )
    console.print(table)
    console.print(f"as of {found.as_of:%Y-%m-%d %H:%M} UTC", markup=False)
    console.print(f"warehouse: {found.warehouse}", markup=False)
    for role, path in found.copies.items():
        console.print(f"copy for {role}: {path}", markup=False)
    if found.page.exists():
        console.print(f"page: {found.page.as_uri()}", markup=False)


def age(seconds: float) -> str:
    """An age in the unit that people would use: `4 min`, `3.5 h`, `12 d`."""
    if abs(seconds) < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if abs(seconds) < 2 * 86400 else f"{seconds / 86400:.0f} d"

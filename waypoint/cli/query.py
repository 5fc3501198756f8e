"""`waypoint query`: ask the published copy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, plain, remarks
from waypoint.errors import UnusableInput

if TYPE_CHECKING:
    from waypoint.querying import Answer

_SHOWN = 100  # rows of a table for people, unless they say otherwise


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One SQL statement; - reads it from stdin.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="An array of objects; decimals are texts, and exact.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help=f"At most so many rows. [{_SHOWN} on a table, else all]"),
    ] = None,
) -> None:
    """Ask the published copy in SQL. Nothing can be changed by it.

    \b
    Examples:
      waypoint query "select * from raw.load_history order by loaded_at desc" --limit 7
      waypoint query "show all tables" --json
      waypoint query - --csv < question.sql > answer.csv
    """
    from waypoint.querying import asked, write_csv, write_json

    if as_json and as_csv:
        raise UnusableInput("--json and --csv were both given", hint="give one of them")
    shared = invocation(context)
    statement = sys.stdin.read() if sql == "-" else sql
    shown = _SHOWN if limit is None else limit
    with asked(shared.project, statement, limit if as_json or as_csv else shown + 1) as found:
        if as_json:
            write_json(found, sys.stdout, plain)
        elif as_csv:
            write_csv(found, sys.stdout)
        else:
            _print(found, shown, shared.quiet)


def _print(found: Answer, shown: int, quiet: bool) -> None:
    from rich.table import Table

    from waypoint.querying import first, text

    rows, more = first(found, shown)
    table = Table(box=None)
    for column in found.columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(_escaped(text(value)) for value in row))
    answer().print(table)
    if more:
        remarks(quiet).print(f"the first {shown} rows; more with --limit, all with --csv or --json")


def _escaped(value: str) -> str:
    return value.replace("[", r"\[")

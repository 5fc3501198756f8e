"""`waypoint query`: ask the published copy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
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
    from waypoint.querying import asked

    form = Form(as_json, as_csv, limit, invocation(context).quiet)
    statement = sys.stdin.read() if sql == "-" else sql
    with asked(invocation(context).project, statement, form.wanted) as found:
        form.write(found)


@dataclass(frozen=True)
class Form:
    """How an answer is written: for people unless as JSON or CSV.

    Raises:
        UnusableInput: both were asked for.
    """

    as_json: bool
    as_csv: bool
    limit: int | None
    quiet: bool

    def __post_init__(self) -> None:
        if self.as_json and self.as_csv:
            raise UnusableInput("--json and --csv were both given", hint="give one of them")

    @property
    def _shown(self) -> int:
        return _SHOWN if self.limit is None else self.limit

    @property
    def wanted(self) -> int | None:
        """How many rows to ask for; all where it is None."""
        return self.limit if self.as_json or self.as_csv else self._shown + 1

    def write(self, found: Answer) -> None:
        """Write the answer to stdout."""
        from waypoint.querying import write_csv, write_json

        if self.as_json:
            write_json(found, sys.stdout, plain)
        elif self.as_csv:
            write_csv(found, sys.stdout)
        else:
            _print(found, self._shown, self.quiet)


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

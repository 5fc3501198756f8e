"""`waypoint snowflake ...`: what concerns Snowflake alone."""

from __future__ import annotations

from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json
from waypoint.errors import Exit

snowflake = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Prove, without an account, what is to run on Snowflake.",
)


@snowflake.command("check")
def check(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Find what Snowflake would refuse, or read otherwise than DuckDB, in all SQL of the project.

    dbt compiles the project for Snowflake without a connection; each query is parsed, its names and
    types are held against the contracts, and its functions against those that Snowflake documents.

    \b
    Examples:
      waypoint snowflake check
      waypoint snowflake check --json

    \b
    Exit codes:
      0 nothing found; 1 findings;
      2 unusable input: a project that dbt cannot compile, or packages that are missing.
    """
    from rich.markup import escape

    from waypoint.snowflake.checking import check as check_project

    shared = invocation(context)
    checked = check_project(shared.project)
    if as_json:
        print_json(
            {
                "statements": checked.statements,
                "findings": [
                    {
                        "file": str(one.file),
                        "line": one.line,
                        "name": one.name,
                        "variant": one.variant,
                        "rule": one.rule,
                        "problem": one.problem,
                        "mend": one.mend,
                        "compiled": one.compiled,
                    }
                    for one in checked.findings
                ],
            }
        )
    else:
        console = answer()
        for one in checked.findings:
            where = f"{one.file}, line {one.line}" if one.line else f"{one.file} ({one.name})"
            console.print(f"[red]✗[/] {escape(where)}: {escape(f'{one.rule}: {one.problem}')}")
            if not one.line and one.compiled:
                console.print(f"  compiled: {escape(one.compiled[:160])}")
            console.print(f"  → {escape(one.mend)}")
        found = f"{len(checked.findings)} findings" if checked.findings else "nothing found"
        if not shared.quiet or checked.findings:
            console.print(f"{checked.statements} statements looked at, {found}")
    if checked.findings:
        raise typer.Exit(Exit.FOUND_FAILURES)

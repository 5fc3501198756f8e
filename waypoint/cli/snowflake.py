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


@snowflake.command("rehearse")
def rehearse(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Option(help="Only these, with what they are made of; can be repeated."),
    ] = None,
    given: Annotated[
        str,
        typer.Option(
            "--input",
            help="`simulated`, or a folder in which something has landed.",
            metavar="simulated|FOLDER",
        ),
    ] = "simulated",
    on_account: Annotated[
        bool,
        typer.Option(
            "--account",
            help="On the account that SNOWFLAKE_* name, in a database made for it and dropped.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Build the project twice for Snowflake, on a stand-in, and compare every row with DuckDB's.

    Both load the same files: the first build starts from nothing, the second is an incremental run
    over a second load. dbt's Snowflake adapter and Snowflake's connector do the work; the stand-in
    speaks Snowflake's protocol and computes with DuckDB, so it proves the way and the meaning of
    the SQL, not Snowflake itself (docs/snowflake.md).

    \b
    Examples:
      waypoint snowflake rehearse
      waypoint snowflake rehearse --models orders_enriched --json
      waypoint snowflake rehearse --input var

    \b
    Exit codes:
      0 all equal; 1 a table or a test differs; 2 unusable input, or packages that are missing.
    """
    from rich.markup import escape

    from waypoint.cli.output import progress
    from waypoint.snowflake.rehearsal.reporting import as_data, lines
    from waypoint.snowflake.rehearsal.running import rehearse_project

    shared = invocation(context)
    with progress(shared.quiet) as display:
        task = display.add_task("rehearse", total=None, detail="")
        result = rehearse_project(
            shared.project,
            given,
            models=models or (),
            on_account=on_account,
            say=lambda text: display.update(task, detail=text),
        )
    if as_json:
        print_json(as_data(result, given))
    else:
        for line in lines(result):
            answer().print(escape(line), highlight=False)
    if not result.succeeded:
        raise typer.Exit(Exit.FOUND_FAILURES)


@snowflake.command("setup")
def setup(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Show the statements.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Run them on the account.")] = False,
    environment: Annotated[
        str, typer.Option(help="Of this environment only.", metavar="NAME")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The statements as JSON.")] = False,
) -> None:
    """Set up a Snowflake account: warehouses, monitors, databases, stages, pipes, dynamic tables.

    How it is to be stands in dbt_project/snowflake.yml; tables, clustering and pipes follow from
    the contracts. All statements can be run again; nothing is dropped. --apply connects by the
    SNOWFLAKE_* variables, as the role SNOWFLAKE_SETUP_ROLE (ACCOUNTADMIN unless set). Who may read
    what is `waypoint access apply`.

    \b
    Examples:
      waypoint snowflake setup --plan | less
      waypoint snowflake setup --plan --environment ci
      waypoint snowflake setup --apply
    """
    from waypoint.errors import UnusableInput
    from waypoint.snowflake.compiling import queries_of_models
    from waypoint.snowflake.setup.running import apply as run_all
    from waypoint.snowflake.setup.running import connected
    from waypoint.snowflake.setup.settings import read_settings
    from waypoint.snowflake.setup.statements import plan as plan_of

    shared = invocation(context)
    if plan == apply:
        raise UnusableInput("say --plan or --apply")
    settings = read_settings(shared.project)
    statements = plan_of(
        shared.project, settings, lambda: queries_of_models(shared.project), environment
    )
    if plan:
        if as_json:
            print_json({"statements": statements})
        else:
            print("".join(f"{statement};\n" for statement in statements), end="")
        return
    with connected() as (cursor, error):
        run = run_all(cursor, statements, error)
    if as_json:
        print_json({"statements": statements, "run": run})
    else:
        answer().print(f"{run} statements were run")

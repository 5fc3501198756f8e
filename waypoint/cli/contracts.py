"""`waypoint contracts ...`: what is derived from the contracts."""

from __future__ import annotations

from typing import Annotated

import typer

from waypoint.cli import (
    contracts_catalogue,
    contracts_coverage,
    contracts_gate,
    contracts_import,
    contracts_lint,
    contracts_mutate,
)
from waypoint.cli.invocation import invocation
from waypoint.cli.output import print_json, remarks

contracts = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Work with the data contracts: derive dbt's files from them, protect their consumers.",
)


@contracts.callback()
def family() -> None:
    """Work with the data contracts: derive dbt's files from them, protect their consumers."""


@contracts.command()
def render(
    context: typer.Context,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit 1 if a file is not up to date."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The files that differ as JSON.")] = False,
) -> None:
    """Write the dbt files that are derived from contracts/: sources, columns, types and tests.

    The files are byte-stable: rendering twice writes the same. Never edit them by hand.

    \b
    Examples:
      waypoint contracts render            after an edit of a contract
      waypoint contracts render --check    in a pull request
    """
    from waypoint.contracts.rendering import render as render_files

    shared = invocation(context)
    project = shared.project
    changed = [str(path.relative_to(project.root)) for path in render_files(project, check)]
    if as_json:
        print_json({"changed": changed, "contracts": len(project.contracts)})
        return
    console = remarks(shared.quiet)
    for name in changed:
        console.print(f"wrote {name}")
    console.print(f"{len(project.contracts)} contracts, {len(changed)} files changed")


contracts.command()(contracts_lint.lint)
contracts.command()(contracts_catalogue.catalogue)
contracts.command()(contracts_coverage.coverage)
contracts.command()(contracts_gate.check)
contracts.command()(contracts_gate.notify)
contracts.command()(contracts_mutate.mutate)
contracts.add_typer(contracts_import.drafting, name="import")

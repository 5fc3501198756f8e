"""`waypoint contracts lint`: whether contracts are well-formed and make sense."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json
from waypoint.errors import Exit


def lint(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Contracts or folders of them; all of the project unless given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Find what is wrong with contracts: by the standard's schema, and by what they mean.

    Everything is told at once: file, line, what is wrong and what to do. A draft
    that nobody has finished is refused, with what is still to decide.

    \b
    Examples:
      waypoint contracts lint
      waypoint contracts lint contracts/marts/revenue_by_day.yaml

    \b
    Exit codes:
      0 nothing found; 1 findings;
      2 unusable input: a file that is not YAML, or a path that is not there.
    """
    from rich.markup import escape

    from waypoint.contracts.linting.linting import lint as lint_contracts

    shared = invocation(context)
    root = shared.project.root
    linted = lint_contracts(shared.project, paths or ())

    def name(path: Path) -> str:
        return str(path.relative_to(root) if path.is_relative_to(root) else path)

    if as_json:
        print_json(
            {
                "contracts": linted.files,
                "findings": [
                    {
                        "file": name(one.path),
                        "line": one.line,
                        "rule": one.rule,
                        "problem": one.problem,
                        "mend": one.mend,
                    }
                    for one in linted.findings
                ],
            }
        )
    else:
        console = answer()
        for one in linted.findings:
            where = f"{name(one.path)}, line {one.line}"
            console.print(f"[red]✗[/] {escape(where)}: {escape(f'{one.rule}: {one.problem}')}")
            console.print(f"  → {escape(one.mend)}")
        files = len({one.path for one in linted.findings})
        found = f"{len(linted.findings)} findings in {files} files" if files else "nothing found"
        if not shared.quiet or files:
            console.print(f"{linted.files} contracts looked at, {found}")
    if linted.unreadable:
        raise typer.Exit(Exit.UNUSABLE_INPUT)
    if linted.findings:
        raise typer.Exit(Exit.FOUND_FAILURES)

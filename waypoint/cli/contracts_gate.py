"""`waypoint contracts check` and `notify`: the gate that protects the consumers of contracts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import Invocation, invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import UnusableInput, WaypointError

if TYPE_CHECKING:
    from waypoint.contracts.changes.checking import Report

_Base = Annotated[
    str,
    typer.Option(
        "--base",
        metavar="REF",
        help="The branch, tag or commit to compare with, e.g. main. What counts is where this"
        " branch left it.",
    ),
]
_Manifest = Annotated[
    Path | None,
    typer.Option(
        help="dbt's compiled manifest of the working tree, to know who consumes what."
        r" \[default: target/manifest.json, if it is there]",
        metavar="FILE",
    ),
]
_BaseManifest = Annotated[
    Path | None,
    typer.Option(
        help="The compiled manifest of the base, to know consumers that this branch has changed.",
        metavar="FILE",
    ),
]
_AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="The day that counts for what is not committed yet, instead of today (UTC).",
    ),
]


def check(
    context: typer.Context,
    base: _Base,
    manifest: _Manifest = None,
    base_manifest: _BaseManifest = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="The report as a comment for a pull request.")
    ] = False,
    as_of: _AsOf = None,
) -> None:
    """Say what this branch's changes of contracts break, for whom, and whether that is covered.

    Compares the contracts in the working tree with those of a git reference. A change that breaks
    consumers passes only with all four: a decision in docs/adr, a window of 14 days in which the
    old version is deprecated and still there, consumers who were told (waypoint contracts notify),
    and both versions built side by side. docs/contract-changes.md shows how.

    \b
    Examples:
      dbt compile && waypoint contracts check --base main
      waypoint contracts check --base origin/main --markdown > comment.md

    Exit codes: 0 nothing breaks without cover; 1 something does; 2 unusable input: a contract,
    manifest or git reference that cannot be read.
    """
    if as_json and as_markdown:
        raise UnusableInput("--json and --markdown are two answers", hint="choose one of them")
    shared = invocation(context)
    with remarks(shared.quiet).status("comparing contracts"):
        report = _report(shared, base, manifest, base_manifest, as_of)
    if as_json:
        from waypoint.contracts.changes.document import document

        print_json(document(report))
    elif as_markdown:
        from waypoint.contracts.changes.telling import markdown

        print(markdown(report))
    else:
        from waypoint.contracts.changes.telling import print_report

        print_report(report, answer())
    raise typer.Exit(report.exit_code)


def _report(
    shared: Invocation,
    base: str,
    manifest: Path | None,
    base_manifest: Path | None,
    as_of: str | None,
) -> Report:
    from waypoint.contracts.changes.checking import check as check_contracts
    from waypoint.contracts.changes.checking import find_contracts

    folder = find_contracts(shared.project_dir or Path.cwd())
    return check_contracts(
        folder,
        base,
        manifest=manifest or _manifest_of_project(shared),
        base_manifest=base_manifest,
        today=_day(as_of),
    )


def _manifest_of_project(shared: Invocation) -> Path | None:
    """Where dbt writes the manifest, if this is a dbt project that was compiled."""
    from waypoint.building import target_dir

    try:
        found = target_dir(shared.project) / "manifest.json"
    except WaypointError:  # contracts without a dbt project are checked too
        return None
    return found if found.is_file() else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise UnusableInput(f"--as-of {text}: not a date", hint="e.g. 2026-03-31") from None

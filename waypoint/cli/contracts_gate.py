"""`waypoint contracts check` and `notify`: the gate that protects the consumers of contracts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import Invocation, invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit, UnusableInput, WaypointError

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
    """Say what a branch's changes of contracts break, for whom, and whether it is covered.

    Contracts in the working tree are compared with those of a git reference.
    A change that breaks consumers passes only with all four:

    \b
      - a decision in docs/adr that names the contract and its new version
      - a window of 14 days: the old version deprecated, and still there
      - consumers who were told: waypoint contracts notify
      - both versions built side by side

    docs/contract-changes.md shows how.

    \b
    Examples:
      dbt compile && waypoint contracts check --base main
      waypoint contracts check --base origin/main --markdown > comment.md

    \b
    Exit codes:
      0 nothing breaks, or it is covered; 1 something breaks without cover;
      2 unusable input: a contract, manifest or git reference cannot be read.
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


def notify(
    context: typer.Context,
    contract: Annotated[str, typer.Argument(help="The contract that breaks, as schema.table.")],
    base: _Base,
    manifest: _Manifest = None,
    base_manifest: _BaseManifest = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show who would be told what; send nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Who was told, as JSON.")] = False,
) -> None:
    """Tell a contract's consumers what will break, and keep it on record in docs/notices.

    Who has to be told is computed as by waypoint contracts check. Those who
    have been told are not told again: what failed is sent by running it again.

    \b
    Channels, by environment variables:
      WAYPOINT_SLACK_WEBHOOK    an incoming webhook
      WAYPOINT_SLACK_CHANNEL    its channel's name, for the record
      WAYPOINT_SMTP_URL         smtp://user:password@host:587
      WAYPOINT_MAIL_FROM        the sender's address
      WAYPOINT_MAIL_TO          for consumers without an address of their own

    \b
    Examples:
      waypoint contracts notify marts.revenue_by_day --base main --dry-run
      waypoint contracts notify marts.revenue_by_day --base main

    \b
    Exit codes:
      0 everybody was told; 1 some are reached by no channel;
      2 nothing to tell, or unusable input; 3 a channel failed, run it again.
    """
    import os

    from waypoint.contracts.changes.announcing import announce, hint_for_unreachable, message_about
    from waypoint.contracts.changes.history import author
    from waypoint.notifying import channels

    shared = invocation(context)
    report = _report(shared, base, manifest, base_manifest, None)
    finding = report.about(contract)
    if finding is None or finding.transition is None:
        raise UnusableInput(
            f"{contract}: nothing of it breaks against {base}, so there is nothing to tell",
            hint="`waypoint contracts check` lists what changed",
        )
    if not report.consumers_known and finding.transition.site.project is not None:
        raise UnusableInput("who consumes it is not known", hint="run `dbt compile` first")
    if dry_run:
        message = message_about(finding)
        answer().print(f"{message.subject}\n\n{message.text}", markup=False)
        return
    announced = announce(finding, channels(os.environ), author(report.base.folder) or "unknown")
    path = finding.transition.short(finding.transition.notice_path)
    if as_json:
        told = [{"kind": t.kind, "consumer": t.name, "by": t.by} for t in announced.told_now]
        lost = [{"kind": c.kind, "consumer": c.name} for c in announced.unreachable]
        print_json({"record": str(path), "told": told, "unreachable": lost})
    else:
        console = answer()
        for one in announced.told_now:
            console.print(f"told {one.kind} {one.name} by {one.by}", markup=False)
        if not announced.told_now and not announced.unreachable:
            console.print("everybody has been told before")
        console.print(f"on record in {path}", markup=False)
    if announced.unreachable:
        names = ", ".join(consumer.name for consumer in announced.unreachable)
        remarks().print(f"reached by no channel: {names}; {hint_for_unreachable()}", markup=False)
        raise typer.Exit(Exit.FOUND_FAILURES)


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
    from waypoint.dbt_running import target_dir

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

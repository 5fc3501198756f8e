"""`waypoint privacy ...`: personal data in the sources, erasing people, and the key of tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks

if TYPE_CHECKING:
    from waypoint.privacy.receipts import Receipt

privacy = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Personal data: find it in the sources, erase people, change the key of tokens.",
)


@privacy.callback()
def family() -> None:
    """Personal data: find it in the sources, erase people, change the key of tokens."""


@privacy.command()
def erase(
    context: typer.Context,
    user: Annotated[
        list[str],
        typer.Option(help="The person's own id; give it several times for several.", metavar="ID"),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be erased; change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The receipt as JSON.")] = False,
) -> None:
    """Erase people from all that is kept, and keep them out from then on.

    Landed files, dropped files, quarantine, archives, tables, snapshots, what is computed of them,
    published copies, pages, logs, and tombstones for compacted topics. Their ids go on the
    suppression list as keyed hashes, so no source, file or replay brings their rows back. A receipt
    without personal data is kept. What was interrupted is finished by the same command.

    \b
    Examples:
      waypoint privacy erase --user 4711 --dry-run
      waypoint privacy erase --user 4711 --json

    \b
    Exit codes:
      0 erased, or nothing of them was there; 1 something is left; 2 wrong usage;
      3 the warehouse or the broker is away, run it again.
    """
    from contextlib import nullcontext

    from waypoint.locking import changing_state
    from waypoint.privacy.erasing import erase as run

    shared = invocation(context)
    project, console = shared.project, remarks(shared.quiet)
    alone = nullcontext() if dry_run else changing_state(project, "waypoint privacy erase")
    with alone:
        receipt = run(project, user, dry_run, lambda step: console.print(step, markup=False))
    if as_json:
        print_json(asdict(receipt))
    else:
        _tell(receipt)


def _tell(receipt: Receipt) -> None:
    console, would = answer(), "would be " if receipt.dry_run else ""
    ids = ", ".join(f"{count:,} {kind}" for kind, count in receipt.ids.items())
    console.print(f"ids: {ids}; values that name nobody else: {receipt.values}", markup=False)
    for file in (*receipt.files, *receipt.texts):
        console.print(f"  {file.name}: {_taken(file.rows, file.values)}", markup=False)
    for table in receipt.tables:
        console.print(f"  {table.table}: {_taken(table.rows, table.values)}", markup=False)
    for topic in receipt.topics:
        if topic.tombstones is not None:
            console.print(f"  {topic.topic}: {topic.tombstones} tombstones", markup=False)
        elif topic.gone_by is not None:
            console.print(f"  {topic.topic}: gone by {topic.gone_by:%Y-%m-%d}", markup=False)
    for remark in receipt.remarks:
        console.print(remark, markup=False)
    if not receipt.found:
        console.print(f"nothing {would}erased: there is nothing of them")
    elif receipt.dry_run:
        console.print("nothing was changed")
    if receipt.path:
        console.print(f"receipt: {receipt.path}", markup=False)


def _taken(rows: int, values: int) -> str:
    said = [f"{rows:,} rows"] if rows else []
    said += [f"values in {values:,} places"] if values else []
    return ", ".join(said)


@privacy.command()
def scan(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Look for personal data in what has landed that no contract speaks of.

    By the names of columns and fields, and by content: e-mail addresses, phone and card numbers,
    IP addresses, coordinates, names of known people; in columns and within JSON. Settle a finding
    with `classification: pii`, or with a customProperty `notPersonal` that gives the reason. Values
    are not shown.

    \b
    Examples:
      waypoint privacy scan
      waypoint privacy scan --json | jq -r '.findings[].column'

    \b
    Exit codes:
      0 everything that was found is settled; 1 something is not; 2 wrong usage.
    """
    from waypoint.errors import Exit
    from waypoint.privacy.detecting import scan as find

    findings = find(invocation(context).project)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            answer().print(f"✗ {finding}", markup=False)
        said = f"{len(findings)} to be settled" if findings else "nothing to be settled"
        answer().print(f"personal data in landed files: {said}", markup=False)
    if findings:
        raise typer.Exit(Exit.FOUND_FAILURES)


@privacy.command(name="rotate-key")
def rotate_key(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The new version as JSON.")] = False,
) -> None:
    """Change the key of tokens; every token is another one from then on.

    Old and new tokens of a value cannot be joined: who keeps extracts has to fetch them again. The
    embedded warehouse makes a new key, keeps the old one as token.key.<version>, and publishes
    again. With --target snowflake the key that WAYPOINT_TOKEN_KEY says becomes the account's.

    \b
    Examples:
      waypoint privacy rotate-key
      WAYPOINT_TOKEN_KEY=... waypoint --target snowflake privacy rotate-key
    """
    from waypoint.locking import changing_state
    from waypoint.privacy.rotating import rotate_kept_key, rotate_on_account
    from waypoint.warehouse import EMBEDDED

    shared = invocation(context)
    project = shared.project
    if project.target != EMBEDDED:
        from waypoint.access.account import connected, names_from_environment

        with connected(project) as account:
            said = {"fingerprint": rotate_on_account(account, names_from_environment()[0])}
    else:
        from waypoint.publishing import publish

        with changing_state(project, "waypoint privacy rotate-key"):
            said = asdict(rotate_kept_key(project))
            if project.published_file.exists():
                publish(project)
    if as_json:
        print_json(said)
    else:
        told = ", ".join(f"{name} {value}" for name, value in said.items())
        answer().print(f"the key of tokens is now: {told}", markup=False)

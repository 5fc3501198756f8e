"""`waypoint quarantine`: the rows that broke their contract, and landing those that now keep it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json
from waypoint.errors import UnusableInput

if TYPE_CHECKING:
    from ingestion.quarantine import Group, RejectedRow, Wanted
    from ingestion.replay import Replayed
    from waypoint.project import Project

quarantine = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Look at the rows that broke their contract, and land those that keep it by now.",
)

_Table = Annotated[str | None, typer.Option(help="Only rows meant for this raw table.")]
_Rule = Annotated[str | None, typer.Option(help="Only rows that broke this rule.")]
_Source = Annotated[str | None, typer.Option(help="Only rows of this source.")]
_WITHHELD = "(not told: personal data)"


@quarantine.callback()
def family() -> None:
    """Look at the rows that broke their contract, and land those that keep it by now."""


@quarantine.command("list")
def list_rows(
    context: typer.Context,
    table: _Table = None,
    rule: _Rule = None,
    source: _Source = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only rows that landed since: a time, or how long ago, as '2 days'."),
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Each row with its id.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Sum up the rejected rows that are still open, by table, source and rule.

    Rows that were replayed are not listed. Values of personal fields are not told; they stand in
    raw.quarantine, for those who may read it.

    \b
    Examples:
      waypoint quarantine list
      waypoint quarantine list --table transactions --rows
      waypoint quarantine list --since '2 days' --json
    """
    from ingestion.quarantine import Wanted, listed, open_rows, summary

    project = invocation(context).project
    wanted = Wanted(table=table, rule=rule, source=source, since=_since(since))
    _refuse_unknown(project, table)
    with open_rows(_area(project), project.state / "spill", wanted) as engine:
        groups = summary(engine, project.contracts)
        each = listed(engine, project.contracts) if rows else None
    if as_json:
        document: dict[str, Any] = {"groups": [asdict(group) for group in groups]}
        print_json(document if each is None else document | {"rows": [asdict(r) for r in each]})
    elif each is not None:
        _print_rows(each)
    else:
        _print_groups(groups)


@quarantine.command()
def replay(
    context: typer.Context,
    table: _Table = None,
    rule: _Rule = None,
    source: _Source = None,
    batch: Annotated[
        list[str] | None, typer.Option(help="Only rows of this batch; can be given again.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would land, and land nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What came of it as JSON.")] = False,
) -> None:
    """Judge rejected rows by today's contracts, and land those that keep them now.

    A row lands once, however often this is run; what still fails stays, with its newest reason.
    The next load takes in what landed. Rows that could not be taken apart at all are left to those
    who can send them again.

    \b
    Examples:
      waypoint quarantine replay --dry-run
      waypoint quarantine replay --table transactions --rule currency_is_allowed
      waypoint quarantine replay && waypoint load && waypoint build
    """
    from ingestion.quarantine import Wanted
    from waypoint.locking import changing_state

    project = invocation(context).project
    _refuse_unknown(project, table)
    wanted = Wanted(table=table, rule=rule, source=source, batches=tuple(batch or ()))
    with changing_state(project, "waypoint quarantine replay"):
        outcomes = _replayed(project, wanted, dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "replayed": [asdict(outcome) for outcome in outcomes]})
    else:
        _print_replayed(outcomes, dry_run)


def _replayed(project: Project, wanted: Wanted, dry_run: bool) -> list[Replayed]:
    from ingestion.replay import replay as run_replay

    area = _area(project)
    if not dry_run:
        area.clean()
    return list(run_replay(area, project.contracts, project.state / "spill", wanted, dry_run))


def _area(project: Project) -> Any:
    from ingestion.landing import LandingArea

    return LandingArea(project.landing_dir)


def _refuse_unknown(project: Project, table: str | None) -> None:
    from waypoint.contracts.model import RAW

    known = [contract.name for contract in project.contracts.in_schema(RAW)]
    if table is not None and table not in known:
        raise UnusableInput(
            f"--table {table}: there is no such raw table", hint=f"there are {', '.join(known)}"
        )


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    from datetime import UTC

    from waypoint.clock import parse_time
    from waypoint.contracts.reading import duration

    try:
        return datetime.now(UTC).replace(tzinfo=None) - duration(text)
    except (ValueError, OverflowError):
        return parse_time(text, "--since")


def _print_groups(groups: list[Group]) -> None:
    from rich.table import Table

    console = answer()
    if not groups:
        console.print("no rejected rows are open")
        return
    shown = Table("rows", "table", "source", "rule", "for example", box=None)
    shown.columns[0].justify = "right"
    for group in groups:
        place = f"{group.place}: " if group.place else ""
        words = _WITHHELD if group.reason is None else group.reason
        shown.add_row(f"{group.rows:,}", group.table, group.source, group.rule, place + words)
    console.print(shown, markup=False)
    console.print(f"{sum(group.rows for group in groups):,} rows; --rows lists them with their ids")


def _print_rows(rows: list[RejectedRow]) -> None:
    console = answer()
    for row in rows:
        words = _WITHHELD if row.reason is None else row.reason
        console.print(f"{row.id}  {row.rule}  {row.place}: {words}", markup=False)


def _print_replayed(outcomes: list[Replayed], dry_run: bool) -> None:
    from itertools import groupby

    console = answer()
    if not outcomes:
        console.print("no rejected rows are open")
    lands = "would land" if dry_run else "landed"
    for where, batches in groupby(outcomes, lambda o: f"{o.table}, {o.topic or o.source}"):
        together = list(batches)
        parts = [f"{sum(o.landed for o in together):,} {lands}"]
        superseded = sum(o.superseded for o in together)
        if superseded:
            parts.append(f"{superseded:,} came again meanwhile")
        failing = _added(o.failing for o in together)
        parts += [f"{rows:,} still break {rule}" for rule, rows in failing.items()]
        tried = sum(o.tried for o in together)
        console.print(f"{where}: of {tried:,} rows {', '.join(parts)}", markup=False)
        for why, rows in _added(o.cannot for o in together).items():
            console.print(f"    {rows:,} cannot be replayed: {why}", markup=False)
    if any(outcome.landed for outcome in outcomes) and not dry_run:
        console.print("`waypoint load` loads what landed")


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Several counts as one, the greatest first."""
    from collections import Counter

    total = sum((Counter(count) for count in counts), Counter[str]())
    return dict(total.most_common())

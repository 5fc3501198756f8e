"""`waypoint run`: everything, from the sources to the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.build import built_document
from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress, remarks
from waypoint.cli.quality import print_findings, quality_document
from waypoint.errors import Exit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from waypoint.running import Summary

_SHOWN = 8  # rejections and tables that are listed before "and N more"


def run(
    context: typer.Context,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Take this time for now (UTC); a scenario is played up to it. It is remembered."
        ),
    ] = None,
    advance: Annotated[
        str | None, typer.Option(help="Go on from the remembered time: 1d, 6h ...")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="What the chance of a scenario comes from, first 1.")
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read everything again, see deletions, rebuild.")
    ] = False,
    skip_page: Annotated[
        bool, typer.Option("--skip-page", help="Leave the page as it is.")
    ] = False,
    quality: Annotated[
        str,
        typer.Option(
            metavar="[critical|all|none]",
            help="Run Great Expectations' suites on these tables at the end.",
        ),
    ] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Bring everything up to date: read the sources, load, build, test, publish, write the page.

    Sources are connected by environment variables (ingestion/sources.yml names them). Where none
    is, the project's scenario is played: an embedded database, a local API, files and topic dumps.

    A run that was killed or failed is simply run again; running twice changes nothing. A source
    that cannot be read stops no other, but the exit code is 1.

    \b
    Examples:
      waypoint run
      waypoint run --advance 1d              play and take in the next day
      waypoint run --as-of 2026-01-31        a fixed time, for results that stay the same
      WAYPOINT_STATE=/data/wp waypoint run   another landing area and warehouse
    """
    from waypoint.locking import changing_state
    from waypoint.running import Options
    from waypoint.running import run as run_everything

    shared = invocation(context)
    options = Options(as_of, advance, seed, full_refresh, skip_page, quality)
    with changing_state(shared.project, "waypoint run"), progress(shared.quiet) as display:
        summary = run_everything(shared.project, options, _Watch(display, shared.quiet))
    if as_json:
        print_json(_document(summary))
    else:
        _print(summary, answer())
    if not summary.succeeded:
        raise typer.Exit(Exit.FOUND_FAILURES)


class _Watch:
    """Shows each step as a bar; where nobody watches live, as a line when it has ended."""

    def __init__(self, display: Progress, quiet: bool) -> None:
        self._display = display
        self._console = remarks(quiet)
        self._task: TaskID | None = None

    def begin(self, step: str) -> None:
        self._task = self._display.add_task(step, total=None, detail="")

    def update(self, detail: str, done: int = 0, total: int = 0) -> None:
        assert self._task is not None
        counted = f"{done}/{total}  " if total else ""
        self._display.update(
            self._task, detail=counted + detail, completed=done, total=total or None
        )

    def end(self, step: str, seconds: float) -> None:
        assert self._task is not None
        self._display.update(self._task, completed=1, total=1, detail="")
        if not self._console.is_terminal:
            self._console.print(f"{step}: {seconds:.1f} s")


def _print(summary: Summary, console: Console) -> None:
    """The summary for people: tables, rejected rows, what failed, where to look."""
    _print_tables(summary, console)
    _print_remarks(summary, console)
    took = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in summary.seconds.items())
    console.print(f"\ntime: {took}; {sum(summary.seconds.values()):.1f} s in all")
    if summary.as_of:
        what = "simulated sources" if summary.simulated else "sources"
        console.print(f"{what} as of {summary.as_of:%Y-%m-%d %H:%M} UTC", markup=False)
    if summary.status:
        console.print(f"warehouse: {summary.status.warehouse}", markup=False)
        if summary.status.page.exists():
            console.print(f"page:      {summary.status.page.as_uri()}", markup=False)
    if summary.lineage:
        console.print(f"lineage:   {summary.lineage.as_uri()}", markup=False)
    if summary.catalogue:
        console.print(f"catalogue: {summary.catalogue.as_uri()}", markup=False)
    if not summary.succeeded:
        console.print("\n[red]Something failed: see above.[/]")


def _print_tables(summary: Summary, console: Console) -> None:
    from rich.table import Table

    if summary.status is None:
        for table, rows in summary.loaded.rows.items():
            console.print(f"{rows:>12,}  rows loaded into {table}")
        return
    shown = Table("table", "rows", "new", "freshness", "owner", box=None)
    shown.columns[1].justify = shown.columns[2].justify = "right"
    for entry in summary.status.tables:
        name = f"{entry.schema}.{entry.name}"
        new = (entry.rows or 0) - summary.rows_before.get(name, 0)
        colour = {"fresh": "green", "warn": "yellow"}.get(entry.level, "red")
        shown.add_row(
            name,
            f"{entry.rows or 0:,}",
            f"{new:+,}" if new else "",
            f"[{colour}]{entry.level}[/]",
            entry.owner,
        )
    console.print(shown)


def _print_remarks(summary: Summary, console: Console) -> None:
    read = sum(o.read for o in summary.outcomes)
    landed = sum(o.landed for o in summary.outcomes)
    rejected = sum(o.rejected for o in summary.outcomes)
    known = sum(o.unchanged for o in summary.outcomes)
    console.print(
        f"\nread {read:,} rows: {landed:,} landed, {rejected:,} rejected, {known:,} known already"
    )
    for left in summary.rejections[:_SHOWN]:
        place = f"{left.place}: " if left.place else ""
        console.print(
            f"  {left.rows:,} rejected for {left.table}, {left.rule}: {place}{left.reason}",
            markup=False,
        )
    more = sum(rejection.rows for rejection in summary.rejections[_SHOWN:])
    if more:
        console.print(f"  {more:,} more: waypoint quarantine list")
    for drift in summary.drift:
        console.print(f"drift: {drift}", markup=False)
    for name, variables in summary.left_out.items():
        console.print(f"left out: {name} ({', '.join(variables)} is not set)", markup=False)
    for failed in summary.failed_sources:
        console.print(f"✗ source {failed.source}: {failed.error}", markup=False)
        if failed.hint:
            console.print(f"    hint: {failed.hint}", markup=False)
    if summary.built:
        for problem in summary.built.problems():
            console.print(problem, markup=False)
        for remark in summary.built.remarks:
            console.print(f"! {remark}", markup=False)
        if summary.built.failures:
            console.print("nothing was published; readers keep the copy that they have")
    if summary.quality:
        print_findings(summary.quality, console)
        console.print(f"data docs: {summary.quality.data_docs.as_uri()}", markup=False)
    for problem in summary.page_problems:
        console.print(f"page: {problem}", markup=False)


def _document(summary: Summary) -> dict[str, Any]:
    """The summary for programs."""
    status = summary.status.document() if summary.status else {}
    for table in status.get("tables", []):
        name = f"{table['schema']}.{table['name']}"
        table["new"] = (table["rows"] or 0) - summary.rows_before.get(name, 0)
    return {
        "succeeded": summary.succeeded,
        "simulated": summary.simulated,
        "as_of": summary.as_of,
        "played": dict(summary.played),
        "sources": [asdict(outcome) for outcome in summary.outcomes],
        "failed_sources": [asdict(failed) for failed in summary.failed_sources],
        "left_out": dict(summary.left_out),
        "loaded": dict(summary.loaded.rows),
        "rejections": [asdict(rejection) for rejection in summary.rejections],
        "drift": summary.drift,
        "build": built_document(summary.built) if summary.built else None,
        "tables": status.get("tables", []),
        "warehouse": status.get("warehouse"),
        "page": status.get("page"),
        "lineage": summary.lineage,
        "catalogue": summary.catalogue,
        "page_problems": list(summary.page_problems),
        "quality": quality_document(summary.quality) if summary.quality else None,
        "seconds": {step: round(took, 3) for step, took in summary.seconds.items()},
    }

"""`waypoint fetch`: from services of other parties to a topic."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress, remarks
from waypoint.errors import Exit, UnusableInput, WaypointError

if TYPE_CHECKING:
    from ingestion.blocks import Broken
    from ingestion.external.entries import External
    from ingestion.external.entry import Entry
    from ingestion.external.running import Fetching
    from waypoint.fetching import Destination
    from waypoint.project import Project


def fetch(
    context: typer.Context,
    sources: Annotated[
        list[str] | None, typer.Argument(help="Only these of external.yml, else all.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Publish nothing; with --json, show the messages.")
    ] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Ask the local sandbox instead of the real services.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What came of it as JSON.")] = False,
) -> None:
    """Fetch what ingestion/external.yml declares, and publish it to its topic.

    Each source is fetched in parallel, made into messages, held against the topic's contract and
    published; what does not fit is in quarantine with the reason. `waypoint land` then lands the
    messages as all others. Where the state holds simulated data, a sandbox is asked.

    \b
    Examples:
      waypoint fetch
      waypoint fetch weather_api --dry-run --json
      waypoint fetch --sandbox --dry-run
    """
    from ingestion.external.entries import read_external
    from waypoint.fetching import destination
    from waypoint.locking import changing_state

    shared = invocation(context)
    project = shared.project
    external = read_external(project)
    entries, broken = _chosen(external, sources)
    if dry_run:
        with destination(project, external, dry_run=True, sandbox=sandbox) as to:
            results = _fetch(project, external, entries, to, shared.quiet)
    else:
        with (
            changing_state(project, "waypoint fetch"),
            destination(project, external, sandbox=sandbox) as to,
        ):
            results = _fetch(project, external, entries, to, shared.quiet)
    _end(results, broken, as_json, dry_run)


def _chosen(external: External, wanted: list[str] | None) -> tuple[list[Entry], list[Broken]]:
    if not wanted:
        return list(external.entries), list(external.broken)
    known = {entry.name for entry in external.entries}
    known |= {entry.name for entry in external.broken}
    for name in wanted:
        if name not in known:
            raise UnusableInput(
                f"there is no source {name!r} in {external.path}",
                hint=f"declared are {', '.join(sorted(known)) or 'none'}",
            )
    return (
        [entry for entry in external.entries if entry.name in wanted],
        [broken for broken in external.broken if broken.name in wanted],
    )


def _fetch(
    project: Project, external: External, entries: list[Entry], to: Destination, quiet: bool
) -> list[Fetching]:
    from ingestion.external.running import Target, publisher_of
    from ingestion.landing import LandingArea
    from waypoint.clock import now

    if external.publishing is None:
        return []
    if to.sandbox:
        remarks(quiet).print(f"asking the sandbox at {to.sandbox}", markup=False)
    target = Target.of(external.publishing, project.contracts, project.state / "spill")
    moment = now(project)
    publisher = None
    if to.topics is not None:
        publisher = publisher_of(
            target,
            to.topics.folder,
            LandingArea(project.landing_dir),
            moment,
            to.topics.broker,
        )
    results = []
    with progress(quiet) as display:
        for entry in entries:
            task = display.add_task(entry.name, total=len(entry.each), detail="")
            results.append(
                _one(entry, target, moment, publisher, to, lambda n, t=task: display.advance(t, n))
            )
    return results


def _one(
    entry: Entry, target: Any, moment: datetime, publisher: Any, to: Destination, report: Any
) -> Fetching:
    from ingestion.external.keys import connections_of, key_of, missing_for
    from ingestion.external.running import Fetching, run_entry

    key = key_of(entry, connections_of())
    missing = missing_for(entry, key)
    if to.sandbox and entry.auth is not None and not key:
        key, missing = "sandbox", entry.missing  # no real key is needed, nor sent, there
    if missing:
        return Fetching(entry.name, missing=missing)
    try:
        return run_entry(
            entry, target, moment, publisher, key=key, sandbox=to.sandbox, report=report
        )
    except WaypointError as error:
        return Fetching(
            entry.name, failed=(str(error),), hint=error.hint, exit_code=int(error.exit_code)
        )


def _end(results: list[Fetching], broken: list[Broken], as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json(
            {
                "sources": [_document(result, dry_run) for result in results],
                "broken_sources": [asdict(entry) for entry in broken],
            }
        )
    else:
        _print(results, broken, dry_run)
    codes = {int(result.exit_code) for result in results if result.exit_code}
    codes |= {int(Exit.UNUSABLE_INPUT)} if broken else set()
    if codes:
        nothing = not any(result.published for result in results)
        raise typer.Exit(codes.pop() if nothing and len(codes) == 1 else Exit.FOUND_FAILURES)


def _document(result: Fetching, dry_run: bool) -> dict[str, Any]:
    found = asdict(result)
    messages, rejections = found.pop("messages"), found.pop("rejections")
    if dry_run:
        found["messages"] = [json.loads(message) for message in messages]
        found["rejections"] = rejections
    return found


def _print(results: list[Fetching], broken: list[Broken], dry_run: bool) -> None:
    from rich.table import Table

    console = answer()
    done = "would publish" if dry_run else "published"
    shown = Table("source", "requests", "pages", done, "repeated", "rejected", box=None)
    for column in shown.columns[1:]:
        column.justify = "right"
    fetched = [result for result in results if not result.missing]
    for result in fetched:
        counts = (result.requests, result.pages, result.published)
        more = (result.repeated, result.rejected)
        shown.add_row(result.source, *(f"{count:,}" for count in (*counts, *more)))
    if fetched:
        console.print(shown)
    elif not results and not broken:
        console.print("nothing is declared to be fetched")
    for result in results:
        if result.missing:
            words = f"left out: {result.source} ({', '.join(result.missing)} is not set)"
            console.print(words, markup=False)
        for words in _few(result.failed):
            console.print(f"✗ {words}", markup=False)
        if result.failed and result.hint:
            console.print(f"    hint: {result.hint}", markup=False)
        for words in _few(tuple(rejected.reason for rejected in result.rejections)):
            console.print(f"rejected: {result.source}: {words}", markup=False)
    for entry in broken:
        console.print(f"✗ {entry.problem}", markup=False)
    if any(result.rejected for result in results) and not dry_run:
        console.print("why items were rejected stands in raw.quarantine after the load")


def _few(words: tuple[str, ...], most: int = 3) -> list[str]:
    """Some of many that say the same, most likely."""
    more = [f"... and {len(words) - most:,} more"] if len(words) > most else []
    return [*words[:most], *more]

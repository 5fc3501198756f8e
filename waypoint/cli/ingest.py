"""`waypoint extract`, `land` and `load`: from the sources to the landing area and into raw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress, remarks
from waypoint.errors import Exit, UnusableInput

if TYPE_CHECKING:
    from ingestion.extraction import Context, Outcome, Source
    from ingestion.loading import Loaded
    from ingestion.pull import FailedSource
    from waypoint.connecting import Connected
    from waypoint.project import Project

#: Which command reads which kinds of sources.
_PULLED = ("postgres", "rest")
_DROPPED = ("files", "dumps")

_Source = Annotated[str | None, typer.Option(help="Only this source of sources.yml.")]
_Table = Annotated[str | None, typer.Option(help="Only this raw table.")]
_Json = Annotated[bool, typer.Option("--json", help="What came of it as JSON.")]


def extract(
    context: typer.Context,
    source: _Source = None,
    table: _Table = None,
    full_refresh: Annotated[
        bool,
        typer.Option("--full-refresh", help="Read everything again, and see what was deleted."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Land what is new in databases and APIs.

    Incremental where the source has a cursor; nothing lands twice. A source that fails stops no
    other, but the exit code is 1.

    \b
    Examples:
      waypoint extract
      waypoint extract --source shop --table app_orders
      waypoint extract --full-refresh
    """
    shared = invocation(context)
    with _reading(shared.project, "waypoint extract", _PULLED, source, shared.quiet) as sources:
        _pull(shared.project, sources, table, full_refresh, shared.quiet, as_json)


def land(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files to land, with --table or --topic; else what the inboxes hold."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="The raw table that the CSV files are of.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The topic that the dumps are of.")] = None,
    source: _Source = None,
    as_json: _Json = False,
) -> None:
    """Land files: CSV drops and dumps of Kafka topics.

    The same content lands once, whatever the file is called, and so does each offset of a topic.
    Rows that break the contract go to quarantine with file, line, field and reason.

    \b
    Examples:
      waypoint land                                   what is new in the sources' folders
      waypoint land 2026-01.csv --table transactions
      waypoint land clicks-*.ndjson.gz --topic clicks
    """
    shared = invocation(context)
    if files:
        _land_given(shared.project, files, table, topic, source, shared.quiet, as_json)
        return
    if topic:
        raise UnusableInput("--topic says what given files hold", hint="name the files, too")
    with _reading(shared.project, "waypoint land", _DROPPED, source, shared.quiet) as sources:
        _pull(shared.project, sources, table, False, shared.quiet, as_json)


def load(context: typer.Context, as_json: _Json = False) -> None:
    """Load what has landed into the schema raw, in one transaction.

    Files that the history lists are not loaded again; a load that was killed has loaded nothing.

    \b
    Examples:
      waypoint load
    """
    from ingestion.loading import load_landed
    from waypoint.clock import read_clock
    from waypoint.locking import changing_state

    shared = invocation(context)
    with (
        changing_state(shared.project, "waypoint load"),
        progress(shared.quiet) as display,
    ):
        task = display.add_task("load", total=None, detail="")
        loaded = load_landed(shared.project, read_clock(shared.project))
        display.update(task, total=1, completed=1, detail=f"{sum(loaded.rows.values()):,} rows")
    if as_json:
        print_json(asdict(loaded))
    else:
        _print_loaded(loaded)


@contextmanager
def _reading(
    project: Project, work: str, kinds: tuple[str, ...], only: str | None, quiet: bool
) -> Iterator[list[Source]]:
    """The connected sources of `kinds` (that are called `only`), while the state is locked."""
    from waypoint.connecting import connected_sources
    from waypoint.locking import changing_state

    with changing_state(project, work), connected_sources(project) as connected:
        for source in connected.left_out if only is None else ():
            if source.kind in kinds:
                words = f"left out: {source.name} ({', '.join(source.missing)} is not set)"
                remarks(quiet).print(words, markup=False)
        yield _chosen(connected, kinds, only)


def _chosen(connected: Connected, kinds: tuple[str, ...], only: str | None) -> list[Source]:
    if only is None:
        return [source for source in connected.sources if source.kind in kinds]
    declared = {source.name: source for source in (*connected.sources, *connected.left_out)}
    found = declared.get(only)
    if found is None:
        raise UnusableInput(
            f"there is no source {only!r}", hint=f"declared are {', '.join(declared)}"
        )
    if not found.connected:
        raise UnusableInput(
            f"source {only} is not connected", hint=f"set {', '.join(found.missing)}"
        )
    if found.kind not in kinds:
        command = "land" if found.kind in _DROPPED else "extract"
        raise UnusableInput(
            f"source {only} is of kind {found.kind}", hint=f"use waypoint {command}"
        )
    return [found]


def _pull(
    project: Project,
    sources: list[Source],
    table: str | None,
    full_refresh: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    from ingestion.pull import pull

    with _context(project, quiet, table, full_refresh) as (context, show):
        results = []
        for result in pull(sources, context):
            show(result.source)
            results.append(result)
    _end(results, as_json)


def _land_given(
    project: Project,
    paths: list[Path],
    table: str | None,
    topic: str | None,
    source: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    from ingestion.extraction import Source
    from ingestion.extractors.dumps import land_dumps
    from ingestion.extractors.files import contract_of, land_files
    from ingestion.inbox import dropped
    from ingestion.messages import topic_of
    from ingestion.sources import read_sources
    from waypoint.locking import changing_state
    from waypoint.simulator.play import played_until

    if (table is None) == (topic is None):
        raise UnusableInput(
            "say what the files hold", hint="--table NAME for CSV files, --topic NAME for dumps"
        )
    if played_until(project) is not None:
        raise UnusableInput(
            f"{project.state} holds simulated data, to which nothing real is added",
            hint="set WAYPOINT_STATE to another folder for real data",
        )
    files = [dropped(path) for path in paths]
    declared = _declared(read_sources(project), table, source)
    with (
        changing_state(project, "waypoint land"),
        _context(project, quiet, None, False) as (context, show),
    ):
        context.area.clean()
        if topic is not None:
            name = declared.name if declared else "dumps"
            outcomes = land_dumps(files, topic_of(topic, project.contracts), name, context)
        else:
            entry = declared or Source("files", "files", {})
            given = Source(entry.name, "files", {**entry.settings, "table": table})
            contract = contract_of(given, context)
            outcomes = land_files(files, contract, given.name, context, given.settings)
        results: list[Outcome | FailedSource] = []
        for outcome in outcomes:
            show(outcome.source)
            results.append(outcome)
    _end(results, as_json)


def _declared(sources: list[Source], table: str | None, name: str | None) -> Source | None:
    """The source of sources.yml that such files belong to, for its name and its settings."""
    if name is not None:
        for source in sources:
            if source.name == name:
                return source
        declared = ", ".join(source.name for source in sources)
        raise UnusableInput(f"there is no source {name!r}", hint=f"declared are {declared}")
    for source in sources:
        if source.kind == "dumps" and table is None:
            return source
        if source.kind == "files" and source.settings.get("table") == table:
            return source
    return None


@contextmanager
def _context(
    project: Project, quiet: bool, table: str | None, full_refresh: bool
) -> Iterator[tuple[Context, Any]]:
    """What extractors work with, and what shows which source is being read."""
    from ingestion.extraction import Context
    from ingestion.landing import LandingArea
    from waypoint.clock import now
    from waypoint.contracts.model import RAW

    if table is not None and f"{RAW}.{table}" not in project.contracts:
        known = ", ".join(contract.name for contract in project.contracts.in_schema(RAW))
        raise UnusableInput(f"there is no contract for {RAW}.{table}", hint=f"known are {known}")
    with progress(quiet) as display:
        task = display.add_task("reading", total=None, detail="")
        rows = 0

        def report(what: str, more: int) -> None:
            nonlocal rows
            rows += more
            display.update(task, detail=f"{rows:,} rows, {what}")

        yield (
            Context(
                contracts=project.contracts,
                area=LandingArea(project.landing_dir),
                state=project.state,
                now=now(project),
                full_refresh=full_refresh,
                tables=frozenset([table]) if table else None,
                report=report,
            ),
            lambda source: display.update(task, description=source),
        )
        display.update(task, total=1, completed=1)


def _end(results: Iterable[Outcome | FailedSource], as_json: bool) -> None:
    """Say what came of it, and end with the exit code that it deserves."""
    from ingestion.pull import FailedSource

    outcomes, failed = [], []
    for result in results:
        if isinstance(result, FailedSource):
            failed.append(result)
        else:
            outcomes.append(result)
    if as_json:
        print_json(
            {
                "sources": [asdict(outcome) for outcome in outcomes],
                "failed_sources": [asdict(source) for source in failed],
            }
        )
    else:
        _print_outcomes(outcomes)
        for source in failed:
            answer().print(f"✗ source {source.source}: {source.error}", markup=False)
            if source.hint:
                answer().print(f"    hint: {source.hint}", markup=False)
    if failed:
        codes = {source.exit_code for source in failed}
        alone = not outcomes and len(codes) == 1
        raise typer.Exit(codes.pop() if alone else Exit.FOUND_FAILURES)


def _print_outcomes(outcomes: list[Outcome]) -> None:
    """A line for each table, with what was read again and what was rejected."""
    from rich.table import Table

    console = answer()
    if not outcomes:
        console.print("nothing new")
        return
    sums: dict[tuple[str, str], list[int]] = {}
    for outcome in outcomes:
        counts = (outcome.read, outcome.landed, outcome.rejected, outcome.unchanged)
        before = sums.get((outcome.source, outcome.table), [0] * len(counts))
        sums[outcome.source, outcome.table] = [
            one + other for one, other in zip(before, counts, strict=True)
        ]
    shown = Table("source", "table", "read", "landed", "rejected", "known already", box=None)
    for column in shown.columns[2:]:
        column.justify = "right"
    for (source, table), counts_of_table in sums.items():
        shown.add_row(source, table, *(f"{count:,}" for count in counts_of_table))
    console.print(shown)
    drift = dict.fromkeys(f"{o.source}, {o.table}: {d}" for o in outcomes for d in o.drift)
    for words in drift:
        console.print(f"drift: {words}", markup=False)
    if any(outcome.rejected for outcome in outcomes):
        console.print("why rows were rejected stands in raw.quarantine after the load")


def _print_loaded(loaded: Loaded) -> None:
    console = answer()
    if not loaded.files:
        console.print("nothing new to load")
        return
    for table, rows in loaded.rows.items():
        console.print(f"{rows:>12,}  {table}")
    console.print(
        f"{sum(loaded.rows.values()):>12,}  rows of {loaded.files:,} files,"
        f" loaded at {loaded.loaded_at} UTC"
    )

"""`waypoint stream`: from Kafka's topics into the raw tables, exactly once; and replaying."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit, UnusableInput

if TYPE_CHECKING:
    from ingestion.stream.totals import Summary
    from waypoint.project import Project

stream = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Land what topics carry, exactly once, and replay what was rejected or lost.",
)

_Json = Annotated[bool, typer.Option("--json", help="What came of it as JSON.")]


@stream.callback()
def family() -> None:
    """Land what topics carry, exactly once, and replay what was rejected or lost."""


@stream.command()
def run(
    context: typer.Context,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topics", help="Only this topic; can be given again, or with commas."),
    ] = None,
    until_caught_up: Annotated[
        bool,
        typer.Option("--until-caught-up", help="End when every partition was read to its end."),
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(help="End after so many seconds.", min=0.0)
    ] = None,
    linger: Annotated[
        float | None,
        typer.Option(help="Milliseconds that lie between two batches at least.", min=1.0),
    ] = None,
    group: Annotated[str | None, typer.Option(help="The consumer group.")] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve metrics for Prometheus on this port; 0 takes a free one."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Consume topics, check each message against its contract, drop duplicates, land the rest.

    It lands as files that `waypoint load` takes into the warehouse, or with the target snowflake
    straight in the raw tables, through Snowpipe Streaming. What breaks its contract goes to
    <topic>.dlq and to raw.quarantine with the reason. It runs until it is told to stop (Ctrl-C,
    SIGTERM) and then lands what it has read. Where it was, the landed files or Snowflake tell:
    killed at any point, it goes on there, and nothing is lost or twice. Several loaders share the
    partitions. `waypoint load`, `build` and `maintain`, which puts small files together, run
    beside it.

    \b
    Examples:
      waypoint stream run
      waypoint stream run --topics clicks --until-caught-up --json
      waypoint stream run --metrics-port 9400 --linger 200
    """
    from ingestion.stream.loader import LINGER
    from ingestion.stream.metrics import new_metrics, served
    from ingestion.stream.starting import GROUP, chosen_topics, loader

    shared = invocation(context)
    project = shared.project
    if until_caught_up and seconds is not None:
        raise UnusableInput("--until-caught-up and --seconds exclude each other")
    console = remarks(shared.quiet)
    _needs_client()
    found, missing = chosen_topics(project, _split(topics))
    if missing:
        console.print(f"not there, left out: {', '.join(missing)}", markup=False)
    metrics = new_metrics() if metrics_port is not None else None
    with _stopping() as stop:
        reading = loader(
            project,
            found,
            group=group or GROUP,
            stop=stop,
            metrics=metrics,
            linger=LINGER if linger is None else linger / 1000,
            report=lambda words: console.print(words, markup=False),
        )
        if metrics is None:
            summary = reading.run(until_caught_up, seconds)
        else:
            with served(metrics, metrics_port) as port:
                console.print(f"metrics: http://127.0.0.1:{port}/metrics", markup=False)
                summary = reading.run(until_caught_up, seconds)
    if as_json:
        print_json(_document(summary))
    else:
        _print(summary)
    if any(totals.lost for totals in summary.topics):
        raise typer.Exit(Exit.FOUND_FAILURES)


@stream.command()
def replay(
    context: typer.Context,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topics", help="Only this topic; can be given again, or with commas."),
    ] = None,
    partition: Annotated[
        int | None, typer.Option(help="With --from and --to: the partition.", min=0)
    ] = None,
    first: Annotated[
        int | None, typer.Option("--from", help="The first offset to read again.", min=0)
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", help="The last offset to read again.", min=0)
    ] = None,
    dump: Annotated[
        list[Path] | None, typer.Option(help="A dump of the topic; can be given again.")
    ] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Judge what was rejected by today's contracts.")
    ] = False,
    rule: Annotated[
        str | None, typer.Option(help="With --dead-letters: only what broke this rule.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would land, and land nothing.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Land what was rejected and keeps its contract now, or what was lost.

    Give one of three: a range of offsets, which is read again from the topic, values whole; dumps;
    or --dead-letters, which are judged anew from what the quarantine keeps of them. Nothing lands
    twice, whatever is replayed and however often. A loader may run meanwhile.

    \b
    Examples:
      waypoint stream replay --dead-letters --rule days_at_least_minimum --dry-run
      waypoint stream replay --topics clicks --partition 3 --from 1200 --to 1300
      waypoint stream replay --topics clicks --dump clicks-2026-03.ndjson.gz
    """
    from waypoint.locking import changing_state

    project = invocation(context).project
    named = _split(topics)
    ranged = (partition, first, last)
    asked = [dead_letters, bool(dump), any(part is not None for part in ranged)]
    if sum(asked) != 1:
        raise UnusableInput(
            "say what to replay",
            hint="one of --dead-letters, --dump FILE, or --partition P --from A --to B",
        )
    if rule is not None and not dead_letters:
        raise UnusableInput("--rule chooses among dead letters", hint="add --dead-letters")
    if not dead_letters and len(named) != 1:
        raise UnusableInput("say which topic it is", hint="--topics NAME")
    if dump and dry_run:
        raise UnusableInput("--dry-run does not go with --dump")
    with changing_state(project, "waypoint stream replay"):
        if dead_letters:
            outcomes = _dead_letters(project, named, rule, dry_run)
        elif dump:
            outcomes = _dumps(project, named[0], dump)
        else:
            if partition is None or first is None or last is None or last < first:
                raise UnusableInput(
                    "a range is a partition, its first and its last offset",
                    hint="--partition P --from A --to B",
                )
            outcomes = _offsets(project, named[0], partition, first, last, dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "replayed": outcomes})
        return
    console = answer()
    for outcome in outcomes:
        told = ", ".join(f"{name} {value}" for name, value in outcome.items() if value)
        console.print(told, markup=False)
    if not outcomes:
        console.print("there is nothing to replay")


def _dead_letters(
    project: Project, topics: list[str], rule: str | None, dry_run: bool
) -> list[dict[str, Any]]:
    from ingestion.landing import LandingArea
    from ingestion.messages import topic_of
    from ingestion.quarantine import Wanted
    from ingestion.replay import replay as replayed

    names = topics or [c.name for c in project.contracts.topics if c.custom.get("landsIn")]
    tables = dict.fromkeys(topic_of(name, project.contracts).contract.name for name in names)
    area = LandingArea(project.landing_dir)
    return [
        asdict(outcome)
        for table in tables
        for outcome in replayed(
            area, project.contracts, project.state / "spill", Wanted(table, rule), dry_run
        )
        if outcome.topic is not None
    ]


def _dumps(project: Project, topic: str, files: list[Path]) -> list[dict[str, Any]]:
    from ingestion.extraction import Context
    from ingestion.extractors.dumps import land_dumps
    from ingestion.inbox import dropped
    from ingestion.landing import LandingArea
    from ingestion.messages import topic_of
    from ingestion.stream.starting import SOURCE_NAME
    from waypoint.clock import now

    context = Context(
        project.contracts, LandingArea(project.landing_dir), project.state, now(project)
    )
    found = topic_of(topic, project.contracts)
    given = [dropped(file) for file in files]
    return [asdict(outcome) for outcome in land_dumps(given, found, SOURCE_NAME, context)]


def _offsets(
    project: Project, topic: str, partition: int, first: int, last: int, dry_run: bool
) -> list[dict[str, Any]]:
    from ingestion.landing import LandingArea
    from ingestion.messages import topic_of
    from ingestion.stream.connection import kafka_settings
    from ingestion.stream.replaying import replay_offsets
    from ingestion.stream.schemas import KnownSchemas
    from ingestion.stream.starting import SOURCE_NAME, sink_of

    _needs_client()
    outcomes = replay_offsets(
        topic_of(topic, project.contracts),
        partition,
        first,
        last,
        settings=kafka_settings(project),
        schemas=KnownSchemas.of(project),
        contracts=project.contracts,
        area=LandingArea(project.landing_dir),
        sink=sink_of(project),
        source=SOURCE_NAME,
        spill=project.state / "spill",
        dry_run=dry_run,
    )
    return [asdict(outcome) for outcome in outcomes]


def _split(names: list[str] | None) -> list[str]:
    return [name.strip() for each in names or () for name in each.split(",") if name.strip()]


def _needs_client() -> None:
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        raise UnusableInput(
            "the package confluent-kafka is not installed", hint="run make setup"
        ) from None


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and the first Ctrl-C set; a second Ctrl-C interrupts."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def asked(number: int, _frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _document(summary: Summary) -> dict[str, Any]:
    # asdict would make a counter of a counter's items
    topics = [{**vars(totals), "drift": dict(totals.drift)} for totals in summary.topics]
    return {**vars(summary), "topics": topics}


def _print(summary: Summary) -> None:
    console = answer()
    for totals in summary.topics:
        words = (
            f"{totals.topic}: {totals.read:,} read, {totals.landed:,} landed,"
            f" {totals.dead_letters:,} dead letters, {totals.duplicates:,} duplicates"
        )
        for count, what in (
            (totals.known, "had landed with a dump"),
            (totals.erased, "of people who were erased"),
            (totals.late, "of the landed ones late"),
            (totals.lost, "deleted by the broker before they were read"),
            (totals.lag, "still to be read"),
        ):
            if count:
                words += f", {count:,} {what}"
        console.print(words, markup=False)
        for field, messages in totals.drift.most_common():
            console.print(
                f"    drift: field {field[:100]!r} is not in the contract ({messages:,} seen)",
                markup=False,
            )

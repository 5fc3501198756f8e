"""`waypoint poll`: quotes of the market, asked for again and again, to their topic."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import plain, remarks
from waypoint.errors import Exit, Unavailable, UnusableInput

if TYPE_CHECKING:
    from ingestion.stream.polling import EntrySource, Poller, Round
    from waypoint.project import Project


def poll(
    context: typer.Context,
    every: Annotated[
        str | None, typer.Option(help="How often, e.g. '30 s'; as external.yml says, else.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Ask once, and end.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Ask the local sandbox instead of the real service.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each round, on stdout.")
    ] = False,
) -> None:
    """Ask for market quotes every 30 seconds, and publish them to their topic.

    Whom to ask, how often and for what stands under `poll` in ingestion/external.yml. A quote that
    was published is not published again; what fails is asked for again in the next round. SIGTERM
    and Ctrl-C end it once the round that has begun is published. Where the state holds simulated
    data, a sandbox is asked.

    Exit codes: 0 ended by SIGTERM, or --once and all was published; with --once 1 where some of it
    failed, 3 where all of it did.

    \b
    Examples:
      waypoint services up && waypoint topics apply && waypoint poll
      waypoint poll --once --sandbox --json
    """
    from waypoint.contracts.reading import duration

    shared = invocation(context)
    project = shared.project
    seconds = None
    if every is not None:
        try:
            seconds = duration(every).total_seconds()
        except ValueError as error:
            raise UnusableInput(f"--every: {error}") from None
        if not seconds > 0:
            raise UnusableInput(f"--every {every!r} is no time to wait", hint="e.g. '30 s'")
    with ExitStack() as stack:
        poller, declared = _poller(project, sandbox, stack)
        stack.callback(poller.close)
        if once:
            found = poller.round(_now())
            _tell(found, as_json, shared.quiet)
            if found.failed or found.rejected:
                nothing = bool(found.failed) and not (found.published or found.repeated)
                raise typer.Exit(Exit.UNAVAILABLE if nothing else Exit.FOUND_FAILURES)
            return
        stopped_by = _run(poller, seconds or declared, as_json, shared.quiet)
    if stopped_by == signal.SIGINT:
        raise typer.Exit(Exit.INTERRUPTED)


def _poller(project: Project, sandbox: bool, stack: ExitStack) -> tuple[Poller, float]:
    """The poller, and how many seconds lie between its rounds."""
    from ingestion.external.entries import read_polling
    from ingestion.messages import topic_of
    from ingestion.stream.polling import Poller, Writing
    from ingestion.stream.registry import registry_of
    from ingestion.stream.schemas import schema_of
    from waypoint.fetching import broker_settings

    polling = read_polling(project)
    settings = broker_settings(project)
    topic = topic_of(polling.topic, project.contracts)
    contract = next(found for found in project.contracts.topics if found.name == topic.name)
    writing = Writing.of(schema_of(contract), contract.columns, registry_of(project))
    key = contract.custom.get("key")
    sources = _sources(project, polling.entries, sandbox, stack)
    spill = project.state / "spill"
    return Poller(settings, topic, key, writing, sources, spill), polling.every.total_seconds()


def _sources(project: Project, entries: Any, sandbox: bool, stack: ExitStack) -> list[EntrySource]:
    import os

    from ingestion.external.keys import connections_of, key_of, missing_for
    from ingestion.stream.polling import EntrySource
    from waypoint.fetching import SANDBOX_VARIABLE, is_simulated

    address = os.environ.get(SANDBOX_VARIABLE) or None
    if address is None and (sandbox or is_simulated(project)):
        from waypoint.simulator.sandbox import sandbox_running

        address = stack.enter_context(sandbox_running(project)).url
    found = []
    for entry in entries:
        key = key_of(entry, connections_of())
        if address is None and (missing := missing_for(entry, key)):
            raise UnusableInput(f"{entry.where}: {', '.join(missing)} is not set")
        found.append(EntrySource(entry, key or ("sandbox" if entry.auth else None), address))
    if not found:
        raise Unavailable("there is nobody to ask", hint="declare a source under poll")
    return found


def _run(poller: Poller, seconds: float, as_json: bool, quiet: bool) -> int:
    """Round after round until a signal comes; which one."""
    stopped = threading.Event()
    signals: list[int] = []
    poller.stopping = stopped.is_set

    def stop(number: int, _: Any) -> None:
        signals.append(number)
        stopped.set()

    before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
    remarks(quiet).print(f"asking every {seconds:g} seconds; Ctrl-C or SIGTERM ends it")
    try:
        following = time.monotonic()
        while not stopped.is_set():
            _tell(poller.round(_now()), as_json, quiet)
            following += seconds
            # a round that took too long leaves rounds out, it does not put them closer together
            late = time.monotonic() - following
            following += max(0.0, late // seconds + 1) * seconds if late > 0 else 0.0
            stopped.wait(max(0.0, following - time.monotonic()))
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return signals[0]


def _tell(found: Round, as_json: bool, quiet: bool) -> None:
    if as_json:
        print(json.dumps(asdict(found), default=plain, ensure_ascii=False), flush=True)
        return
    console = remarks(quiet)
    counts = f"{found.published} published, {found.repeated} repeated"
    console.print(f"{found.at:%H:%M:%S} {counts}, {len(found.rejected)} rejected")
    for problem in (*found.failed, *found.rejected):
        console.print(f"✗ {problem}", markup=False)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)

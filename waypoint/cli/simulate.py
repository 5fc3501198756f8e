"""`waypoint simulate`: play the sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress
from waypoint.errors import UnusableInput


def simulate(
    context: typer.Context,
    as_of: Annotated[
        str | None,
        typer.Option(help="Play up to this time (UTC); first the current hour, then nothing new."),
    ] = None,
    advance: Annotated[
        str | None,
        typer.Option(help="Play on from where the last play ended: 1d, 6h ..."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What chance comes from, first 1.")] = None,
    scale: Annotated[float | None, typer.Option(help="How large the business is, first 1.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="Only write messages of this topic, into --into.")
    ] = None,
    events: Annotated[int | None, typer.Option(help="How many messages, with --topic.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="The folder for the messages, with --topic.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was played as JSON.")] = False,
) -> None:
    """Play the project's scenario into databases, APIs, files and topics that stand below the
    state folder.

    A seed and a time decide every byte. The first play reaches back over the scenario's period;
    playing to the same time again plays nothing.

    \b
    Examples:
      waypoint simulate                              up to the current hour, or nothing new
      waypoint simulate --advance 1d                 the next day
      waypoint simulate --as-of 2026-01-31 --seed 7  up to a time, by another chance
      waypoint simulate --topic clicks --events 10000000 --into /data/dumps
    """
    from waypoint.clock import advanced, parse_time, store_clock
    from waypoint.connecting import refuse_to_simulate
    from waypoint.locking import changing_state
    from waypoint.simulator.play import play, played_until

    shared = invocation(context)
    if topic or events is not None or into:
        _bulk(context, topic, events, into, as_of, advance, seed, scale, as_json)
        return
    if as_of and advance:
        raise UnusableInput("--as-of and --advance both say how far to play; give one of them")
    until = parse_time(as_of, "--as-of") if as_of else None
    if advance:
        before = played_until(shared.project)
        if before is None:
            raise UnusableInput(
                "nothing was played yet that --advance could go on from",
                hint="run `waypoint simulate` first",
            )
        until = advanced(before, advance, "--advance")
    with changing_state(shared.project, "waypoint simulate"), progress(shared.quiet) as display:
        refuse_to_simulate(shared.project)
        task = display.add_task("playing", total=None, detail="")
        played = play(
            shared.project,
            until,
            seed,
            scale,
            report=lambda what, rows: display.update(task, detail=f"{what} {rows:,}"),
        )
        display.update(task, total=1, completed=1, detail=f"{played.total:,} rows")
    store_clock(shared.project, played.until)
    if as_json:
        print_json({"since": played.since, "as_of": played.until, "rows": played.rows})
        return
    console = answer()
    for what, rows in played.rows.items():
        console.print(f"{rows:>12,}  {what}")
    console.print(f"{played.total:>12,}  rows and messages up to {played.until} UTC")


def _bulk(
    context: typer.Context,
    topic: str | None,
    events: int | None,
    into: Path | None,
    as_of: str | None,
    advance: str | None,
    seed: int | None,
    scale: float | None,
    as_json: bool,
) -> None:
    from waypoint.clock import parse_time
    from waypoint.simulator.bulk import write_messages

    if topic is None or events is None or into is None:
        raise UnusableInput("--topic, --events and --into belong together")
    if advance:
        raise UnusableInput("--advance goes on with a play, which --topic does not make")
    shared = invocation(context)
    with progress(shared.quiet) as display:
        task = display.add_task(topic, total=events, detail="")
        until = write_messages(
            shared.project,
            topic,
            events,
            into,
            as_of=parse_time(as_of, "--as-of") if as_of else None,
            seed=seed,
            scale=scale,
            report=lambda _what, rows: display.advance(task, rows),
        )
    if as_json:
        print_json({"topic": topic, "messages": events, "until": until, "folder": into})
        return
    answer().print(f"{events:,} messages of {topic} in {into}, up to {until} UTC")

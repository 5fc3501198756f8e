"""`waypoint live`: the stream from the simulated sources to the tables, with a count at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit, UnusableInput

if TYPE_CHECKING:
    from rich.console import Console

    from waypoint.live.running import Report
    from waypoint.live.watching import Watch


def live(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(help="For how long messages are sent.", min=1)] = 60,
    rate: Annotated[
        float, typer.Option(help="Messages a second, of all topics together.", min=1)
    ] = 200,
    seed: Annotated[
        int | None, typer.Option(help=r"What chance comes from. \[default: 1, or the last run's]")
    ] = None,
    capture: Annotated[
        bool, typer.Option(help="Capture a database's changes beside it, by Debezium.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="The count as JSON.")] = False,
) -> None:
    """Send the scenario's messages through the gateway and Kafka into the tables, and count.

    Kafka is the one that is configured or runs (waypoint services up), else an own one for as long
    as it takes. What is made stands below var/live, apart from everything else. Copies, late
    events and poison are among the messages. It ends well only where every message that the
    brokers confirmed is a row, a dead letter or a duplicate: produced = landed + dead letters +
    duplicates, for every topic.

    \b
    Examples:
      waypoint live
      waypoint live --seconds 60 --json
      waypoint live --rate 2000

    \b
    Exit codes:
      0  the count is exact
      1  it is not: something is lost, or twice
    """
    try:
        from waypoint.live.running import Viewer, Wanted, run_live
    except ImportError as error:
        raise UnusableInput(
            f"the stream's packages are not installed: {error.name} is missing",
            hint="install them with `make setup`",
        ) from None

    shared = invocation(context)
    console = remarks(shared.quiet)
    with ExitStack() as stack:
        show = _shown(stack, console)
        viewer = Viewer(say=lambda words: console.print(words, markup=False), show=show)
        wanted = Wanted(seconds, rate, seed, capture)
        report = run_live(shared.project, wanted, viewer)
    if as_json:
        print_json(report.document())
    else:
        _print(report)
    if not report.exact:
        raise typer.Exit(Exit.FOUND_FAILURES)


def _shown(stack: ExitStack, console: Console) -> Callable[[Watch, str], None]:
    """Draws the table, a few times a second, where somebody watches."""
    from rich.live import Live

    if console.quiet or not console.is_terminal:
        return lambda _watch, _title: None
    display: list[Live] = []
    drawn = 0.0

    def show(watch: Watch, title: str) -> None:
        nonlocal drawn
        if time.monotonic() - drawn < 0.5:
            return
        drawn = time.monotonic()
        if not display:
            display.append(stack.enter_context(Live(console=console, auto_refresh=False)))
        display[0].update(watch.table(lambda: title), refresh=True)

    return show


def _print(report: Report) -> None:
    from rich.table import Table

    console = answer()
    shown = Table(box=None, pad_edge=False)
    shown.add_column("topic")
    headings = ("produced", "= landed", "+ dead letters", "+ duplicates", "late", "refused first")
    for heading in headings:
        shown.add_column(heading, justify="right")
    shown.add_column("")
    for count in report.topics:
        numbers = (count.produced, count.landed, count.dead_letters, count.duplicates)
        words = "[green]exact[/]"
        if count.missing:
            words = (
                f"[red]{abs(count.missing):,} {'missing' if count.missing > 0 else 'too many'}[/]"
            )
        elif count.twice:
            words = f"[red]{count.twice:,} twice[/]"
        others = (count.late, count.refused)
        shown.add_row(count.topic, *(f"{number:,}" for number in (*numbers, *others)), words)
    console.print(shown)
    produced = sum(count.produced for count in report.topics)
    console.print(
        f"{produced:,} messages in {report.seconds:.0f} s;"
        f" {'every one is accounted for' if report.exact else 'the count is not exact'}"
    )

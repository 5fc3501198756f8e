"""`waypoint realtime`: tables with what has landed but is not built yet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.cli.query import Form
from waypoint.errors import Exit, Unavailable

realtime = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ask tables with what has landed but is not built yet; nothing is written.",
)

_JSON = Annotated[bool, typer.Option("--json", help="An array of objects; decimals are texts.")]
_CSV = Annotated[bool, typer.Option("--csv", help="CSV with a header.")]
_MOST_REASONS = 5
_LIMIT = Annotated[int | None, typer.Option(min=0, help="At most so many rows.")]


@realtime.command()
def tables(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The tables as JSON.")] = False,
) -> None:
    """List the real-time tables, and how much has landed for each since it was published.

    \b
    Examples:
      waypoint realtime tables
      waypoint realtime tables --json
    """
    from waypoint.realtime.merging import merged

    with merged(invocation(context).project) as found:
        rows = found.tables()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    from rich.table import Table

    shown = Table(box=None)
    for heading in ("table", "published as", "landed files", "of"):
        shown.add_column(heading)
    for row in rows:
        name = f"realtime.{row.name}"
        shown.add_row(name, f"{row.schema}.{row.name}", str(row.files), ", ".join(row.behind))
    answer().print(shown)


@realtime.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One SQL statement; - reads it from stdin.")],
    as_json: _JSON = False,
    as_csv: _CSV = False,
    limit: _LIMIT = None,
) -> None:
    """Ask real-time tables in SQL, as realtime.<table>; other tables are the published ones.

    \b
    Examples:
      waypoint realtime query "select * from realtime.<table> order by window_start desc" --limit 5
      waypoint realtime query - --csv < question.sql > answer.csv
    """
    _ask(context, sys.stdin.read() if sql == "-" else sql, as_json, as_csv, limit)


@realtime.command()
def show(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="A table that `waypoint realtime tables` lists.")],
    as_json: _JSON = False,
    as_csv: _CSV = False,
    limit: _LIMIT = None,
) -> None:
    """Show a real-time table, what was loaded or has landed last first.

    \b
    Examples:
      waypoint realtime show <table> --limit 20
    """
    name = table.removeprefix("realtime.").replace('"', '""').lower()
    sql = f'select * from realtime."{name}" order by loaded_at desc'
    _ask(context, sql, as_json, as_csv, limit)


_EVERY = Annotated[
    float | None,
    typer.Option(min=1, help="Again every so many seconds, until ended; once unless given."),
]


@realtime.command()
def publish(
    context: typer.Context,
    every: _EVERY = None,
    once: Annotated[bool, typer.Option("--once", help="Once, which is the default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was sent as JSON.")] = False,
) -> None:
    """Send the closed windows that are new or have changed to their Kafka topic.

    Exit codes: 0 sent, 1 some windows break the topic's contract, 3 the broker is not there.

    \b
    Examples:
      waypoint realtime publish
      waypoint realtime publish --every 30
    """
    from ingestion.stream.connection import kafka_settings
    from waypoint.realtime.publishing import publish_windows

    project = invocation(context).project

    def work() -> bool:
        results = publish_windows(project, kafka_settings(project))
        if as_json:
            print_json([asdict(one) for one in results])
        else:
            console = answer()
            for one in results:
                console.print(f"{one.sent:>8} of {one.closed} windows  {one.table}", markup=False)
                for reason in one.refused[:_MOST_REASONS]:
                    console.print(f"✗ {reason}", markup=False)
        return not any(one.refused for one in results)

    _repeat(work, None if once else every)


@realtime.command()
def alert(
    context: typer.Context,
    every: _EVERY = None,
    once: Annotated[bool, typer.Option("--once", help="Once, which is the default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was sent as JSON.")] = False,
) -> None:
    """Tell Slack and e-mail of new rows that somebody should look at, at least once each.

    Nothing is sent until WAYPOINT_SLACK_WEBHOOK, or WAYPOINT_SMTP_URL, WAYPOINT_MAIL_FROM and
    WAYPOINT_MAIL_TO are set; then it begins with what comes after the published copy. Each message
    ends with an id that a repeat has too.

    \b
    Examples:
      WAYPOINT_SLACK_WEBHOOK=https://hooks.slack.com/.. waypoint realtime alert --every 10
    """
    import os

    from waypoint.notifying import channels
    from waypoint.realtime.alerting import alert as tell

    shared = invocation(context)
    ways = channels(os.environ)
    if not ways.any:
        remarks(shared.quiet).print("neither Slack nor e-mail is configured: nobody is told")
        every = None

    def work() -> bool:
        results = tell(shared.project, ways)
        if as_json:
            print_json([asdict(one) for one in results])
        else:
            for one in results:
                text = f"{one.sent:>8} alerts to {one.channel}  {one.table}"
                if one.known:
                    text += f" ({one.known} were there before)"
                answer().print(text, markup=False)
        return True

    _repeat(work, None if once else every)


def _repeat(work: Callable[[], bool], every: float | None) -> None:
    """Do the work once, or again and again: then a server that is away is waited for."""
    import time

    if every is None:
        if not work():
            raise typer.Exit(Exit.FOUND_FAILURES)
        return
    while True:
        began = time.monotonic()
        try:
            work()
        except Unavailable as error:
            remarks().print(f"{error}; trying again", markup=False)
        time.sleep(max(0.0, began + every - time.monotonic()))


def _ask(context: typer.Context, sql: str, as_json: bool, as_csv: bool, limit: int | None) -> None:
    from waypoint.querying import asked_of
    from waypoint.realtime.merging import merged

    shared = invocation(context)
    form = Form(as_json, as_csv, limit, shared.quiet)
    with (
        merged(shared.project, sql=sql) as found,
        asked_of(found.connection, sql, form.wanted) as rows,
    ):
        form.write(rows)

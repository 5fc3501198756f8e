"""`waypoint services`: the servers that the stream needs, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit

if TYPE_CHECKING:
    from waypoint.services.local import Status

services = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run Kafka, PostgreSQL and what else the stream needs on this machine.",
)

_AS_JSON = Annotated[bool, typer.Option("--json", help="What runs where as JSON.")]


@services.command()
def up(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Only these, e.g. kafka postgres; else all but those on request."),
    ] = None,
    brokers: Annotated[
        int | None,
        typer.Option(min=1, max=9, help="How many brokers Kafka has; as it was, else 1."),
    ] = None,
    redis: Annotated[bool, typer.Option("--redis", help="Redis, too.")] = False,
    registry: Annotated[
        bool, typer.Option("--registry", help="A schema registry (Apicurio), too.")
    ] = False,
    as_json: _AS_JSON = False,
) -> None:
    """Start the servers that do not run yet, on loopback, and wait until they can be used.

    No Docker and no installed Java: jars come from a Maven repository by a list of checksums, Java
    and PostgreSQL from wheels. They run on until `waypoint services down`; what they hold, and
    their logs, stand below var/services. After a crash, `up` brings back what was acknowledged.

    \b
    Examples:
      waypoint services up
      waypoint services up --brokers 3 --registry
      waypoint services up kafka
    """
    from waypoint.services.local import Wanted, bring_up

    shared = invocation(context)
    remarks(shared.quiet).print("starting the servers; the first time their files are fetched")
    asked = [name for name, wanted in (("redis", redis), ("registry", registry)) if wanted]
    sizes = Wanted(brokers=brokers)
    found = bring_up(shared.project, [*(names or ()), *asked], sizes, only=bool(names))
    _show(found, as_json)


@services.command()
def down(
    context: typer.Context,
    discard: Annotated[
        bool, typer.Option("--discard", help="Remove what they hold, too: topics, tables, schemas.")
    ] = False,
    as_json: _AS_JSON = False,
) -> None:
    """Stop the servers; what they hold stays, unless --discard says otherwise.

    \b
    Examples:
      waypoint services down
      waypoint services down --discard
    """
    from waypoint.services.local import take_down

    stopped = take_down(invocation(context).project, discard)
    if as_json:
        print_json({"stopped": stopped, "discarded": discard})
    else:
        answer().print(f"stopped: {', '.join(stopped) or 'nothing ran'}")


@services.command()
def status(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Say which servers run, where, as which process, and whether they are ready.

    Exit codes: 0 all that were started are ready (or none was started), 1 one is not.

    \b
    Examples:
      waypoint services status
      waypoint services status --json
    """
    from waypoint.services.local import statuses

    found = statuses(invocation(context).project)
    _show(found, as_json)
    if not all(one.ready for one in found):
        raise typer.Exit(Exit.FOUND_FAILURES)


def _show(found: Sequence[Status], as_json: bool) -> None:
    if as_json:
        print_json({"services": [asdict(one) for one in found]})
        return
    from rich.table import Table

    console = answer()
    if not found:
        console.print("no server runs here (waypoint services up)")
        return
    shown = Table("service", "what", "where", "processes", "state", box=None)
    for one in found:
        processes = [
            f"{process.name} {process.pid if process.running else 'not running'}"
            for process in one.processes
        ]
        state = "ready" if one.ready else "not ready"
        shown.add_row(one.service, one.program, one.address, ", ".join(processes), state)
    console.print(shown)

"""`waypoint airflow ...`: an Airflow on this machine that runs the project's DAGs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit

if TYPE_CHECKING:
    from waypoint.orchestration.local import Status

airflow = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Run the project's DAGs in an Airflow on this machine.",
)


@airflow.callback()
def family() -> None:
    """Run the project's DAGs in an Airflow on this machine."""


@airflow.command()
def up(
    context: typer.Context,
    unpause: Annotated[
        bool, typer.Option("--unpause", help="Let the DAGs run by their schedules.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help=r"Where it answers on 127.0.0.1. \[default: a free port]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Where it answers, as JSON.")] = False,
) -> None:
    """Start Airflow with everything configured, and wait until it is well.

    DAGs start paused unless told otherwise. The password of the user admin is made and said at the
    first start, and stands in airflow/passwords.json of the state folder.

    \b
    Examples:
      waypoint airflow up
      waypoint airflow up --unpause --port 8080
    """
    from waypoint.orchestration.local import USER
    from waypoint.orchestration.local import up as start

    shared = invocation(context)
    remarks(shared.quiet).print("starting Airflow; the first time takes a minute or two")
    started, password = start(shared.project, port, unpause)
    if as_json:
        print_json({"url": started.url, "pid": started.pid, "home": started.home})
        return
    console = answer()
    console.print(f"Airflow:  {started.url}", markup=False)
    console.print(f"user:     {USER}", markup=False)
    if password:
        console.print(f"password: {password}", markup=False)
    console.print(f"log:      {started.home / 'airflow.log'}", markup=False)
    console.print("stop it with: waypoint airflow down")


@airflow.command()
def down(context: typer.Context) -> None:
    """Stop Airflow and every process of it. A task that was running is tried again next time.

    \b
    Examples:
      waypoint airflow down
    """
    from waypoint.orchestration.local import down as stop

    shared = invocation(context)
    was = stop(shared.project)
    remarks(shared.quiet).print("stopped" if was else "it was not running")


@airflow.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The status as JSON.")] = False,
) -> None:
    """Say whether Airflow runs, how its parts are, and how the newest run of each DAG ended.

    \b
    Examples:
      waypoint airflow status
      waypoint airflow status --json | jq '.dags[] | select(.last_state == "failed")'

    \b
    Exit codes:
      0  it runs, and all its parts are well
      3  it does not
    """
    from waypoint.orchestration.local import status as read

    found = read(invocation(context).project)
    if as_json:
        print_json({**asdict(found)})
    else:
        _print(found)
    if not found.running or any(health != "healthy" for health in found.health.values()):
        raise typer.Exit(Exit.UNAVAILABLE)


def _print(found: Status) -> None:
    from rich.table import Table

    console = answer()
    if not found.running:
        console.print("Airflow does not run; `waypoint airflow up` starts it")
    else:
        health = ", ".join(f"{part} {state}" for part, state in found.health.items())
        console.print(f"Airflow at {found.url}: {health or 'does not answer'}", markup=False)
    if not found.dags:
        return
    shown = Table("dag", "", "newest run", "state", box=None)
    colours = {"success": "green", "failed": "red"}
    for dag in found.dags:
        state = dag.last_state or "-"
        colour = colours.get(state, "default")
        shown.add_row(
            dag.dag,
            "paused" if dag.paused else "on",
            dag.last_run or "-",
            f"[{colour}]{state}[/]",
        )
    console.print(shown)

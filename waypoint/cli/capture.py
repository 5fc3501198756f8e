"""`waypoint capture`: the databases' changes into their topic, by Debezium on Kafka Connect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from ingestion.capture.planning import Plan
    from ingestion.capture.tracked import Tracked
    from waypoint.project import Project

capture = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Capture the changes of databases into their topic (Debezium on Kafka Connect).",
)

_AS_JSON = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]


@capture.command()
def render(
    context: typer.Context,
    sink: Annotated[
        bool, typer.Option("--sink", help="The Snowflake sink's connectors instead.")
    ] = False,
    as_json: _AS_JSON = False,
) -> None:
    """Print what prepares each database (SQL) and how its connector is configured (JSON).

    Nothing is connected to. Passwords stand in neither: connectors refer to what the Connect worker
    looks up. With --sink, the connectors that bring topics into Snowflake, for those who run them.

    \b
    Examples:
      waypoint capture render
      waypoint capture render --json | jq '.[0].config' > connector.json
      waypoint capture render --sink
    """
    from ingestion.capture.connector import connector_config
    from ingestion.capture.database import script
    from ingestion.capture.sink import sink_connectors

    project = invocation(context).project
    if sink:
        connectors = sink_connectors(project.contracts)
        if as_json:
            print_json([asdict(one) for one in connectors])
        for one in () if as_json else connectors:
            print(one.text)
        return
    rendered = []
    for tracked in _tracked(context, project):
        config = connector_config(tracked, _own_secrets(project))
        rendered.append(
            {
                "source": tracked.source,
                "connector": tracked.connector,
                "sql": script(tracked),
                "config": config,
            }
        )
        if not as_json:
            print(script(tracked))
            print_json({"name": tracked.connector, "config": config})
    if as_json:
        print_json(rendered)


@capture.command()
def plan(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Say what differs between sources.yml and the databases and connectors; nothing is changed.

    The Connect worker is the one that WAYPOINT_CONNECT names, or that of the local services.

    Exit codes: 0 nothing differs, 1 something does, 3 a database or the worker is not there.

    \b
    Examples:
      waypoint capture plan
      WAYPOINT_CONNECT=http://connect:8083 waypoint capture plan --json
    """
    from ingestion.capture.planning import plan as plan_of
    from ingestion.capture.worker import Worker

    project = invocation(context).project
    databases = _tracked(context, project)
    worker = Worker.of(project)
    plans = [plan_of(tracked, worker) for tracked in databases]
    _show(plans, as_json, done=False)
    if not all(one.is_empty for one in plans):
        raise typer.Exit(Exit.FOUND_FAILURES)


@capture.command()
def apply(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Prepare the databases and configure their connectors, where that is not so already.

    Makes the publication, the replica identities and the table of heartbeats, keeps the password
    where the local worker looks it up, configures the connector and waits until it runs. A database
    whose wal_level is not logical is left alone: that takes a restart.

    \b
    Examples:
      waypoint services up && waypoint topics apply && waypoint capture apply
    """
    from ingestion.capture.planning import apply as do
    from ingestion.capture.planning import plan as plan_of
    from ingestion.capture.worker import Worker

    project = invocation(context).project
    databases = _tracked(context, project)
    worker = Worker.of(project)
    plans = []
    for tracked in databases:
        made = plan_of(tracked, worker)
        do(made, worker)
        plans.append(made)
    _show(plans, as_json, done=True)


@capture.command()
def status(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Say whether each connector runs, and how far behind its database it is.

    Exit codes: 0 all run, 1 one does not, 3 a database or the worker is not there.

    \b
    Examples:
      waypoint capture status
    """
    from ingestion.capture.planning import status as status_of
    from ingestion.capture.worker import Worker

    project = invocation(context).project
    databases = _tracked(context, project)
    worker = Worker.of(project)
    found = [status_of(tracked, worker) for tracked in databases]
    if as_json:
        print_json([asdict(one) | {"is_well": one.is_well} for one in found])
    for one in () if as_json else found:
        behind = "no slot" if one.lag_bytes is None else f"{one.lag_bytes:,} bytes behind"
        said = f": {one.problem}" if one.problem else ""
        mark = "✓" if one.is_well else "✗"
        answer().print(f"{mark} {one.source}: {one.state}, {behind}{said}", markup=False)
    if not all(one.is_well for one in found):
        raise typer.Exit(Exit.FOUND_FAILURES)


@capture.command()
def publish(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Write the tables of newest states back to their compacted topics.

    Each topic whose contract says `publishedFrom` holds what its table holds afterwards: rows that
    are new or differ are sent, rows that have gone get a tombstone, and nothing else is sent; so it
    can be run again at any time. A row that breaks the topic's contract is not sent, but named.

    Exit codes: 0 the topics are as their tables, 1 some rows could not be sent, 3 no broker.

    \b
    Examples:
      waypoint build && waypoint capture publish
    """
    from ingestion.capture.states import publish_states
    from ingestion.stream.connection import kafka_settings

    project = invocation(context).project
    found = publish_states(project, kafka_settings(project))
    if as_json:
        print_json([asdict(one) for one in found])
    for one in () if as_json else found:
        answer().print(
            f"{one.topic}: {one.rows:,} rows, {one.sent:,} sent, {one.tombstones:,} tombstones"
            + (f", {one.refused:,} refused: {one.reasons[0]}" if one.refused else ""),
            markup=False,
        )
    if any(one.refused for one in found):
        raise typer.Exit(Exit.FOUND_FAILURES)


def _tracked(context: typer.Context, project: Project) -> list[Tracked]:
    from ingestion.capture.tracked import tracked_databases

    found, left_out = tracked_databases(project)
    for source in left_out:
        remarks(invocation(context).quiet).print(
            f"{source.name} is not connected: {', '.join(source.missing)} is not set", markup=False
        )
    return found


def _own_secrets(project: Project) -> Path:
    from pathlib import Path

    from waypoint.services.connect import local_worker

    # where the local services' worker looks, or would look if it ran
    found = local_worker(project.state) or {}
    own = project.state / "services" / "connect" / "secrets.properties"
    return Path(str(found.get("secrets") or own))


def _show(plans: Iterable[Plan], as_json: bool, done: bool) -> None:
    plans = list(plans)
    if as_json:
        print_json(
            {
                "applied" if done else "changes": [asdict(c) for p in plans for c in p.changes],
                "left": [asdict(left) for p in plans for left in p.left],
            }
        )
        return
    console = answer()
    for one in plans:
        for change in one.changes:
            was = f"{change.was} → " if change.was is not None else ""
            mark = "✓" if done else "~" if change.was is not None else "+"
            said = f"{mark} {change.source}, {change.part}: {change.what}: {was}{change.becomes}"
            console.print(said, markup=False)
        for left in one.left:
            console.print(f"! {left.source}: {left.problem}", markup=False)
        if one.is_empty:
            console.print(f"{one.tracked.source}: nothing differs", markup=False)

"""`waypoint topics`: the topics on the broker as the contracts have them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json
from waypoint.errors import Exit

if TYPE_CHECKING:
    from ingestion.stream.topics import Plan, Topics
    from waypoint.project import Project

topics = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Create Kafka topics from their contracts, and see what differs.",
)

_AS_JSON = Annotated[bool, typer.Option("--json", help="What differs as JSON.")]


@topics.command()
def plan(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Say what differs between the topics' contracts and the broker; nothing is changed.

    Exit codes: 0 nothing differs, 1 something does, 3 the broker is not there.

    \b
    Examples:
      waypoint topics plan
      WAYPOINT_KAFKA=broker-1:9092,broker-2:9092 waypoint topics plan --json
    """
    found = _topics(invocation(context).project).plan()
    _show(found, as_json, done=False)
    if not found.is_empty:
        raise typer.Exit(Exit.FOUND_FAILURES)


@topics.command()
def apply(context: typer.Context, as_json: _AS_JSON = False) -> None:
    """Create missing topics and repair what differs; what no contract knows is left alone.

    Schemas are checked first, and registered where there is a registry: if one is not compatible
    with what was published before, nothing is done. Partitions only grow. A shorter retention than
    the broker's, which the plan marks, lets the broker delete older messages.

    Exit codes: 0 all is as the contracts say, 1 something differs that is not changed here.

    \b
    Examples:
      waypoint services up && waypoint topics apply
      WAYPOINT_KAFKA_REPLICATION=2 waypoint topics apply
    """
    changing = _topics(invocation(context).project)
    found = changing.plan()
    changing.apply(found)
    _show(found, as_json, done=True)
    if found.left:
        raise typer.Exit(Exit.FOUND_FAILURES)


def _topics(project: Project) -> Topics:
    from ingestion.stream.connection import kafka_settings
    from ingestion.stream.registry import registry_of
    from ingestion.stream.schemas import Kept
    from ingestion.stream.topics import Topics

    settings = kafka_settings(project)
    return Topics(settings, project.contracts, Kept.of(project), registry_of(project))


def _show(plan: Plan, as_json: bool, done: bool) -> None:
    if as_json:
        print_json(
            {
                "topics": plan.topics,
                "applied" if done else "changes": [asdict(one) for one in plan.changes],
                "left": [asdict(one) for one in plan.left],
                "incompatible": [asdict(one) for one in plan.incompatible],
            }
        )
        return
    console = answer()
    for change in plan.changes:
        console.print(_words(change), markup=False)
    for left in (*plan.left, *plan.incompatible):
        console.print(f"✗ {left.topic}: {left.problem}", markup=False)
    count = len(plan.changes)
    if plan.is_empty:
        console.print(f"{plan.topics} topics are as their contracts say")
    elif done:
        console.print(f"{count} changes made, {len(plan.left)} differences left")
    else:
        console.print(f"{count} changes to make (waypoint topics apply)")


def _words(change: Any) -> str:
    match change.change:
        case "create":
            text = f"+ {change.topic}: {change.becomes}"
        case "register":
            text = f"+ {change.topic}: its schema ({change.becomes}), as {change.setting}"
        case "unset":
            text = f"~ {change.topic}: {change.setting} {change.was} → the broker's default"
        case _:
            was = change.was if change.was is not None else "unset"
            text = f"~ {change.topic}: {change.setting} {was} → {change.becomes}"
    return f"{text} (the broker deletes what is older)" if change.deletes else text

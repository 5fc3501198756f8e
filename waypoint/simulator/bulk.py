"""Many messages of one topic, for benchmarks: only it is played, for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.simulator.outputs.messages import LONGEST_ECHO, dump, partitions_of
from waypoint.simulator.play import new_world, this_hour
from waypoint.simulator.scenario import read_scenario
from waypoint.simulator.tables import Tables

#: About as many messages are made and written at a time, so memory stays small.
_AT_A_TIME = 400_000
_FIRST_STRETCH = timedelta(hours=1)
_LONGEST_STRETCH = timedelta(days=60)
_EMPTY_STRETCHES = 5


def write_messages(
    project: Project,
    topic: str,
    messages: int,
    folder: Path,
    as_of: datetime | None = None,
    seed: int | None = None,
    scale: float | None = None,
    report: Callable[[str, int], None] = lambda _what, _rows: None,
) -> datetime:
    """Write exactly `messages` messages of `topic` as dump files, all at the full rate.

    The world is like the one whose first play ends at `as_of` (the current hour unless given), but
    begins with its full part. Nothing of the project's state is read or changed.

    Returns:
        The time (UTC) up to which the topic was played.

    Raises:
        UnusableInput: the scenario does not play that topic, or plays nothing into it.
    """
    scenario = read_scenario(project)
    played = scenario.topics.topics if scenario.topics else {}
    if topic not in played:
        known = ", ".join(sorted(played)) or "none"
        raise UnusableInput(f"the scenario plays no topic {topic!r} (but {known})")
    if messages < 1:
        raise UnusableInput(f"{messages} messages are none")
    world = new_world(scenario, as_of or this_hour(), seed, scale)
    # without a history: nobody asks for it, and the scenario need not look back over it
    world = replace(world, start=world.full_from)
    offsets: tuple[int, ...] = (0,) * partitions_of(project, topic)
    since, stretch, written, empty = world.full_from, _FIRST_STRETCH, 0, 0
    while written < messages:
        until = since + stretch
        with (
            TemporaryDirectory(prefix="waypoint-") as spill,
            Tables(
                project,
                scenario,
                world,
                since,
                until,
                reach=since - LONGEST_ECHO,
                spill=Path(spill),
            ) as tables,
        ):
            dumped = dump(
                tables, topic, played[topic], folder, since, until, offsets, messages - written
            )
        offsets = dumped.offsets
        written += dumped.messages
        since = until
        report(topic, dumped.messages)
        empty = 0 if dumped.messages else empty + 1
        if empty == _EMPTY_STRETCHES:
            raise UnusableInput(f"the scenario plays nothing into {topic} until {until}")
        stretch = _next(stretch, dumped.messages)
    return since


def _next(stretch: timedelta, messages: int) -> timedelta:
    """How long the next stretch is, so that about as many messages come of it as there should."""
    factor = _AT_A_TIME / messages if messages else 10.0
    # whole minutes: times in file names stay readable
    minutes = round(stretch * min(factor, 10.0) / timedelta(minutes=1))
    return min(max(timedelta(minutes=1), timedelta(minutes=minutes)), _LONGEST_STRETCH)

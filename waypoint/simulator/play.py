"""Playing a scenario: from where the last play ended to a time, everything that happened between.

A play in two parts gives the same as one play: the same rows in the database, the same charges,
files and messages, with the same offsets. Only the names of the dump files differ.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.simulator.files import sweep
from waypoint.simulator.outputs.charges import charge
from waypoint.simulator.outputs.database import bring_up_to_date
from waypoint.simulator.outputs.drops import drop
from waypoint.simulator.outputs.messages import LONGEST_ECHO, dump, partitions_of
from waypoint.simulator.scenario import Scenario, read_scenario
from waypoint.simulator.sources import Places, database_running
from waypoint.simulator.state import Played, World, read_state, write_state
from waypoint.simulator.stops import stops
from waypoint.simulator.stripe_api import ChargeStore
from waypoint.simulator.tables import Tables

DEFAULT_SEED = 1
DEFAULT_SCALE = 1.0

#: Told what is being played and how many rows of it there were.
Report = Callable[[str, int], None]


@dataclass(frozen=True)
class Play:
    """What was played: from when to when (UTC), and how many rows of what."""

    since: datetime
    until: datetime
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def play(
    project: Project,
    as_of: datetime | None = None,
    seed: int | None = None,
    scale: float | None = None,
    report: Report = lambda _what, _rows: None,
) -> Play:
    """Play what happened since the last play, up to `as_of` (UTC, no zone).

    The first play decides the world: `seed` (1), `scale` (1) and `as_of` (the current hour's
    beginning), from which it reaches back as far as the scenario says. Later ones may only repeat
    them; without `as_of` they play nothing new. The same time again plays nothing. A play that was
    killed is finished first, also where it goes further than `as_of`.

    Raises:
        UnusableInput: the scenario cannot be played, another seed or scale than before, or a time
            before the last play.
        Unavailable: the database did not start.
    """
    scenario = read_scenario(project)
    places = Places.of(project)
    played = read_state(places.state_file)
    if played is None:
        world = new_world(scenario, as_of or this_hour(), seed, scale)
        played = Played(world=world, as_of=world.start)
        until = world.opened
    else:
        _is_the_same(played.world, seed, scale)
        until = as_of or played.as_of
        if until < played.as_of:
            raise UnusableInput(
                f"played up to {played.as_of} already, and {until} is before it",
                hint="time only goes forward; use another WAYPOINT_STATE for another period",
            )
    since = played.as_of
    counted: Counter[str] = Counter()

    def told(what: str, rows: int) -> None:
        counted[what] += rows
        report(what, rows)

    for goal in (played.pending, until):
        if goal is not None and goal > played.as_of:
            played = played.going_to(goal)
            for stop in stops(played.world, played.as_of, goal):
                played = _part(project, scenario, places, played, stop, told)
    return Play(since=since, until=played.as_of, rows=counted)


def played_until(project: Project) -> datetime | None:
    """How far the project's scenario was played, None: not yet. One that was killed counts not."""
    played = read_state(Places.of(project).state_file)
    return None if played is None else played.as_of


def is_opened(project: Project) -> bool:
    """Whether the first play of the project's scenario came to its end."""
    played = read_state(Places.of(project).state_file)
    return played is not None and played.as_of >= played.world.opened


def new_world(
    scenario: Scenario,
    as_of: datetime,
    seed: int | None = None,
    scale: float | None = None,
) -> World:
    """The world whose first play ends at `as_of`.

    Raises:
        UnusableInput: a scale that is not above 0.
    """
    scale = DEFAULT_SCALE if scale is None else scale
    if not scale > 0:
        raise UnusableInput(f"a scale of {scale} leaves nothing to play; it must be above 0")
    full_from = as_of - scenario.period.full
    return World(
        seed=DEFAULT_SEED if seed is None else seed,
        scale=scale,
        start=full_from - scenario.period.history,
        full_from=full_from,
        opened=as_of,
    )


def _part(
    project: Project,
    scenario: Scenario,
    places: Places,
    played: Played,
    until: datetime,
    told: Callable[[str, int], None],
) -> Played:
    """Play one part and remember that it was played."""
    topics = scenario.topics.topics if scenario.topics else {}
    # before anything is changed: mistakes in the scenario leave nothing half played
    offsets = {
        name: played.offsets.get(name) or (0,) * partitions_of(project, name) for name in topics
    }
    write_state(places.state_file, played)
    for folder in (places.dumps, places.drops):
        sweep(folder)
    since, reach = played.as_of, played.as_of - LONGEST_ECHO
    with ExitStack() as stack:
        database = database_running(project, scenario, stack)
        tables = stack.enter_context(
            Tables(project, scenario, played.world, since, until, reach, places.scratch)
        )
        for what, rows in _outputs(tables, scenario, places, since, until, database, offsets):
            told(what, rows)
    shutil.rmtree(places.scratch, ignore_errors=True)
    played = played.arrived(until, offsets)
    write_state(places.state_file, played)
    return played


def _outputs(
    tables: Tables,
    scenario: Scenario,
    places: Places,
    since: datetime,
    until: datetime,
    database: Callable[[], str] | None,
    offsets: dict[str, tuple[int, ...]],
) -> Iterator[tuple[str, int]]:
    """Bring every output up to `until`, and `offsets` with them; what it was and how many rows."""
    left = _queries(scenario)

    def done(*queries: str) -> None:
        for query in queries:
            left.remove(query)
        tables.forget_all_but(left)

    if scenario.database and database:
        changed = bring_up_to_date(tables, scenario.database, database(), places.scratch)
        done(*scenario.database.tables.values())
        for table, rows in changed.items():
            yield f"{scenario.database.name}.{table}", rows
    if scenario.charges:
        yield "charges", charge(tables, scenario.charges, ChargeStore(places.charges))
        done(scenario.charges.query)
    if scenario.files:
        yield "files", drop(tables, scenario.files, places.drops, until)
        done(scenario.files.query)
    if scenario.topics:
        for name, topic in scenario.topics.topics.items():
            dumped = dump(tables, name, topic, places.dumps, since, until, offsets[name])
            done(topic.query)
            offsets[name] = dumped.offsets
            yield name, dumped.messages


def _queries(scenario: Scenario) -> list[str]:
    """The queries that a play asks, in no order."""
    queries = list(scenario.database.tables.values()) if scenario.database else []
    if scenario.charges:
        queries.append(scenario.charges.query)
    if scenario.files:
        queries.append(scenario.files.query)
    if scenario.topics:
        queries += [topic.query for topic in scenario.topics.topics.values()]
    return queries


def _is_the_same(world: World, seed: int | None, scale: float | None) -> None:
    for name, wanted, there in (("seed", seed, world.seed), ("scale", scale, world.scale)):
        if wanted is not None and wanted != there:
            raise UnusableInput(
                f"what was played so far has the {name} {there}, not {wanted}",
                hint=f"leave --{name} away to go on, or use another WAYPOINT_STATE",
            )


def this_hour() -> datetime:
    """The beginning of the current hour (UTC, no zone)."""
    return datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)

"""Messages of the project's scenario, in the order in which they arrive, for as long as asked for.

Copies, late events and poison are in it as the scenario says, and at least as often as is needed
to see them within a minute.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from waypoint.live.memory import Memory
from waypoint.project import Project
from waypoint.simulator.outputs.database import bring_up_to_date
from waypoint.simulator.outputs.messages import LONGEST_ECHO, dump
from waypoint.simulator.play import new_world
from waypoint.simulator.scenario import Scenario, Topic, read_scenario
from waypoint.simulator.state import World
from waypoint.simulator.tables import Tables

#: At least as large a share of a topic's messages comes twice, or is followed by poison.
DUPLICATES, POISON = 0.01, 0.004

_STRETCH = timedelta(minutes=20)
#: How far away the end of the scenario's first play is, before which it has things happen that need
#: a history.
_OPENS_IN = timedelta(days=3)
_AHEAD = 2  # stretches


@dataclass(frozen=True)
class Message:
    """A message that a source sends, and when (UTC); `value` is None for a tombstone."""

    at: datetime
    topic: str
    key: str | None
    value: str | None


def topics_played(project: Project) -> dict[str, Topic]:
    """The topics that the scenario plays, by name.

    Raises:
        UnusableInput: there is no scenario.
    """
    scenario = read_scenario(project)
    return _topics(scenario)


@dataclass(frozen=True)
class Play:
    """What is played: messages of these topics, and where it is given, a database's rows."""

    memory: Memory
    topics: frozenset[str]
    dsn: str | None = None


@contextmanager
def playing(project: Project, play: Play) -> Iterator[Iterator[Message]]:
    """Messages without an end, made ahead by a thread that ends with the block.

    They go on where the last run ended. The database has the rows of a stretch when its messages
    are made.
    """
    scenario = read_scenario(project)
    ahead: queue.Queue[list[Message] | BaseException] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def make() -> None:
        try:
            for stretch in _stretches(project, scenario, play):
                while not ended.is_set():
                    try:
                        ahead.put(stretch, timeout=0.1)
                        break
                    except queue.Full:
                        continue
                if ended.is_set():
                    return
        except BaseException as error:  # told to whoever asks for messages
            ahead.put(error)

    thread = threading.Thread(target=make, name="playing", daemon=True)
    thread.start()
    try:
        yield _taken(ahead)
    finally:
        ended.set()
        thread.join()


def _taken(ahead: queue.Queue[list[Message] | BaseException]) -> Iterator[Message]:
    while True:
        stretch = ahead.get()
        if isinstance(stretch, BaseException):
            raise stretch
        yield from stretch


def _stretches(project: Project, scenario: Scenario, play: Play) -> Iterator[list[Message]]:
    memory = play.memory
    # without a history: nobody asks for it
    start = memory.began - timedelta(days=1)
    opened = memory.began + _OPENS_IN
    world = replace(new_world(scenario, opened, memory.seed), start=start, full_from=start)
    since = memory.until
    while True:
        yield _stretch(project, scenario, world, since, play)
        since += _STRETCH


def _stretch(
    project: Project, scenario: Scenario, world: World, since: datetime, play: Play
) -> list[Message]:
    """What arrives within one stretch of the world's time."""
    until = since + _STRETCH
    topics = {name: topic for name, topic in _topics(scenario).items() if name in play.topics}
    parts: list[pa.Table] = []
    with (
        TemporaryDirectory(prefix="waypoint-") as folder,
        Tables(
            project,
            scenario,
            world,
            since,
            until,
            reach=since - LONGEST_ECHO,
            spill=Path(folder),
        ) as tables,
    ):
        for name, topic in topics.items():
            dump(tables, name, topic, Path(folder), since, until, (0,))
        if scenario.database is not None and play.dsn is not None:
            bring_up_to_date(tables, scenario.database, play.dsn, Path(folder))
        for path in Path(folder).glob("*/*.parquet"):
            parts.append(pq.read_table(path, columns=["timestamp", "topic", "key", "value"]))
    if not parts:
        return []
    rows = pa.concat_tables(parts).sort_by("timestamp")
    columns = [rows.column(name).to_pylist() for name in ("timestamp", "topic", "key", "value")]
    return [
        Message(datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None), topic, key, value)
        for at, topic, key, value in zip(*columns, strict=True)
    ]


def _topics(scenario: Scenario) -> dict[str, Topic]:
    played = scenario.topics.topics if scenario.topics else {}
    return {
        name: replace(
            topic,
            format="parquet",
            duplicates=max(topic.duplicates, DUPLICATES),
            poison=max(topic.poison, POISON),
        )
        for name, topic in played.items()
    }

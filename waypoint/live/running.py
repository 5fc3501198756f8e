"""A live run: begin, send for a while, end in order, and count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ingestion.gateway.endpoints import Endpoint, read_endpoints
from waypoint.connecting import refuse_to_simulate
from waypoint.errors import UnusableInput
from waypoint.live.counting import Count, ends, in_tables
from waypoint.live.playing import Message, playing, topics_played
from waypoint.live.sending import Sources
from waypoint.live.watching import Watch
from waypoint.live.world import Child, World, running_world
from waypoint.project import DEFAULT_TARGET, Project

#: Messages a second of all topics together, unless said.
RATE = 200.0

_TICK = 0.1  # seconds
_CATCH_UP_SECONDS = 120.0


@dataclass(frozen=True)
class Report:
    """What a live run came to. `seconds` is for how long it sent."""

    topics: tuple[Count, ...]
    seconds: float
    captured: bool = False

    @property
    def exact(self) -> bool:
        return all(count.exact for count in self.topics)

    def document(self) -> dict[str, Any]:
        return {
            "topics": [count.document() for count in self.topics],
            "seconds": round(self.seconds, 1),
            "exact": self.exact,
        }


@dataclass(frozen=True)
class Viewer:
    """Who watches: told what is being done, and shown the table of what is seen."""

    say: Callable[[str], None] = lambda _words: None
    show: Callable[[Watch, str], None] = lambda _watch, _title: None


def run_live(
    project: Project,
    seconds: float,
    rate: float,
    seed: int,
    viewer: Viewer,
) -> Report:
    """Send the scenario's messages for some seconds, and see all of them into the tables.

    Raises:
        UnusableInput: there is no scenario, it plays no topic, the state holds real data, or the
            target is another than the embedded one.
        Unavailable: a server or one of the processes in between did not start, or gave up.
    """
    if project.target != DEFAULT_TARGET:
        raise UnusableInput(
            f"a live run lands in the embedded warehouse, and the target is {project.target}"
        )
    refuse_to_simulate(project)
    topics = sorted(topics_played(project))
    if not topics:
        raise UnusableInput("the scenario plays no topic")
    endpoints = [one for one in read_endpoints(project) if one.topic.name in topics]
    viewer.say("starting Kafka; the first time its files are fetched")
    with (
        running_world(project) as world,
        playing(project, seed, frozenset(topics)) as messages,
    ):
        return _run(world, topics, endpoints, messages, seconds, rate, viewer)


def _run(
    world: World,
    topics: list[str],
    endpoints: list[Endpoint],
    messages: Iterator[Message],
    seconds: float,
    rate: float,
    viewer: Viewer,
) -> Report:
    began_at = ends(world.connection, topics)
    if any(end for partitions in began_at.values() for end in partitions.values()):
        viewer.say("landing what was in the topics before")
        world.catch_up(*topics)
    viewer.say("starting the gateway and the loader")
    gateway, url = world.gateway()
    loader, address = world.loader(*topics)
    sources = Sources(world.connection, url, endpoints)
    watch = Watch(tuple(topics), sources, address)
    children = (gateway, loader)
    took = _send(sources, messages, seconds, rate, watch, children, viewer)
    sources.finish()
    told = _end(world, gateway, loader, watch, topics, viewer)
    viewer.say("loading what has landed, and counting")
    world.load()
    counts = []
    for topic in topics:
        there = in_tables(world.project, topic, began_at[topic])
        counts.append(
            Count(
                topic=topic,
                produced=sources.produced[topic],
                landed=there.landed,
                dead_letters=there.dead_letters,
                duplicates=told[topic, "duplicates"],
                late=told[topic, "late"],
                refused=sources.refused[topic],
                twice=there.twice,
            )
        )
    return Report(tuple(counts), took)


def _send(
    sources: Sources,
    messages: Iterator[Message],
    seconds: float,
    rate: float,
    watch: Watch,
    children: tuple[Child, ...],
    viewer: Viewer,
) -> float:
    """Send at the rate; for how long it went on, in seconds."""
    began = time.monotonic()
    sent = 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(rate * passed) - sent
        if due > 0:
            # after a pause no more at once than a second's worth
            sent += min(due, int(rate) + 1)
            sources.send(islice(messages, min(due, int(rate) + 1)))
        for child in children:
            if not child.is_running():
                raise child.failed("has ended")
        viewer.show(watch, f"live: {passed:.0f} of {seconds:.0f} s")
        time.sleep(max(0.0, _TICK - (time.monotonic() - began - passed)))
    return time.monotonic() - began


def _end(
    world: World,
    gateway: Child,
    loader: Child,
    watch: Watch,
    topics: list[str],
    viewer: Viewer,
) -> Counter[tuple[str, str]]:
    """End the processes when all is committed; what the loaders told, by topic and count."""
    gateway.stop()
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while time.monotonic() < deadline and loader.is_running():
        viewer.show(watch, "live: the last ones are landing")
        if all(
            one.landed + one.dead_letters + one.duplicates >= one.produced
            for one in watch.look().values()
        ):
            break
        time.sleep(_TICK)
    loader.stop()
    summaries = [loader.ended()]
    # whatever it had not read
    summaries.append(world.catch_up(*topics))
    told: Counter[tuple[str, str]] = Counter()
    for summary in summaries:
        for totals in summary["topics"]:
            for what in ("duplicates", "late"):
                told[totals["topic"], what] += totals[what]
    return told

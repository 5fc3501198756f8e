"""A live run: begin, send for a while, end in order, and count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ingestion.gateway.endpoints import Endpoint, read_endpoints
from waypoint.connecting import refuse_to_simulate
from waypoint.errors import UnusableInput
from waypoint.live.capturing import Capture, capturing, count_committed
from waypoint.live.counting import Count, Ends, ends, in_tables
from waypoint.live.memory import Memory
from waypoint.live.playing import Message, Play, playing, topics_played
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
    """What a live run came to. `seconds` is for how long it sent; `captured` are the topics that
    a database's changes came to, counted by reading them."""

    topics: tuple[Count, ...]
    seconds: float
    captured: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        return all(count.exact for count in self.topics)

    def document(self) -> dict[str, Any]:
        return {
            "topics": [count.document() for count in self.topics],
            "seconds": round(self.seconds, 1),
            "exact": self.exact,
            "captured": list(self.captured),
        }


@dataclass(frozen=True)
class Viewer:
    """Who watches: told what is being done, and shown the table of what is seen."""

    say: Callable[[str], None] = lambda _words: None
    show: Callable[[Watch, str], None] = lambda _watch, _title: None


@dataclass(frozen=True)
class Wanted:
    """What was asked for: for how long, how many messages a second, of which world."""

    seconds: float
    rate: float = RATE
    seed: int | None = None
    capture: bool = True


def run_live(project: Project, wanted: Wanted, viewer: Viewer) -> Report:
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
    with ExitStack() as stack:
        world = stack.enter_context(running_world(project))
        memory = Memory.of(world.project, wanted.seed)
        began_at = ends(world.connection, topics)
        if any(end for partitions in began_at.values() for end in partitions.values()):
            viewer.say("landing what was in the topics before")
            world.catch_up(*topics)
        capture = None
        if wanted.capture and world.own:
            viewer.say("starting PostgreSQL and Kafka Connect, to capture its changes")
            capture = stack.enter_context(capturing(world.project, world.connection))
        played = frozenset(topics) - frozenset(capture.topics if capture else ())
        play = Play(memory, played, capture.dsn if capture else None)
        messages = stack.enter_context(playing(world.project, play))
        run = _Run(world, memory, topics, began_at, capture, viewer)
        return run.through(endpoints, messages, wanted)


@dataclass(frozen=True)
class _Run:
    """A live run whose servers run. `began_at` are the ends of the partitions before it."""

    world: World
    memory: Memory
    topics: list[str]
    began_at: Ends
    capture: Capture | None
    viewer: Viewer

    def through(
        self, endpoints: list[Endpoint], messages: Iterator[Message], wanted: Wanted
    ) -> Report:
        """Send, end, count."""
        self.viewer.say("starting the gateway and the loader")
        gateway, url = self.world.gateway()
        loader, address = self.world.loader(*self.topics)
        sources = Sources(self.world.connection, url, endpoints)
        watch = Watch(tuple(self.topics), sources, address)
        try:
            took = self._send(sources, messages, wanted, watch, (gateway, loader))
            sources.finish()
        finally:
            if sources.until is not None:
                self.memory.played(self.world.project, sources.until)
        if self.capture is not None:
            self.viewer.say("waiting for the last changes of the database")
            self.capture.stop()
        told = self._end(gateway, loader, watch)
        self.viewer.say("loading what has landed, and counting")
        counts = self._counts(sources, told)
        captured = self.capture.topics if self.capture else ()
        if any(count.missing > 0 for count in counts if count.topic in captured):
            # a transaction of the worker was committed after it had gone
            told += self._caught_up()
            counts = self._counts(sources, told)
        return Report(counts, took, captured)

    def _counts(self, sources: Sources, told: Counter[tuple[str, str]]) -> tuple[Count, ...]:
        """Load what has landed, and compare."""
        self.world.load()
        for topic in self.capture.topics if self.capture else ():
            sources.produced[topic] = count_committed(
                self.world.connection, topic, self.began_at[topic]
            )
        return tuple(self._count(topic, sources, told) for topic in self.topics)

    def _count(self, topic: str, sources: Sources, told: Counter[tuple[str, str]]) -> Count:
        there = in_tables(self.world.project, topic, self.began_at[topic])
        return Count(
            topic=topic,
            produced=sources.produced[topic],
            landed=there.landed,
            dead_letters=there.dead_letters,
            duplicates=told[topic, "duplicates"],
            late=told[topic, "late"],
            refused=sources.refused[topic],
            twice=there.twice,
        )

    def _send(
        self,
        sources: Sources,
        messages: Iterator[Message],
        wanted: Wanted,
        watch: Watch,
        children: tuple[Child, ...],
    ) -> float:
        """Send at the rate; for how long it went on, in seconds."""
        began, sent, most = time.monotonic(), 0, int(wanted.rate) + 1
        while (passed := time.monotonic() - began) < wanted.seconds:
            # after a pause no more at once than a second's worth
            due = min(int(wanted.rate * passed) - sent, most)
            if due > 0:
                sent += due
                sources.send(islice(messages, due))
            for child in children:
                if not child.is_running():
                    raise child.failed("has ended")
            self.viewer.show(watch, f"live: {passed:.0f} of {wanted.seconds:.0f} s")
            time.sleep(max(0.0, _TICK - (time.monotonic() - began - passed)))
        return time.monotonic() - began

    def _end(self, gateway: Child, loader: Child, watch: Watch) -> Counter[tuple[str, str]]:
        """End the processes when all is committed; what the loaders told, by topic and count."""
        gateway.stop()
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while time.monotonic() < deadline and loader.is_running():
            self.viewer.show(watch, "live: the last ones are landing")
            if all(
                one.landed + one.dead_letters + one.duplicates >= one.produced
                for one in watch.look().values()
            ):
                break
            time.sleep(_TICK)
        loader.stop()
        return _told(loader.ended()) + self._caught_up()

    def _caught_up(self) -> Counter[tuple[str, str]]:
        """See to what is left in the topics; what the loader told of it."""
        return _told(self.world.catch_up(*self.topics))


def _told(summary: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """A loader's duplicates and late rows, by topic."""
    return Counter(
        {
            (totals["topic"], what): totals[what]
            for totals in summary["topics"]
            for what in ("duplicates", "late")
        }
    )

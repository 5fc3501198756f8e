"""What runs between the sources and the tables: Kafka, the gateway and the loader.

The gateway and the loader are the commands `waypoint gateway` and `waypoint stream run`, each in a
process of its own that ends with this one. The state is `<state>/live`, apart from the project's
own: offsets of this Kafka have nothing to do with those of dumps that landed there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ingestion.stream.connection import BOOTSTRAP_VARIABLE, kafka_settings
from ingestion.stream.registry import registry_of
from ingestion.stream.schemas import Kept
from ingestion.stream.topics import Topics
from waypoint.ending_with_parent import ending_with_parent
from waypoint.errors import Unavailable
from waypoint.project import STATE_VARIABLE, TARGET_VARIABLE, Project
from waypoint.services.kafka import running_kafka

#: The folder below the state, and the consumer group, of live runs.
NAME = "live"
GROUP = "waypoint-live"

_START_SECONDS = 90.0
_STOP_SECONDS = 90.0
_ADDRESS = "metrics: "


@dataclass
class Child:
    """A `waypoint` command that runs."""

    name: str
    process: subprocess.Popen[str]
    said: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    answer: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        for stream, lines in ((self.process.stdout, self.answer), (self.process.stderr, self.said)):
            assert stream is not None
            thread = threading.Thread(target=_collect, args=(stream, lines), daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait_for(self, found: Callable[[], str | None], seconds: float = _START_SECONDS) -> str:
        """What `found` gives once it gives something.

        Raises:
            Unavailable: the process ended before, or it took too long.
        """
        deadline = time.monotonic() + seconds
        while (value := found()) is None:
            if not self.is_running() or time.monotonic() > deadline:
                raise self.failed("did not start")
            time.sleep(0.05)
        return value

    def is_running(self) -> bool:
        return self.process.poll() is None

    def ended(self, seconds: float = _STOP_SECONDS) -> dict[str, Any]:
        """Wait for its end; gives its answer.

        Raises:
            Unavailable: it does not end, or ended without an answer.
        """
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failed(f"did not end within {seconds:.0f} s") from None
        for thread in self._threads:
            thread.join()
        try:
            document: dict[str, Any] = json.loads("".join(self.answer))
        except json.JSONDecodeError:
            raise self.failed(f"ended with {self.process.returncode}") from None
        return document

    def stop(self) -> None:
        """Ask it to end; nothing where it has."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)

    def failed(self, how: str) -> Unavailable:
        words = "".join(self.said).strip()
        return Unavailable(f"{self.name} {how}" + (f":\n{words}" if words else ""))


def _collect(stream: Any, lines: list[str] | deque[str]) -> None:
    for line in stream:
        lines.append(line)


@dataclass
class World:
    """The servers and processes of a live run. `connection` holds a client's settings, `own` says
    that the broker is there for this run alone."""

    project: Project
    connection: Mapping[str, str]
    environment: Mapping[str, str]
    stack: ExitStack
    own: bool

    def start(self, *command: str) -> Child:
        """Start a command; it is killed at the latest when this process ends."""
        process = subprocess.Popen(
            ending_with_parent([sys.executable, "-m", "waypoint.cli.app", *command]),
            cwd=self.project.root,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for this process, which ends the others in their order
            start_new_session=True,
        )
        child = Child(f"waypoint {' '.join(command[:2])}", process)
        self.stack.callback(_killed, process)
        return child

    def gateway(self) -> tuple[Child, str]:
        """Start the gateway on a free port of this machine; gives its address, too."""
        child = self.start("gateway", "--port", "0", "--json")
        whole = child.wait_for(lambda: _complete(child.answer))
        return child, str(json.loads(whole)["url"])

    def loader(self, *topics: str) -> tuple[Child, str]:
        """Start the loader of these topics; gives the address of its metrics, too."""
        child = self.start(*self._loading(topics), "--metrics-port", "0")
        return child, child.wait_for(lambda: _told(child.said))

    def catch_up(self, *topics: str) -> dict[str, Any]:
        """Run a loader until every partition is read to its end; gives its summary."""
        return self.start(*self._loading(topics), "--until-caught-up").ended()

    def load(self) -> None:
        """Load what has landed into the warehouse.

        Raises:
            Unavailable: it failed.
        """
        child = self.start("load", "--json")
        child.ended()
        if child.process.returncode != 0:
            raise child.failed(f"ended with {child.process.returncode}")

    def _loading(self, topics: tuple[str, ...]) -> list[str]:
        return ["stream", "run", "--json", "--group", GROUP, "--topics", ",".join(topics)]


@contextmanager
def running_world(project: Project) -> Iterator[World]:
    """Kafka with the topics of the contracts: the one that is configured or runs, else an own one.

    Raises:
        Unavailable: Kafka did not start.
        UnusableInput: the topics cannot be made as the contracts say.
    """
    live = replace(project, state=project.state / NAME)
    live.state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        own = False
        try:
            connection = kafka_settings(project)
        except Unavailable:
            own = True
            kafka = stack.enter_context(running_kafka(live.state / "services" / "kafka"))
            connection = {"bootstrap.servers": kafka.bootstrap}
        topics = Topics(connection, live.contracts, Kept.of(live), registry_of(live))
        topics.apply(topics.plan())
        yield World(live, connection, _environment(live, connection), stack, own)


def _environment(live: Project, connection: Mapping[str, str]) -> dict[str, str]:
    """The variables of the processes; a client's further settings stay where they are."""
    return {
        **os.environ,
        STATE_VARIABLE: str(live.state),
        TARGET_VARIABLE: live.target,
        BOOTSTRAP_VARIABLE: connection["bootstrap.servers"],
        # one client sends for all
        "WAYPOINT_GATEWAY_RATE": "1e9",
        "WAYPOINT_GATEWAY_BURST": "1e9",
        "WAYPOINT_GATEWAY_KEYS": "",
        "WAYPOINT_GATEWAY_KEYS_FILE": "",
    }


def _complete(lines: list[str]) -> str | None:
    whole = "".join(lines)
    return whole if whole.rstrip().endswith("}") else None


def _told(lines: deque[str]) -> str | None:
    """The address of the metrics, once it is said."""
    for line in list(lines):
        if line.startswith(_ADDRESS):
            return line.removeprefix(_ADDRESS).strip()
    return None


def _killed(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()

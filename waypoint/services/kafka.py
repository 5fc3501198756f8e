"""A real Apache Kafka on loopback: one broker, or several that replicate; no ZooKeeper, no Docker.

    with running_kafka(folder, brokers=3) as kafka:
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        kafka.kill(2)

Every node is broker and controller at once (KRaft). Its configuration, data and log stand in
`<folder>/node-<n>`; what the cluster is called and which ports it has, in `<folder>/cluster.json`.
A killed node or machine is no obstacle: started again, the cluster has what it acknowledged.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services import jars
from waypoint.services.java import Program, stop_all, tail
from waypoint.services.ports import LOOPBACK, free_ports, is_free
from waypoint.services.postgres_keeper import is_running

JARS = "kafka"
VERSION = next(jar.version for jar in jars.locked(JARS) if jar.artifact == "kafka-server")
START_SECONDS = 180.0
STOP_SECONDS = 10.0

_TRIES = 5
_POLL = 0.05  # seconds
_LOG_LINES = 200
_PORT_TAKEN = ("Address already in use", "BindException")

# For a demonstration, tests and a laptop: soon ready, soon aware of a killed neighbour, small.
_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms={session}
broker.heartbeat.interval.ms={heartbeat}
log.cleaner.dedupe.buffer.size=16777216
"""

_LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
"""


@dataclass(frozen=True)
class Node:
    """One of the cluster's processes. `pid` is that of its last start, None before the first."""

    number: int
    port: int
    controller: int
    pid: int | None = None


@dataclass
class Kafka:
    """A cluster on a folder, running or not."""

    folder: Path
    cluster: str
    nodes: list[Node]
    ends_with_parent: bool = False

    @property
    def bootstrap(self) -> str:
        """The addresses of its brokers, as clients' `bootstrap.servers` has them."""
        return ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)

    def is_running(self, number: int) -> bool:
        """Whether the process of node `number` (from 1 on) runs."""
        node = self.nodes[number - 1]
        return node.pid is not None and is_running(node.pid, str(self._properties(node)))

    def is_ready(self) -> bool:
        """Whether all nodes serve, and it is this cluster that serves at their addresses."""
        return self._found() == len(self.nodes)

    def kill(self, number: int = 1) -> None:
        """Kill node `number` as kill -9 does, and wait until it is gone."""
        node = self.nodes[number - 1]
        if node.pid is not None and self.is_running(number):
            os.kill(node.pid, signal.SIGKILL)
            _wait_for(lambda: not self.is_running(number), STOP_SECONDS)

    def restart(self, number: int = 1) -> None:
        """Start node `number` again where it was, and wait until the cluster is ready.

        Raises:
            Unavailable: it did not start.
        """
        self.kill(number)
        deadline = time.monotonic() + START_SECONDS
        while True:
            # somebody else may have got its port for a moment: clients know it, so it is waited for
            process = self._start(self.nodes[number - 1])
            try:
                self._wait([process], deadline)
            except _PortTaken as error:
                if time.monotonic() > deadline:
                    raise Unavailable(str(error)) from None
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """Stop all nodes that run; calling it again is allowed."""
        self._stop([node.pid for node in self.nodes if node.pid is not None])

    def _stop(self, pids: Sequence[int]) -> None:
        properties = {node.pid: str(self._properties(node)) for node in self.nodes}
        stop_all({pid: properties[pid] for pid in pids}, STOP_SECONDS)

    # starting

    def start(self) -> None:
        """Start the nodes that do not run, and wait until all serve.

        Raises:
            Unavailable: they did not start; the message ends with what one said.
        """
        for _ in range(_TRIES):
            stopped = [node for node in self.nodes if not self.is_running(node.number)]
            if len(stopped) == len(self.nodes):
                self._choose_ports()
                stopped = list(self.nodes)
            processes: list[subprocess.Popen[bytes]] = []
            try:
                for node in stopped:
                    processes.append(self._start(node))
                self._wait(processes, time.monotonic() + START_SECONDS)
                return
            except _PortTaken as error:
                # every node knows the others' ports, so all of them begin anew
                said = str(error)
                self.stop()
            except BaseException:
                self._stop([process.pid for process in processes])  # those that ran stay
                raise
        raise Unavailable(said)

    def _choose_ports(self) -> None:
        """Those it had, where they are free: clients may know them."""
        if any(not (is_free(node.port) and is_free(node.controller)) for node in self.nodes):
            ports = free_ports(2 * len(self.nodes))
            self.nodes = [
                replace(node, port=ports.pop(), controller=ports.pop()) for node in self.nodes
            ]

    def _start(self, node: Node) -> subprocess.Popen[bytes]:
        home = self._home(node)
        home.mkdir(parents=True, exist_ok=True)
        replicas = min(3, len(self.nodes))
        properties = self._properties(node)
        properties.write_text(
            _PROPERTIES.format(
                node=node.number,
                voters=",".join(f"{n.number}@{LOOPBACK}:{n.controller}" for n in self.nodes),
                host=LOOPBACK,
                port=node.port,
                controller=node.controller,
                data=home / "data",
                replicas=replicas,
                in_sync=max(1, replicas - 1),
                # how long a killed node counts as alive; alone, nobody suffers if it is too short
                session=1000 if replicas == 1 else 2500,
                heartbeat=250 if replicas == 1 else 500,
            )
        )
        _format(home / "data", properties, self.cluster, node.number)
        _shorten(self._log(node))
        process = _broker(home, properties).start(self._log(node), self.ends_with_parent)
        self.nodes[node.number - 1] = replace(node, pid=process.pid)
        self.remember()
        return process

    def _wait(self, processes: Sequence[subprocess.Popen[bytes]], deadline: float) -> None:
        while not self.is_ready():
            for process in processes:
                if process.poll() is not None:
                    node = next(node for node in self.nodes if node.pid == process.pid)
                    said = tail(self._log(node).read_text(errors="replace"))
                    message = f"Kafka's node {node.number} in {self.folder} did not start:\n{said}"
                    if any(words in said for words in _PORT_TAKEN):
                        raise _PortTaken(message)
                    raise Unavailable(message, hint=f"the whole log: {self._log(node)}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Kafka in {self.folder} was not ready after {START_SECONDS:.0f} seconds",
                    hint=f"its logs: {self.folder}/node-*/log",
                )
            time.sleep(_POLL)

    def _found(self) -> int:
        """How many brokers serve; 0 where it is another cluster that does."""
        if not any(_listens(node.port) for node in self.nodes):
            return 0
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None}
        client = AdminClient({"bootstrap.servers": self.bootstrap, **quiet})
        try:
            found = client.list_topics(timeout=2)
        except KafkaException:
            return 0
        return len(found.brokers) if found.cluster_id == self.cluster else 0

    # what is kept

    def remember(self) -> None:
        """Keep what the cluster is called, its ports and its processes."""
        document = {"cluster": self.cluster, "nodes": [asdict(node) for node in self.nodes]}
        write_whole(self.folder / "cluster.json", json.dumps(document, indent=1))

    def _home(self, node: Node) -> Path:
        return self.folder / f"node-{node.number}"

    def _properties(self, node: Node) -> Path:
        return self._home(node) / "server.properties"

    def _log(self, node: Node) -> Path:
        return self._home(node) / "log"


class _PortTaken(Exception):
    """Somebody else listens on a port that was free when it was asked for."""


@contextmanager
def running_kafka(folder: Path, brokers: int = 1) -> Iterator[Kafka]:
    """A cluster on `folder` for as long as the block runs, and no longer than this thread lives.

    Raises:
        Unavailable: its files could not be had, or it did not start.
        UnusableInput: the folder holds a cluster of another size, or a package is missing.
    """
    kafka = start_kafka(folder, brokers, ends_with_parent=True)
    try:
        yield kafka
    finally:
        kafka.stop()


def start_kafka(folder: Path, brokers: int = 1, ends_with_parent: bool = False) -> Kafka:
    """Start the cluster on `folder`, or what of it does not run; see `running_kafka`."""
    _needs_client()
    jars.jars(JARS)
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start.lock").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        kafka = found_kafka(folder)
        if kafka is None:
            ports = free_ports(2 * brokers)
            nodes = [Node(n, ports.pop(), ports.pop()) for n in range(1, brokers + 1)]
            kafka = Kafka(folder, _new_id(), nodes)
            kafka.remember()
        if len(kafka.nodes) != brokers:
            raise UnusableInput(
                f"the Kafka in {folder} has {len(kafka.nodes)} brokers, not {brokers}",
                hint="ask for as many as it has, or give up what it holds:"
                " waypoint services down --discard",
            )
        kafka.ends_with_parent = ends_with_parent
        kafka.start()
        return kafka


def found_kafka(folder: Path) -> Kafka | None:
    """The cluster whose files stand in `folder`, running or not; None where none was made."""
    try:
        document = json.loads((folder / "cluster.json").read_text())
        return Kafka(folder, document["cluster"], [Node(**node) for node in document["nodes"]])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise UnusableInput(
            f"{folder / 'cluster.json'} is damaged", hint=f"remove {folder} with its data"
        ) from None


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _needs_client() -> None:
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        raise UnusableInput(
            "the package confluent-kafka is not installed", hint="run make setup"
        ) from None


def _broker(home: Path, properties: Path) -> Program:
    logging = home / "log4j2.properties"
    logging.write_text(_LOGGING)
    return Program(
        main="kafka.Kafka",
        classpath=jars.classpath(JARS),
        arguments=[str(properties)],
        folder=home,
        marker=str(properties),
        options=[f"-Dlog4j2.configurationFile={logging}", "-Dlog4j2.disableJmx=true"],
    )


def _format(data: Path, properties: Path, cluster: str, node: int) -> None:
    """Make a node's data folder, under another name first, so that a killed one is not taken."""
    if (data / "meta.properties").exists():
        return
    new = data.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(_formatted(properties), new)
    (new / "meta.properties").write_text(
        f"version=1\ncluster.id={cluster}\nnode.id={node}\ndirectory.id={_new_id()}\n"
    )
    new.rename(data)


def _formatted(properties: Path) -> Path:
    """A data folder as Kafka's own tool makes it, made once for each version of Kafka.

    What it holds beside the ids is the same for every node: which features the cluster begins with.
    """
    version = hashlib.sha256("\n".join(map(str, jars.locked(JARS))).encode()).hexdigest()[:16]
    kept = jars.cache_folder() / "kafka-formatted" / version
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".new-") as temporary:
            data = Path(temporary) / "data"
            data.mkdir()
            own = Path(temporary) / "server.properties"
            lines = properties.read_text().splitlines()
            own.write_text(
                "\n".join(f"log.dirs={data}" if x.startswith("log.dirs=") else x for x in lines)
            )
            tool = _broker(Path(temporary), own)
            arguments = ["format", "-t", _new_id(), "-c", str(own)]
            replace(tool, main="kafka.tools.StorageTool", arguments=arguments).run()
            with suppress(OSError):  # another process was first
                data.rename(kept)
    return kept


def _new_id() -> str:
    """An id as Kafka writes it: 16 bytes in base64, which must not begin with a dash."""
    while True:
        found = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not found.startswith("-"):
            return found


def _shorten(log: Path) -> None:
    """Keep the end of a log only: every start appends to it."""
    with suppress(FileNotFoundError):
        lines = log.read_text(errors="replace").splitlines(keepends=True)
        if len(lines) > _LOG_LINES:
            write_whole(log, "".join(lines[-_LOG_LINES:]))


def _listens(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as place:
        place.settimeout(1)
        return place.connect_ex((LOOPBACK, port)) == 0


def _wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)

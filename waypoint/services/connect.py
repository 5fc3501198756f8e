"""A Kafka Connect worker on loopback, with Debezium's connector for PostgreSQL.

    with running_connect(folder, kafka.bootstrap) as worker:
        httpx.get(f"{worker.url}/connectors")

It is the worker of production, too (`ConnectDistributed`); what its connectors are and how
far they have come stands in topics of the broker, so a killed worker goes on where it was.
Its configuration and log stand in its folder, and `secrets.properties`, which connectors refer to
instead of holding passwords: `${file:<folder>/secrets.properties:<name>}`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services import jars
from waypoint.services.java import Program, stop_all, tail
from waypoint.services.kafka import write_whole
from waypoint.services.ports import LOOPBACK, free_ports, is_free
from waypoint.services.postgres_keeper import is_running

#: The lists of jars: the class path, and the plugins, which have class loaders of their own.
#: `debezium-mariadb` is there for those who ask for it.
JARS = ("kafka", "connect")
PLUGINS = "debezium"
START_SECONDS = 120.0
STOP_SECONDS = 20.0

_TRIES = 5
_POLL = 0.05  # seconds
_PORT_TAKEN = ("Address already in use", "BindException", "Unable to initialize REST server")
_KEPT_LOG = 1_000_000  # bytes

# For a laptop and tests: the worker's topics are small, and a killed worker's work is taken up by
# the next one as soon as the broker has given it up.
_PROPERTIES = """\
bootstrap.servers={bootstrap}
group.id={group}
client.id={group}
config.storage.topic={group}-configs
offset.storage.topic={group}-offsets
status.storage.topic={group}-status
config.storage.replication.factor={replicas}
offset.storage.replication.factor={replicas}
status.storage.replication.factor={replicas}
offset.storage.partitions=4
status.storage.partitions=2
exactly.once.source.support=enabled
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
plugin.path={plugins}
plugin.discovery=service_load
listeners=http://{host}:{port}
rest.advertised.host.name={host}
session.timeout.ms=6000
heartbeat.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
task.shutdown.graceful.timeout.ms=3000
config.providers=file
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.file.param.allowed.paths={folder}
"""

_LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
"""


@dataclass
class Connect:
    """A worker on a folder, running or not."""

    folder: Path
    bootstrap: str
    port: int
    pid: int | None = None
    replicas: int = 1
    ends_with_parent: bool = False
    plugins: tuple[str, ...] = (PLUGINS,)

    @property
    def url(self) -> str:
        """The address of its REST API."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def group(self) -> str:
        """Its group, and how its topics begin: workers of one group share their connectors, and
        those of two folders do not know each other's secrets."""
        return f"waypoint-connect-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    @property
    def secrets(self) -> Path:
        """The file of passwords that its connectors may refer to."""
        return self.folder / "secrets.properties"

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.pid is not None and is_running(self.pid, str(self._properties))

    @property
    def is_ready(self) -> bool:
        """Whether it answers: it has read its topics and joined its group."""
        try:
            with urllib.request.urlopen(f"{self.url}/connectors", timeout=2) as answer:
                return bool(answer.status == 200) and self.is_running
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.pid is not None and self.is_running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            deadline = time.monotonic() + STOP_SECONDS
            while self.is_running and time.monotonic() < deadline:
                time.sleep(0.01)

    def restart(self) -> None:
        """Start it again and wait until it is ready; it may get another port.

        Raises:
            Unavailable: it did not start.
        """
        self.kill()
        self.start()

    def stop(self) -> None:
        """Stop it where it runs; calling it again is allowed."""
        if self.pid is not None:
            stop_all({self.pid: str(self._properties)}, STOP_SECONDS)

    def start(self) -> None:
        """Start it where it does not run, and wait until it is ready.

        Raises:
            Unavailable: it did not start; the message ends with what it said.
        """
        if self.is_running and self.is_ready:
            return
        self.kill()
        said = ""
        for _ in range(_TRIES):
            if not is_free(self.port):
                self.port = free_ports(1)[0]
            process = self._start()
            try:
                self._wait(process)
                return
            except _PortTaken as error:
                said = str(error)
                self.stop()
            except BaseException:
                self.stop()
                raise
        raise Unavailable(said)

    def _start(self) -> subprocess.Popen[bytes]:
        self._properties.write_text(
            _PROPERTIES.format(
                bootstrap=self.bootstrap,
                group=self.group,
                replicas=self.replicas,
                plugins=plugins(*self.plugins),
                host=LOOPBACK,
                port=self.port,
                folder=self.folder,
            )
        )
        logging = self.folder / "log4j2.properties"
        logging.write_text(_LOGGING)
        if self._log.exists() and self._log.stat().st_size > _KEPT_LOG:
            self._log.unlink()
        process = Program(
            main="org.apache.kafka.connect.cli.ConnectDistributed",
            classpath=jars.classpath(*JARS),
            arguments=[str(self._properties)],
            folder=self.folder,
            marker=str(self._properties),
            options=[f"-Dlog4j2.configurationFile={logging}", "-Dlog4j2.disableJmx=true"],
        ).start(self._log, self.ends_with_parent)
        self.pid = process.pid
        self.remember()
        return process

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready:
            if process.poll() is not None:
                said = tail(self._log.read_text(errors="replace"))
                message = f"the Connect worker in {self.folder} did not start:\n{said}"
                if any(words in said for words in _PORT_TAKEN):
                    raise _PortTaken(message)
                raise Unavailable(message, hint=f"the whole log: {self._log}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the Connect worker in {self.folder} was not ready after"
                    f" {START_SECONDS:.0f} seconds",
                    hint=f"its log: {self._log}",
                )
            time.sleep(_POLL)

    def remember(self) -> None:
        """Keep its port and process."""
        document = {"port": self.port, "pid": self.pid, "replicas": self.replicas}
        write_whole(self.folder / "worker.json", json.dumps(document, indent=1))

    @property
    def _properties(self) -> Path:
        return self.folder / "worker.properties"

    @property
    def _log(self) -> Path:
        return self.folder / "log"


class _PortTaken(Exception):
    """Somebody else listens on a port that was free when it was asked for."""


@contextmanager
def running_connect(
    folder: Path, bootstrap: str, brokers: int = 1, plugins: tuple[str, ...] = (PLUGINS,)
) -> Iterator[Connect]:
    """A worker on `folder` for as long as the block runs, and no longer than this thread lives.

    `plugins` are the lists of its plugins.

    Raises:
        Unavailable: its files could not be had, or it did not start.
        UnusableInput: a package is missing.
    """
    worker = start_connect(folder, bootstrap, brokers, ends_with_parent=True, wanted=plugins)
    try:
        yield worker
    finally:
        worker.stop()


def start_connect(
    folder: Path,
    bootstrap: str,
    brokers: int = 1,
    ends_with_parent: bool = False,
    wanted: tuple[str, ...] = (PLUGINS,),
) -> Connect:
    """Start the worker on `folder`, or find the one that runs there; see `running_connect`."""
    jars.jars(*JARS)
    plugins(*wanted)
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start.lock").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        worker = found_connect(folder, bootstrap)
        if worker is None:
            worker = Connect(folder, bootstrap, free_ports(1)[0])
        worker.replicas = min(3, brokers)
        worker.ends_with_parent = ends_with_parent
        worker.plugins = wanted
        if not worker.secrets.exists():
            write_secrets(worker.secrets, {})
        worker.start()
        return worker


def found_connect(folder: Path, bootstrap: str = "") -> Connect | None:
    """The worker whose files stand in `folder`, running or not; None where none was made."""
    try:
        document = json.loads((folder / "worker.json").read_text())
        return Connect(
            folder, bootstrap, document["port"], document["pid"], document.get("replicas", 1)
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise UnusableInput(
            f"{folder / 'worker.json'} is damaged", hint="remove it: the worker is made again"
        ) from None


def write_secrets(path: Path, secrets: dict[str, str]) -> None:
    """Keep passwords in a file of properties that only this user can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")  # 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for name, value in sorted(secrets.items()):
            file.write(f"{name}={_escaped(value)}\n")
    os.replace(temporary, path)


def read_secrets(path: Path) -> dict[str, str]:
    """What `write_secrets` has written; nothing where it has not."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: _unescaped(value) for name, _, value in pairs}


def _escaped(value: str) -> str:
    """A value as Java's properties files have it: plain ASCII, nothing else special."""
    units = value.encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(units[i : i + 2]):04x}" for i in range(0, len(units), 2))


def _unescaped(value: str) -> str:
    halves = value.encode("ascii").decode("unicode_escape")
    return halves.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


def plugins(*names: str) -> Path:
    """The folder of the plugins of some lists, each in a folder of its own, unpacked where they
    are not.

    Raises:
        Unavailable: they could not be had.
    """
    locked = [file for name in names for file in jars.locked(name)]
    archives = jars.jars(*names)
    kept = jars.cache_folder() / "plugins" / "-".join(file.sha256[:16] for file in locked)
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".new-"))
        try:
            for archive in archives:
                with tarfile.open(archive) as content:
                    content.extractall(new, filter="data")
            with suppress(OSError):  # another process was first
                new.rename(kept)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return kept


def local_worker(project_state: Path) -> dict[str, Any] | None:
    """What the local services say of their worker (`url`, `secrets`); None: none was started."""
    try:
        record = project_state / "services" / "connect.json"
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "url" in found else None

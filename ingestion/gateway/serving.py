"""The gateway's processes: one, or several on the same port."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from ingestion.gateway.app import Gateway
from ingestion.gateway.endpoints import read_endpoints
from ingestion.gateway.keys import VARIABLE, read_keys
from ingestion.gateway.measuring import TOGETHER
from ingestion.gateway.settings import PREFIX, Settings
from waypoint.ending_with_parent import end_with_parent
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

#: Connections that may wait to be taken.
_BACKLOG = 2048


@dataclass(frozen=True)
class Address:
    """Where the gateway answers; port 0 is any that is free."""

    host: str
    port: int

    @property
    def only_here(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False


def prepare(
    project: Project,
    connection: Mapping[str, str],
    address: Address,
    environment: Mapping[str, str],
) -> Gateway:
    """What the project's contracts and the environment make of the gateway.

    Raises:
        UnusableInput: see `endpoints`, `settings` and `keys`; or there are no keys, and others
            than this machine could reach it.
    """
    settings = Settings.read(environment)
    keys = read_keys(environment, settings.keys_file)
    if not keys and not address.only_here:
        raise UnusableInput(
            f"anybody who reaches {address.host} could send events: there are no API keys",
            hint=f"set {VARIABLE} or {PREFIX}KEYS_FILE, or listen on 127.0.0.1",
        )
    endpoints = tuple(read_endpoints(project))
    return Gateway(endpoints, dict(connection), settings, keys, _version())


def serve(gateway: Gateway, address: Address, workers: int, ready: Callable[[str], None]) -> None:
    """Answer until SIGTERM or Ctrl-C, then finish the requests that came before.

    Args:
        gateway: what to serve.
        address: where.
        workers: how many processes.
        ready: told the URL once connections are taken; those that come early wait.

    Raises:
        Unavailable: the port is taken, or is none of this machine's.
    """
    bound = _bind(address)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{port}")
    # uvicorn raises the signal again when it has ended well
    signal.signal(signal.SIGTERM, _end)
    with bound:
        if workers == 1:
            server = uvicorn.Server(_config(gateway, gateway))
            server.run(sockets=[bound])
            return
        with tempfile.TemporaryDirectory(prefix="waypoint-gateway-") as numbers:
            os.environ[TOGETHER] = numbers
            mine = partial(_in_worker, gateway.shared_by(workers), os.getpid())
            config = _config(gateway, mine)
            config.workers = workers
            Multiprocess(config, sockets=[bound]).run()


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _in_worker(gateway: Gateway, parent: int) -> FastAPI:
    end_with_parent(parent)
    return gateway()


def _config(gateway: Gateway, factory: Callable[[], FastAPI]) -> uvicorn.Config:
    return uvicorn.Config(
        factory,
        factory=True,
        log_level="warning",
        access_log=False,  # one line a request is what the metrics are for
        server_header=False,
        # requests wait for the brokers at most this long; those that came are answered
        timeout_graceful_shutdown=int(gateway.settings.delivery_seconds) + 5,
        timeout_keep_alive=30,
        # a worker that imports on a busy machine is slow, not dead
        timeout_worker_healthcheck=60,
        backlog=_BACKLOG,
    )


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
        # before anybody is told the address: a port that is only bound refuses connections
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"the gateway cannot listen on {address.host}, port {address.port}: {error.strerror}",
            hint="choose another with --port, or 0 for any that is free",
        ) from None
    bound.set_inheritable(True)
    return bound


def _version() -> str:
    from importlib.metadata import version

    return version("waypoint")

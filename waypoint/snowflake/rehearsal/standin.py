"""A stand-in for a Snowflake account: Snowflake's own protocol on 127.0.0.1, DuckDB behind it."""

from __future__ import annotations

import logging
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from waypoint.errors import Unavailable, UnusableInput
from waypoint.snowflake.rehearsal import positions
from waypoint.snowflake.rehearsal.adapting import WITHOUT_EFFECT, adapted

#: What a client may wait for the server to listen, in seconds.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Account:
    """Where an account is reached: arguments of Snowflake's connector and of dbt's profile."""

    connector: dict[str, Any]
    profile: dict[str, Any]


@contextmanager
def serving(folder: Path, database: str = "WAYPOINT") -> Iterator[Account]:
    """An empty account for as long as the block runs; its databases are files in `folder`.

    Raises:
        UnusableInput: the packages for rehearsals are missing.
        Unavailable: the server did not start.
    """
    try:
        with warnings.catch_warnings():  # the connector's, about its own dependencies
            warnings.simplefilter("ignore")
            import fakesnow.server as fake
            import uvicorn
            from fakesnow.instance import FakeSnow
    except ImportError as error:
        raise UnusableInput(
            f"a rehearsal needs packages that are not installed ({error})", hint="make setup"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    account = FakeSnow(db_path=folder, nop_regexes=WITHOUT_EFFECT)
    positions.add_to(account.duck_conn)
    with (
        adapted(folder / "stages"),
        patch.object(fake, "shared_fs", account),
        patch.dict(fake.sessions),
        socket.socket() as listener,
    ):
        fake.logger.setLevel(logging.CRITICAL)
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(fake.app, log_config=None, lifespan="off", access_log=False)
        )
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait(server, thread)
            yield _account(port, database)
        finally:
            server.should_exit = True
            thread.join()
            for session in fake.sessions.values():
                session.close()
            account.duck_conn.close()


def _wait(server: Any, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise Unavailable("the stand-in for Snowflake did not start")
        time.sleep(0.02)


def _account(port: int, database: str) -> Account:
    common = {
        "account": "standin", "user": "rehearsal", "password": "none", "host": "127.0.0.1",
        "port": port, "protocol": "http", "insecure_mode": True, "database": database,
        "warehouse": "REHEARSAL", "role": "REHEARSAL",
    }  # fmt: skip
    return Account(
        connector=common | {"session_parameters": {"TIMEZONE": "UTC"}, "login_timeout": 60},
        profile=common
        | {"type": "snowflake", "schema": "staging", "connect_retries": 0, "threads": 2},
    )

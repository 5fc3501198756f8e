"""PostgreSQL as a service of the project, ready for change capture; on loopback, no password."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import psycopg

from waypoint.services import postgres
from waypoint.services.local import Place, Process, Status, Wanted
from waypoint.services.ports import LOOPBACK, free_ports, is_free
from waypoint.services.postgres_keeper import is_running, server_pid, stop_server

#: Beside what any embedded server has; slots and senders are what Debezium's connector needs.
SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "listen_addresses": LOOPBACK,
}

_TRIES = 5
_PORT_TAKEN = ("could not bind", "Address already in use")


class PostgresService:
    """A server that stays up when the command has ended: a small process keeps it in use."""

    on_request = False

    def up(self, place: Place, wanted: Wanted) -> None:
        """See `Service`."""
        folder = place.folder
        folder.mkdir(parents=True, exist_ok=True)
        before = _holder(folder)
        port = _port(folder)
        if before is None and (port is None or not is_free(port)):
            port = None
        for remaining in reversed(range(_TRIES)):
            chosen = port or free_ports(1)[0]
            try:
                handle = postgres.start(folder, SETTINGS | {"port": str(chosen)})
                break
            except postgres.PostgresDidNotStart as error:
                if not remaining or not any(words in str(error) for words in _PORT_TAKEN):
                    raise
                port = None
        if before is None:
            (folder / "holder.pid").write_text(str(handle.hand_over(str(folder))))
        else:
            handle.leave()
        address = f"postgresql://{postgres.SUPERUSER}@{LOOPBACK}:{chosen}/{postgres.SUPERUSER}"
        place.keep({"dsn": address, "host": LOOPBACK, "port": chosen})

    def down(self, place: Place) -> None:
        """See `Service`."""
        holder = _holder(place.folder)
        if holder is not None:
            with suppress(ProcessLookupError):
                os.kill(holder, signal.SIGTERM)
        stop_server(place.folder / "data")
        place.forget()

    def status(self, place: Place) -> Status | None:
        """See `Service`."""
        record = place.record()
        if record is None:
            return None
        pid = server_pid(place.folder / "data")
        return Status(
            place.name,
            "PostgreSQL 18",
            str(record.get("dsn")),
            pid is not None and _answers(str(record.get("dsn"))),
            (Process("server", pid, pid is not None),),
        )


def _holder(folder: Path) -> int | None:
    try:
        pid = int((folder / "holder.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_running(pid, str(folder)) else None


def _port(folder: Path) -> int | None:
    """The one that it had: clients may know it."""
    try:
        return int(json.loads((folder / "settings.json").read_text())["port"])
    except (OSError, ValueError, KeyError):
        return None


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=3).close()
    except psycopg.Error:
        return False
    return True


service = PostgresService()

"""A schema registry as a service of the project: Apicurio, by the API that Confluent's has."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx

from waypoint.errors import Unavailable
from waypoint.services import jars
from waypoint.services.java import Program, tail
from waypoint.services.local import Place, Wanted
from waypoint.services.ports import LOOPBACK, free_ports, is_free
from waypoint.services.single_process import SingleProcess

JARS = "registry"
VERSION = next(file.version for file in jars.locked(JARS))

_API = "/apis/ccompat/v7"
_TRIES = 5
_START_SECONDS = 180.0
_PORT_TAKEN = ("already in use", "BindException")


class RegistryService(SingleProcess):
    """One registry; its schemas are kept in a database of its own."""

    program = f"Apicurio Registry {VERSION}"
    process_name = "registry"
    stop_seconds = 15.0

    def up(self, place: Place, wanted: Wanted) -> None:
        """See `Service`."""
        record = place.record() or {}
        if self.runs(place, record):
            self._wait(place, record)
            return
        place.folder.mkdir(parents=True, exist_ok=True)
        program = _unpacked()
        port = record.get("port")
        for remaining in reversed(range(_TRIES)):
            port = port if port and is_free(port) else free_ports(1)[0]
            log = place.folder / "log"
            log.unlink(missing_ok=True)
            process = _program(program, place.folder, port).start(log, ends_with_parent=False)
            url = f"http://{LOOPBACK}:{port}{_API}"
            record = {"url": url, "port": port, "pid": process.pid}
            place.keep(record)
            try:
                self._wait(place, record)
                return
            except Unavailable as error:
                if not remaining or not any(words in str(error) for words in _PORT_TAKEN):
                    raise
                port = None

    def marker(self, folder: Path) -> str:
        """See `SingleProcess`."""
        return str(_database(folder))

    def answers(self, record: dict[str, Any]) -> bool:
        """See `SingleProcess`."""
        try:
            return httpx.get(f"{record['url']}/subjects", timeout=3).is_success
        except httpx.HTTPError:
            return False

    def address(self, record: dict[str, Any]) -> str:
        """See `SingleProcess`."""
        return str(record["url"])

    def _wait(self, place: Place, record: dict[str, Any]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers(record):
            if not self.runs(place, record) or time.monotonic() > deadline:
                said = tail((place.folder / "log").read_text(errors="replace"))
                raise Unavailable(f"the schema registry in {place.folder} did not start:\n{said}")
            time.sleep(0.2)


def _program(unpacked: Path, folder: Path, port: int) -> Program:
    options = {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": port,
        "quarkus.http.access-log.enabled": "false",
        "quarkus.log.level": "WARN",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{_database(folder)}",
    }
    return Program(
        main="io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        classpath=str(unpacked / "quarkus-run.jar"),
        arguments=[str(_database(folder))],
        folder=folder,
        marker=str(_database(folder)),
        options=[f"-D{name}={value}" for name, value in options.items()],
    )


def _unpacked() -> Path:
    """The program, taken out of its archive once for each version."""
    (archive,) = jars.jars(JARS)
    folder = archive.parent / "unpacked"
    if not folder.exists():
        new = folder.with_name(f"unpacked.{os.getpid()}")
        with tarfile.open(archive) as tar:
            tar.extractall(new, filter="data")
        try:
            new.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(new)
    return folder


def _database(folder: Path) -> Path:
    return folder / "database"


service = RegistryService()

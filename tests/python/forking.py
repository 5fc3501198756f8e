"""Commands and dbt for the tests, in processes forked from one that has imported what they need.

Half of what a short command costs is Python's imports, and the tests run hundreds of them. Here
they are imported once for each worker of pytest, by the server that `multiprocessing` forks from
(`forked_from`), in which no command has run. Each command still has a process, a working folder, an
environment and files for what it says of its own. Commands that are interrupted or killed are
started as a user's would be; see `CommandLine.started`.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["forked_from"])
_STARTING = threading.Lock()  # tests run commands side by side, too


def _server() -> Any:
    return multiprocessing.forkserver._forkserver  # type: ignore[attr-defined]


def _begin_server() -> None:
    """Start the process that is forked, the first time; it imports from where the tests do."""
    with _STARTING:
        if _server()._forkserver_address is not None:
            return
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = f"{Path(__file__).parent}{os.pathsep}{before}".strip(os.pathsep)
        try:
            _server().ensure_running()
        finally:
            os.environ["PYTHONPATH"] = before
            if not before:
                del os.environ["PYTHONPATH"]


@dataclass(frozen=True)
class _HandedOver:
    """An open file, by its number; in the process that gets it, the number there."""

    number: int

    def __reduce__(self) -> Any:
        return _taken_over, (DupFd(self.number),)


def _taken_over(handed: Any) -> int:
    return int(handed.detach())


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_waypoint(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Ended:
    """Run `waypoint` to its end."""
    return _ended("waypoint", arguments, folder, environment)


def run_dbt(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Ended:
    """Run `dbt` to its end; what it tells its makers is off."""
    return _ended("dbt", arguments, folder, environment | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "0"})


def _ended(
    program: str, arguments: Sequence[str], folder: Path, environment: dict[str, str]
) -> Ended:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = _begun(program, arguments, folder, environment, out.fileno(), err.fileno())
        process.join()
        for said in (out, err):
            said.seek(0)
        return Ended(int(process.exitcode), out.read(), err.read())


class ForkedDbt:
    """dbt, as far as `waypoint.dbt_running` uses a `subprocess.Popen` of it."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        reading, writing = os.pipe()
        self._process = _begun("dbt", arguments, folder, environment, writing, writing)
        os.close(writing)
        self.stdout = os.fdopen(reading, encoding="utf-8")

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; a negative one is a signal."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("dbt", timeout or 0)
        return int(self._process.exitcode)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def _begun(
    program: str,
    arguments: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    out: int,
    err: int,
) -> Any:
    _begin_server()
    process = _SERVER.Process(
        target=_run,
        args=(program, list(arguments), folder, environment, _HandedOver(out), _HandedOver(err)),
    )
    process.start()
    return process


def _run(
    program: str,
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    out: int,
    err: int,
) -> None:
    """Be `program`, in the process that was forked for it."""
    for mine, given in ((1, out), (2, err)):
        os.dup2(given, mine)
        os.close(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = [program, *arguments]
    sys.path.insert(0, str(folder))  # as `python -m` has it
    if program == "dbt":
        from dbt.cli.main import cli

        cli()
    from waypoint import dbt_running
    from waypoint.cli.app import main

    dbt_running.begin_dbt = ForkedDbt
    # the server that forked this process forks dbt, too; by itself it would start one of its own
    _server().ensure_running = lambda: None
    main()

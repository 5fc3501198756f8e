"""An Airflow on this machine, with everything configured: for trying the DAGs, and for small use.

Its home is `<state>/airflow`: a SQLite database, the LocalExecutor, one free port on 127.0.0.1.
Whatever AIRFLOW__... variable the environment sets already is left as it is.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from waypoint.dbt_running import compile_project
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import DEFAULT_TARGET, STATE_VARIABLE, TARGET_VARIABLE, Project

USER = "admin"

_READY_SECONDS = 600.0
_STOP_SECONDS = 30.0
_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")

#: What Airflow's setting [core] plugins_folder is: what the DAGs need beyond Airflow itself.
PLUGINS_FOLDER = Path(__file__).parent / "plugins"

#: Read by each of Airflow's processes as it starts. Tasks are forked from the scheduler: what it
#: has imported already, no task imports again.
_LOCAL_SETTINGS = '''\
"""Written by `waypoint airflow up`: imports once what every task needs."""

import sys

if any(name in " ".join(sys.argv) for name in ("scheduler", "dag-processor")):
    import waypoint.orchestration.preloaded  # noqa: F401
'''


@dataclass(frozen=True)
class Running:
    """A local Airflow that was started: its session of processes and where it answers."""

    pid: int
    port: int
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class DagState:
    """A DAG as Airflow knows it, and what became of its newest run."""

    dag: str
    paused: bool
    last_run: str | None
    last_state: str | None


@dataclass(frozen=True)
class Status:
    """Whether the local Airflow runs, how its parts are, and its DAGs."""

    running: bool
    url: str | None
    home: Path
    health: Mapping[str, str]
    dags: tuple[DagState, ...] = ()

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "home": str(self.home)}


def home_of(project: Project) -> Path:
    """The folder of the project's local Airflow."""
    return project.state / "airflow"


def environment(project: Project, port: int, unpaused: bool = False) -> dict[str, str]:
    """The variables under which Airflow's processes run for a project."""
    home = home_of(project)
    ours = {
        "AIRFLOW_HOME": str(home),
        STATE_VARIABLE: str(project.state),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS_FOLDER),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(home)),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(not unpaused),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # tasks that begin before it answers wait for it: some minutes, on a busy machine
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
        # a new model appears within two minutes, and idling costs little
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        # nobody is told that this Airflow runs
        "DO_NOT_TRACK": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    if not any("OPENLINEAGE" in name and "TRANSPORT" in name for name in os.environ):
        # without a place for its events, its work on each task is for nothing
        ours["AIRFLOW__OPENLINEAGE__DISABLED"] = "True"
    if project.target != DEFAULT_TARGET:
        ours[TARGET_VARIABLE] = project.target
    given = {n: v for n, v in os.environ.items() if not (n in ours and _is_ours_alone(n))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**ours, **given, "PATH": path}


def up(project: Project, port: int | None = None, unpause: bool = False) -> tuple[Running, str]:
    """Start the local Airflow and wait until all its parts are well.

    Gives what runs, and the password of the user admin where it was made just now.

    Raises:
        UnusableInput: Airflow is not installed, or the project has no `dags/`.
        Unavailable: it runs already, or did not get well.
        DbtFailed: the project does not compile.
    """
    _require(project)
    home = home_of(project)
    found = running(project)
    if found is not None:
        raise Unavailable(
            f"Airflow runs already at {found.url}", hint="`waypoint airflow down` stops it"
        )
    compile_project(project)  # the manifest that the DAGs are rendered from
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "airflow_local_settings.py").write_text(_LOCAL_SETTINGS, encoding="utf-8")
    password = _make_password(home)
    port = port or _free_port()
    variables = environment(project, port, unpause)
    _prepare(home, variables, unpause)
    with (home / "airflow.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            cwd=project.root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = Running(process.pid, port, home)
    _file(home).write_text(json.dumps({"pid": process.pid, "port": port}), encoding="utf-8")
    try:
        _wait(started, process)
    except BaseException:
        down(project)
        raise
    return started, password


def down(project: Project) -> bool:
    """Stop the local Airflow with all its processes; whether there was one.

    Tasks that run are asked to end, and killed where they do not.
    """
    home = home_of(project)
    found = running(project)
    if found is None:
        _file(home).unlink(missing_ok=True)
        return False
    for number, patience in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5.0)):
        for pid in _session(found.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end and _session(found.pid):
            with suppress(ChildProcessError):  # started by this very process
                os.waitpid(found.pid, os.WNOHANG)
            time.sleep(0.2)
    _file(home).unlink(missing_ok=True)
    return True


def status(project: Project) -> Status:
    """How the local Airflow is."""
    home = home_of(project)
    found = running(project)
    health = _health(found.port) if found else {}
    return Status(found is not None, found.url if found else None, home, health, _dags(home))


def running(project: Project) -> Running | None:
    """The local Airflow that was started and has not ended, if there is one."""
    home = home_of(project)
    try:
        known = json.loads(_file(home).read_text(encoding="utf-8"))
        found = Running(int(known["pid"]), int(known["port"]), home)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return found if _session(found.pid) else None


def _require(project: Project) -> None:
    missing = [name for name in ("airflow", "cosmos") if find_spec(name) is None]
    if missing:
        raise UnusableInput(f"{' and '.join(missing)} is not installed", hint="run `make setup`")
    if not (project.root / "dags").is_dir():
        raise UnusableInput(
            f"{project.root / 'dags'} is not there", hint="copy the files of Waypoint's own dags/"
        )


def _is_ours_alone(name: str) -> bool:
    """Whether a variable of the environment must not override: it would point elsewhere."""
    return name in ("AIRFLOW_HOME", STATE_VARIABLE, TARGET_VARIABLE) or name.endswith(
        (
            *("__PORT", "__EXECUTION_API_SERVER_URL", "__BASE_URL"),
            *("__DAGS_FOLDER", "__PLUGINS_FOLDER", "__DAGS_ARE_PAUSED_AT_CREATION"),
        )
    )


def _prepare(home: Path, variables: Mapping[str, str], unpause: bool) -> None:
    """Make the database and the pools, in a process of its own: Airflow reads its setting once."""
    command = [sys.executable, "-m", "waypoint.orchestration.prepare"]
    ended = subprocess.run(
        [*command, *(["--unpause"] if unpause else [])],
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    (home / "prepare.log").write_text(ended.stdout, encoding="utf-8")
    if ended.returncode != 0:
        last = "\n".join(ended.stdout.splitlines()[-8:])
        raise Unavailable(
            f"Airflow's database could not be prepared:\n{last}", hint=str(home / "prepare.log")
        )


def _wait(started: Running, process: subprocess.Popen[bytes]) -> None:
    log = started.home / "airflow.log"
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Unavailable(f"Airflow ended with {process.returncode}", hint=f"see {log}")
        health = _health(started.port)
        if all(health.get(part) == "healthy" for part in _PARTS):
            return
        time.sleep(1)
    raise Unavailable(f"Airflow was not ready after {_READY_SECONDS:.0f} s", hint=f"see {log}")


def _health(port: int) -> dict[str, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=10) as answer:
            document = json.load(answer)
    except (OSError, ValueError):
        return {}
    return {name: str((part or {}).get("status")) for name, part in document.items()}


def _session(leader: int) -> list[int]:
    """The processes of a session; where the system does not tell, those of the group."""
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(leader, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [leader]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] != "Z":
                    found.append(int(folder.name))
    return found


def _dags(home: Path) -> tuple[DagState, ...]:
    database = home / "airflow.db"
    if not database.exists():
        return ()
    query = """
        select dag_id, is_paused,
            (select run_id from dag_run r where r.dag_id = d.dag_id order by id desc limit 1),
            (select state from dag_run r where r.dag_id = d.dag_id order by id desc limit 1)
        from dag d where not is_stale order by dag_id
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            rows = connection.execute(query).fetchall()
        except sqlite3.Error:
            return ()
    return tuple(DagState(dag, bool(paused), run, state) for dag, paused, run, state in rows)


def _make_password(home: Path) -> str:
    """A new password for the user, where there is none yet; else nothing."""
    path = _passwords(home)
    if path.exists():
        return ""
    password = secrets.token_urlsafe(12)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({USER: password}, file)
    return password


def _passwords(home: Path) -> Path:
    return home / "passwords.json"


def _file(home: Path) -> Path:
    return home / "running.json"


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

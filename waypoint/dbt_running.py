"""Running dbt as a process of its own: watched as it goes, and ended with whoever asked for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ingestion.snowflake_account import with_connection
from waypoint.errors import WaypointError
from waypoint.profile import refuse_another_warehouse
from waypoint.project import DEFAULT_STATE, DEFAULT_TARGET, STATE_VARIABLE, TARGET_VARIABLE, Project
from waypoint.warehouse import EMBEDDED, lock_conflict, wait_for

#: What dbt says of a node that failed; one that was left out because of that is "skipped".
FAILED_STATUSES = frozenset({"error", "fail", "runtime error", "partial success"})
_DBT = [sys.executable, "-m", "waypoint.dbt_process"]
_LOGS = ["--log-format", "json", "--log-format-file", "text", "--log-level-file", "info"]
_FINISHED_EVENTS = frozenset(
    {
        "LogModelResult",
        "LogTestResult",
        "LogSeedResult",
        "LogSnapshotResult",
        "LogNodeResult",
        "LogNodeNoOpResult",
        "LogBatchResult",
        "SkippingDetails",
    }
)


class DbtFailed(WaypointError):
    """dbt ended without results: the project does not compile, or dbt itself broke."""


@dataclass(frozen=True)
class Progress:
    """How far a build is: nodes done of `total` (0 while dbt reads the project)."""

    done: int
    total: int
    failed: int
    node: str  # what was started last


def compile_project(
    project: Project, watch: Callable[[Progress], None] = lambda _progress: None
) -> None:
    """Run `dbt compile`: the manifest and the SQL of every model, nothing is built.

    Raises:
        DbtFailed: the project does not compile.
        Unavailable: another process holds the warehouse.
    """
    run_dbt(project, ["compile"], watch)


def target_dir(project: Project) -> Path:
    """Where dbt puts its manifest, results and compiled SQL for this project and target.

    `target/` is the embedded warehouse's with the project's own state; another target or state
    has its own, so that neither overwrites what tools read there.
    """
    named = os.environ.get("DBT_TARGET_PATH")
    if named:
        return project.root / named
    base = project.root if _has_own_state(project) else project.state
    return base / "target" if project.target == EMBEDDED else base / "target" / project.target


def prepare(project: Project) -> None:
    """Make the folder that dbt opens the embedded warehouse in.

    Raises:
        UnusableInput: the profile's warehouse is another file.
    """
    refuse_another_warehouse(project)
    project.warehouse_file.parent.mkdir(parents=True, exist_ok=True)


def _has_own_state(project: Project) -> bool:
    return project.state == project.root / DEFAULT_STATE


def run_dbt(project: Project, command: Sequence[str], watch: Callable[[Progress], None]) -> None:
    """Run dbt to its end, reporting as it goes.

    Raises:
        DbtFailed: it ended without results of its own.
        Unavailable: another process holds the warehouse.
    """
    prepare(project)
    if project.target == EMBEDDED:
        wait_for(project.warehouse_file)
    target = target_dir(project)
    (target / "run_results.json").unlink(missing_ok=True)
    log = project.state / "logs"
    options = ["--target-path", str(target), *_target_option(project)]
    arguments = [*_LOGS, "--log-path", str(log), *command, *options]
    process = begin_dbt(arguments, project.root, _environment(project))
    assert process.stdout is not None
    try:
        said = _follow(process.stdout, watch)
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    if (target / "run_results.json").exists():
        return
    raise _reason(project, said, code, log / "dbt.log")


def begin_dbt(
    arguments: Sequence[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[str]:
    """Start `dbt` in `folder`; what it says on stdout and stderr comes as one text."""
    return subprocess.Popen(
        [*_DBT, str(os.getpid()), *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _environment(project: Project) -> dict[str, str]:
    embedded = project.target == EMBEDDED
    environment = dict(os.environ) if embedded else with_connection(os.environ)
    if project.target == DEFAULT_TARGET:
        environment.pop(TARGET_VARIABLE, None)
    else:
        environment[TARGET_VARIABLE] = project.target
    environment["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    if (project.root / "profiles.yml").exists():
        environment["DBT_PROFILES_DIR"] = str(project.root)
    if _has_own_state(project):
        # as a bare `dbt build` in the project's folder sees it: a profile that differs would make
        # dbt read the whole project anew
        environment.pop(STATE_VARIABLE, None)
    else:
        environment[STATE_VARIABLE] = str(project.state)
    return environment


def _target_option(project: Project) -> list[str]:
    """What names the target to dbt; nothing where it is the profile's own default.

    Naming it all the same would make dbt read the whole project anew, as it would again for the
    next bare `dbt build`.
    """
    if project.target == DEFAULT_TARGET and TARGET_VARIABLE in _profiles(project):
        return []
    return ["--target", project.target]


def _profiles(project: Project) -> str:
    path = project.root / "profiles.yml"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _follow(output: IO[str], watch: Callable[[Progress], None]) -> list[str]:
    """Report the progress that dbt's JSON log lines tell of; returns the rest of what it said."""
    said: list[str] = []
    done = total = failed = 0
    node = "reading the project"
    watch(Progress(0, 0, 0, node))
    for line in output:
        event = _event(line)
        if event is None:
            said.append(line.rstrip())
            continue
        info, data = event["info"], event["data"]
        if info["name"] == "ConcurrencyLine":
            total = int(data.get("node_count", 0))
        elif info["name"] == "LogStartLine":
            node = data["node_info"]["node_name"]
        elif info["name"] in _FINISHED_EVENTS:
            done += 1
            failed += data["node_info"].get("node_status") in FAILED_STATUSES
        elif info["level"] == "error":
            said.append(info["msg"].strip())
            continue
        else:
            continue
        watch(Progress(done, max(total, done), failed, node))
    return said


def _event(line: str) -> dict[str, Any] | None:
    with suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and "info" in event and "data" in event:
            return event
    return None


def _end(process: subprocess.Popen[str]) -> None:
    """End dbt in order, so that it rolls back and lets go of the warehouse."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(project: Project, said: Sequence[str], code: int, log: Path) -> WaypointError:
    text = "\n".join(line for line in said if line)
    conflict = lock_conflict(project.warehouse_file, text)
    if conflict is not None:
        return conflict
    if code < 0:
        return DbtFailed(f"dbt was ended by signal {-code}", hint="run the same command again")
    return DbtFailed(f"dbt could not build the project:\n{text}", hint=f"all it said is in {log}")

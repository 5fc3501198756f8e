"""Building: dbt as a process of its own, watched as it goes, its failures in people's terms."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from waypoint.errors import WaypointError
from waypoint.profile import refuse_another_warehouse
from waypoint.project import DEFAULT_STATE, DEFAULT_TARGET, STATE_VARIABLE, TARGET_VARIABLE, Project
from waypoint.warehouse import EMBEDDED, lock_conflict, reading, wait_for

_DBT = [sys.executable, "-m", "waypoint.dbt_process"]
_LOGS = ["--log-format", "json", "--log-format-file", "text", "--log-level-file", "info"]
#: What dbt says of a node that failed; one that was left out because of that is "skipped".
FAILED_STATUSES = frozenset({"error", "fail", "runtime error", "partial success"})
#: dbt's commands that make or test tables; the results of others say nothing about those.
MAKING_COMMANDS = frozenset({"build", "run", "seed", "snapshot", "test", "retry"})
_UNIT_TEST = "unit_test"
_CONTRACT_TEST = "contract_rules"  # macros/contracts/contract_rules.sql
_NOT_BUILT = ("operation", "exposure")  # in dbt's results, but nothing that is made
_SELECTING = ("-s", "-m", "--select", "--models", "--exclude", "--selector", "--resource-type")
_HEADING = re.compile(r"\w+ Error in \w+ \S+ \(.*\)$")
_EXCERPT = re.compile(r"\s*(LINE \d+:|> in macro |> called by )")
_LONGEST = 20  # lines of one message
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


@dataclass(frozen=True)
class BrokenRule:
    """A rule of a table's contract that rows break, and how many do."""

    table: str
    rule: str
    violations: int
    severity: str  # "error" or "warning"


@dataclass(frozen=True)
class Node:
    """What came of one node of dbt's graph."""

    unique_id: str
    kind: str  # model, test, unit_test, seed, snapshot ...
    name: str
    table: str | None  # the full name of the table that it makes or tests
    status: str
    seconds: float
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.status in FAILED_STATUSES


@dataclass(frozen=True)
class Built:
    """What came of a build."""

    nodes: tuple[Node, ...]
    broken_rules: tuple[BrokenRule, ...]
    seconds: float
    remarks: tuple[str, ...] = ()  # what went wrong beside the build, and does not fail it

    @property
    def failures(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.failed)

    @property
    def skipped(self) -> tuple[Node, ...]:
        """Nodes that were not built because something they need failed."""
        return tuple(node for node in self.nodes if node.status == "skipped")

    def problems(self) -> list[str]:
        """Every failure and warning in people's terms, marked ✗ or !, failures first."""
        return [
            *(f"✗ {told}" for told in _problems(self, "error")),
            *(f"! {told}" for told in _problems(self, "warning")),
        ]

    def counts(self) -> dict[str, int]:
        """How many nodes of each kind were built or passed."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            if not node.failed and node.status != "skipped" and node.kind not in _NOT_BUILT:
                counts[node.kind] = counts.get(node.kind, 0) + 1
        return counts


@dataclass(frozen=True)
class LastBuild:
    """What is remembered of the last build that ran to its end."""

    failures: int
    partial: bool  # only some nodes were selected


def build(
    project: Project,
    *,
    full_refresh: bool = False,
    with_unit_tests: bool = False,
    arguments: Sequence[str] = (),
    watch: Callable[[Progress], None] = lambda _progress: None,
) -> Built:
    """Run `dbt build`: models, seeds, snapshots and the tests of their contracts.

    `arguments` are passed to dbt as they are. Failing nodes are in the result, not raised.

    Raises:
        DbtFailed: the project does not compile, or dbt broke.
        Unavailable: another process holds the warehouse.
    """
    _marker(project).unlink(missing_ok=True)
    command = ["build", *arguments]
    if full_refresh:
        command.append("--full-refresh")
    if not with_unit_tests and not any("resource-type" in given for given in arguments):
        command += ["--exclude-resource-type", _UNIT_TEST]
    start = time.monotonic()
    with _telling_of_broken_builds(project):
        _run_dbt(project, command, watch)
    built = _read_results(project, time.monotonic() - start)
    built = replace(built, remarks=_emit_lineage(project, built))
    partial = any(given.split("=")[0] in _SELECTING for given in arguments)
    _remember(project, LastBuild(failures=len(built.failures), partial=partial))
    return built


def compile_project(
    project: Project, watch: Callable[[Progress], None] = lambda _progress: None
) -> None:
    """Run `dbt compile`: the manifest and the SQL of every model, nothing is built.

    Raises:
        DbtFailed: the project does not compile.
        Unavailable: another process holds the warehouse.
    """
    _run_dbt(project, ["compile"], watch)


@contextmanager
def _telling_of_broken_builds(project: Project) -> Iterator[None]:
    """Emit that dbt ended without results, where lineage events are configured."""
    began = datetime.now(UTC)
    try:
        yield
    except DbtFailed:
        from waypoint.lineage.emitting import emit_broken_build, is_configured

        if is_configured(os.environ, project.root):
            emit_broken_build(project, began)
        raise


def _emit_lineage(project: Project, built: Built) -> tuple[str, ...]:
    """Emit what was built as OpenLineage events, where that is configured; says what failed."""
    from waypoint.lineage.emitting import emit_after_build, is_configured

    if not is_configured(os.environ, project.root):
        return ()
    problem = emit_after_build(project, target_dir(project), built.broken_rules)
    return (problem,) if problem else ()


def last_build(project: Project) -> LastBuild | None:
    """The last build, or None where none ran to its end."""
    try:
        return LastBuild(**json.loads(_marker(project).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


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


def _marker(project: Project) -> Path:
    return project.state / "build.json"


def _remember(project: Project, build: LastBuild) -> None:
    _marker(project).write_text(json.dumps(asdict(build)) + "\n", encoding="utf-8")


def _run_dbt(project: Project, command: Sequence[str], watch: Callable[[Progress], None]) -> None:
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
    process = subprocess.Popen(
        [*_DBT, str(os.getpid()), *_LOGS, "--log-path", str(log), *command, *options],
        cwd=project.root,
        env=_environment(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
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


def _environment(project: Project) -> dict[str, str]:
    environment = dict(os.environ)
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


# what people are told


def _problems(built: Built, severity: str) -> Iterator[str]:
    explained = set()
    for broken in built.broken_rules:
        if broken.severity == severity:
            explained.add((broken.table, severity))
            times = "once" if broken.violations == 1 else f"{broken.violations:,} times"
            yield f"{broken.table}: {broken.rule} is broken {times}"
    for node in built.nodes:
        found = "error" if node.failed else "warning" if node.status == "warn" else None
        if found == severity and (node.kind != "test" or (node.table, severity) not in explained):
            yield _problem(node)


def _problem(node: Node) -> str:
    if node.kind == "test":
        of = f"{node.table}: " if node.table else ""
        return f"{of}test {node.name}: {_indented(node.message)}"
    if node.kind == _UNIT_TEST:
        return f"{node.table}: unit test {node.name} fails\n{_indented(node.message, first=True)}"
    return f"{node.table or node.name} could not be built: {_indented(node.message)}"


def _indented(message: str, first: bool = False) -> str:
    """dbt's message without its heading ("Runtime Error in model ...") and the statement."""
    lines = [line.strip() if not first else line for line in message.splitlines() if line.strip()]
    if len(lines) > 1 and _HEADING.match(lines[0].strip()):
        lines = lines[1:]
    kept = list(itertools.takewhile(lambda line: not _EXCERPT.match(line), lines)) or lines[:1]
    text = "\n".join(f"    {line}" for line in kept[:_LONGEST])
    return text if first else text.strip()


# what dbt wrote


def _read_results(project: Project, seconds: float) -> Built:
    results = json.loads((target_dir(project) / "run_results.json").read_text(encoding="utf-8"))
    manifest = json.loads((target_dir(project) / "manifest.json").read_text(encoding="utf-8"))
    known: Mapping[str, Any] = {
        **manifest["nodes"],
        **manifest.get("unit_tests", {}),
        **manifest.get("sources", {}),
    }
    nodes = tuple(_node(result, known) for result in results["results"])
    for node in nodes:
        conflict = lock_conflict(project.warehouse_file, node.message) if node.failed else None
        if conflict is not None:
            raise conflict
    broken = tuple(_broken_rules(project, results["results"], known))
    return Built(nodes=nodes, broken_rules=broken, seconds=seconds)


def _node(result: Mapping[str, Any], known: Mapping[str, Any]) -> Node:
    unique_id = result["unique_id"]
    entry = known.get(unique_id, {})
    return Node(
        unique_id=unique_id,
        kind=unique_id.split(".", 1)[0],
        name=entry.get("name", unique_id),
        table=_table(entry, known),
        status=result["status"],
        seconds=result["execution_time"],
        message=(result.get("message") or "").strip(),
    )


def _table(entry: Mapping[str, Any], known: Mapping[str, Any]) -> str | None:
    """The full name of the table that a node makes, or that a test is about."""
    tested = entry.get("attached_node") or entry.get("tested_node_unique_id")
    if not tested and (entry.get("test_metadata") or {}).get("name") == _CONTRACT_TEST:
        # dbt attaches no test to a source; the first that it depends on is the one it is about
        tested = next(iter((entry.get("depends_on") or {}).get("nodes", ())), None)
    entry = known.get(tested, entry) if tested else entry
    if entry.get("resource_type") in ("model", "seed", "snapshot", "source"):
        return f"{entry['schema']}.{entry.get('alias') or entry['name']}"
    return None


def _broken_rules(
    project: Project, results: Sequence[Mapping[str, Any]], known: Mapping[str, Any]
) -> Iterator[BrokenRule]:
    """The rules behind the failed and warning contract tests.

    dbt keeps only how many rules are broken; which ones, its compiled query is asked again.
    """
    asked = [r for r in results if r["status"] in ("fail", "warn") and _is_contract_test(r, known)]
    if not asked or project.target != EMBEDDED:
        return
    with reading(project.warehouse_file) as connection:
        for result in asked:
            entry = known[result["unique_id"]]
            found = connection.execute(result["compiled_code"]).fetchall()
            for rule, violations, severity in found:
                yield BrokenRule(_table(entry, known) or entry["name"], rule, violations, severity)


def _is_contract_test(result: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    entry = known.get(result["unique_id"], {})
    return (entry.get("test_metadata") or {}).get("name") == _CONTRACT_TEST and bool(
        result.get("compiled_code")
    )

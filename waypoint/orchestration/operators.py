"""What the tasks of a build do. Each says in its log what it did, and fails with words for people.

One process builds: `dbt build` of everything that may be built, in the task *build*. Each table has
a task of its own after it, which takes over what came of its table and of the tests that guard it;
so a failure shows where it belongs, and stops what depends on it and nothing else. A table that
failed, or was left out since something before it had failed, is built by its own task when that is
tried again: a run picks up where it stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from waypoint.errors import Exit
from waypoint.locking import PATIENCE_VARIABLE
from waypoint.orchestration import alerting, freshness
from waypoint.orchestration.tasks import PATIENCE, TaskFailed, WaypointOperator, tell
from waypoint.project import TARGET_VARIABLE, Project

if TYPE_CHECKING:
    from waypoint.build_results import Built

_FAILED = ("error", "fail", "runtime error", "partial success")


class FreshnessOperator(WaypointOperator):
    """Measure all sources that the gates of its DAG ask for, in one go."""

    def work(self, context: Any) -> Any:
        with self.writing() as project:
            found = freshness.measure(project, self.tables)
        for one in found.values():
            self.log.info("%s: %s", one.level, one.said)
        return {name: one.document() for name, one in found.items()}


class GateOperator(WaypointOperator):
    """Let pass what reads one raw table, unless the table is older than its contract promises.

    A table that is about to break its promise passes, and people are told.
    """

    def __init__(self, *, measured_by: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.measured_by = measured_by

    def work(self, context: Any) -> Any:
        found = self._measured(context["ti"])
        if found.stale:
            raise TaskFailed(found.said)
        if found.level == freshness.WARN:
            tell(self, context, alerting.WARNING, (found.said,))
        self.log.info("%s: %s", found.level, found.said)
        return found.level

    def _measured(self, ti: Any) -> freshness.Freshness:
        (table,) = self.tables
        if ti.try_number == 1:
            measured = ti.xcom_pull(task_ids=self.measured_by)
            if measured and table in measured:
                return freshness.Freshness(**measured[table])
        with self.writing() as project:  # tried again: the table may have been loaded meanwhile
            return freshness.measure(project, [table])[table]


class BuildOperator(WaypointOperator):
    """One `dbt build` of the tables and tests of a DAG, but for those behind a closed gate.

    It fails only where dbt came to no result. What failed in it is the tables' own tasks to say:
    they read what this one returns.
    """

    def __init__(
        self,
        *,
        selectors: Mapping[str, str],
        gates: Mapping[str, str],
        behind: Mapping[str, Sequence[str]],
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.selectors = dict(selectors)  # by unique id
        self.gates = dict(gates)  # the task of each gate: the unique id of its source
        self.behind = {gate: list(nodes) for gate, nodes in behind.items()}  # unique ids by source

    def work(self, context: Any) -> Any:
        ti = context["ti"]
        closed = self._closed(ti, context)
        left_out = {uid for source in closed for uid in self.behind.get(source, ())}
        chosen = [uid for uid in self.selectors if uid not in left_out]
        if left_out:
            self.log.warning("%s nodes are left out behind closed gates", len(left_out))
        if not chosen:
            return _results(None, ti.try_number)
        with self.writing() as project:
            built = build_selected(project, [self.selectors[uid] for uid in chosen], self.log.info)
        for problem in built.problems():
            self.log.warning(problem)
        self.log.info("built %s in %.1f s", built.counts(), built.seconds)
        return _results(built, ti.try_number)

    def _closed(self, ti: Any, context: Any) -> list[str]:
        if not self.gates:
            return []
        states = ti.get_task_states(
            dag_id=self.dag_id, run_ids=[context["run_id"]], task_ids=list(self.gates)
        )
        of_run = states.get(context["run_id"], {})
        if "upstream_failed" in of_run.values():
            raise AirflowFailException("the sources were not measured, so nothing is built")
        return [self.gates[task] for task, state in of_run.items() if state == "failed"]


class TableOperator(WaypointOperator):
    """What came of one table and of the tests that guard it, or of one test with a task of its own.

    `nodes` maps their unique ids to dbt's selectors.
    """

    def __init__(self, *, nodes: Mapping[str, str], built_by: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.nodes = dict(nodes)
        self.built_by = built_by

    def work(self, context: Any) -> Any:
        ti = context["ti"]
        results = ti.xcom_pull(task_ids=self.built_by) or _results(None, 0)
        status = {uid: results["status"].get(uid, "skipped") for uid in self.nodes}
        again = ti.try_number > 1
        done = all(found != "skipped" for found in status.values())
        failed = any(found in _FAILED for found in status.values())
        if again and (failed or results["try"] < ti.try_number):
            done = False
        if not done:
            results, status = self._build_here(ti.try_number)
            failed = any(found in _FAILED for found in status.values())
        if failed:
            self._fail(status, results["why"])
        for uid, found in status.items():
            self.log.info("%s: %s%s", uid, found, _because(results["why"].get(uid)))
        return None

    def _build_here(self, attempt: int) -> tuple[dict[str, Any], dict[str, str]]:
        self.log.info("building it here: %s", ", ".join(self.nodes))
        with self.writing() as project:
            built = build_selected(project, list(self.nodes.values()), self.log.info)
        results = _results(built, attempt)
        return results, {uid: results["status"].get(uid, "skipped") for uid in self.nodes}

    def _fail(self, status: Mapping[str, str], why: Mapping[str, Sequence[str]]) -> None:
        rules = [
            words
            for uid, found in status.items()
            if found in _FAILED
            for words in why.get(uid) or (f"{uid}: {found}",)
        ]
        raise TaskFailed("\n".join(rules), rules)


class FinishedOperator(WaypointOperator):
    """The end of a build: whether what was built may be published, which its asset then says.

    It may where nothing that was built failed. A table behind a closed gate is as it was.
    """

    def __init__(self, *, built: Sequence[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.built = list(built)

    def work(self, context: Any) -> Any:
        states = context["ti"].get_task_states(
            dag_id=self.dag_id, run_ids=[context["run_id"]], task_ids=self.built
        )
        of_run = states.get(context["run_id"], {})
        failed = sorted(task for task, state in of_run.items() if state == "failed")
        if failed:
            raise AirflowFailException(
                f"{', '.join(failed)} failed; nothing is published, readers keep what they have"
            )
        waited = sorted(task for task, state in of_run.items() if state == "upstream_failed")
        if waited and len(waited) == len(self.built):
            raise AirflowFailException("nothing was built; readers keep what they have")
        if waited:
            self.log.warning("as they were before: %s", ", ".join(waited))
        return {"as_before": waited}


class PublishOperator(WaypointOperator):
    """Copy the built warehouse to where readers look, and write the page."""

    def work(self, context: Any) -> Any:
        from waypoint.publishing import publish
        from waypoint.status import read_status

        with self.writing() as project:
            # what was built and what failed was looked at before this was asked for
            published = publish(project, force=True)
        if project.pages_dir.is_dir():
            from waypoint.pages import render_page

            status = read_status(project)
            rendered = render_page(
                project.published_file,
                project.pages_dir,
                status.tables,
                project.page_file,
                status.as_of,
            )
            for problem in rendered.problems:
                self.log.warning("page: %s", problem)
        self.log.info("published %s bytes in %.1f s", f"{published.size:,}", published.seconds)
        return {"path": str(published.path), "size": published.size}


class CommandOperator(WaypointOperator):
    """A `waypoint` command; its exit code decides what becomes of the task."""

    def __init__(self, *, arguments: Sequence[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.arguments = list(arguments)

    def work(self, context: Any) -> Any:
        project = self.project
        command = [sys.executable, "-m", "waypoint.cli.app", "-q", *self.arguments]
        ended = subprocess.run(
            command,
            cwd=project.root,
            env={
                **os.environ,
                TARGET_VARIABLE: project.target,
                PATIENCE_VARIABLE: str(PATIENCE),
                "COLUMNS": "160",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in ended.stdout.splitlines():
            self.log.info(line)
        if ended.returncode == Exit.OK:
            return None
        last = [line for line in ended.stdout.splitlines() if line.strip()][-12:]
        words = f"waypoint {' '.join(self.arguments)} ended with {ended.returncode}:\n"
        words += "\n".join(last)
        if ended.returncode == Exit.UNAVAILABLE:
            raise TaskFailed(words)
        raise AirflowFailException(words)  # a finding, or a mistake: the same again would find it


# building


def build_selected(
    project: Project, selectors: Sequence[str], say: Callable[[str], object]
) -> Built:
    """Build some nodes, and nothing that hangs on them.

    Raises:
        DbtFailed: the project does not compile, or dbt broke.
        Unavailable: another process holds the warehouse.
    """
    from waypoint.building import build

    begun: set[str] = set()

    def watch(progress: Any) -> None:
        if progress.total and progress.node not in begun:
            begun.add(progress.node)
            say(f"{progress.done}/{progress.total} {progress.node}")

    chosen = ["--indirect-selection", "empty", "--select", *selectors]
    return build(project, arguments=chosen, watch=watch)


def _results(built: Built | None, attempt: int) -> dict[str, Any]:
    """What tables' tasks read: dbt's status of each node, and why those that failed or warn did."""
    nodes = built.nodes if built else ()
    broken: dict[tuple[str, str], list[str]] = {}
    for rule in built.broken_rules if built else ():
        times = "once" if rule.violations == 1 else f"{rule.violations:,} times"
        words = f"{rule.table}: {rule.rule} is broken {times}"
        broken.setdefault((rule.table, rule.severity), []).append(words)
    why = {}
    for node in nodes:
        if node.failed or node.status == "warn":
            severity = "error" if node.failed else "warning"
            rules = broken.get((node.table or "", severity)) if node.kind == "test" else None
            subject = node.table or node.name
            why[node.unique_id] = rules or [f"{subject}: {node.name}: {_short(node.message)}"]
    return {
        "try": attempt,
        "status": {node.unique_id: node.status for node in nodes},
        "why": why,
    }


def _short(message: str) -> str:
    return " ".join(message.split())[:600]


def _because(reasons: Sequence[str] | None) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""

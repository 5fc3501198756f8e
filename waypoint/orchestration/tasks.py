"""What all tasks have in common: the project they are of, how they fail, and whom they tell."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from waypoint.errors import Exit, WaypointError
from waypoint.locking import sharing_state, writing_alone
from waypoint.orchestration import alerting
from waypoint.orchestration.projects import project_at
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED

#: How long a task waits for a command that somebody runs by hand, and for another task that writes.
PATIENCE = 1800.0  # seconds


class TaskFailed(Exception):
    """What a task was there for failed; the message says what, and `rules` in single sentences."""

    def __init__(self, message: str, rules: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.rules = tuple(rules) or (message,)


class WaypointOperator(BaseOperator):
    """A task on the project in `root`. `tables` are those that it is about, for alerts."""

    def __init__(self, *, root: str, tables: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(**settings)
        self.root = root
        self.tables = list(tables)

    @property
    def project(self) -> Project:
        return project_at(Path(self.root))

    def execute(self, context: Any) -> Any:
        """Do it; what a person has to mend first is not tried again."""
        try:
            return self.work(context)
        except WaypointError as error:
            words = f"{error}\nhint: {error.hint}" if error.hint else str(error)
            if error.exit_code == Exit.UNUSABLE_INPUT:
                raise AirflowFailException(words) from None
            raise TaskFailed(words) from None

    def work(self, context: Any) -> Any:
        raise NotImplementedError

    @contextmanager
    def writing(self) -> Iterator[Project]:
        """The project, while no one else writes to its warehouse."""
        project = self.project
        with sharing_state(project, f"airflow: {self.task_id}", PATIENCE):
            if project.target != EMBEDDED:
                yield project
                return
            with writing_alone(project, f"airflow: {self.task_id}", PATIENCE):
                yield project


def tell_of_failure(context: Any) -> None:
    """Airflow's callback where a task has failed for good."""
    task = context.get("task") or getattr(context.get("ti"), "task", None)
    if not isinstance(task, WaypointOperator):
        return
    error = context.get("exception")
    rules = getattr(error, "rules", None) or _sentences(error)
    tell(task, context, alerting.FAILED, rules)


def _sentences(error: object) -> tuple[str, ...]:
    lines = [line for line in str(error or "").splitlines() if line.strip()]
    return tuple(lines) or ("it was ended from outside; the log says more",)


def tell(task: WaypointOperator, context: Any, kind: str, rules: Sequence[str]) -> None:
    """Tell people what is wrong with what a task is about."""
    project = task.project
    start = time.monotonic()
    alerting.send(
        project,
        alerting.Alert(
            kind=kind,
            subject=", ".join(task.tables) if len(task.tables) == 1 else task.task_id,
            owner=task.owner,
            rules=tuple(rules),
            consumers=alerting.consumers_of(project, task.tables),
            dag=task.dag_id,
            run=str(context.get("run_id") or ""),
            task=task.task_id,
        ),
    )
    task.log.info("told in %.1f s", time.monotonic() - start)

"""Waiting, before anything was ever loaded or built, for the runs that do it for the first time.

All DAGs of a new Airflow begin at once. What is to be built needs what is read first, and the first
time there is no quarter of an hour between them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowRuntimeError

from waypoint.orchestration.tasks import WaypointOperator
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED, reading

#: How long sources may take to be read first, before the others are built without them.
READING = timedelta(hours=1)

#: How long the first build may take, which has waited for sources itself.
BUILDING = 2 * READING

#: How long after the first look Airflow may need to read the file of a DAG.
_APPEARING = timedelta(minutes=5)


class FirstRunsOperator(WaypointOperator, BaseSensorOperator):
    """Wait until DAGs that have not ended once have done so, where what they bring is missing.

    `brought_by` maps the ids of DAGs to the tables that they bring. One that is paused is not
    waited for, nor one whose first run has failed: gates, and tests, say what is missing then.
    After `patience` the task goes on all the same. While it waits, it takes no slot.
    """

    def __init__(
        self,
        *,
        brought_by: Mapping[str, Sequence[str]],
        patience: timedelta = READING,
        **settings: Any,
    ) -> None:
        settings = {"mode": "reschedule", "poke_interval": 15.0, **settings}
        super().__init__(timeout=2 * patience, **settings)
        self.brought_by = {dag: list(tables) for dag, tables in brought_by.items()}
        self.patience = patience

    def work(self, context: Any) -> Any:
        return BaseSensorOperator.execute(self, context)

    def poke(self, context: Any) -> PokeReturnValue:
        """Whether nothing is waited for any longer."""
        ti = context["ti"]
        since = ti.get_first_reschedule_date(context)
        waited = datetime.now(UTC) - since if since else timedelta()
        awaited = self._awaited(ti, waited)
        for dag, tables in awaited.items():
            missing = f"; nothing is in {', '.join(tables)}" if tables else ""
            self.log.info("%s has not ended its first run%s", dag, missing)
        if awaited and waited > self.patience:
            self.log.warning("waited for %s; going on without that", self.patience)
            return PokeReturnValue(True)
        return PokeReturnValue(not awaited)

    def _awaited(self, ti: Any, waited: timedelta) -> dict[str, list[str]]:
        """The DAGs to wait for; of one that has not begun, the tables that hold nothing."""
        new = [
            dag
            for dag in self.brought_by
            if not ti.get_dr_count(dag_id=dag, states=["success", "failed"])
            and _may_run(ti, dag, waited)
        ]
        awaited: dict[str, list[str]] = {
            dag: [] for dag in new if ti.get_dr_count(dag_id=dag, states=["queued", "running"])
        }
        unseen = [dag for dag in new if dag not in awaited]
        if unseen:  # only then the warehouse is looked into, for which others have to wait
            empty = self._empty({table for dag in unseen for table in self.brought_by[dag]})
            for dag in unseen:
                missing = [table for table in self.brought_by[dag] if table in empty]
                if missing:
                    awaited[dag] = missing
        return awaited

    def _empty(self, tables: Collection[str]) -> set[str]:
        """The tables without a row; on a warehouse that is not asked for this, all of them."""
        if self.project.target != EMBEDDED:
            return set(tables)
        with self.writing() as project:
            return set(tables) - _with_rows(project, tables)


def _may_run(ti: Any, dag: str, waited: timedelta) -> bool:
    """Whether a DAG that has not ended once will run by itself."""
    try:
        return not ti.get_dag(dag).is_paused
    except AirflowRuntimeError:  # its file was not read yet, or there is none
        return waited < _APPEARING


def _with_rows(project: Project, tables: Collection[str]) -> set[str]:
    if not project.warehouse_file.exists():
        return set()
    with reading(project.warehouse_file) as warehouse:
        found = warehouse.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
        there = {name for (name,) in found}.intersection(tables)
        return {name for name in there if warehouse.sql(f"from {_quoted(name)} limit 1").fetchone()}


def _quoted(table: str) -> str:
    schema, _, name = table.partition(".")
    return f'"{schema}"."{name}"'

"""From when a run's time counts, for Airflow's deadline alerts.

Airflow's own reference DAGRUN_QUEUED_AT would do, but as long as such a deadline is ahead, 3.3.2
answers *Clear* with an internal error: it moves the deadline, and cannot read back the interval
that it stored. DAGRUN_LOGICAL_DATE fails for runs that have none: those that people trigger. So the
reference is one of ours. It is known to Airflow by a plugin, in the folder `plugins` beside this.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PLUGIN = "waypoint_deadlines.py"


class RunQueued(BaseDeadlineReference):
    """When a run was put into the queue for the first time; *Clear* does not put that off."""

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        found = session.execute(
            select(DagRun.queued_at, DagRun.run_after).where(
                DagRun.dag_id == dag_id, DagRun.run_id == run_id
            )
        ).first()
        return None if found is None else found.queued_at or found.run_after


def is_known_to_airflow() -> bool:
    """Whether Airflow loads the plugin; a run whose deadline it cannot read, it does not create."""
    from airflow.configuration import conf

    return (Path(conf.get("core", "plugins_folder")) / _PLUGIN).is_file()

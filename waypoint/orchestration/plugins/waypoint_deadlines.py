"""Airflow's plugin that makes the deadlines of the DAGs known to it."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from waypoint.orchestration.deadlines import RunQueued


class WaypointDeadlines(AirflowPlugin):
    """The references from which deadlines count."""

    name = "waypoint_deadlines"
    deadline_references: list[Any] = [RunQueued]  # noqa: RUF012

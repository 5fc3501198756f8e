"""Imports what a task and the rendering of a DAG need, for processes that fork tasks."""
# ruff: noqa: F401

import airflow.providers.standard.operators.empty
import airflow.sdk.execution_time.task_runner
import airflow.sdk.plugins_manager
import cosmos.airflow.graph

import ingestion.loading
import ingestion.pull
import waypoint.building
import waypoint.lineage.graph
import waypoint.orchestration.dags
import waypoint.publishing
import waypoint.status
from waypoint.orchestration.projects import read_ahead

read_ahead()

"""The names of assets: what a task has finished, by which DAGs that wait for it are started."""

from __future__ import annotations

import os

from airflow.sdk import Asset

from waypoint.project import Project
from waypoint.warehouse import EMBEDDED


def table_asset(project: Project, table: str) -> Asset:
    """A table of the warehouse; `table` is `schema.name`."""
    schema, _, name = table.partition(".")
    return Asset(uri=f"{_database(project)}/{schema}/{name}", group="tables")


def built_asset(project: Project, what: str) -> Asset:
    """All tables that a DAG builds, after a build in which nothing failed."""
    return Asset(uri=f"{_database(project)}/{what}_built", group="builds")


def published_asset(project: Project) -> Asset:
    """The published copy."""
    return Asset(uri=f"file://{project.published_file}", group="published")


def _database(project: Project) -> str:
    if project.target == EMBEDDED:
        return f"duckdb://{project.warehouse_file}/{project.warehouse_file.stem}"
    account = os.environ.get("SNOWFLAKE_ACCOUNT", project.target).lower()
    database = os.environ.get("SNOWFLAKE_DATABASE", "WAYPOINT").lower()
    return f"{project.target}://{account}/{database}"

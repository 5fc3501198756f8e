"""Real-time models as plain tables: what a dynamic table would hold, computed at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from waypoint.dbt_running import target_dir
from waypoint.project import Project
from waypoint.snowflake.setup.settings import read_settings, settings_file
from waypoint.snowflake.setup.statements import Dynamic, dynamic_tables


def queries_of_first_build(project: Project) -> dict[str, str]:
    """The query of each model that dbt built last, by `schema.table`."""
    folder = target_dir(project)
    nodes = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    return {
        f"{node['schema']}.{node['alias']}".lower(): node["compiled_code"]
        for node in nodes.values()
        if node["resource_type"] == "model" and node.get("compiled_code")
    }


def real_time_tables(
    project: Project, queries: Mapping[str, str], database: str
) -> tuple[Dynamic, ...]:
    """The project's real-time tables, in `database`; none unless all their models were built."""
    if not settings_file(project).exists():
        return ()
    realtime = read_settings(project).realtime
    built = {table.partition(".")[2] for table in queries}
    if not realtime.models or not {model.lower() for model in realtime.models} <= built:
        return ()
    return tuple(dynamic_tables(queries, database, realtime, database))


def make(connection: Any, tables: tuple[Dynamic, ...]) -> None:
    """Make them anew as plain tables, each behind those that it reads."""
    with connection.cursor() as cursor:
        for schema in sorted({table.table.rpartition(".")[0] for table in tables}):
            cursor.execute(f"create schema if not exists {schema}")
        for table in tables:
            cursor.execute(table.as_plain_table())

"""Telling people of a run that takes longer than the promises of its tables leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from waypoint.orchestration import alerting, freshness
from waypoint.orchestration.manifest import read_manifest
from waypoint.orchestration.projects import project_at
from waypoint.project import Project


async def tell_of_delay(root: str, dag: str, minutes: int, **settings: Any) -> None:
    """Airflow's callback where a run has not ended in the time that the promises leave it."""
    project = project_at(Path(root))
    tables = _tables_of_dag(project, dag)
    owners = {c.owner for c in project.contracts.tables if c.full_name in tables and c.owner}
    run = (settings.get("context") or {}).get("dag_run") or {}
    done = "was not mended" if run.get("state") == "failed" else "has not ended"
    late = f"it {done} {minutes} min after it was due"
    alerting.send(
        project,
        alerting.Alert(
            kind=alerting.DEADLINE,
            subject=f"run of {dag}",
            owner=", ".join(sorted(owners)),
            rules=(f"{late}; tables get older than their contracts promise",),
            consumers=alerting.consumers_of(project, tables),
            dag=dag,
            run=str(run.get("dag_run_id") or run.get("run_id") or ""),
        ),
    )


def _tables_of_dag(project: Project, dag: str) -> set[str]:
    from ingestion.sources import declared_sources
    from waypoint.orchestration.parts import Part, manifest_file

    if dag in ("hourly", "daily"):
        part = getattr(Part, dag)(read_manifest(manifest_file(project)))
        return {node.name for node in part.tables.values()}
    return {
        f"raw.{table}"
        for source in declared_sources(project).sources
        if dag == f"ingest_{source.name}"
        for table in freshness.tables_of(project, source.kind, source.settings)
    }

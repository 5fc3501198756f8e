"""The DAGs of a project. A file below `dags/` calls one of these functions and keeps what it gives.

| DAG | runs |
|---|---|
| `simulate` | hourly, where sources are simulated: what happened since |
| `ingest_<source>` | as sources.yml says: read, land, load |
| `hourly` | every hour: freshness gates, then staging and marts |
| `daily` | at 02:00 UTC: features, then full checks |
| `publish` | whenever a build ended without failures |
| `maintenance` | weekly |
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.definitions.asset import AssetAny
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from ingestion.blocks import Broken
from ingestion.extraction import Source
from ingestion.sources import declared_sources
from waypoint.connecting import is_simulated
from waypoint.contracts.model import RAW
from waypoint.errors import UnusableInput
from waypoint.orchestration import first_runs
from waypoint.orchestration.assets import built_asset, published_asset
from waypoint.orchestration.deadlines import RunQueued, is_known_to_airflow
from waypoint.orchestration.delays import tell_of_delay
from waypoint.orchestration.freshness import tables_of
from waypoint.orchestration.graph import Rendered, render
from waypoint.orchestration.local import PLUGINS_FOLDER
from waypoint.orchestration.manifest import read_manifest
from waypoint.orchestration.operators import (
    CommandOperator,
    FinishedOperator,
    PublishOperator,
)
from waypoint.orchestration.parts import DAILY_SCHEMAS, Part, manifest_file
from waypoint.orchestration.pools import WAREHOUSE_POOL
from waypoint.orchestration.projects import project_at
from waypoint.orchestration.source_operators import (
    BrokenOperator,
    IngestOperator,
    LoadOperator,
    SimulateOperator,
)
from waypoint.orchestration.tasks import tell_of_failure
from waypoint.project import Project
from waypoint.quality.running import CRITICAL
from waypoint.warehouse import EMBEDDED

RETRIES = 2
RETRY_DELAY = timedelta(minutes=5)

#: Sources are read at the full hour, and what they brought is built a quarter of an hour later.
HOURLY = "15 * * * *"
DAILY = "0 2 * * *"
WEEKLY = "0 4 * * 0"

_BEGINNING = datetime(2024, 1, 1)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SHORTEST_DEADLINE = timedelta(minutes=15)


def ingestion_dags(here: str | Path) -> dict[str, DAG]:
    """A DAG for each source of sources.yml, and one that plays them where they are simulated.

    An entry that cannot be understood becomes a DAG that says so and fails; the others are as they
    would be without it.
    """
    project = _project(here)
    declared = declared_sources(project)
    dags = [_ingestion(project, source) for source in declared.sources]
    for broken in declared.broken:
        warnings.warn(broken.problem, stacklevel=2)
        dags.append(broken_dag(project, f"ingest_{broken.name}", broken))
    if project.scenario_dir.is_dir() and _simulates(project):
        dags.append(_simulation(project))
    return {dag.dag_id: dag for dag in dags}


def hourly_dag(here: str | Path) -> DAG:
    """Freshness gates → staging → marts → whoever shows them."""
    project = _project(here)
    part = Part.hourly(read_manifest(manifest_file(project)))
    dag = _dag(
        project, "hourly", HOURLY, part.tables, _HOUR, "Gates, then staging and marts, every hour."
    )
    rendered = render(project, part, dag, _ingested(project), first_runs.READING)
    _finish(project, dag, rendered, "marts")
    _check(project, dag, rendered.ends, _critical_suites(project))
    return dag


def daily_dag(here: str | Path) -> DAG:
    """The features, and the full checks of everything."""
    project = _project(here)
    part = Part.daily(read_manifest(manifest_file(project)))
    dag = _dag(
        project, "daily", DAILY, part.tables, _DAY, "Features and full checks, at 02:00 UTC."
    )
    ends: list[Any] = []
    if part.tables:
        read = {"hourly": part.read_of_others}
        rendered = render(project, part, dag, read, first_runs.BUILDING)
        _finish(project, dag, rendered, "features")
        ends = rendered.ends
    _check(project, dag, ends, _full_checks(project))
    return dag


def publish_dag(here: str | Path) -> DAG | None:
    """The published copy, after each build without failures; None where readers need none."""
    project = _project(here)
    if project.target != EMBEDDED:
        return None
    built = AssetAny(built_asset(project, "marts"), built_asset(project, "features"))
    dag = _dag(project, "publish", built, (), None, "A copy for readers, and the page.")
    PublishOperator(
        task_id="publish",
        dag=dag,
        root=str(project.root),
        pool=WAREHOUSE_POOL,
        outlets=[published_asset(project)],
    )
    return dag


def maintenance_dag(here: str | Path) -> DAG:
    """What keeps the warehouse small and its folders tidy."""
    project = _project(here)
    dag = _dag(project, "maintenance", WEEKLY, (), None, "Retention, compaction, old files.")
    CommandOperator(
        task_id="maintain",
        dag=dag,
        root=str(project.root),
        arguments=["maintain"],
        pool=WAREHOUSE_POOL,
        doc_md="`waypoint maintain`",
    )
    return dag


def _project(here: str | Path) -> Project:
    return project_at(Path(here).resolve().parent)


def _dag(
    project: Project,
    dag_id: str,
    schedule: Any,
    tables: Iterable[str],
    period: timedelta | None,
    description: str,
    *tags: str,
) -> DAG:
    names = [unique_id.split(".", 2)[-1] for unique_id in tables]
    return DAG(
        dag_id,
        description=description,
        schedule=schedule,
        start_date=_BEGINNING,
        catchup=False,
        max_active_runs=1,
        tags=["waypoint", *tags],
        default_args={
            "retries": RETRIES,
            "retry_delay": RETRY_DELAY,
            "on_failure_callback": tell_of_failure,
        },
        deadline=_deadline(project, dag_id, names, period),
        render_template_as_native_obj=False,
    )


def _deadline(
    project: Project, dag_id: str, tables: Iterable[str], period: timedelta | None
) -> DeadlineAlert | None:
    """By when a run has to end, so that no table gets older than its contract warns of.

    A table is as old as the time between two runs, plus what a run takes.
    """
    if period is None or get_parsing_context().task_id is not None:
        return None  # a task that is about to run needs none: the scheduler watches it
    contracts = [c for c in project.contracts.tables if c.name in set(tables) and c.freshness]
    if not contracts:
        return None
    if not is_known_to_airflow():
        warnings.warn(
            f"{dag_id}: nobody is told of late runs; set AIRFLOW__CORE__PLUGINS_FOLDER to"
            f" {PLUGINS_FOLDER}",
            stacklevel=2,
        )
        return None
    left = min(c.freshness.warn_after for c in contracts if c.freshness) - period
    interval = max(left, _SHORTEST_DEADLINE)
    return DeadlineAlert(
        reference=RunQueued(),
        interval=interval,
        callback=AsyncCallback(
            tell_of_delay,
            kwargs={
                "root": str(project.root),
                "dag": dag_id,
                "minutes": round(interval.total_seconds() / 60),
            },
        ),
    )


def _finish(project: Project, dag: DAG, rendered: Rendered, what: str) -> FinishedOperator:
    finished = FinishedOperator(
        task_id="finished",
        dag=dag,
        root=str(project.root),
        built=[task.task_id for task in rendered.built],
        trigger_rule="all_done",
        outlets=[built_asset(project, what)],
        doc_md="Whether what was built may be published.",
    )
    rendered.ends >> finished
    return finished


def _ingested(project: Project) -> dict[str, list[str]]:
    """The raw tables that each DAG of a source brings, of those that are read by a schedule."""
    return {
        f"ingest_{source.name}": [
            f"{RAW}.{name}" for name in tables_of(project, source.kind, source.settings)
        ]
        for source in declared_sources(project).sources
        if source.schedule
    }


def _ingestion(project: Project, source: Source) -> DAG:
    tables = [f"{RAW}.{name}" for name in tables_of(project, source.kind, source.settings)]
    owners = {c.owner for c in project.contracts.tables if c.full_name in tables}
    dag = _dag(
        project,
        f"ingest_{source.name}",
        source.schedule,
        tables,
        _HOUR if source.schedule else None,
        f"Reads the source {source.name} ({source.kind}).",
    )
    root, owner = str(project.root), ", ".join(sorted(owners)) or "airflow"
    read = IngestOperator(
        task_id="land", dag=dag, root=root, tables=tables, source=source.name, owner=owner
    )
    load = LoadOperator(
        task_id="load", dag=dag, root=root, tables=tables, owner=owner, pool=WAREHOUSE_POOL
    )
    read >> load
    return dag


def broken_dag(
    project: Project, dag_id: str, broken: Broken, tables: Sequence[str] = (), owner: str = ""
) -> DAG:
    """What stands for an entry that cannot be understood: it fails once a day, and people are told.

    `tables` are those that it would have fed, where that is known, and `owner` theirs.
    """
    settings = {"owner": owner} if owner else {}
    problem = broken.problem
    dag = _dag(project, dag_id, "@daily", (), None, problem.splitlines()[0], "broken")
    BrokenOperator(
        task_id="entry",
        dag=dag,
        root=str(project.root),
        tables=list(tables),
        problem=problem,
        doc_md=problem,
        retries=0,
        **settings,
    )
    return dag


def _simulates(project: Project) -> bool:
    """Whether sources are simulated; what is in the way of that, each source's own task says."""
    try:
        return is_simulated(project, despite_broken=True)
    except UnusableInput:
        return False


def _simulation(project: Project) -> DAG:
    dag = _dag(project, "simulate", "50 * * * *", (), None, "Plays what happened up to now.")
    SimulateOperator(task_id="play", dag=dag, root=str(project.root), pool=WAREHOUSE_POOL)
    return dag


@dataclass(frozen=True)
class _Check:
    """A command that looks at what was built."""

    task_id: str
    arguments: list[str]
    opens_warehouse: bool = False


def _check(project: Project, dag: DAG, ends: list[Any], checks: Iterable[_Check]) -> None:
    """Run checks whatever became of the build.

    They stand beside `finished`, not after it: a run is green where its last tasks are, and a build
    that failed must not look well because a check behind it passed.
    """
    for check in checks:
        task = CommandOperator(
            task_id=check.task_id,
            dag=dag,
            root=str(project.root),
            arguments=check.arguments,
            trigger_rule="all_done",
            doc_md=f"`waypoint {' '.join(check.arguments)}`",
            **({"pool": WAREHOUSE_POOL} if check.opens_warehouse else {}),
        )
        if ends:
            ends >> task


def _critical_suites(project: Project) -> list[_Check]:
    """Great Expectations on the tables that matter most, where a project has and can check them.

    What is built once a day is looked at once a day, with all tables.
    """
    critical = [
        contract.full_name
        for contract in project.contracts.tables
        if CRITICAL in contract.tags and contract.full_name.partition(".")[0] not in DAILY_SCHEMAS
    ]
    if project.target != EMBEDDED or not critical:
        return []
    chosen = [part for table in critical for part in ("--select", table)]
    return [_Check("quality", ["quality", "run", *chosen, "--built"], opens_warehouse=True)]


def _full_checks(project: Project) -> list[_Check]:
    """The daily checks of everything."""
    checks = [_Check("contracts_rendered", ["contracts", "render", "--check"])]
    if project.target == EMBEDDED:
        checks.append(
            _Check("quality", ["quality", "run", "--all", "--built"], opens_warehouse=True)
        )
    return checks

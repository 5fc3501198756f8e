"""A DAG for each entry of external.yml: fetch (mapped) → transform → validate → publish.

What is published is landed by the DAG of the source that reads the topic. An entry that cannot be
understood becomes a DAG that says so and fails; the others are as they would be without it.
"""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from ingestion.blocks import Broken
from ingestion.external.entries import External, read_external
from ingestion.external.entry import Entry
from ingestion.messages import topic_of
from waypoint.contracts.model import RAW
from waypoint.orchestration.dags import RETRIES, RETRY_DELAY, broken_dag
from waypoint.orchestration.external_operators import (
    FetchOperator,
    PublishExternalOperator,
    TransformOperator,
    ValidateOperator,
)
from waypoint.orchestration.projects import project_at
from waypoint.orchestration.tasks import tell_of_failure
from waypoint.project import Project

_BEGINNING = datetime(2024, 1, 1)


def external_dags(here: str | Path) -> dict[str, DAG]:
    """The DAGs of external.yml, by their ids; none where there is no such file.

    Raises:
        UnusableInput: the file as a whole cannot be read, or says not where to publish.
    """
    project = project_at(Path(here).resolve().parent)
    external = read_external(project)
    dags = [_fetching(project, external, entry) for entry in external.entries]
    for broken in external.broken:
        warnings.warn(broken.problem, stacklevel=2)
        dags.append(_broken(project, external, broken))
    return {dag.dag_id: dag for dag in dags}


def _fetching(project: Project, external: External, entry: Entry) -> DAG:
    given, owner = _about(project, external, entry.name)
    dag = _dag(entry.name, entry.schedule, f"Fetches {entry.name} and publishes it.", owner)
    lots = min(entry.parallel, len(entry.each))
    fetch = FetchOperator.partial(
        task_id="fetch", dag=dag, owner=owner, lots=lots, doc_md=f"From {entry.where}.", **given
    ).expand(lot=list(range(lots)))
    # what was fetched is published, whatever else could not be
    transform = TransformOperator(
        task_id="transform", dag=dag, owner=owner, trigger_rule="none_skipped", **given
    )
    validate = ValidateOperator(task_id="validate", dag=dag, owner=owner, **given)
    publish = PublishExternalOperator(task_id="publish", dag=dag, owner=owner, **given)
    # a run in which something could not be fetched is not one that succeeded
    complete = EmptyOperator(task_id="complete", dag=dag, owner=owner)
    fetch >> transform >> validate >> publish >> complete
    fetch >> complete
    return dag


def _broken(project: Project, external: External, broken: Broken) -> DAG:
    given, owner = _about(project, external, broken.name)
    return broken_dag(project, f"fetch_{broken.name}", broken, given["tables"], owner)


def _about(project: Project, external: External, source: str) -> tuple[dict[str, Any], str]:
    """What all tasks are given, and who owns what they bring."""
    tables: list[str] = []
    owner = "airflow"
    if external.publishing is not None:
        contract = topic_of(external.publishing.topic, project.contracts).contract
        tables, owner = [f"{RAW}.{contract.name}"], contract.owner or owner
    return {"root": str(project.root), "tables": tables, "source": source}, owner


def _dag(source: str, schedule: str | None, description: str, owner: str, *tags: str) -> DAG:
    return DAG(
        f"fetch_{source}",
        description=description,
        schedule=schedule,
        start_date=_BEGINNING,
        catchup=False,
        max_active_runs=1,
        tags=["waypoint", "external", *tags],
        default_args={
            "retries": RETRIES,
            "retry_delay": RETRY_DELAY,
            "on_failure_callback": tell_of_failure,
            "owner": owner,
        },
        render_template_as_native_obj=False,
    )

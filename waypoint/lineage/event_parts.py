"""The parts that OpenLineage events are made of, as ours have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from openlineage.client import facet_v2 as facets
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

from waypoint.lineage.graph import Exposure

if TYPE_CHECKING:
    from openlineage.client.generated.base import DatasetFacet, JobFacet

#: Names this code in every event and facet.
PRODUCER = "https://waypoint.example/lineage"

_HEADING = re.compile(r"\w+ Error in \w+ \S+ \([^()]*\)")
_KIND_OF_ERROR = re.compile(r"\s*([A-Z][A-Za-z]*( [A-Z][A-Za-z]*)* (Error|Exception))\b")


def event(
    state: RunState,
    time: datetime,
    run: Run,
    job: Job,
    inputs: Sequence[InputDataset] = (),
    outputs: Sequence[OutputDataset] = (),
) -> RunEvent:
    """What a run of a job says at `time`, with the tables that it reads and writes."""
    return RunEvent(
        eventType=state,
        eventTime=written(time),
        run=run,
        job=job,
        inputs=list(inputs),
        outputs=list(outputs),
        producer=PRODUCER,
    )


def job(namespace: str, name: str, kind: str, more: Mapping[str, JobFacet] | None = None) -> Job:
    """A job of dbt; `kind` is what dbt calls it, in capitals, e.g. MODEL."""
    job_type = facets.job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="DBT", jobType=kind, producer=PRODUCER
    )
    return Job(namespace, name, facets={"jobType": job_type, **(more or {})})


def error(message: str) -> facets.error_message_run.ErrorMessageRunFacet:
    """Why a run failed; `message` holds neither data nor secrets."""
    return facets.error_message_run.ErrorMessageRunFacet(
        message=message, programmingLanguage="SQL", producer=PRODUCER
    )


def reason(result: Mapping[str, Any]) -> str:
    """The kind of a node's error; what follows it may quote data."""
    lines = str(result.get("message") or "").splitlines() or [""]
    heading = _HEADING.match(lines[0].strip())
    kinds = (_KIND_OF_ERROR.match(line) for line in lines[1 if heading else 0 :])
    kind = next((found.group(1) for found in kinds if found), "")
    told = ": ".join(part for part in (heading.group(0) if heading else "", kind) if part)
    return f"{told or 'failed'}; dbt's log has the message"


def assertion(
    kind: str, name: str, success: bool, severity: str, column: str | None, actual: int | None
) -> facets.data_quality_assertions_dataset.Assertion:
    """What a rule said: `actual` is how many rows break it, None where that is not known."""
    return facets.data_quality_assertions_dataset.Assertion(
        assertion=kind,
        name=name,
        success=success,
        severity=severity,
        column=column,
        expected="0",
        actual=None if actual is None else str(actual),
    )


def dataset_owner(owner: str) -> DatasetFacet:
    """The team that owns a table or a dashboard; none where `owner` is empty."""
    owners = [facets.ownership_dataset.Owner(name=f"team:{owner}", type="OWNER")] if owner else []
    return facets.ownership_dataset.OwnershipDatasetFacet(owners=owners, producer=PRODUCER)


def job_owner(owner: str) -> JobFacet:
    """The same of the job that makes it."""
    owners = [facets.ownership_job.Owner(name=f"team:{owner}", type="OWNER")] if owner else []
    return facets.ownership_job.OwnershipJobFacet(owners=owners, producer=PRODUCER)


def documentation(text: str) -> DatasetFacet:
    """What people say of it."""
    return facets.documentation_dataset.DocumentationDatasetFacet(
        description=text, producer=PRODUCER
    )


def exposures(consumers: Iterable[Exposure]) -> DatasetFacet:
    """The facet that OpenLineage's own integration of dbt has for exposures."""
    from openlineage.common.provider.dbt.facets import DbtExposure, DbtExposuresDatasetFacet

    facet: DatasetFacet = DbtExposuresDatasetFacet(
        exposures=[DbtExposure(e.unique_id, e.name, e.kind) for e in consumers],
        producer=PRODUCER,
    )
    return facet


def instant(text: str) -> datetime:
    """The time that dbt wrote, with its zone."""
    return datetime.fromisoformat(text)


def written(time: datetime) -> str:
    """`time` as the standard wants it: ISO 8601, UTC as Z."""
    return time.isoformat().replace("+00:00", "Z")

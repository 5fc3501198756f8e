"""What ran, as OpenLineage events: from what dbt left of a run, and our own column lineage.

A run of dbt is one job run; each model, seed and snapshot that was made is another with that as its
parent, and so are the tests of a table. An exposure is a job that nothing runs. Run ids follow from
dbt's invocation, so events that are made again are the same events.

Texts that could hold data or secrets stay out: compiled SQL, variables, and of dbt's messages
everything but the kind of the error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openlineage.client import facet_v2 as facets
from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)
from openlineage.client.uuid import generate_new_uuid, generate_static_uuid

from waypoint.build_results import MAKING_COMMANDS, BrokenRule
from waypoint.dbt_running import FAILED_STATUSES
from waypoint.errors import UnusableInput
from waypoint.lineage import event_parts as parts
from waypoint.lineage.columns import ColumnRef
from waypoint.lineage.graph import Exposure, LineageGraph, Table

if TYPE_CHECKING:
    from openlineage.client.generated.base import DatasetFacet, InputDatasetFacet, JobFacet

Event = RunEvent | JobEvent

_MADE = ("model", "seed", "snapshot")


@dataclass(frozen=True)
class Ran:
    """What dbt left of a run: its manifest and results, and the lineage of the manifest."""

    manifest: Mapping[str, Any]
    results: Mapping[str, Any]
    graph: LineageGraph


@dataclass(frozen=True)
class Names:
    """Where the events say that things are: OpenLineage's namespaces of tables and of jobs."""

    tables: str  # e.g. duckdb:///data/waypoint.duckdb
    jobs: str


def read_run(target: Path, graph: LineageGraph) -> Ran:
    """What dbt left in its target folder.

    Raises:
        UnusableInput: there are no results, or they are of a command that makes nothing.
    """
    path = target / "run_results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
        command = results["args"].get("which")
    except FileNotFoundError as error:
        raise UnusableInput(
            f"{error.filename}: dbt left no results there",
            hint="run `waypoint build` or `dbt build` first",
        ) from None
    except (ValueError, KeyError) as error:
        raise UnusableInput(f"{path}: not results of dbt ({error})") from None
    if command not in MAKING_COMMANDS:
        raise UnusableInput(
            f"{path}: the last thing that dbt did was `dbt {command}`, which makes no tables",
            hint="run `waypoint build` or `dbt build` first",
        )
    return Ran(manifest, results, graph)


def events_of(
    ran: Ran,
    names: Names,
    parent: facets.parent_run.ParentRunFacet | None = None,
    broken_rules: Sequence[BrokenRule] = (),
) -> list[Event]:
    """The events of a run, in the order of their times.

    `parent` is the run that started it, e.g. an Airflow task; `broken_rules` tells which rules are
    behind the failed contract tests, where that is known.
    """
    return _Events(ran, names, parent, broken_rules).all()


def events_of_no_run(
    names: Names,
    project: str,
    command: str,
    began: datetime,
    ended: datetime,
    parent: facets.parent_run.ParentRunFacet | None = None,
) -> list[Event]:
    """The events of a run that ended before anything was made: the project does not compile."""
    run_facets: dict[str, Any] = {"parent": parent} if parent else {}
    run_id = str(generate_new_uuid(began))
    job = parts.job(names.jobs, f"{project}.dbt.{command}", "RUN")
    failed = run_facets | {"errorMessage": parts.error("dbt ended before anything was made")}
    return [
        parts.event(RunState.START, began, Run(run_id, run_facets), job),
        parts.event(RunState.FAIL, ended, Run(run_id, failed), job),
    ]


class _Events:
    """The events of one run, and what they share."""

    def __init__(
        self,
        ran: Ran,
        names: Names,
        parent: facets.parent_run.ParentRunFacet | None,
        broken_rules: Sequence[BrokenRule],
    ) -> None:
        metadata = ran.results["metadata"]
        self._graph = ran.graph
        self._names = names
        self._nodes: Mapping[str, Any] = ran.manifest["nodes"] | ran.manifest["sources"]
        self._tables = {table.unique_id: table for table in ran.graph.tables.values()}
        self._results: Sequence[Mapping[str, Any]] = ran.results["results"]
        self._broken = broken_rules
        self._project = ran.manifest["metadata"].get("project_name") or "dbt"
        self._command = ran.results["args"]["which"]
        self._invocation = metadata["invocation_id"]
        self._ended = parts.instant(metadata["generated_at"])
        self._began = self._ended - timedelta(seconds=ran.results["elapsed_time"])
        version = facets.processing_engine_run.ProcessingEngineRunFacet(
            version=metadata["dbt_version"], name="dbt", producer=parts.PRODUCER
        )
        self._engine = {"processing_engine": version}
        self._run = self._run_id("run", self._began)
        self._job_name = f"{self._project}.dbt.{self._command}"
        self._run_facets: dict[str, Any] = self._engine | ({"parent": parent} if parent else {})
        root = parent.root if parent and parent.root else None
        if parent and root is None:
            root = facets.parent_run.Root(
                run=facets.parent_run.RootRun(runId=parent.run.runId),
                job=facets.parent_run.RootJob(parent.job.namespace, parent.job.name),
            )
        self._node_facets: dict[str, Any] = self._engine | {
            "parent": facets.parent_run.ParentRunFacet(
                run=facets.parent_run.Run(runId=self._run),
                job=facets.parent_run.Job(names.jobs, self._job_name),
                root=root
                or facets.parent_run.Root(
                    run=facets.parent_run.RootRun(runId=self._run),
                    job=facets.parent_run.RootJob(names.jobs, self._job_name),
                ),
                producer=parts.PRODUCER,
            )
        }

    def all(self) -> list[Event]:
        inner: list[Event] = []
        made: set[str] = set()
        for result in self._results:
            node = self._nodes.get(result["unique_id"])
            if node is None or result["status"] in ("skipped", "no-op"):
                continue
            if node["resource_type"] in _MADE:
                inner.extend(self._of_node(node, result))
                if result["status"] not in FAILED_STATUSES:
                    made.add(self._tables[result["unique_id"]].name)
        inner.extend(self._of_tests())
        inner.sort(key=lambda event: event.eventTime)
        job = parts.job(self._names.jobs, self._job_name, "RUN")
        start = parts.event(RunState.START, self._began, Run(self._run, self._run_facets), job)
        exposures = [
            self._of_exposure(exposure)
            for exposure in self._graph.exposures.values()
            if made.intersection(exposure.tables)
        ]
        return [start, *inner, *exposures, self._end(job)]

    def _end(self, job: Job) -> RunEvent:
        failed = [r for r in self._results if r["status"] in FAILED_STATUSES]
        if not failed:
            return parts.event(
                RunState.COMPLETE, self._ended, Run(self._run, self._run_facets), job
            )
        names = ", ".join(r["unique_id"] for r in failed[:10])
        more = f" and {len(failed) - 10} more" if len(failed) > 10 else ""
        message = f"{len(failed)} of {len(self._results)} failed: {names}{more}"
        run = Run(self._run, self._run_facets | {"errorMessage": parts.error(message)})
        return parts.event(RunState.FAIL, self._ended, run, job)

    # tables

    def _of_node(self, node: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[Event]:
        table = self._tables[node["unique_id"]]
        began, ended = self._times(result)
        run_id = self._run_id(node["unique_id"], began)
        job_facets: dict[str, JobFacet] = {"ownership": parts.job_owner(table.owner)}
        if table.description:
            job_facets["documentation"] = facets.documentation_job.DocumentationJobFacet(
                description=table.description, producer=parts.PRODUCER
            )
        job = parts.job(
            self._names.jobs, node["unique_id"], node["resource_type"].upper(), job_facets
        )
        inputs = [self._named(parent) for parent in self._parents(table)]
        run = Run(run_id, self._node_facets)
        yield parts.event(
            RunState.START,
            began,
            run,
            job,
            [InputDataset(self._names.tables, name) for name, _ in inputs],
            [OutputDataset(self._names.tables, self._named(table)[0])],
        )
        described = [
            InputDataset(self._names.tables, name, facets=self._described(parent))
            for name, parent in inputs
        ]
        if result["status"] in FAILED_STATUSES:
            failed = Run(
                run_id, self._node_facets | {"errorMessage": parts.error(parts.reason(result))}
            )
            yield parts.event(RunState.FAIL, ended, failed, job, described)
            return
        yield parts.event(
            RunState.COMPLETE, ended, run, job, described, [self._output(table, result)]
        )

    def _output(self, table: Table, result: Mapping[str, Any]) -> OutputDataset:
        described = self._described(table)
        if table.name in self._graph.queries:
            described["columnLineage"] = self._column_lineage(table)
        consumers = [e for e in self._graph.exposures.values() if table.name in e.tables]
        if consumers:
            described["dbt_exposures"] = parts.exposures(consumers)
        rows = (result.get("adapter_response") or {}).get("rows_affected")
        counted: dict[str, Any] = {}
        if isinstance(rows, int) and rows >= 0:
            counted["outputStatistics"] = (
                facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                    rowCount=rows, producer=parts.PRODUCER
                )
            )
        name = self._named(table)[0]
        return OutputDataset(self._names.tables, name, facets=described, outputFacets=counted)

    def _column_lineage(self, table: Table) -> DatasetFacet:
        query = self._graph.queries[table.name]
        fields = {
            column: facets.column_lineage_dataset.Fields(self._fields(refs, table, "DIRECT"))
            for column, refs in query.outputs.items()
        }
        return facets.column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={column: f for column, f in fields.items() if f.inputFields},
            dataset=self._fields(query.deciding, table, "INDIRECT"),
            producer=parts.PRODUCER,
        )

    def _fields(
        self, refs: Iterable[ColumnRef], table: Table | None, kind: str
    ) -> list[facets.column_lineage_dataset.InputField]:
        return [
            facets.column_lineage_dataset.InputField(
                self._names.tables,
                self._named(self._graph.tables[ref.table])[0],
                ref.column,
                [facets.column_lineage_dataset.Transformation(type=kind)],
            )
            for ref in sorted(refs)
            # an incremental model reads itself, too: that adds no source
            if ref.table in self._graph.tables and (table is None or ref.table != table.name)
        ]

    def _parents(self, table: Table) -> list[Table]:
        return [self._graph.tables[name] for name in table.parents]

    def _named(self, table: Table) -> tuple[str, Table]:
        """The table's name among those of its namespace, and the table."""
        node = self._nodes[table.unique_id]
        identifier = node.get("alias") or node.get("identifier") or node["name"]
        parts = (node.get("database"), node["schema"], identifier)
        return ".".join(part for part in parts if part), table

    def _described(self, table: Table) -> dict[str, DatasetFacet]:
        kind = "VIEW" if self._materialized(table) == "view" else "TABLE"
        found: dict[str, DatasetFacet] = {
            "schema": facets.schema_dataset.SchemaDatasetFacet(
                fields=[
                    facets.schema_dataset.SchemaDatasetFacetFields(
                        name=column,
                        type=table.types.get(column),
                        description=table.told.get(column),
                    )
                    for column in self._graph.columns(table.name)
                ],
                producer=parts.PRODUCER,
            ),
            "datasetType": facets.dataset_type_dataset.DatasetTypeDatasetFacet(
                datasetType=kind, producer=parts.PRODUCER
            ),
            "ownership": parts.dataset_owner(table.owner),
        }
        if table.description:
            found["documentation"] = parts.documentation(table.description)
        return found

    def _materialized(self, table: Table) -> str:
        return str((self._nodes[table.unique_id].get("config") or {}).get("materialized") or "")

    # tests

    def _of_tests(self) -> Iterator[Event]:
        """One job for the tests of each table, and one for each test that is of several."""
        groups: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
        for result in self._results:
            node = self._nodes.get(result["unique_id"])
            if node and node["resource_type"] == "test" and result["status"] != "skipped":
                tested = self._tested(node)
                job = f"{tested}.tests" if tested else node["unique_id"]
                groups.setdefault(job, []).append((node, result))
        for job_name, members in groups.items():
            yield from self._of_test_group(job_name, members)

    def _tested(self, node: Mapping[str, Any]) -> str | None:
        """The table that a test is about; None where it is a query of its own."""
        tested = node.get("attached_node")
        if tested is None and node.get("test_metadata"):
            # dbt attaches no test to a source; the first that it depends on is meant
            tested = next(iter(node["depends_on"]["nodes"]), None)
        return tested if tested in self._tables else None

    def _of_test_group(
        self, job_name: str, members: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> Iterator[Event]:
        times = [self._times(result) for _, result in members]
        began, ended = min(t for t, _ in times), max(t for _, t in times)
        run_id = self._run_id(job_name, began)
        job = parts.job(self._names.jobs, job_name, "TEST")
        tested = self._tested(members[0][0])
        of = [tested] if tested else members[0][0]["depends_on"]["nodes"]
        tables = [self._tables[unique_id] for unique_id in of if unique_id in self._tables]
        assertions = [a for node, result in members for a in self._assertions(node, result)]
        quality: dict[str, InputDatasetFacet] = {
            "dataQualityAssertions": (
                facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                    assertions=assertions, producer=parts.PRODUCER
                )
            )
        }
        bare = [InputDataset(self._names.tables, self._named(t)[0]) for t in tables]
        found = [
            InputDataset(
                self._names.tables,
                self._named(table)[0],
                facets=self._described(table),
                inputFacets=quality,
            )
            for table in tables
        ]
        yield parts.event(RunState.START, began, Run(run_id, self._node_facets), job, bare)
        failed = sum(result["status"] in FAILED_STATUSES for _, result in members)
        if failed:
            error = parts.error(f"{failed} of {len(members)} tests failed")
            run = Run(run_id, self._node_facets | {"errorMessage": error})
            yield parts.event(RunState.FAIL, ended, run, job, found)
        else:
            yield parts.event(RunState.COMPLETE, ended, Run(run_id, self._node_facets), job, found)

    def _assertions(
        self, node: Mapping[str, Any], result: Mapping[str, Any]
    ) -> Iterator[facets.data_quality_assertions_dataset.Assertion]:
        """Of a contract's test each rule, where it is known which are broken; else the test."""
        metadata = node.get("test_metadata") or {}
        severity = "warn" if str(node["config"].get("severity", "")).lower() == "warn" else "error"
        passed = result["status"] == "pass"
        rules = [r for r in (metadata.get("kwargs") or {}).get("rules") or () if "name" in r]
        table = self._tables.get(self._tested(node) or "")
        broken = {
            b.rule: b.violations
            for b in self._broken
            if table and b.table.lower() == table.name and b.severity[:4] == severity[:4]
        }
        if rules and (passed or broken):
            for rule in rules:
                yield parts.assertion(
                    metadata["name"],
                    rule["name"],
                    rule["name"] not in broken,
                    severity,
                    column=rule.get("column"),
                    actual=broken.get(rule["name"]),
                )
            return
        yield parts.assertion(
            metadata.get("name") or "custom_sql",
            node["name"],
            passed,
            severity,
            column=node.get("column_name"),
            actual=None if passed else result.get("failures"),
        )

    # exposures

    def _of_exposure(self, exposure: Exposure) -> JobEvent:
        job_facets: dict[str, JobFacet] = {"ownership": parts.job_owner(exposure.owner)}
        described: dict[str, DatasetFacet] = {
            "datasetType": facets.dataset_type_dataset.DatasetTypeDatasetFacet(
                datasetType=exposure.kind.upper(), producer=parts.PRODUCER
            ),
            "ownership": parts.dataset_owner(exposure.owner),
            "documentation": parts.documentation(exposure.description or exposure.label),
            "columnLineage": facets.column_lineage_dataset.ColumnLineageDatasetFacet(
                fields={
                    str(ref): facets.column_lineage_dataset.Fields(
                        self._fields([ref], None, "DIRECT")
                    )
                    for table in exposure.tables
                    for ref in sorted(self._graph.columns_of(table))
                    if exposure.uses(ref)
                },
                producer=parts.PRODUCER,
            ),
        }
        tables = [self._graph.tables[name] for name in exposure.tables]
        return JobEvent(
            eventTime=parts.written(self._ended),
            job=parts.job(self._names.jobs, exposure.unique_id, "EXPOSURE", job_facets),
            inputs=[
                InputDataset(self._names.tables, self._named(t)[0], facets=self._described(t))
                for t in tables
            ],
            outputs=[OutputDataset(self._names.jobs, exposure.label, facets=described)],
            producer=parts.PRODUCER,
        )

    # times and ids

    def _times(self, result: Mapping[str, Any]) -> tuple[datetime, datetime]:
        started = [t["started_at"] for t in result["timing"] if t.get("started_at")]
        completed = [t["completed_at"] for t in result["timing"] if t.get("completed_at")]
        began = parts.instant(min(started)) if started else self._began
        return began, parts.instant(max(completed)) if completed else began

    def _run_id(self, what: str, began: datetime) -> str:
        return str(generate_static_uuid(began, f"{self._invocation} {what}".encode()))

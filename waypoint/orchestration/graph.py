"""The nodes of the dbt manifest as tasks: Cosmos reads it and draws the edges, converters of ours
make the tasks.

A DAG takes a part of the graph: the tables of some schemas, the sources that they read, their
tests, and the exposures that show them. Task ids are the tables' names (`marts.<table>`), sources
and their gates included (`raw.<table>`). Tests of several tables that stand beside each other are
tasks of the schema that comes last (`marts.<test>`), those of sources `tests.<test>`, and
`exposures.<exposure>` the consumers.

Schemas are groups of tasks. Airflow's pages show no graph in which groups wait for each other, so
there are none where schemas do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup
from cosmos.airflow.graph import build_airflow_graph
from cosmos.config import ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import (
    DbtResourceType,
    ExecutionMode,
    LoadMode,
    SourceRenderingBehavior,
    TestBehavior,
    TestIndirectSelection,
)
from cosmos.dbt.graph import DbtGraph, DbtNode

from waypoint.orchestration.assets import table_asset
from waypoint.orchestration.first_runs import FirstRunsOperator
from waypoint.orchestration.manifest import Node
from waypoint.orchestration.operators import (
    BuildOperator,
    FreshnessOperator,
    GateOperator,
    TableOperator,
)
from waypoint.orchestration.parts import Part
from waypoint.orchestration.pools import WAREHOUSE_POOL
from waypoint.project import Project

FIRST_RUNS_TASK, FRESHNESS_TASK, BUILD_TASK = "first_runs", "freshness", "build"

# It warns of every exposure that it knows no operator for, and then asks the converter.
logging.getLogger("cosmos.airflow.graph").setLevel(logging.ERROR)

#: dbt's kinds of nodes, and what Cosmos calls those that it has no word of its own for.
_EXPOSURE = DbtResourceType("exposure")


@dataclass(frozen=True)
class Rendered:
    """The tasks of a part: by unique id, those of tables and tests, and the ends of the graph."""

    tasks: Mapping[str, Any]
    built: Sequence[Any]

    @property
    def ends(self) -> list[Any]:
        """What was built and nothing else that was built waits for."""
        ids = {task.task_id for task in self.built}
        return [task for task in self.built if not (set(task.downstream_task_ids) & ids)]


def render(
    project: Project,
    part: Part,
    dag: DAG,
    brought_by: Mapping[str, Sequence[str]],
    patience: timedelta,
) -> Rendered:
    """Add the tasks of a part to `dag`, with the edges of the manifest.

    gates of the sources → *build* → tables and tests, as they hang on each other → exposures

    `brought_by` says which other DAGs bring the tables that are read; their first runs are waited
    for, as long as `patience` allows.
    """
    tasks = _Tasks(project, part, dag)
    render_config = RenderConfig(
        load_method=LoadMode.DBT_MANIFEST,
        test_behavior=TestBehavior.NONE,  # tests belong to tables, or are added below
        source_rendering_behavior=SourceRenderingBehavior.ALL,
        node_converters={
            DbtResourceType.SOURCE: tasks.source,
            DbtResourceType.SEED: tasks.table,
            DbtResourceType.MODEL: tasks.table,
            DbtResourceType.SNAPSHOT: tasks.table,
            _EXPOSURE: tasks.exposure,
        },
    )
    rendered = build_airflow_graph(
        nodes=_nodes(project, part, render_config),
        dag=dag,
        execution_mode=ExecutionMode.LOCAL,
        task_args={},
        test_indirect_selection=TestIndirectSelection.EAGER,
        dbt_project_name=part.manifest.project,
        render_config=render_config,
    )
    rendered |= tasks.tests_apart(rendered)
    first, build = tasks.building(rendered)
    if brought_by:
        tasks.first_runs(brought_by, patience) >> first
    built = [rendered[uid] for uid in (*part.tables, *part.tests_apart())]
    remarks = tasks.remarks(build)
    if remarks is not None:
        rendered |= dict.fromkeys(part.remarks(), remarks)
        built.append(remarks)
    return Rendered(rendered, built)


class _Graph(DbtGraph):  # type: ignore[misc]
    """Cosmos's reader of manifests, given the manifest that was read already."""

    document: dict[str, Any]

    def _load_manifest_from_file(self, manifest_path: Any) -> dict[str, Any]:
        return self.document


def _nodes(project: Project, part: Part, render_config: RenderConfig) -> dict[str, DbtNode]:
    graph = _Graph(
        project=ProjectConfig(
            dbt_project_path=project.root,
            manifest_path=part.manifest.path,
            project_name=part.manifest.project,
        ),
        render_config=render_config,
        execution_config=ExecutionConfig(dbt_project_path=project.root),
        profile_config=ProfileConfig(
            profile_name=part.manifest.project,
            target_name=project.target,
            profiles_yml_filepath=project.root / "profiles.yml",
        ),
    )
    graph.document = dict(part.manifest.document)
    graph.load(method=LoadMode.DBT_MANIFEST, execution_mode=ExecutionMode.LOCAL)
    wanted = part.node_ids
    return {uid: node for uid, node in graph.nodes.items() if uid in wanted}


def _schemas_before(part: Part) -> dict[str, set[str]]:
    """The schemas that each comes after; itself, too, where schemas wait for each other."""
    before: dict[str, set[str]] = {node.schema: set() for node in part.tables.values()}
    for node in part.tables.values():
        parents = (part.tables[p].schema for p in node.parents if p in part.tables)
        before[node.schema].update(schema for schema in parents if schema != node.schema)
    for _ in before:
        for found in before.values():
            found.update(*(before[schema] for schema in list(found)))
    return before


class _Tasks:
    """Makes the tasks of a part, as Cosmos asks for them."""

    def __init__(self, project: Project, part: Part, dag: DAG) -> None:
        self.project, self.part, self.dag = project, part, dag
        self.root = str(project.root)
        self.groups: dict[str, TaskGroup] = {}
        self.schemas = _schemas_before(part)
        self.grouped = not any(schema in before for schema, before in self.schemas.items())
        self.gates: dict[str, str] = {}  # task id: unique id of its source

    def place(self, schema: str, name: str) -> dict[str, Any]:
        """The id of a task, and the group of its schema where there are groups."""
        if not self.grouped:
            return {"task_id": f"{schema}.{name}", "dag": self.dag}
        if schema not in self.groups:
            self.groups[schema] = TaskGroup(group_id=schema, dag=self.dag)
        return {"task_id": name, "dag": self.dag, "task_group": self.groups[schema]}

    def source(self, *, node: DbtNode, **_: Any) -> Any:
        """The gate of a raw table; a table that promises nothing has none that could close."""
        known = self.part.sources[node.unique_id]
        place = self.place(known.schema, known.table)
        if not known.promises:
            return EmptyOperator(**place, doc_md=known.description)
        gate = GateOperator(
            **place,
            root=self.root,
            tables=[known.name],
            measured_by=FRESHNESS_TASK,
            owner=known.owner or "airflow",
            # how old a table is does not change by waiting; the next run measures again
            retries=0,
            doc_md=known.description,
        )
        self.gates[gate.task_id] = known.unique_id
        return gate

    def table(self, *, node: DbtNode, **_: Any) -> Any:
        """A table, with the tests that belong to it."""
        known = self.part.tables[node.unique_id]
        tests = self.part.tests_of(known.unique_id)
        checked = "".join(f"\n- {test.name}" for test in tests.values())
        return TableOperator(
            **self.place(known.schema, known.table),
            root=self.root,
            tables=[known.name],
            nodes={uid: n.selector for uid, n in {known.unique_id: known, **tests}.items()},
            built_by=BUILD_TASK,
            owner=known.owner or "airflow",
            outlets=[table_asset(self.project, known.name)],
            trigger_rule="all_done" if known.observes else "all_success",
            doc_md=known.description + (f"\n\nTests:{checked}" if checked else ""),
        )

    def exposure(self, *, node: DbtNode, **_: Any) -> Any:
        """Who shows the tables; nothing is to do for them, so nothing is run."""
        known = self.part.exposures[node.unique_id]
        return EmptyOperator(
            **self.place("exposures", known.name),
            owner=known.owner or "airflow",
            doc_md=known.description,
        )

    def _place_of_test(self, test: Node) -> dict[str, Any]:
        """A test stands with the last of the schemas that it reads."""
        tables = self.part.tables
        read = {tables[parent].schema for parent in test.parents if parent in tables}
        for schema in sorted(read):
            if read - {schema} <= self.schemas[schema]:
                return self.place(schema, test.name)
        return {"task_id": f"tests.{test.name}", "dag": self.dag}

    def tests_apart(self, tasks: Mapping[str, Any]) -> dict[str, Any]:
        """The tests of tables that stand beside each other; what comes after all those waits."""
        manifest, made = self.part.manifest, {}
        for uid, test in self.part.tests_apart().items():
            about = [manifest.nodes[p] for p in test.parents]
            task = TableOperator(
                **self._place_of_test(test),
                root=self.root,
                tables=[node.name for node in about],
                nodes={uid: test.selector},
                built_by=BUILD_TASK,
                owner=test.owner or next((n.owner for n in about if n.owner), "airflow"),
                doc_md=test.description or f"Holds of {', '.join(n.name for n in about)}.",
            )
            for parent in test.parents:
                if parent in tasks:
                    tasks[parent] >> task
            guarded = set(manifest.guarded_by.get(uid, ()))
            for table in guarded & set(self.part.tables):
                if not manifest.tables[table].observes and not (
                    guarded & set(manifest.nodes[table].parents)
                ):
                    task >> tasks[table]
            made[uid] = task
        return made

    def remarks(self, build: Any) -> Any:
        """What warnings the raw tables deserve: one task, for nothing waits for it."""
        tests = self.part.remarks()
        if not tests:
            return None
        about = [self.part.manifest.nodes[p] for test in tests.values() for p in test.parents]
        task = TableOperator(
            task_id="tests.sources",
            dag=self.dag,
            root=self.root,
            tables=list(dict.fromkeys(node.name for node in about)),
            nodes={uid: test.selector for uid, test in tests.items()},
            built_by=BUILD_TASK,
            doc_md="Tests:\n" + "\n".join(f"- {test.name}" for test in tests.values()),
        )
        build >> task
        return task

    def building(self, tasks: Mapping[str, Any]) -> tuple[Any, BuildOperator]:
        """Gates before the one build, and the build before everything that it makes.

        Gives the first of these tasks, and the build.
        """
        part = self.part
        selected = {uid: node.selector for uid, node in {**part.tables, **part.tests}.items()}
        build = BuildOperator(
            task_id=BUILD_TASK,
            dag=self.dag,
            root=self.root,
            selectors=selected,
            gates=self.gates,
            behind={source: self._behind(source) for source in self.gates.values()},
            pool=WAREHOUSE_POOL,
            trigger_rule="all_done",
            doc_md="`dbt build` of all that follows, in one process; what came of it is theirs.",
        )
        first: Any = build
        if self.gates:
            first = measuring = FreshnessOperator(
                task_id=FRESHNESS_TASK,
                dag=self.dag,
                root=self.root,
                tables=[part.sources[source].name for source in self.gates.values()],
                pool=WAREHOUSE_POOL,
                doc_md="How old each raw table is, by the clock of the project.",
            )
            for source in self.gates.values():
                measuring >> tasks[source] >> build
        for uid in (*part.tables, *part.tests_apart()):
            task = tasks[uid]
            if not any(p in part.tables for p in part.manifest.nodes[uid].parents):
                build >> task
        return first, build

    def first_runs(
        self, brought_by: Mapping[str, Sequence[str]], patience: timedelta
    ) -> FirstRunsOperator:
        """What waits for other DAGs when they run for the first time."""
        return FirstRunsOperator(
            task_id=FIRST_RUNS_TASK,
            dag=self.dag,
            root=self.root,
            brought_by=brought_by,
            patience=patience,
            pool=WAREHOUSE_POOL,
            doc_md="Waits for DAGs that run for the first time, where what they bring is missing.",
        )

    def _behind(self, source: str) -> list[str]:
        """The tables built from a source, and the tests that read them or it, warnings apart."""
        part = self.part
        closed = part.manifest.built_from([source]) | {source}
        remarks = part.manifest.remarks
        tests = [
            uid
            for uid, test in part.tests.items()
            if uid not in remarks and closed & set(test.parents)
        ]
        return [*(uid for uid in part.tables if uid in closed), *tests]

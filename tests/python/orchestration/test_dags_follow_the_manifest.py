"""Every node of the manifest is in the DAGs, with its edges, and nothing is kept by hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from forking import run_dbt

REPOSITORY = Path(__file__).resolve().parents[3]
BUILT = ("model", "seed", "snapshot")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """This repository's manifest as dbt wrote it, and the two DAGs rendered from it."""
    target = tmp_path_factory.mktemp("target")
    remembered = REPOSITORY / "target" / "partial_parse.msgpack"
    if remembered.exists():  # of files that have not changed since, dbt need not read
        shutil.copy(remembered, target)
    ended = run_dbt(
        ["parse", "--target-path", str(target), "--quiet"],
        REPOSITORY,
        {n: v for n, v in os.environ.items() if not n.startswith(("WAYPOINT_", "DBT_"))},
    )
    assert ended.code == 0, ended.out
    from waypoint.orchestration import dags

    patch = pytest.MonkeyPatch()
    patch.setenv("DBT_TARGET_PATH", str(target))
    try:
        here = REPOSITORY / "dags" / "hourly.py"
        hourly, daily = dags.hourly_dag(here), dags.daily_dag(here)
    finally:
        patch.undo()
    manifest = json.loads((target / "manifest.json").read_text())
    return SimpleNamespace(manifest=manifest, hourly=hourly, daily=daily)


def name_of(node):
    if node["resource_type"] == "source":
        return f"{node['schema']}.{node['identifier']}"
    if node["resource_type"] == "exposure":
        return f"exposures.{node['name']}"
    return f"{node['schema']}.{node.get('alias') or node['name']}"


def built_by(dag):
    """The tables' tasks of a DAG; those of tests alone left out."""
    return {
        task.task_id
        for task in dag.tasks
        if any(not uid.startswith("test.") for uid in getattr(task, "nodes", ()))
    }


def tables(rendered):
    nodes = rendered.manifest["nodes"].values()
    return {n["unique_id"]: n for n in nodes if n["resource_type"] in BUILT}


def test_every_table_is_in_one_dag_and_no_other_tables_are(rendered):
    wanted = {name_of(node) for node in tables(rendered).values()}
    hourly, daily = built_by(rendered.hourly), built_by(rendered.daily)

    assert hourly | daily == wanted
    assert {name_of(n) for n in tables(rendered).values() if n["schema"] == "ml_features"} == daily


def test_every_edge_between_tables_is_an_edge_between_their_tasks(rendered):
    known = tables(rendered) | rendered.manifest["sources"]
    missing = []
    for node in tables(rendered).values():
        dag = rendered.daily if node["schema"] == "ml_features" else rendered.hourly
        upstream = dag.get_task(name_of(node)).upstream_task_ids
        for parent in node.get("depends_on", {}).get("nodes", ()):
            name = name_of(known[parent])
            if dag.has_task(name) and name not in upstream:
                missing.append((name, name_of(node)))
            # a table of the other DAG is read as that left it
            elif not rendered.hourly.has_task(name) and not rendered.daily.has_task(name):
                missing.append((name, "is not there"))

    assert missing == []


def test_every_source_that_promises_has_a_gate_before_the_build(rendered):
    read = {
        parent
        for node in rendered.manifest["nodes"].values()
        for parent in node.get("depends_on", {}).get("nodes", ())
        if node["resource_type"] in (*BUILT, "test")
    }
    sources = {uid: s for uid, s in rendered.manifest["sources"].items() if uid in read}

    def gated(source):
        task = rendered.hourly.get_task(name_of(source))
        return task.task_type == "GateOperator" and "build" in task.downstream_task_ids

    promising = {uid for uid, s in sources.items() if (s["freshness"] or {}).get("error_after")}
    promising = {uid for uid in promising if sources[uid]["freshness"]["error_after"]["count"]}
    assert len(promising) > 15
    assert {uid for uid, source in sources.items() if gated(source)} == promising


def test_every_test_belongs_to_one_task(rendered):
    wanted = {u for u, n in rendered.manifest["nodes"].items() if n["resource_type"] == "test"}
    found = [
        uid
        for dag in (rendered.hourly, rendered.daily)
        for task in dag.tasks
        for uid in getattr(task, "nodes", ())
        if uid.startswith("test.")
    ]

    assert sorted(found) == sorted(wanted)


def test_a_test_runs_after_all_that_it_reads(rendered):
    early = []
    for dag in (rendered.hourly, rendered.daily):
        for task in dag.tasks:
            before = task.get_flat_relative_ids(upstream=True) | {task.task_id}
            for uid in getattr(task, "nodes", ()):
                read = rendered.manifest["nodes"][uid]["depends_on"].get("nodes", ())
                of_dag = {name_of(tables(rendered)[p]) for p in read if p in tables(rendered)}
                early += [(uid, name) for name in of_dag & set(dag.task_ids) if name not in before]

    assert early == []


def test_what_comes_after_all_that_a_test_reads_waits_for_it(rendered):
    dag, free, held = rendered.hourly, [], 0
    for task in dag.tasks:
        alone = getattr(task, "nodes", None) and task.task_id not in built_by(dag)
        if not alone or task.task_id == "tests.sources":
            continue
        (uid,) = task.nodes
        read = set(rendered.manifest["nodes"][uid]["depends_on"]["nodes"])
        read = {name_of((tables(rendered) | rendered.manifest["sources"])[p]) for p in read}
        waiting = task.get_flat_relative_ids(upstream=False)
        for other in dag.tasks:
            if other.task_id not in built_by(dag) or other.trigger_rule != "all_success":
                continue
            if read <= other.get_flat_relative_ids(upstream=True):
                held += 1
                free += [] if other.task_id in waiting else [(task.task_id, other.task_id)]

    assert free == []
    assert held


def test_every_exposure_hangs_on_what_it_shows(rendered):
    known = tables(rendered) | rendered.manifest["sources"]
    for exposure in rendered.manifest["exposures"].values():
        shown = {name_of(known[p]) for p in exposure["depends_on"]["nodes"]}
        found = set()
        for dag in (rendered.hourly, rendered.daily):
            if dag.has_task(name_of(exposure)):
                found |= dag.get_task(name_of(exposure)).upstream_task_ids
        assert found == shown, exposure["name"]


def test_a_new_model_appears_without_a_change_of_the_dags(world):
    before = set(world.dags()["hourly"].task_ids)
    world.write("models/marts/busiest_day.sql", "select * from {{ ref('lendings_by_day') }}")
    world.parse()

    dag = world.dags()["hourly"]

    assert set(dag.task_ids) - before == {"marts.busiest_day"}
    assert dag.get_task("marts.busiest_day").upstream_task_ids == {"marts.lendings_by_day"}


def test_each_source_has_a_dag_with_the_schedule_that_it_states(world):
    world.write(
        "ingestion/sources.yml",
        "card_index: {kind: files, folder: cards, table: members, schedule: '@daily'}\n"
        "lending_desk: {kind: dumps, folder: desk, schedule: '*/10 * * * *'}\n"
        "by_hand: {kind: files, folder: hand, table: members}\n",
    )

    dags = world.dags()

    read = {name: dag for name, dag in dags.items() if name.startswith("ingest_")}
    schedules = {name: getattr(d.timetable, "expression", None) for name, d in read.items()}
    assert schedules == {
        "ingest_card_index": "0 0 * * *",
        "ingest_lending_desk": "*/10 * * * *",
        "ingest_by_hand": None,
    }
    assert read["ingest_card_index"].get_task("load").upstream_task_ids == {"land"}


def test_who_opens_the_warehouse_shares_its_pool(rendered):
    from waypoint.orchestration.pools import WAREHOUSE_POOL, slots

    pooled = {t.task_id for t in rendered.hourly.tasks if t.pool == WAREHOUSE_POOL}

    assert pooled == {"first_runs", "freshness", "build", "quality"}
    assert slots("duckdb") == 1
    assert slots("snowflake") > 1


def test_the_daily_build_waits_for_the_first_hourly_one(rendered):
    task = rendered.daily.get_task("first_runs")

    (read,) = task.brought_by.values()
    assert set(task.brought_by) == {"hourly"}
    features = built_by(rendered.daily)
    parents = {
        name_of(tables(rendered)[parent])
        for node in tables(rendered).values()
        for parent in node.get("depends_on", {}).get("nodes", ())
        if name_of(node) in features and parent in tables(rendered)
    }
    assert parents - features <= set(read) <= built_by(rendered.hourly)
    assert "build" in task.get_flat_relative_ids(upstream=False)


def test_the_hourly_checks_look_at_nothing_that_is_built_daily(rendered):
    checked = rendered.hourly.get_task("quality").arguments

    assert "marts.revenue_by_day" in checked
    assert not set(checked) & built_by(rendered.daily)


def test_failures_are_tried_again_and_told(rendered):
    build = rendered.hourly.get_task("build")

    assert (build.retries, build.retry_delay.total_seconds()) == (2, 300)
    callbacks = build.on_failure_callback
    assert [c.__name__ for c in (callbacks if isinstance(callbacks, list) else [callbacks])] == [
        "tell_of_failure"
    ]
    assert rendered.hourly.deadline


def test_what_observes_other_tables_is_built_whatever_became_of_them(rendered):
    status = rendered.hourly.get_task("marts.table_status")

    assert status.trigger_rule == "all_done"


def test_the_pages_of_airflow_can_show_the_graph(rendered, world):
    for dag in (rendered.hourly, rendered.daily, world.dags()["hourly"]):
        shown = dag.task_group.topological_sort()  # fails where groups wait for each other
        assert shown
    assert {"raw", "staging", "marts", "exposures"} <= set(rendered.hourly.task_group.children)


def test_schemas_that_wait_for_each_other_are_no_groups(world):
    world.write(
        "models/staging/back.sql",
        "{{ config(schema='staging') }} select * from {{ ref('lendings_by_day') }}",
    )
    world.parse()

    dag = world.dags()["hourly"]

    assert dag.task_group.topological_sort()
    assert dag.has_task("staging.back")
    assert "staging" not in dag.task_group.children

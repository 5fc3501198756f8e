"""External sources as DAGs: what is fetched is published, and what cannot be stops only itself."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from external.conftest import BRANCHES, NOW, SLIPS, with_branches
from orchestration.conftest import airflow_database

from waypoint.project import Project
from waypoint.simulator.sandbox import sandbox_running
from waypoint.simulator.sandbox.faults import Fault

ALL = BRANCHES * SLIPS


@pytest.fixture
def services(world, monkeypatch, tmp_path):
    """The world with external sources; `faults` says what is wrong with the services."""
    with_branches(world.library)
    world.desk = tmp_path / "branches"
    world.desk.mkdir()
    monkeypatch.setenv("LIBRARY_LENDING_DESK", str(world.desk))
    world.faults = lambda _number, _path: None
    project = Project.find(world.library.root)
    with sandbox_running(
        project, as_of=NOW, faults=lambda number, path: world.faults(number, path)
    ) as sandbox:
        monkeypatch.setenv("WAYPOINT_SANDBOX", sandbox.url)
        world.sandbox = sandbox
        yield world


def published(world):
    topic = world.desk / "lending-slips"
    lines = [line for path in topic.glob("p*.ndjson") for line in path.read_text().splitlines()]
    return [json.loads(line)["value"]["slip"] for line in lines]


def ran(world, which):
    """How the tasks of a DAG ended, those of a mapped one by their number; tried once only."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    airflow_database()
    bag = DagBag(world.library.root / "dags", safe_mode=False, bundle_name="dags-folder")
    assert bag.import_errors == {}
    dag = bag.dags[which]
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    sync_bag_to_db(bag, "dags-folder", None)
    run = dag.test()
    tasks = {}
    for ti in run.get_task_instances():
        name = ti.task_id if ti.map_index < 0 else f"{ti.task_id} {ti.map_index}"
        tasks[name] = str(ti.state)
    return str(run.state), tasks


def test_each_entry_is_a_dag_of_four_steps_of_which_the_first_is_mapped(services):
    dags = {name: dag for name, dag in services.dags().items() if name.startswith("fetch_")}

    assert set(dags) == {"fetch_branch_slips", "fetch_bus_feed", "fetch_archive"}
    dag = dags["fetch_branch_slips"]
    assert dag.schedule == "@hourly"
    assert dags["fetch_bus_feed"].schedule is None
    order = ["fetch", "transform", "validate", "publish", "complete"]
    assert [task.task_id for task in dag.topological_sort()] == order
    fetch = dag.get_task("fetch")
    assert fetch.is_mapped
    assert fetch.retries == 2


def test_a_run_publishes_what_the_services_say(services):
    state, tasks = ran(services, "fetch_branch_slips")

    assert state == "success"
    assert tasks == {
        **{f"fetch {lot}": "success" for lot in range(BRANCHES)},
        **dict.fromkeys(("transform", "validate", "publish", "complete"), "success"),
    }
    assert len(published(services)) == ALL
    assert not list((services.project.state / "external").glob("*/*"))


def test_a_service_that_fails_in_part_costs_that_part_and_the_run_is_not_green(services):
    services.faults = lambda _number, path: Fault(500) if "South" in path else None

    state, tasks = ran(services, "fetch_branch_slips")

    assert state == "failed"
    assert tasks["fetch 1"] == "failed"
    assert tasks["publish"] == "success"
    assert tasks["complete"] == "upstream_failed"
    assert len(published(services)) == ALL - SLIPS
    (alert,) = services.alerts()
    assert "South" in json.dumps(alert)


def test_a_task_tried_again_asks_only_for_what_had_failed(services):
    from waypoint.orchestration.external_operators import FetchOperator
    from waypoint.orchestration.tasks import TaskFailed

    task = FetchOperator(
        task_id="fetch", root=str(services.library.root), source="branch_slips", lot=0, lots=1
    )
    context = {"run_id": "hourly: 1", "dag_run": SimpleNamespace(start_date=datetime.now(UTC))}
    services.faults = lambda _number, path: Fault(500) if "South" in path else None
    with pytest.raises(TaskFailed, match="South/slips answered 500"):
        task.work(context)
    services.faults = lambda _number, _path: None
    services.sandbox.requests.clear()

    assert task.work(context) == {"requests": BRANCHES, "pages": BRANCHES * 3}

    assert len(services.sandbox.requests) == 3
    assert all("South" in path for path in services.sandbox.requests)


def test_a_source_whose_key_is_not_there_is_skipped(services, monkeypatch):
    from waypoint.orchestration import external_operators

    monkeypatch.delenv("WAYPOINT_SANDBOX")
    monkeypatch.setattr(external_operators, "_connection", lambda _name: None)

    state, tasks = ran(services, "fetch_archive")

    assert state == "success"
    assert set(tasks.values()) == {"skipped"}
    assert published(services) == []


def test_a_broken_entry_is_one_dag_that_says_so_and_the_others_stay(services):
    path = services.library.root / "ingestion" / "external.yml"
    path.write_text(path.read_text().replace("  id: id\n", "  id: [id\n"))

    with pytest.warns(UserWarning, match="bus_feed: not readable as YAML"):
        dags = services.dags()

    assert [task.task_id for task in dags["fetch_bus_feed"].tasks] == ["entry"]
    assert "broken" in dags["fetch_bus_feed"].tags
    assert "transform" in dags["fetch_branch_slips"].task_ids
    with pytest.warns(UserWarning):
        state, tasks = ran(services, "fetch_bus_feed")
    assert (state, tasks) == ("failed", {"entry": "failed"})


@pytest.mark.long
def test_with_a_broker_the_run_publishes_to_its_topic(services, kafka_server, monkeypatch):
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient, NewTopic

    servers = {"bootstrap.servers": kafka_server.bootstrap}
    admin = AdminClient(servers)
    for made in admin.create_topics([NewTopic("lending-slips", 3, 1)]).values():
        made.result(60)
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)

    state, tasks = ran(services, "fetch_branch_slips")

    assert (state, tasks["publish"]) == ("success", "success")
    assert published(services) == []  # nothing in the folder
    consumer = Consumer(servers | {"group.id": "desk", "auto.offset.reset": "earliest"})
    consumer.subscribe(["lending-slips"])
    slips, until = [], time.monotonic() + 120
    while len(slips) < ALL and time.monotonic() < until:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            slips.append(json.loads(message.value())["slip"])
    consumer.close()
    assert len(slips) == len(set(slips)) == ALL

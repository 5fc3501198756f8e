"""A new Airflow starts all DAGs at once; what builds waits for what is read for the first time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError, ErrorType


class Instance:
    """What the task sees of its Airflow: how the runs of other DAGs stand, and which are paused."""

    def __init__(self, runs=None, paused=(), since=None):
        self.runs, self.paused, self.since = runs or {}, paused, since

    def get_dr_count(self, dag_id, states):
        return sum(state in states for state in self.runs.get(dag_id, ()))

    def get_dag(self, dag_id):
        if dag_id not in self.runs:
            from airflow.sdk.execution_time.comms import ErrorResponse

            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))
        return SimpleNamespace(is_paused=dag_id in self.paused)

    def get_first_reschedule_date(self, context):
        return self.since


DESK, CARDS = "ingest_lending_desk", "ingest_card_index"
DONE = {DESK: ["success"], CARDS: ["success"]}


@pytest.fixture
def first_runs(world):
    world.write(
        "ingestion/sources.yml",
        "card_index: {kind: files, folder: cards, table: members, schedule: '@hourly'}\n"
        "lending_desk: {kind: dumps, folder: desk, schedule: '@hourly'}\n",
    )
    return world.dags()["hourly"].get_task("first_runs")


def goes_on(task, **instance):
    try:
        task.execute({"ti": Instance(**instance)})
    except AirflowRescheduleException:
        return False
    return True


def emptied(world):
    with duckdb.connect(str(world.project.warehouse_file)) as warehouse:
        warehouse.execute("delete from raw.lendings")


def test_a_source_that_is_read_for_the_first_time_is_waited_for(world, first_runs):
    assert set(first_runs.brought_by) == {DESK, CARDS}
    assert first_runs.downstream_task_ids == {"freshness"}
    assert goes_on(first_runs, runs=DONE)

    running = {DESK: ["running"], CARDS: ["success"]}
    assert not goes_on(first_runs, runs=running)  # what it has loaded may be the half of it
    emptied(world)
    assert not goes_on(first_runs, runs={**DONE, DESK: []})  # it will run, and nothing is there
    assert goes_on(first_runs, runs={**DONE, DESK: ["failed"]})  # its gate says what is missing
    assert goes_on(first_runs, runs={**DONE, DESK: ["failed", "running"]})


def test_what_is_there_already_is_not_waited_for(first_runs):
    assert goes_on(first_runs, runs={DESK: [], CARDS: []})


def test_a_source_that_is_paused_is_not_waited_for(world, first_runs):
    emptied(world)

    assert goes_on(first_runs, runs={**DONE, DESK: []}, paused={DESK})


def test_nothing_is_waited_for_without_end(world, first_runs):
    emptied(world)

    def waited(minutes, runs):
        since = datetime.now(UTC) - timedelta(minutes=minutes)
        return goes_on(first_runs, runs=runs, since=since)

    assert not waited(59, {**DONE, DESK: []})
    assert waited(61, {**DONE, DESK: []})
    assert not waited(4, {CARDS: ["success"]})  # Airflow may not have read the DAG's file yet
    assert waited(6, {CARDS: ["success"]})


def test_a_run_can_be_cleared_while_its_deadline_is_ahead(world):
    from airflow.models.deadline import Deadline
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    world.synced()
    with create_session() as session:
        dag = SerializedDagModel.get_dag("hourly", session=session)
        now = datetime.now(UTC)
        run = dag.create_dagrun(
            run_id="by-hand",
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.QUEUED,
            session=session,
        )
        session.flush()
        (deadline,) = session.scalars(select(Deadline).where(Deadline.dagrun_id == run.id))
        until = deadline.deadline_time
        assert timedelta(minutes=59) < until - now < timedelta(minutes=61)
        run.state = DagRunState.FAILED
        for instance in run.get_task_instances(session=session):
            instance.state = TaskInstanceState.FAILED
        session.flush()

        assert dag.clear(run_id="by-hand", only_failed=True, session=session)

        session.refresh(run)
        assert run.state == DagRunState.QUEUED
        session.refresh(deadline)
        assert deadline.deadline_time == until  # the tables do not get younger by it
        session.rollback()


def test_without_the_plugin_there_are_no_deadlines_and_airflow_says_so(world, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(world.library.root))
    from waypoint.orchestration import dags

    with pytest.warns(UserWarning, match="hourly: nobody is told of late runs; set AIRFLOW__CORE"):
        dag = dags.hourly_dag(world.library.root / "dags" / "hourly.py")

    assert not dag.deadline


SCENARIO = {
    "scenario.yml": """
period: {history: 2 hours, full: 1 hour}
topics:
  folder: LIBRARY_LENDING_DESK
  messages:
    lending-slips: {query: slips, format: ndjson.gz}
""",
    "slips.sql": """
select
    slot_start as arrived_at,
    'C0001' as key,
    to_json({
        'slip': 'S' || slot, 'card': 'C0001', 'shelfmark': 'A 1', 'lent': iso(slot_start), 'days': 7
    }) as value
from slots(600, play.since(), play.until())
""",
}


def test_whoever_reads_a_simulated_source_first_plays_it(world, monkeypatch, tmp_path):
    for name in world.library.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path / "empty"))
    for name, text in SCENARIO.items():
        world.write(f"scenario/{name}", text)
    from waypoint.orchestration.dags import ingestion_dags

    dags = ingestion_dags(world.library.root / "dags" / "ingestion.py")
    task = dags["ingest_lending_desk"].get_task("land")
    assert "simulate" in dags

    def landed():
        return sum(counts["landed"] for counts in task.execute({"ti": Instance()}).values())

    assert landed() > 0
    assert landed() == 0  # played once

"""What single tasks do: sources that cannot be read, and runs that pick up where they stopped."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest


class Instance:
    """What a task sees of its own run: its try, and what the build before it returned."""

    def __init__(self, attempt, result=None):
        self.try_number, self.result = attempt, result

    def xcom_pull(self, task_ids):
        return self.result


def attempted(task, attempt, result=None):
    return task.execute({"ti": Instance(attempt, result), "run_id": "by hand"})


def test_a_dead_api_fails_its_own_dag_and_says_so(world, monkeypatch):
    from waypoint.orchestration.tasks import TaskFailed, tell_of_failure

    sources = (
        "shelves:\n  kind: rest\n  schedule: '@hourly'\n  base_url: http://127.0.0.1:9\n"
        "  patience: {attempts: 1}\n"
        "  resources: [{path: /members, table: members}]\n"
        "lending_desk: {kind: dumps, folder: desk}\n"
    )
    world.write("ingestion/sources.yml", sources)
    task = world.dags()["ingest_shelves"].get_task("land")

    with pytest.raises(TaskFailed) as failed:
        attempted(task, 1)
    tell_of_failure({"task": task, "exception": failed.value, "run_id": "by hand"})

    (alert,) = world.alerts()
    assert alert["rules"][0].startswith("source shelves: ")
    assert alert["owner"] == "branch-library"
    assert "marts.members_total" in alert["consumers"]
    other = world.dags()["ingest_lending_desk"].get_task("land")
    assert attempted(other, 1) is not None


@pytest.mark.long
def test_a_table_that_failed_is_built_by_its_own_task_when_it_is_tried_again(world):
    from waypoint.orchestration.tasks import TaskFailed

    world.write("tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }}")
    world.parse()
    dag = world.dags()["hourly"]
    build = dag.get_task("build")
    build.gates = {}
    result = attempted(build, 1)
    members, total = dag.get_task("staging.stg_members"), dag.get_task("marts.members_total")
    with pytest.raises(TaskFailed, match="nobody_is_a_member"):
        attempted(members, 1, result)
    assert result["status"]["model.library.members_total"] == "skipped"

    world.write("tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }} where 1=0")
    attempted(members, 2, result)
    attempted(total, 1, result)  # left out by the build: it builds itself

    from waypoint.warehouse import reading

    with reading(world.project.warehouse_file) as warehouse:
        assert warehouse.execute("select members from marts.members_total").fetchall() == [(2,)]


def test_what_the_build_made_is_not_made_again(world, monkeypatch):
    from waypoint.orchestration import operators

    dag = world.dags()["hourly"]
    task = dag.get_task("staging.stg_members")
    monkeypatch.setattr(operators, "build_selected", None)  # would fail
    result = {"try": 1, "status": dict.fromkeys(task.nodes, "success"), "why": {}}

    attempted(task, 1, result)
    attempted(task, 2, {**result, "try": 2})  # after the build was cleared, too


def test_a_wrong_schedule_is_said_with_file_and_source(world):
    from ingestion.sources import read_sources
    from waypoint.errors import UnusableInput

    world.write("ingestion/sources.yml", "desk: {kind: dumps, folder: desk, schedule: often}\n")

    with pytest.raises(UnusableInput, match=r"sources\.yml, desk: schedule 'often' is none"):
        read_sources(world.project)


def test_alerts_reach_slack_where_it_is_configured(world, monkeypatch):
    import httpx

    from waypoint.orchestration.alerting import FAILED, Alert, send

    said = []

    def post(url, json, timeout):
        said.append((url, json))
        return SimpleNamespace(status_code=200, text="ok")

    monkeypatch.setattr(httpx, "post", post)
    alert = Alert(FAILED, "marts.days", "desk", ("marts.days: no_gaps is broken once",), ("Page",))
    send(world.project, alert, {})
    assert said == []  # off until configured

    send(world.project, alert, {"WAYPOINT_SLACK_WEBHOOK": "https://hooks.example/1"})

    ((url, body),) = said
    assert url == "https://hooks.example/1"
    for words in ("marts.days failed", "no_gaps is broken once", "owner: desk", "concerned: Page"):
        assert words in body["text"]


def test_tasks_share_the_state_and_a_command_waits_for_none_of_them(world):
    from waypoint.locking import StateLocked, changing_state, sharing_state

    def refused(holding, wanting):
        with holding, pytest.raises(StateLocked) as error, wanting:
            pass
        return str(error.value)

    def task(name):
        return sharing_state(world.project, name, patience=0.3)

    command = changing_state(world.project, "waypoint build")
    with task("one task"), task("another"):
        pass
    assert "is being changed by one task" in refused(task("one task"), command)
    command = changing_state(world.project, "waypoint build")
    assert "waypoint build" in refused(command, task("one task"))


def test_the_time_a_run_may_take_follows_from_the_promises(world):
    from datetime import timedelta

    (deadline,) = world.dags()["hourly"].deadline

    # tables warn after two hours, and a run begins every hour
    assert deadline.interval == timedelta(hours=1)


@pytest.mark.long
def test_the_scheduler_runs_the_library_from_its_sources_to_the_published_copy(
    connected_tiny_project, make_world
):
    import time

    library = connected_tiny_project
    world = make_world(library)
    world.set_clock("2026-03-02T12:00:00")
    for command in ("land", "load"):
        assert library.waypoint(command).code == 0
    started = library.waypoint("airflow", "up", "--unpause", "--json")
    try:
        assert started.code == 0, started.err
        assert json.loads(started.out)["url"].startswith("http://127.0.0.1:")
        wanted = {"hourly", "publish"}
        end = time.monotonic() + 280
        while time.monotonic() < end:
            dags = library.waypoint("airflow", "status", "--json").json["dags"]
            done = {dag["dag"] for dag in dags if dag["last_state"] == "success"}
            if wanted <= done:
                break
            time.sleep(3)
        assert wanted <= done
        assert (library.state / "published" / "waypoint.duckdb").exists()
    finally:
        library.waypoint("airflow", "down")
    assert library.waypoint("airflow", "status").code == 3

"""A local Airflow with its scheduler: green from the sources to the published copy, and mended.

Everything here is long: one Airflow is started, and the tests share it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from orchestration.scheduled import scheduled, wait_for, webhook

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("scheduler"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def slack() -> Iterator[Any]:
    with webhook() as taking:
        yield taking


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, make_world: Any, slack: Any) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("scheduled")
    with scheduled(root, make_world, slack, deadline=1) as started:
        yield started


def emitted(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_sources_hourly_and_daily_are_green_and_the_copy_is_published(airflow):
    airflow.unpause("publish")
    for source in ("ingest_card_index", "ingest_lending_desk"):
        airflow.unpause(source)
        assert airflow.ended(source) == "success", airflow.states(source)
    airflow.unpause("hourly")
    assert airflow.ended("hourly") == "success", airflow.states("hourly")
    assert set(airflow.states("hourly").values()) == {"success"}
    assert airflow.ended("publish") == "success"
    airflow.unpause("daily")
    assert airflow.ended("daily") == "success", airflow.states("daily")
    airflow.unpause("maintenance")
    assert airflow.ended("maintenance") == "success", airflow.states("maintenance")
    wait_for(lambda: len(airflow.runs("publish")) > 1, "the features are not published")
    assert airflow.ended("publish") == "success"
    published = airflow.project.published_file
    with duckdb.connect(str(published), read_only=True) as copy:
        (slips,) = copy.execute("select sum(lendings) from marts.lendings_by_day").fetchone()
        (cards,) = copy.execute("select count(*) from ml_features.member_features").fetchone()
    assert (slips, cards) == (3, 2)


def test_the_runs_left_valid_lineage_of_tables_columns_and_exposures(airflow):
    from lineage.conformance import conforming

    conform = conforming()
    events = emitted(airflow.events)
    for event in events:
        conform(event)
    jobs = {event["job"]["name"] for event in events}
    assert {"hourly.build", "ingest_lending_desk.load", "library.dbt.build"} <= jobs
    complete = [e for e in events if e.get("eventType") == "COMPLETE"]
    (days, *_) = [e for e in complete if e["job"]["name"].endswith("model.library.lendings_by_day")]
    fields = days["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert {f["field"] for f in fields["members"]["inputFields"]} == {"card"}
    assert "dbt_exposures" in days["outputs"][0]["facets"]
    (exposure, *_) = [
        e for e in events if e["job"]["name"].endswith("exposure.library.desk_overview")
    ]
    assert exposure["outputs"][0]["name"] == "Desk Overview"
    # dbt's run hangs below the task that it ran in
    (build, *_) = [e for e in complete if e["job"]["name"] == "library.dbt.build"]
    assert build["run"]["facets"]["parent"]["job"]["name"] == "hourly.build"


def test_a_run_that_takes_longer_than_the_promises_leave_is_told(airflow, slack):
    def told() -> list[str]:
        return [text for text in slack.said if "run of hourly is late" in text]

    (text, *_) = wait_for(told, f"nobody was told: {slack.said}")

    assert "tables get older than their contracts promise" in text
    assert "Desk Overview (dashboard, desk)" in text
    assert "owner: branch-library" in text
    (alert, *_) = [a for a in airflow.world.alerts() if a["kind"] == "deadline"]
    assert alert["dag"] == "hourly"


def test_a_worker_that_is_killed_costs_a_try_and_the_run_ends_well(airflow):
    def built() -> int | None:
        query = (
            "select pid from task_instance where dag_id = 'hourly' and run_id = ?"
            " and task_id = 'build' and state = 'running'"
        )
        found = airflow.ask(query, run)
        return int(found[0][0]) if found and found[0][0] else None

    airflow.bring_in()
    airflow.writes("drop table if exists marts.lendings_by_day")  # for the next run to mend
    run = airflow.trigger("hourly")
    task = wait_for(built, "the build does not begin")
    worker = int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (worker, task):
        os.kill(pid, signal.SIGKILL)

    assert airflow.ended("hourly", run) == "success", airflow.states("hourly")

    query = "select try_number from task_instance where run_id = ? and task_id = 'build'"
    ((tries,),) = airflow.ask(query, run)
    assert tries == 2
    with duckdb.connect(str(airflow.project.warehouse_file), read_only=True) as warehouse:
        assert warehouse.execute("select count(*) from marts.lendings_by_day").fetchone() == (2,)

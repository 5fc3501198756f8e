"""A local Airflow with its scheduler: green from the sources to the published copy, and mended.

Everything here is long: one Airflow is started, and the tests share it.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import duckdb
import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("scheduler"),
    pytest.mark.timeout(3600),
]

PATIENCE = 900.0  # seconds that anything may take on a machine that is busy with other work
AS_OF = "2026-03-02T12:00:00"
SCHEDULED = (
    "card_index:\n  kind: files\n  folder: ${LIBRARY_CARD_INDEX}\n  pattern: '*.csv'\n"
    "  table: members\n  schedule: '@hourly'\n"
    "lending_desk:\n  kind: dumps\n  folder: ${LIBRARY_LENDING_DESK}\n  schedule: '@hourly'\n"
)
FEATURES = """
    {{ config(schema='ml_features', materialized='table') }}
    select card, count(*) as lendings, max(loaded_at) as loaded_at
    from {{ ref('stg_lendings') }} group by card
"""
#: The hourly DAG as it is, but that it is late after a second and tried again at once.
IMPATIENT = """# without the word Airflow, it would not look into this file
from datetime import timedelta

from waypoint.orchestration import dags

dags._SHORTEST_DEADLINE = timedelta(seconds=1)
dag = dags.hourly_dag(__file__)
for task in dag.tasks:
    task.retry_delay = timedelta(seconds=1)
"""


class Airflow:
    """The library's own Airflow, asked as its pages ask it."""

    def __init__(self, library: Any, project: Any) -> None:
        self.library, self.project, self.token = library, project, ""
        self.home = project.state / "airflow"

    def start(self, **environment: str) -> None:
        ended = self.library.waypoint("airflow", "up", "--json", **environment)
        assert ended.code == 0, ended.err
        self.url = ended.json["url"]
        password = json.loads((self.home / "passwords.json").read_text())["admin"]
        self.token = self.call("POST", "/auth/token", username="admin", password=password)[
            "access_token"
        ]

    def call(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ask(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        address = f"file:{self.home}/airflow.db?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as opened:
            return opened.execute(query, values).fetchall()

    def unpause(self, dag: str) -> None:
        def known() -> bool:
            with suppress(HTTPError):
                self.call("PATCH", f"/api/v2/dags/{dag}", is_paused=False)
                return True
            return False

        wait_for(known, f"{dag} is not there")

    def runs(self, dag: str) -> list[tuple[str, str]]:
        return self.ask("select run_id, state from dag_run where dag_id = ? order by id", dag)

    def trigger(self, dag: str) -> str:
        found = self.call("POST", f"/api/v2/dags/{dag}/dagRuns", logical_date=None)
        return str(found["dag_run_id"])

    def ended(self, dag: str, run: str | None = None) -> str:
        """How the run (the newest one) of a DAG ended, which is waited for."""

        def state() -> str:
            found = [s for name, s in self.runs(dag) if run in (None, name)]
            return found[-1] if found and found[-1] in ("success", "failed") else ""

        return str(wait_for(state, f"{dag} does not end: {self.states(dag)}"))

    def bring_in(self) -> None:
        """See to it that sources were read and the hourly DAG ran; at once where they did."""
        for dag in ("ingest_card_index", "ingest_lending_desk", "hourly"):
            if not self.runs(dag):
                self.unpause(dag)
            assert self.ended(dag) == "success", self.states(dag)

    def states(self, dag: str) -> dict[str, str]:
        """The states of the tasks of a DAG's newest run."""
        run = self.runs(dag)
        query = "select task_id, state from task_instance where dag_id = ? and run_id = ?"
        return dict(self.ask(query, dag, run[-1][0])) if run else {}


def wait_for(what: Callable[[], Any], problem: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(problem)


@pytest.fixture(scope="module")
def slack() -> Iterator[Any]:
    """Takes what is posted, as Slack's incoming webhooks do; `said` are the texts."""
    said: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.said = said  # type: ignore[attr-defined]
    server.url = f"http://127.0.0.1:{server.server_port}/hook"  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, make_world: Any, slack: Any) -> Iterator[Any]:
    from conftest import Library

    root = tmp_path_factory.mktemp("scheduled")
    library = Library.copied_to(root / "library").connected()
    world = make_world(library)
    world.write("ingestion/sources.yml", SCHEDULED)
    world.write("models/ml_features/member_features.sql", FEATURES)
    world.write("dags/hourly.py", IMPATIENT)
    contract = root / "library/contracts/raw/lendings.yaml"
    contract.write_text(contract.read_text())
    marts = root / "library/contracts/marts/lendings_by_day.yaml"
    marts.write_text(
        f"{marts.read_text()}slaProperties:\n  - property: freshness\n    value: 24\n    unit: h\n"
        "    element: lendings_by_day.loaded_at\n"
        "customProperties:\n  - property: freshnessWarnAfter\n    value: 1 h\n"
    )
    assert library.waypoint("contracts", "render").code == 0
    world.set_clock(AS_OF)
    events = root / "events.ndjson"
    started = Airflow(library, world.project)
    started.world, started.events, started.marts = world, events, marts
    try:
        started.start(
            AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
            AIRFLOW__OPENLINEAGE__DISABLED="False",  # it is, in the processes of the tests
            OPENLINEAGE__TRANSPORT__TYPE="file",
            OPENLINEAGE__TRANSPORT__APPEND="true",
            OPENLINEAGE__TRANSPORT__LOG_FILE_PATH=str(events),
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="120",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="3",
            WAYPOINT_SLACK_WEBHOOK=slack.url,
        )
        yield started
    finally:
        library.waypoint("airflow", "down")
    assert library.waypoint("airflow", "status").code == 3


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

    def dropped() -> bool:
        with suppress(duckdb.IOException):  # a task has it open
            with duckdb.connect(str(airflow.project.warehouse_file)) as warehouse:
                warehouse.execute("drop table if exists marts.lendings_by_day")
            return True
        return False

    airflow.bring_in()
    wait_for(dropped, "the warehouse is never free")  # what the next run has to mend
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


def test_a_failing_test_is_told_and_after_the_repair_one_clear_is_enough(airflow, slack):
    airflow.bring_in()
    airflow.world.write("tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }}")
    # the manifest that the DAGs are rendered from is written by whoever deploys
    airflow.world.parse()
    wait_for(lambda: "nobody_is_a_member" in rendered(airflow), "the test is not in the DAG")
    run = airflow.trigger("hourly")
    assert airflow.ended("hourly", run) == "failed"
    states = airflow.states("hourly")
    assert states["staging.stg_members"] == "failed"
    assert states["marts.members_total"] == "upstream_failed"
    assert states["staging.stg_lendings"] == states["marts.lendings_by_day"] == "success"
    (text,) = [t for t in slack.said if t.startswith("*staging.stg_members failed*")]
    for words in ("nobody_is_a_member", "owner: ", "concerned: Desk Overview", "members_total"):
        assert words in text

    airflow.world.write(
        "tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }} where 1 = 0"
    )
    airflow.call(
        "POST",
        "/api/v2/dags/hourly/clearTaskInstances",
        dry_run=False,
        dag_run_id=run,
        only_failed=True,
        reset_dag_runs=True,
    )

    wait_for(lambda: dict(airflow.runs("hourly"))[run] != "failed", "nothing was cleared")
    assert airflow.ended("hourly", run) == "success", airflow.states("hourly")


def rendered(airflow: Airflow) -> str:
    """The hourly DAG as the scheduler knows it."""
    found = airflow.ask(
        "select data from serialized_dag where dag_id = 'hourly' order by last_updated desc limit 1"
    )
    return str(found[0][0]) if found else ""

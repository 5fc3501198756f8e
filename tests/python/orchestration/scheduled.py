"""A local Airflow of a test's own with its scheduler, asked as its pages ask it."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import duckdb

PATIENCE = 900.0  # seconds that anything may take on a machine that is busy with other work
AS_OF = "2026-03-02T12:00:00"
#: Two sources that are there, and one whose service may not be.
SCHEDULED = (
    "card_index:\n  kind: files\n  folder: ${LIBRARY_CARD_INDEX}\n  pattern: '*.csv'\n"
    "  table: members\n  schedule: '@hourly'\n"
    "lending_desk:\n  kind: dumps\n  folder: ${LIBRARY_LENDING_DESK}\n  schedule: '@hourly'\n"
    "turnstile:\n  kind: rest\n  base_url: ${LIBRARY_TURNSTILE}\n  schedule: '@hourly'\n"
    "  patience: {attempts: 1, timeout: 5}\n"
    "  resources: [{path: /visits, table: visits, pagination: {style: none, items: data}}]\n"
)
FEATURES = """
    {{ config(schema='ml_features', materialized='table') }}
    select card, count(*) as lendings, max(loaded_at) as loaded_at
    from {{ ref('stg_lendings') }} group by card
"""
VISITS = """apiVersion: v3.1.0
kind: DataContract
id: raw.visits
name: Visits
version: 1.0.0
status: active
domain: lending
description: {purpose: People who pass the turnstile.}
team: {name: branch-library}
schema:
  - name: visits
    physicalType: table
    description: People who pass the turnstile.
    dataGranularityDescription: One row per visit.
    properties:
      - {name: id, logicalType: string, physicalType: varchar, primaryKey: true, required: true,
         description: Number of the visit.}
      - {name: _payload, logicalType: string, physicalType: varchar, required: true,
         description: The visit as it was sent (JSON).}
      - {name: _source, logicalType: string, physicalType: varchar, required: true,
         description: Which source of ingestion/sources.yml the row came from.}
      - {name: _batch, logicalType: string, physicalType: varchar, required: true,
         description: Which landed file the row came with.}
      - {name: _loaded_at, logicalType: timestamp, physicalType: timestamp, required: true,
         description: When the load transaction put the row here (UTC).}
"""
#: The hourly DAG as it is, but that its tasks are tried again at once.
IMPATIENT = """# without the word Airflow, it would not look into this file
from datetime import timedelta

from waypoint.orchestration import dags

dags._SHORTEST_DEADLINE = timedelta(seconds={deadline})
dag = dags.hourly_dag(__file__)
for task in dag.tasks:
    task.retry_delay = timedelta(seconds=1)
"""


#: The DAGs of the sources as they are, but that tasks are tried again at once.
IMPATIENT_SOURCES = """# without the word Airflow, it would not look into this file
from datetime import timedelta

from waypoint.orchestration import dags

found = dags.ingestion_dags(__file__)
for dag in found.values():
    for task in dag.tasks:
        task.retry_delay = timedelta(seconds=1)
globals().update(found)
"""


class Airflow:
    """The library's own Airflow, asked as its pages ask it."""

    def __init__(self, library: Any, world: Any, events: Path) -> None:
        self.library, self.world, self.events = library, world, events
        self.project, self.token, self.url = world.project, "", ""
        self.home = self.project.state / "airflow"

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

    def clear(self, dag: str, run: str) -> None:
        """What people press: clear what failed in a run, and what waited for it."""
        self.call(
            "POST",
            f"/api/v2/dags/{dag}/clearTaskInstances",
            dry_run=False,
            dag_run_id=run,
            only_failed=True,
            reset_dag_runs=True,
        )
        wait_for(lambda: dict(self.runs(dag))[run] != "failed", "nothing was cleared")

    def deadlines_ahead(self, dag: str, run: str) -> int:
        """How many deadlines of a run have not been missed yet, and are waited for."""
        query = "select count(*) from deadline d join dag_run r on r.id = d.dagrun_id"
        ((count,),) = self.ask(
            f"{query} where r.dag_id = ? and r.run_id = ? and not d.missed", dag, run
        )
        return int(count)

    def told_of(self, run: str) -> dict[str, dict[str, Any]]:
        """The alerts of a run's failures, by what they are about."""
        found = [a for a in self.world.alerts() if (a["run"], a["kind"]) == (run, "failed")]
        assert len({alert["subject"] for alert in found}) == len(found), found
        return {alert["subject"]: alert for alert in found}

    def writes(self, statement: str) -> None:
        """Change the warehouse behind everybody's back, once no task has it open."""

        def written() -> bool:
            with suppress(duckdb.IOException):  # a task has it open
                with duckdb.connect(str(self.project.warehouse_file)) as warehouse:
                    warehouse.execute(statement)
                return True
            return False

        wait_for(written, "the warehouse is never free")

    def rendered(self, dag: str) -> str:
        """A DAG as the scheduler knows it."""
        found = self.ask(
            "select data from serialized_dag where dag_id = ? order by last_updated desc limit 1",
            dag,
        )
        return str(found[0][0]) if found else ""

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


@contextmanager
def webhook() -> Iterator[Any]:
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


@contextmanager
def scheduled(
    root: Path, make_world: Any, slack: Any, deadline: int = 900, **environment: str
) -> Iterator[Any]:
    """A library in `root` with an Airflow of its own, its DAGs paused.

    `deadline` is after how many seconds the hourly DAG is late.
    """
    from conftest import Library

    library = Library.copied_to(root / "library").connected()
    world = make_world(library)
    world.write("ingestion/sources.yml", SCHEDULED)
    world.write("models/ml_features/member_features.sql", FEATURES)
    world.write("dags/hourly.py", IMPATIENT.format(deadline=deadline))
    world.write("dags/ingestion.py", IMPATIENT_SOURCES)
    world.write("contracts/raw/visits.yaml", VISITS)
    marts = root / "library/contracts/marts/lendings_by_day.yaml"
    marts.write_text(
        f"{marts.read_text()}slaProperties:\n  - property: freshness\n    value: 24\n    unit: h\n"
        "    element: lendings_by_day.loaded_at\n"
        "customProperties:\n  - property: freshnessWarnAfter\n    value: 1 h\n"
    )
    assert library.waypoint("contracts", "render").code == 0
    world.set_clock(AS_OF)
    events = root / "events.ndjson"
    started = Airflow(library, world, events)
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
            **environment,
        )
        yield started
    finally:
        library.waypoint("airflow", "down")
    assert library.waypoint("airflow", "status").code == 3

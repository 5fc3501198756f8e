"""Things go wrong under a local Airflow: what fails, what waits, who is told; and after the repair
one *Clear*, or one run, is enough.

Everything here is long: one Airflow is started, and the tests share it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import duckdb
import pytest
from orchestration.scheduled import SCHEDULED, scheduled, wait_for, webhook

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("failing scheduler"),
    pytest.mark.timeout(3600),
]

WAITED, FAILED, DONE = "upstream_failed", "failed", "success"


class Turnstile:
    """A service at an address of its own, which answers only after `repaired`."""

    def __init__(self) -> None:
        # bound, but it does not listen: nobody else gets the address, and callers are refused
        self.server = HTTPServer(("127.0.0.1", 0), _Visits, bind_and_activate=False)
        self.server.server_bind()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def repaired(self) -> None:
        self.server.server_activate()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class _Visits(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "V1"}, {"id": "V2"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def slack() -> Iterator[Any]:
    with webhook() as taking:
        yield taking


@pytest.fixture(scope="module")
def turnstile() -> Turnstile:
    return Turnstile()


@pytest.fixture(scope="module")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, make_world: Any, slack: Any, turnstile: Turnstile
) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("failing")
    with scheduled(root, make_world, slack, LIBRARY_TURNSTILE=turnstile.url) as started:
        yield started


def members(airflow: Any, query: str) -> Any:
    with duckdb.connect(str(airflow.project.warehouse_file), read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def test_a_failing_test_is_told_and_after_the_repair_one_clear_is_enough(airflow, slack):
    airflow.bring_in()
    airflow.world.write("tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }}")
    # the manifest that the DAGs are rendered from is written by whoever deploys
    airflow.world.parse()
    wait_for(lambda: "nobody_is_a_member" in airflow.rendered("hourly"), "the test is not there")
    run = airflow.trigger("hourly")
    assert airflow.ended("hourly", run) == FAILED
    states = airflow.states("hourly")
    assert states["staging.stg_members"] == FAILED
    assert states["marts.members_total"] == WAITED
    assert states["staging.stg_lendings"] == states["marts.lendings_by_day"] == DONE
    assert set(airflow.told_of(run)) == {"staging.stg_members", "finished"}
    (text,) = [t for t in slack.said if t.startswith("*staging.stg_members failed*")]
    for words in ("nobody_is_a_member", "owner: ", "concerned: Desk Overview", "members_total"):
        assert words in text

    airflow.world.write(
        "tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }} where 1 = 0"
    )
    assert airflow.deadlines_ahead("hourly", run) == 1  # which is no reason not to be cleared
    airflow.clear("hourly", run)

    assert airflow.ended("hourly", run) == DONE, airflow.states("hourly")
    assert set(airflow.states("hourly").values()) == {DONE}
    assert airflow.deadlines_ahead("hourly", run) == 0  # in time after all: nobody is told


def test_a_stale_source_stops_its_branch_and_one_clear_builds_it(airflow):
    airflow.bring_in()
    airflow.writes("update raw.lendings set _loaded_at = _loaded_at - interval 3 day")
    run = airflow.trigger("hourly")
    airflow.ended("hourly", run)
    states = airflow.states("hourly")
    assert states["raw.lendings"] == FAILED
    branch = {"staging.stg_lendings", "marts.lendings_by_day", "marts.lendings_total"}
    waited = {task for task, state in states.items() if state == WAITED}
    assert waited == branch | {"exposures.desk_overview"}
    assert {s for task, s in states.items() if task not in (*waited, "raw.lendings")} == {DONE}
    (alert,) = airflow.told_of(run).values()
    assert (alert["subject"], alert["owner"]) == ("raw.lendings", "branch-library")
    assert alert["rules"][0].startswith("raw.lendings was last loaded at 2026-02-27 12:00:00 UTC")
    assert "Desk Overview (dashboard, desk)" in alert["consumers"]

    slip = ("S9", "C0001", "B 9", "2026-03-02T11:00:00.000Z", 7)
    airflow.library.lend("1.ndjson", slip, offset=4)
    brought = airflow.trigger("ingest_lending_desk")
    assert airflow.ended("ingest_lending_desk", brought) == DONE
    airflow.clear("hourly", run)

    assert airflow.ended("hourly", run) == DONE, airflow.states("hourly")
    assert set(airflow.states("hourly").values()) == {DONE}
    assert members(airflow, "select sum(lendings) from marts.lendings_by_day") == [(4,)]


def test_a_dead_service_stops_its_own_dag_and_one_clear_reads_it(airflow, turnstile):
    airflow.bring_in()
    airflow.unpause("ingest_turnstile")
    assert airflow.ended("ingest_turnstile") == FAILED
    (run, _), *_ = airflow.runs("ingest_turnstile")
    assert airflow.states("ingest_turnstile") == {"land": FAILED, "load": WAITED}
    query = "select try_number from task_instance where run_id = ? and dag_id = 'ingest_turnstile'"
    assert (3,) in airflow.ask(f"{query} and task_id = 'land'", run)
    (alert,) = airflow.told_of(run).values()
    assert (alert["subject"], alert["owner"]) == ("raw.visits", "branch-library")
    assert alert["rules"][0].startswith("source turnstile: ")
    hourly = airflow.trigger("hourly")  # nothing is built from it
    assert airflow.ended("hourly", hourly) == DONE, airflow.states("hourly")

    turnstile.repaired()
    airflow.clear("ingest_turnstile", run)

    assert airflow.ended("ingest_turnstile", run) == DONE, airflow.states("ingest_turnstile")
    assert members(airflow, "select count(*) from raw.visits") == [(2,)]


def test_a_broken_entry_fails_alone_and_after_the_repair_one_run_reads_it(airflow):
    airflow.bring_in()
    airflow.world.write("ingestion/sources.yml", SCHEDULED + "till:\n  kind: [files\n")
    airflow.unpause("ingest_till")
    assert airflow.ended("ingest_till") == FAILED
    (run, _), *_ = airflow.runs("ingest_till")
    (alert,) = airflow.told_of(run).values()
    assert "sources.yml, till: not readable as YAML" in alert["rules"][0]
    brought = airflow.trigger("ingest_lending_desk")
    assert airflow.ended("ingest_lending_desk", brought) == DONE
    hourly = airflow.trigger("hourly")
    assert airflow.ended("hourly", hourly) == DONE, airflow.states("hourly")

    till = "till: {kind: files, folder: '${LIBRARY_CARD_INDEX}', table: members}\n"
    airflow.world.write("ingestion/sources.yml", SCHEDULED + till)
    wait_for(lambda: '"land"' in airflow.rendered("ingest_till"), "the entry is not read again")
    run = airflow.trigger("ingest_till")

    assert airflow.ended("ingest_till", run) == DONE, airflow.states("ingest_till")
    assert airflow.states("ingest_till") == {"land": DONE, "load": DONE}


def test_a_warehouse_that_is_held_open_keeps_all_waiting_and_one_clear_builds_it(airflow):
    airflow.bring_in()
    with held_open(airflow):
        run = airflow.trigger("hourly")
        assert airflow.ended("hourly", run) == FAILED
        states = airflow.states("hourly")
    assert {task for task, state in states.items() if state == FAILED} == {
        *("freshness", "build", "finished"),
    }
    assert states["first_runs"] == DONE
    # what promises nothing has no gate that could close
    promising = {c.full_name for c in airflow.project.contracts.tables if c.freshness}
    for task, state in states.items():
        if task.startswith(("raw.", "staging.", "marts.")):
            open_gate = task.startswith("raw.") and task not in promising
            assert state == (DONE if open_gate else WAITED), task
    told = airflow.told_of(run)
    assert set(told) == {"freshness", "build", "finished"}
    assert "is held open by process" in told["freshness"]["rules"][0]

    airflow.clear("hourly", run)

    assert airflow.ended("hourly", run) == DONE, airflow.states("hourly")
    assert set(airflow.states("hourly").values()) == {DONE}


@contextmanager
def held_open(airflow: Any) -> Iterator[None]:
    """Somebody has the warehouse open for writing, from when no task has it."""
    code = """
import duckdb, sys, time
while True:
    try:
        held = duckdb.connect(sys.argv[1])
        break
    except duckdb.IOException:
        time.sleep(0.1)
print("held", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(airflow.project.warehouse_file)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate()

"""OpenLineage events of what ran: what stands in them, that they are valid, and where they go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lineage.conformance import conforming
from lineage.shop import NODES, SOURCES, node, written

from waypoint.lineage.emitting import emit_after_build, is_configured
from waypoint.project import Project

AIRFLOW = "airflow-ns/hourly.build/01999999-1111-7222-8333-444444444444"

CONTRACT_TEST = node("test", "clean.orders_contract", "", "model.shop.orders") | {
    "attached_node": "model.shop.orders",
    "config": {"severity": "ERROR"},
    "test_metadata": {
        "name": "contract_rules",
        "kwargs": {"rules": [{"name": "id_is_unique"}, {"name": "cents_is_required"}]},
    },
}
BROKEN = (
    "Runtime Error in model days (models/days.sql)\n"
    "  Conversion Error: Could not convert string 'ada@example.com' to INT32\n"
)


def result(unique_id: str, status: str, second: int, message: str = "") -> dict[str, Any]:
    at = "2026-03-02T12:00:{:02}.5Z"
    times = {"started_at": at.format(second), "completed_at": at.format(second + 1)}
    return {
        "unique_id": unique_id,
        "status": status,
        "message": message,
        "failures": 0 if status == "pass" else 2,
        "timing": [{"name": "execute", **times}] if status != "skipped" else [],
        "adapter_response": {"rows_affected": 7},
    }


RESULTS = [
    result("model.shop.orders", "success", 1),
    result("test.shop.orders_contract", "pass", 3),
    result("model.shop.days", "error", 5, BROKEN),
    result("model.shop.how_many", "success", 7),
    result("operation.shop.hook", "success", 0),
]


def left_by_dbt(root: Path, results: list[dict[str, Any]], which: str = "build") -> Path:
    """A dbt project in which dbt has run."""
    (root / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    target = root / "target"
    target.mkdir()
    written(target, [*NODES, CONTRACT_TEST], SOURCES)
    document = {
        "metadata": {
            "dbt_version": "1.11.16",
            "generated_at": "2026-03-02T12:00:10.000000Z",
            "invocation_id": "34356553-f608-4845-8b22-c0bf8dcb8d3e",
        },
        "args": {"which": which},
        "elapsed_time": 10.0,
        "results": results,
    }
    (target / "run_results.json").write_text(json.dumps(document))
    return root


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return left_by_dbt(tmp_path, RESULTS)


@pytest.fixture
def events(ran: Path, waypoint: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", AIRFLOW)
    ended = waypoint("lineage", "emit", "--json")
    assert ended.code == 0, ended.err
    found: list[dict[str, Any]] = ended.json
    return found


def of_job(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["job"]["name"] == name]


@pytest.fixture(scope="session")
def conforms() -> Callable[[dict[str, Any]], None]:
    """Raises unless an event, and every facet in it that the standard knows, is valid."""
    return conforming()


def test_every_event_is_valid(
    events: list[dict[str, Any]], conforms: Callable[[dict[str, Any]], None]
) -> None:
    assert len(events) == 11  # the run, 3 models, a table's tests, and an exposure
    for event in events:
        conforms(event)


def test_an_event_that_is_wrong_is_found_out(
    events: list[dict[str, Any]], conforms: Callable[[dict[str, Any]], None]
) -> None:
    from jsonschema import ValidationError

    (*_, complete) = of_job(events, "model.shop.orders")
    del complete["outputs"][0]["facets"]["columnLineage"]["fields"]
    with pytest.raises(ValidationError):
        conforms(complete)


def test_what_is_made_starts_and_ends_under_the_run_that_airflow_started(
    events: list[dict[str, Any]],
) -> None:
    run = of_job(events, "shop.dbt.build")
    assert [event["eventType"] for event in run] == ["START", "FAIL"]
    assert len({event["run"]["runId"] for event in run}) == 1
    parent = run[0]["run"]["facets"]["parent"]
    namespace, task, run_id = AIRFLOW.split("/")
    assert parent["job"]["namespace"] == namespace
    assert parent["job"]["name"] == task
    assert parent["run"]["runId"] == run_id
    start, complete = of_job(events, "model.shop.orders")
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"] != run[0]["run"]["runId"]
    inner = complete["run"]["facets"]["parent"]
    assert inner["run"]["runId"] == run[0]["run"]["runId"]
    assert inner["root"]["run"]["runId"] == run_id
    assert start["eventTime"] == "2026-03-02T12:00:01.500000Z"


def test_the_same_run_gives_the_same_events_again(
    ran: Path, waypoint: Any, events: list[dict[str, Any]]
) -> None:
    assert waypoint("lineage", "emit", "--json").json == events


def test_a_table_has_its_columns_owner_and_what_they_are_made_of(
    events: list[dict[str, Any]],
) -> None:
    (*_, complete) = of_job(events, "model.shop.orders")
    (made,) = complete["outputs"]
    assert made["name"] == "clean.orders"
    assert made["namespace"].startswith("duckdb:///")
    facets = made["facets"]
    assert [c["name"] for c in facets["schema"]["fields"]] == ["id", "cents", "status"]
    assert facets["ownership"]["owners"][0]["name"] == "team:clean-team"
    (cents,) = facets["columnLineage"]["fields"]["cents"]["inputFields"]
    assert (cents["name"], cents["field"]) == ("raw.sales", "amount")
    assert cents["transformations"][0]["type"] == "DIRECT"
    (deciding,) = facets["columnLineage"]["dataset"]
    assert (deciding["field"], deciding["transformations"][0]["type"]) == ("is_test", "INDIRECT")
    assert [i["name"] for i in complete["inputs"]] == ["raw.sales"]
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 7


def test_tests_are_told_rule_by_rule(events: list[dict[str, Any]]) -> None:
    _, complete = of_job(events, "model.shop.orders.tests")
    (tested,) = complete["inputs"]
    assertions = tested["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(a["name"], a["success"]) for a in assertions] == [
        ("id_is_unique", True),
        ("cents_is_required", True),
    ]


def test_an_exposure_hangs_on_the_tables_that_were_made(events: list[dict[str, Any]]) -> None:
    (counter,) = of_job(events, "exposure.shop.counter")
    assert "run" not in counter and "eventType" not in counter
    assert [i["name"] for i in counter["inputs"]] == ["shown.how_many"]
    (shown,) = counter["outputs"]
    assert shown["name"] == "Counter"
    assert shown["facets"]["datasetType"]["datasetType"] == "DASHBOARD"
    assert shown["facets"]["ownership"]["owners"][0]["name"] == "team:board"
    assert list(shown["facets"]["columnLineage"]["fields"]) == ["shown.how_many.n"]
    # the table of the other one was not made
    assert of_job(events, "exposure.shop.money") == []
    (*_, complete) = of_job(events, "model.shop.how_many")
    consumers = complete["outputs"][0]["facets"]["dbt_exposures"]["exposures"]
    assert [c["name"] for c in consumers] == ["counter"]


def test_a_failure_tells_its_kind_and_no_data(events: list[dict[str, Any]]) -> None:
    _, failed = of_job(events, "model.shop.days")
    assert failed["eventType"] == "FAIL"
    assert failed["outputs"] == []
    said = failed["run"]["facets"]["errorMessage"]["message"]
    assert said.startswith("Runtime Error in model days (models/days.sql): Conversion Error")
    assert "ada@example.com" not in json.dumps(events)
    (*_, run) = of_job(events, "shop.dbt.build")
    assert run["run"]["facets"]["errorMessage"]["message"] == "1 of 5 failed: model.shop.days"


def test_no_compiled_sql_and_no_variable_is_in_an_event(events: list[dict[str, Any]]) -> None:
    told = json.dumps(events)
    assert "select" not in told
    assert "OPENLINEAGE" not in told


def test_a_file_gets_one_event_a_line(ran: Path, waypoint: Any) -> None:
    ended = waypoint("lineage", "emit", "--to", "events.ndjson")
    assert ended.code == 0, ended.err
    lines = (ran / "events.ndjson").read_text().splitlines()
    assert len(lines) == 11
    assert all(json.loads(line)["producer"] for line in lines)


class Receiver:
    """An HTTP server that takes events, or answers with an error."""

    def __init__(self, status: int = 201) -> None:
        self.events: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.tries = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.tries += 1
                receiver.keys.add(self.headers["Authorization"])
                if status < 300 and self.path == "/api/v1/lineage":
                    receiver.events.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_receiver_gets_them_in_order(
    ran: Path, waypoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a-key")
    with Receiver() as receiver:
        ended = waypoint("lineage", "emit", "--to", f"http://127.0.0.1:{receiver.port}")
    assert ended.code == 0, ended.err
    times = [event["eventTime"] for event in receiver.events]
    assert len(times) == 11 and times == sorted(times)
    assert receiver.keys == {"Bearer a-key"}


def test_a_receiver_that_refuses_is_told_without_the_password(ran: Path, waypoint: Any) -> None:
    with Receiver(status=403) as receiver:
        place = f"http://user:secret@127.0.0.1:{receiver.port}"
        ended = waypoint("lineage", "emit", "--to", place)
    assert ended.code == 3
    assert "HTTP status 403" in ended.err
    assert "secret" not in ended.err
    assert receiver.tries == 1  # the first that is refused is the last that is tried


@pytest.mark.parametrize("which", ["compile", "docs"])
def test_results_of_what_makes_no_tables_are_refused(
    tmp_path: Path, waypoint: Any, which: str
) -> None:
    left_by_dbt(tmp_path, [], which)
    ended = waypoint("lineage", "emit", "--to", "events.ndjson")
    assert ended.code == 2
    assert f"dbt {which}" in ended.err
    assert not (tmp_path / "events.ndjson").exists()


def test_nowhere_to_send_to_is_said(ran: Path, waypoint: Any) -> None:
    ended = waypoint("lineage", "emit")
    assert ended.code == 2
    assert "--to" in ended.err


def test_a_build_emits_what_was_made_and_that_nothing_could_be_made(
    connected_tiny_project: Any, conforms: Callable[[dict[str, Any]], None]
) -> None:
    library = connected_tiny_project
    file = library.root / "events.ndjson"
    to_file = {
        "OPENLINEAGE__TRANSPORT__TYPE": "file",
        "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(file),
        "OPENLINEAGE__TRANSPORT__APPEND": "true",
    }
    assert library.waypoint("run", "--as-of", "2026-03-02", "--skip-page", **to_file).code == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for event in events:
        conforms(event)
    (*_, made) = of_job(events, "model.library.lendings_by_day")
    fields = made["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert fields["members"]["inputFields"][0]["field"] == "card"

    file.unlink()
    broken = library.root / "models" / "marts" / "lendings_by_day.sql"
    broken.write_text("select {{ ref('nothing') }}")
    assert library.waypoint("build", **to_file).code != 0
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event["eventType"] for event in told] == ["START", "FAIL"]


def test_a_receiver_that_is_not_there_fails_no_build(
    ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://user:secret@127.0.0.1:9")
    problem = emit_after_build(Project.find(ran), ran / "target", ())
    assert problem.startswith("11 lineage events were not sent to")
    assert "secret" not in problem
    monkeypatch.delenv("OPENLINEAGE_URL")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    assert "settings cannot be used" in emit_after_build(Project.find(ran), ran / "target", ())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_NAMESPACE": "jobs"}, False),
        ({"OPENLINEAGE_URL": "http://marquez:5000"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "file"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "file", "OPENLINEAGE_DISABLED": "True"}, False),
    ],
)
def test_only_a_place_to_send_to_switches_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], expected: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert is_configured(settings, tmp_path) is expected


IN_A_TASK = """
import json
from datetime import UTC, datetime
from types import SimpleNamespace
import airflow.sdk
from airflow.sdk.execution_time.context import set_current_context
from waypoint.lineage.emitting import parent_run_facet
assert parent_run_facet() is None
at = datetime(2026, 3, 2, tzinfo=UTC)
run = SimpleNamespace(conf={}, logical_date=at, run_after=at, clear_number=0)
task = SimpleNamespace(
    dag_id="hourly", task_id="build", try_number=1, logical_date=at, map_index=-1, dag_run=run,
    task=SimpleNamespace(task_id="build"), get_template_context=lambda: {"dag_run": run},
)
with set_current_context({"ti": task}):
    parent = parent_run_facet()
print(json.dumps([parent.job.name, parent.root.job.name]))
"""


def test_in_an_airflow_task_that_is_the_parent(tmp_path: Path) -> None:
    if find_spec("airflow") is None:
        pytest.skip("the group orchestration is not installed")
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_TASK],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == ["hourly.build", "hourly"]


def test_tables_on_snowflake_are_named_by_their_account(
    ran: Path, waypoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ran / "profiles.yml").write_text(
        "shop:\n  target: snowflake\n  outputs:\n    snowflake: {type: snowflake,"
        " account: \"{{ env_var('ACCOUNT') }}\", user: reader, password: secret}\n"
    )
    manifest = ran / "target" / "manifest.json"
    document = json.loads(manifest.read_text())
    document["metadata"]["adapter_type"] = "snowflake"
    manifest.write_text(json.dumps(document))
    asked = ("--target", "snowflake", "lineage", "emit", "--target-path", "target", "--json")
    without = waypoint(*asked)
    assert without.code == 2
    assert "profiles.yml" in without.err
    monkeypatch.setenv("ACCOUNT", "org-shop")
    ended = waypoint(*asked)
    assert ended.code == 0, ended.err
    namespaces = {i["namespace"] for event in ended.json for i in event.get("inputs", ())}
    assert namespaces == {"snowflake://org-shop"}
    assert "secret" not in ended.out

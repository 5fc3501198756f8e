"""`waypoint fetch`, from the services to staging."""

from __future__ import annotations

import json
import signal
import time

import duckdb
import httpx
import pytest
from external.conftest import BRANCHES, REPOSITORY, SLIPS

from waypoint.simulator.sandbox.faults import Fault

ALL = BRANCHES * SLIPS


@pytest.mark.long
def test_what_is_fetched_twice_is_in_staging_once(branches):
    for moment in ("2026-03-02T12:00:00", "2026-03-02T13:00:00"):
        branches.project.state.mkdir(exist_ok=True)
        (branches.project.state / "clock.json").write_text(json.dumps({"as_of": moment}))
        ended = branches.fetched("--json", AIRFLOW_CONN_ARCHIVE='{"password": "k"}')
        assert ended.code == 0, ended.out + ended.err
        found = {source["source"]: source for source in ended.json["sources"]}
        assert found["branch_slips"]["published"] == ALL
        assert found["archive"]["published"] == SLIPS
    (branches.project.state / "clock.json").unlink()

    for command in (["land"], ["load"], ["build", "--", "--select", "stg_lendings"]):
        ended = branches.library.waypoint(*command)
        assert ended.code == 0, ended.out + ended.err

    file = branches.project.warehouse_file
    with duckdb.connect(str(file), read_only=True) as warehouse:
        sent = warehouse.sql("select count(*) from raw.lendings where _partition = 1").fetchall()
        once = warehouse.sql(
            "select count(*), count(distinct slip) from staging.stg_lendings where slip like '%-%'"
        ).fetchall()
    assert sent == [(2 * (ALL + SLIPS + 5),)]
    assert once == [(ALL + SLIPS + 5, ALL + SLIPS + 5)]


def test_a_dry_run_shows_the_messages_and_publishes_nothing(branches):
    ended = branches.fetched("bus_feed", "--dry-run", "--json")

    assert ended.code == 0, ended.err
    (source,) = ended.json["sources"]
    assert [message["shelfmark"] for message in source["messages"]][:2] == [
        "M 0 & more",
        "M 1 & more",
    ]
    assert branches.messages() == []


def test_a_source_without_its_key_is_left_out_and_says_what_to_set(branches):
    branches.sandbox = None
    ended = branches.library.waypoint("fetch", "archive")

    assert ended.code == 0
    assert "left out: archive (AIRFLOW_CONN_ARCHIVE is not set)" in ended.out


def test_broken_entries_are_told_with_file_line_and_field_and_stop_only_themselves(branches):
    branches.change("  format: rss", "  format: rsss")
    branches.change("data: {card: card,", "data: {card: {path: card, az: number},")

    ended = branches.fetched()

    assert ended.code == 1
    assert "branch_slips" in ended.out
    assert len(branches.messages()) == ALL
    lines = (branches.library.root / "ingestion/external.yml").read_text().splitlines()
    at = next(n for n, line in enumerate(lines, start=1) if "rsss" in line)
    assert f"external.yml, line {at}: bus_feed: format: 'rsss' is none of json, rss" in ended.out
    assert "archive: data: card: 'az' is not known in a rule" in ended.out


def test_an_entry_that_is_no_yaml_stops_only_itself(branches):
    branches.change("  id: id\n", "  id: [id\n")

    ended = branches.fetched("branch_slips", "bus_feed")

    assert ended.code == 1
    assert len(branches.messages()) == ALL
    assert "bus_feed: not readable as YAML" in ended.out


def test_nowhere_to_publish_is_said_before_anything_is_asked(branches):
    ended = branches.library.waypoint("fetch", LIBRARY_LENDING_DESK="")

    assert ended.code == 2
    assert "LIBRARY_LENDING_DESK" in ended.err


def test_an_unknown_source_is_named(branches):
    ended = branches.library.waypoint("fetch", "nobody")

    assert ended.code == 2
    assert "declared are archive, branch_slips, bus_feed" in ended.err


def test_ctrl_c_ends_a_fetch_that_waits_and_nothing_is_published(branches):
    branches.faults = lambda _number, _path: Fault(429, retry_after="4")
    fetching = branches.library.started("fetch", WAYPOINT_SANDBOX=branches.address())
    while len(branches.sandbox.requests) < BRANCHES:
        assert fetching.poll() is None
        time.sleep(0.05)

    fetching.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = fetching.communicate(timeout=30)

    assert fetching.returncode == 130, said
    assert time.monotonic() - began < 3
    assert branches.messages() == []


def test_the_example_of_the_documentation_is_understood(branches):
    text = (REPOSITORY / "docs" / "external-sources.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    path = branches.library.root / "ingestion" / "external.yml"
    path.write_text(path.read_text() + "\n" + example)

    assert branches.external.broken == ()
    assert branches.external.entries[-1].name == "tides"


def test_a_sandbox_says_where_it_is_and_serves_until_ctrl_c(branches):
    serving = branches.library.started(
        "sandbox", "--as-of", "2026-03-02T12:00", "--fault", "error@North"
    )
    assert serving.stdout is not None
    name, _, address = serving.stdout.readline().strip().partition("=")
    try:
        assert name == "export WAYPOINT_SANDBOX"
        south = httpx.get(f"{address}/slips.example/v1/branches/South/slips")
        north = httpx.get(f"{address}/slips.example/v1/branches/North/slips")
        assert len(south.json()["data"]["slips"]) == 10
        assert north.status_code == 503
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=30)
    assert serving.returncode == 130


def test_a_fault_that_is_none_is_refused(branches):
    ended = branches.library.waypoint("sandbox", "--fault", "flood:2")

    assert ended.code == 2
    assert "kinds: rate-limit, error, timeout" in ended.err


def test_a_rejected_message_lands_once_its_contract_is_mended(branches):
    branches.change("as: integer, scale: 7, round: 0", "as: integer, lookup: {1: 0}, otherwise: 14")
    branches.faults = lambda _n, path: Fault(garbage=True) if "East" in path else None
    ended = branches.fetched("branch_slips", "--json")
    (source,) = ended.json["sources"]
    assert (ended.code, source["rejected"]) == (1, len(branches.quarantine()))
    waypoint = branches.library.waypoint
    assert [waypoint(command).code for command in ("land", "load")] == [0, 0]

    for path in ("contracts/raw/lendings.yaml", "contracts/topics/lending-slips.yaml"):
        file = branches.library.root / path
        file.write_text(file.read_text().replace("minimum: 1", "minimum: 0"))
    replayed = waypoint("quarantine", "replay", "--json")
    assert waypoint("load").code == 0

    assert replayed.code == 0, replayed.out + replayed.err
    with duckdb.connect(str(branches.project.warehouse_file), read_only=True) as warehouse:
        (landed,) = warehouse.sql(
            "select count(*), count(distinct slip), count(distinct (_partition, _offset))"
            " from raw.lendings"
        ).fetchall()
        garbage = warehouse.sql(
            "select count(*) from raw.quarantine where rule = 'answer_is_readable'"
        ).fetchall()
    assert landed == (ALL - SLIPS,) * 3
    assert garbage == [(1,)]

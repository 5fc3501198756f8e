"""What failed, what waited, what went on and who was told, in runs of the DAG itself."""

from __future__ import annotations

import duckdb
import pytest

WAITED, FAILED, DONE = "upstream_failed", "failed", "success"


def test_a_stale_source_stops_its_branch_and_nothing_else(world):
    with duckdb.connect(str(world.project.warehouse_file)) as warehouse:
        warehouse.execute("update raw.lendings set _loaded_at = _loaded_at - interval 3 day")

    found = world.ran()

    assert found["raw.lendings"] == FAILED
    assert found["raw.members"] == DONE
    branch = ("staging.stg_lendings", "marts.lendings_by_day", "marts.lendings_total")
    assert {found[task] for task in branch} == {WAITED}
    assert found["staging.stg_members"] == found["marts.members_total"] == DONE
    assert found["exposures.desk_overview"] == WAITED
    assert found["finished"] == DONE  # what was built may be published
    (alert,) = world.alerts()
    assert alert["subject"] == "raw.lendings"
    assert alert["owner"] == "branch-library"
    assert alert["rules"] == [
        "raw.lendings was last loaded at 2026-02-27 12:00:00 UTC, 72 h ago;"
        " its contract warns after 12 h and fails after 24 h"
    ]
    assert "Desk Overview (dashboard, desk)" in alert["consumers"]
    assert "marts.lendings_by_day" in alert["consumers"]
    assert "marts.members_total" not in alert["consumers"]


def test_a_failing_test_stops_what_comes_after_its_table(world):
    world.write("tests/nobody_is_a_member.sql", "select * from {{ ref('stg_members') }}")
    world.parse()

    found = world.ran()

    assert found["staging.stg_members"] == FAILED
    assert found["marts.members_total"] == WAITED
    assert found["staging.stg_lendings"] == found["marts.lendings_by_day"] == DONE
    assert found["finished"] == FAILED  # nothing is published
    alerts = {alert["subject"]: alert for alert in world.alerts()}
    assert set(alerts) == {"staging.stg_members", "finished"}
    assert "nobody_is_a_member" in alerts["staging.stg_members"]["rules"][0]
    assert "marts.members_total" in alerts["staging.stg_members"]["consumers"]


@pytest.mark.long
def test_a_table_about_to_be_stale_passes_and_people_are_told(world):
    world.set_clock("2026-03-03T02:00:00")  # 14 hours later
    with duckdb.connect(str(world.project.warehouse_file)) as warehouse:
        warehouse.execute("update raw.load_history set loaded_at = timestamp '2026-03-03 01:00'")

    found = world.ran()

    assert set(found.values()) == {DONE}
    told = {alert["subject"]: alert["kind"] for alert in world.alerts()}
    assert told["raw.lendings"] == told["raw.members"] == "warning"


@pytest.mark.long
def test_a_warehouse_that_is_held_open_keeps_all_waiting(world, held_open):
    held_open(world.project.warehouse_file)

    found = world.ran()

    assert found["freshness"] == FAILED
    assert found["build"] == FAILED
    built = [task for task in found if task.startswith(("staging.", "marts."))]
    assert {found[task] for task in built} == {WAITED}
    assert found["finished"] == FAILED
    first = world.alerts()[0]
    assert first["task"] == "freshness"
    assert "is held open by process" in first["rules"][0]


@pytest.fixture
def held_open():
    """Opens a DuckDB file for writing in another process, until the test's end."""
    import subprocess
    import sys

    holders = []

    def hold(path):
        code = (
            f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True);"
            " sys.stdin.read()"
        )
        holder = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout.readline() == "held\n"
        holders.append(holder)

    yield hold
    for holder in holders:
        holder.communicate()

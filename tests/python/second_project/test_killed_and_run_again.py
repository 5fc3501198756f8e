"""A run that is killed at any moment and started again ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time

import duckdb
import pytest
from run_state import left_by_run

from waypoint.errors import Exit

RUN = ["run", "--as-of", "2026-03-02T12:00:00", "--json"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("trials", [1, pytest.param(20, marks=pytest.mark.long)])
def test_a_killed_run_is_simply_run_again(connected_tiny_project, trials):
    library = connected_tiny_project
    start = time.monotonic()
    library.run()
    duration = time.monotonic() - start
    undisturbed = left_by_run(library.state)
    chance = random.Random(1)

    for trial in range(trials):
        shutil.rmtree(library.state)
        moment = chance.uniform(0.1, duration)
        process = library.started(*RUN)
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()

        ended = library.waypoint(*RUN)

        killed = f"trial {trial}, killed after {moment:.2f} s of {duration:.2f}"
        assert ended.code == Exit.OK, f"{killed}: {ended.out}{ended.err}"
        assert left_by_run(library.state) == undisturbed, killed


def test_a_build_ends_with_the_command_that_was_killed(connected_tiny_project):
    process = connected_tiny_project.started("build")
    held = connected_tiny_project.state / "warehouse" / "waypoint.duckdb.wal"
    deadline = time.monotonic() + 60
    while not held.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    time.sleep(0.5)
    with duckdb.connect(str(held.with_suffix(""))) as warehouse:
        warehouse.execute("select 1")

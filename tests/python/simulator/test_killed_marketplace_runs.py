"""The marketplace's run, killed at any moment and started again, ends as if nothing had happened.

The whole way is killed here: the play into the database, the charges, the files and the topics, the
extraction, landing, loading, the build, publishing and the page.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import CommandLine
from run_state import left_by_run

from waypoint.errors import Exit

ROOT = Path(__file__).parents[3]
FIRST, SECOND = "2026-03-01T00:00:00", "2026-03-01T06:00:00"
TRIALS = int(os.environ.get("WAYPOINT_KILL_TRIALS", "20"))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_killed_run_of_the_marketplace_is_simply_run_again(tmp_path: Path) -> None:
    base, state = tmp_path / "base", tmp_path / "state"
    played = CommandLine(ROOT, {"WAYPOINT_STATE": str(base)})
    ended = played.waypoint("simulate", "--as-of", FIRST, "--scale", "0.1")
    assert ended.code == Exit.OK, ended.err
    ended = played.waypoint("run")
    assert ended.code == Exit.OK, ended.out + ended.err
    marketplace = CommandLine(ROOT, {"WAYPOINT_STATE": str(state)})
    run = ["run", "--as-of", SECOND, "--json"]

    _copy(base, state)
    start = time.monotonic()
    ended = marketplace.waypoint(*run)
    duration = time.monotonic() - start
    assert ended.code == Exit.OK, ended.out + ended.err
    undisturbed = left_by_run(state)

    chance = random.Random(1)
    for trial in range(TRIALS):
        shutil.rmtree(state)
        _copy(base, state)
        moment = chance.uniform(0.5, duration)
        process = marketplace.started(*run)
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()

        ended = marketplace.waypoint(*run)

        killed = f"trial {trial}, killed after {moment:.2f} s of {duration:.2f}"
        assert ended.code == Exit.OK, f"{killed}: {ended.out}{ended.err}"
        assert left_by_run(state) == undisturbed, killed


def _copy(base: Path, state: Path) -> None:
    # with its owners: as root the database's files belong to another user
    subprocess.run(["cp", "-a", str(base), str(state)], check=True)

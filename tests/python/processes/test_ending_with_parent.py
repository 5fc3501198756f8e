"""A program that is to end with the one that started it does, and is else as it would be."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from waypoint.ending_with_parent import ending_with_parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

STARTER = """
import subprocess, sys, time
from waypoint.ending_with_parent import ending_with_parent
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(ending_with_parent(sleeper)).pid, flush=True)
time.sleep(600)
"""


def status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {"State": "gone"}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_is_killed_when_its_parent_is():
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert status(pid)["State"][0] in "RS"

        starter.kill()

        end = time.monotonic() + 30
        while status(pid)["State"][0] not in "gZ":
            assert time.monotonic() < end, status(pid)
            time.sleep(0.02)


def test_it_has_the_arguments_the_exit_code_and_the_signals_of_any_program():
    shown = subprocess.run(
        ending_with_parent(["cat", "/proc/self/cmdline", "/proc/self/status"]), capture_output=True
    )
    failed = subprocess.run(ending_with_parent([sys.executable, "-c", "raise SystemExit(7)"]))

    arguments, _, told = shown.stdout.rpartition(b"\0")
    assert arguments == b"cat\0/proc/self/cmdline\0/proc/self/status"
    ignored = int(told.split(b"SigIgn:")[1].split()[0], 16)
    assert not ignored & (1 << signal.SIGPIPE - 1)
    assert failed.returncode == 7


def test_whose_parent_is_another_process_does_not_begin():
    command = ending_with_parent(["echo", "begun"])
    command[4] = "1"  # the parent's id, as if the starter had ended by now

    ended = subprocess.run(command, capture_output=True)

    assert (ended.returncode, ended.stdout) == (1, b"")

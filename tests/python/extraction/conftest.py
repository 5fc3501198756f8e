"""A PostgreSQL server for all tests of extraction, and a database of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from extraction.world import Shop, Warehouse

from waypoint.services.postgres import Postgres, running

_database_numbers = count(1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with running(tmp_path_factory.mktemp("postgres"), {"checkpoint_timeout": "1h"}) as postgres:
        yield postgres


@pytest.fixture
def shop(server: Postgres) -> Iterator[Shop]:
    dsn = server.database(f"shop_{next(_database_numbers)}")
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Shop(server, dsn, connection)

"""A Connect worker for the tests of change capture."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from waypoint.errors import Unavailable
from waypoint.services import jars
from waypoint.services.connect import JARS, PLUGINS, Connect, running_connect
from waypoint.services.kafka import Kafka


@pytest.fixture(scope="session")
def connect_jars() -> None:
    """The worker's jars are in the cache; where they cannot be had, only CI must fail."""
    try:
        jars.jars(*JARS, PLUGINS)
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Kafka Connect's jars cannot be had: {error}")


@pytest.fixture(scope="session")
def connect_worker(
    connect_jars: None, kafka_server: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connect]:
    """A worker on the tests' broker. Shared: connectors get names of their own."""
    with running_connect(tmp_path_factory.mktemp("connect"), kafka_server.bootstrap) as worker:
        yield worker

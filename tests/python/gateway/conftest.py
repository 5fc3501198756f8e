"""A gateway in front of librdkafka's mock cluster, and what makes others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from gateway.served import DEADLINE, REPOSITORY, TOPIC, Brokers, Running, gateway_running

from ingestion.gateway.app import Gateway
from ingestion.gateway.endpoints import read_endpoints
from ingestion.gateway.keys import Keys
from ingestion.gateway.settings import Settings
from waypoint.project import Project


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """librdkafka's mock cluster with the topic."""
    holder = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    holder.produce(TOPIC, b"{}")
    holder.flush(DEADLINE)
    known = holder.list_topics(timeout=DEADLINE).brokers.values()
    yield Brokers(",".join(f"{broker.host}:{broker.port}" for broker in known))
    del holder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of the one topic and the seed that lists its types, for both are soon read."""
    root = tmp_path_factory.mktemp("project")
    for path in (f"contracts/topics/{TOPIC}.yaml", "seeds/ref_event_types.csv"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, root / path)
    (root / "dbt_project.yml").write_text("name: events\n")
    return Project(root, root / "var")


@pytest.fixture(scope="session")
def made(project: Project) -> Callable[..., Gateway]:
    """Makes gateways in front of a broker."""
    endpoints = tuple(read_endpoints(project))

    def make(bootstrap: str, keys: Keys | None = None, **settings: Any) -> Gateway:
        limits = {"rate": 1e6, "burst": 1_000_000, "delivery_seconds": 5.0} | settings
        connection = {"bootstrap.servers": bootstrap}
        return Gateway(endpoints, connection, Settings(**limits), keys or Keys())

    return make


@pytest.fixture(scope="session")
def gateway(made: Callable[..., Gateway], brokers: Brokers) -> Iterator[Running]:
    """A gateway without keys that hardly limits anybody."""
    with gateway_running(made(brokers.bootstrap, max_body=300_000, max_event=100_000)) as running:
        yield running


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """The Big List of Naughty Strings."""
    path = REPOSITORY.parent / "shared" / "data" / "conformance" / "blns" / "blns.json"
    if not path.exists():
        pytest.skip(f"the strings are not there: {path}")
    strings: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return strings

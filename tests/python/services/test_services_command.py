"""`waypoint services`: up, status and down, with kills in between."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from conftest import CommandLine

from waypoint.services.local import SERVICES, service


@pytest.fixture
def command_line(tmp_path: Path) -> Any:
    """A project that has nothing but its name; what it starts is stopped."""
    (tmp_path / "dbt_project.yml").write_text("name: empty\n")
    (tmp_path / "contracts").mkdir()
    command_line = CommandLine(tmp_path)
    yield command_line
    if (command_line.state / "services").exists():
        ended = command_line.waypoint("services", "down", "--discard")
        assert ended.code == 0, ended.err


def services(command_line: CommandLine, *arguments: str) -> dict[str, Any]:
    ended = command_line.waypoint("services", *arguments, "--json")
    assert ended.code == 0, ended.out + ended.err
    return {found["service"]: found for found in ended.json["services"]}


def test_what_was_killed_comes_back_with_what_it_held(kafka_jars: None, command_line: CommandLine):
    first = services(command_line, "up", "kafka", "postgres")
    assert list(first) == ["kafka", "postgres"]
    assert all(one["ready"] for one in first.values())
    # up again changes nothing
    assert services(command_line, "up", "kafka", "postgres") == first

    client = AdminClient({"bootstrap.servers": first["kafka"]["address"], "log_level": 0})
    made = client.create_topics([NewTopic("kept", 2, 1)], operation_timeout=30)
    made["kept"].result(60)
    with psycopg.connect(first["postgres"]["address"]) as connection:
        connection.execute("create table kept (id int)")
        assert connection.execute("show wal_level").fetchone() == ("logical",)

    for one in first.values():
        os.kill(one["processes"][0]["pid"], signal.SIGKILL)
    ended = command_line.waypoint("services", "status", "--json")
    assert ended.code == 1
    assert [one["ready"] for one in ended.json["services"]] == [False, False]

    second = services(command_line, "up", "kafka", "postgres")
    client = AdminClient({"bootstrap.servers": second["kafka"]["address"], "log_level": 0})
    assert "kept" in client.list_topics(timeout=60).topics
    with psycopg.connect(second["postgres"]["address"]) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)

    ended = command_line.waypoint("services", "up", "kafka", "--brokers", "3")
    assert ended.code == 2
    assert "has 1 brokers, not 3" in ended.err
    assert command_line.waypoint("services", "down", "--json").json["stopped"] == [
        "postgres",
        "kafka",
    ]
    assert services(command_line, "status") == {}


def test_what_is_no_service_is_named(command_line: CommandLine):
    ended = command_line.waypoint("services", "up", "zookeeper")
    assert ended.code == 2
    assert "there is no service 'zookeeper'" in ended.err
    assert not (command_line.state / "services" / "kafka").exists()


def test_a_client_without_a_broker_is_told_how_to_get_one(command_line: CommandLine):
    ended = command_line.waypoint("topics", "plan")
    assert ended.code == 3
    assert "waypoint services up" in ended.err
    assert "WAYPOINT_KAFKA" in ended.err


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_be_asked_how_it_is(name: str, command_line: CommandLine):
    from waypoint.project import Project
    from waypoint.services.local import Place

    found = service(name)
    assert found.status(Place(Project.find(command_line.root), name)) is None


@pytest.mark.long
def test_three_brokers_and_a_registry(kafka_jars: None, command_line: CommandLine):
    found = services(command_line, "up", "kafka", "--brokers", "3", "--registry")
    assert list(found) == ["kafka", "registry"]
    assert len(found["kafka"]["processes"]) == 3
    assert all(one["ready"] for one in found.values())

"""`waypoint gateway`: how it starts, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import CommandLine, said_url
from gateway.served import JSON, Brokers, Senders, event, messages, own_project, text, wait_until

from ingestion.gateway.app import Gateway
from ingestion.gateway.serving import Address, serve
from waypoint.project import Project
from waypoint.services.kafka import Kafka


@contextmanager
def started(
    root: Path, *arguments: str, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, once it has said where it answers."""
    process = CommandLine(root).started(
        "gateway", "--port", "0", "--json", *arguments, **environment
    )
    try:
        yield said_url(process), process
    finally:
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def test_who_is_told_the_address_can_connect_at_once(made: Callable[..., Gateway]):
    class Connected(Exception):
        pass

    def connect(url: str) -> None:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10):
            raise Connected

    with pytest.raises(Connected):
        serve(made("127.0.0.1:1"), Address("127.0.0.1", 0), 1, connect)


def test_sigterm_under_load_ends_it_when_what_it_took_is_delivered(
    project: Project, brokers: Brokers
):
    environment = {"WAYPOINT_KAFKA": brokers.bootstrap}
    with started(project.root, **environment) as (url, process):
        senders = stopped_under_load(url, process)
        said = process.communicate()

    assert set(senders.acknowledged) <= ids(brokers)
    assert "Traceback" not in said[1]


def test_several_processes_share_the_port_count_together_and_end_together(
    project: Project, brokers: Brokers
):
    environment = {"WAYPOINT_KAFKA": brokers.bootstrap}
    with started(project.root, "--workers", "2", **environment) as (url, process):
        wait_until(lambda: answers(url))
        for _ in range(40):  # each on a connection of its own, so that both get some
            with socket.create_connection(address(url)) as connection:
                connection.sendall(as_request(text(event())))
                assert b" 202 " in connection.recv(100)
        metrics = httpx.get(f"{url}/metrics", timeout=60).text
        senders = stopped_under_load(url, process)
        said = process.communicate()

    assert set(senders.acknowledged) <= ids(brokers)
    assert "Traceback" not in said[1]
    [line] = [
        line
        for line in metrics.splitlines()
        if line.startswith("waypoint_gateway_events_total") and 'status="202"' in line
    ]
    assert float(line.rpartition(" ")[2]) == 40


def stopped_under_load(url: str, process: subprocess.Popen[str]) -> Senders:
    """End the gateway by SIGTERM while clients send."""
    wait_until(lambda: answers(url))
    senders = Senders(url)
    senders.begin()
    try:
        wait_until(lambda: len(senders.acknowledged) > 100)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        senders.end()
    return senders


def ids(brokers: Brokers) -> set[str]:
    """The ids of the events in the topic, in which other tests' poison stands too."""
    found = set()
    for message in brokers.messages().values():
        with suppress(ValueError, TypeError, KeyError):
            found.add(json.loads(message.value())["event_id"])
    return found


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def as_request(body: bytes) -> bytes:
    head = "POST /events/user HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_killed_it_leaves_no_process(project: Project, brokers: Brokers):
    environment = {"WAYPOINT_KAFKA": brokers.bootstrap}
    with started(project.root, "--workers", "2", **environment) as (url, process):
        wait_until(lambda: answers(url))
        process.kill()
        process.wait(60)

        wait_until(lambda: not answers(url))


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_what_was_acknowledged_before_a_kill_is_in_the_topic(kafka_server: Kafka, tmp_path: Path):
    topic = f"events-{uuid.uuid4()}"
    project = own_project(tmp_path, topic)
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap})
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(60)
    acknowledged: set[str] = set()
    for trial in range(15):
        environment = {"WAYPOINT_KAFKA": kafka_server.bootstrap}
        with started(project.root, **environment) as (url, process):
            senders = Senders(url)
            senders.begin()
            try:
                enough = 1 + 40 * (trial % 5)
                wait_until(lambda: len(senders.acknowledged) > enough)  # noqa: B023
                process.kill()
                process.wait(60)
            finally:
                senders.end()
        acknowledged |= set(senders.acknowledged)
        assert senders.statuses <= {202}

    found = messages(kafka_server.bootstrap, topic).values()
    there = [json.loads(message.value())["event_id"] for message in found]
    assert len(there) == len(set(there))
    assert acknowledged <= set(there)
    print(f"{len(acknowledged)} acknowledged, {len(there)} there")


def test_without_a_broker_configured_it_says_what_to_do(project: Project):
    ended = CommandLine(project.root).waypoint("gateway", "--port", "0")

    assert ended.code == 3
    assert "waypoint services up" in ended.err
    assert "Traceback" not in ended.err


def test_a_port_that_is_taken_is_said(project: Project, brokers: Brokers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = CommandLine(project.root).waypoint(
            "gateway", "--port", port, WAYPOINT_KAFKA=brokers.bootstrap
        )

    assert ended.code == 3
    assert f"cannot listen on 127.0.0.1, port {port}" in ended.err


def test_it_makes_keys(project: Project, tmp_path: Path, brokers: Brokers):
    made = CommandLine(project.root).waypoint("gateway", "--new-key", "app", "--json").json
    file = tmp_path / "keys"
    file.write_text(made["line"] + os.linesep)
    environment = {"WAYPOINT_KAFKA": brokers.bootstrap, "WAYPOINT_GATEWAY_KEYS_FILE": str(file)}

    with started(project.root, **environment) as (url, process):
        wait_until(lambda: answers(url))
        statuses = [
            httpx.post(
                f"{url}/events/user",
                content=text(event()),
                headers=JSON | {"X-API-Key": key},
                timeout=60,
            ).status_code
            for key in (made["key"], "not the key")
        ]
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    assert statuses == [202, 401]
    assert made["key"] not in "".join(process.communicate())

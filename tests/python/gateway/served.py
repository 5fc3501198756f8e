"""Gateways over real HTTP, in a thread, in front of librdkafka's mock cluster or a real broker."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from ingestion.gateway.app import Gateway, create_app

REPOSITORY = Path(__file__).resolve().parents[3]
TOPIC = "topic_app_events"
JSON = {"Content-Type": "application/json"}
DEADLINE = 60.0


def event(**fields: Any) -> dict[str, Any]:
    """An event that keeps its contract, with some fields of the caller's."""
    whole = {
        "event_id": str(uuid.uuid4()),
        "event_type": "page_view",
        "user_id": 12,
        "session_id": "s-1",
        "app_type": "web",
        "timestamp": "2026-01-31T10:00:00.123Z",
        "properties": {"page": "/home"},
    }
    return whole | fields


def text(of: Any) -> bytes:
    """JSON as most senders write it."""
    return json.dumps(of, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Running:
    """A gateway that answers."""

    url: str
    http: httpx.Client
    server: uvicorn.Server

    def post(self, endpoint: str, body: bytes | Any, **headers: str) -> httpx.Response:
        """Send a body, or what becomes one as JSON; headers are written with `_` for `-`."""
        content = body if isinstance(body, bytes) else text(body)
        named = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"/events/{endpoint}", content=content, headers=named)

    def measured(self, name: str, **labels: str) -> float:
        """The sum of what /metrics tells of `name`, where it has these labels."""
        found = 0.0
        for line in self.http.get("/metrics").text.splitlines():
            told, _, value = line.rpartition(" ")
            if told.partition("{")[0] == name and all(
                f'{label}="{wanted}"' in told for label, wanted in labels.items()
            ):
                found += float(value)
        return found


@contextmanager
def gateway_running(gateway: Gateway) -> Iterator[Running]:
    """The gateway on a free port, in a thread."""
    config = uvicorn.Config(create_app(gateway), port=0, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=DEADLINE) as http:
            yield Running(url, http, server)
    finally:
        server.should_exit = True
        thread.join(DEADLINE)


def wait_until(condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """What `condition` gives once it is true of something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return found


def messages(bootstrap: str, topic: str = TOPIC) -> dict[tuple[int, int], Message]:
    """All messages of a topic, by partition and offset."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4())})
    try:
        partitions = consumer.list_topics(topic, timeout=DEADLINE).topics[topic].partitions
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), DEADLINE)
            for number in partitions
        }
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
        found: dict[tuple[int, int], Message] = {}
        wanted = sum(high - low for low, high in ends.values())
        deadline = time.monotonic() + DEADLINE
        while len(found) < wanted:
            assert time.monotonic() < deadline, f"{len(found)} of {wanted} messages came"
            for message in consumer.consume(1000, 0.2):
                assert message.error() is None, message.error()
                found[message.partition(), message.offset()] = message
        return found
    finally:
        consumer.close()


@dataclass(frozen=True)
class Brokers:
    """The mock cluster."""

    bootstrap: str

    def messages(self) -> dict[tuple[int, int], Message]:
        return messages(self.bootstrap)


def refusal(answer: httpx.Response) -> Mapping[str, str]:
    """The reasons of an answer, by field."""
    document = answer.json()
    assert document["status"] == answer.status_code
    return {problem["field"]: problem["reason"] for problem in document["errors"]}

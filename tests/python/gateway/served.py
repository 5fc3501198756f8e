"""Gateways over real HTTP, in a thread, in front of librdkafka's mock cluster or a real broker."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from ingestion.gateway.app import Gateway, create_app
from waypoint.project import Project

REPOSITORY = Path(__file__).resolve().parents[3]
TOPIC = "topic_app_events"
JSON = {"Content-Type": "application/json"}
DEADLINE = 120.0


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


def own_project(root: Path, topic: str) -> Project:
    """A project whose topic has a name of its own."""
    contracts, seeds = root / "contracts" / "topics", root / "seeds"
    contracts.mkdir(parents=True)
    seeds.mkdir()
    told = (REPOSITORY / "contracts/topics/topic_app_events.yaml").read_text()
    (contracts / f"{topic}.yaml").write_text(told.replace("topic_app_events", topic))
    shutil.copy(REPOSITORY / "seeds/ref_event_types.csv", seeds)
    (root / "dbt_project.yml").write_text("name: events\n")
    return Project(root, root / "var")


@dataclass
class Senders:
    """Clients that send one event and batches by turns until they are told to end."""

    url: str
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, clients: int = 4) -> None:
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self) -> None:
        with httpx.Client(base_url=self.url, headers=JSON, timeout=60) as http:
            while not self._ended.is_set():
                try:
                    self._once(http, [event() for _ in range(20)], "batch")
                    self._once(http, [event()], "user")
                except httpx.TransportError:
                    time.sleep(0.05)  # it was killed or has ended: nothing was acknowledged

    def _once(self, http: httpx.Client, events: list[dict], endpoint: str) -> None:
        body = text(events if endpoint == "batch" else events[0])
        answer = http.post(f"/events/{endpoint}", content=body)
        self.statuses.add(answer.status_code)
        said = answer.json()
        results = said.get("results") or [said] * len(events)
        for sent, result in zip(events, results, strict=True):
            (self.acknowledged if result["status"] == 202 else self.refused).append(
                sent["event_id"]
            )
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1
            time.sleep(0.25)

"""Which endpoints there are, what they take and where it goes stand in the topics' contracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer
from conftest import TINY_PROJECT
from gateway.served import JSON, gateway_running, messages, refusal

from ingestion.gateway.app import Gateway
from ingestion.gateway.endpoints import read_endpoints
from ingestion.gateway.settings import Settings
from waypoint.errors import UnusableInput
from waypoint.project import Project

SLIP = {
    "slip": "S1",
    "card": "C0001",
    "shelfmark": "A 17",
    "lent": "2026-03-01T09:00:00.000Z",
    "days": 14,
}
DESK = {"path": "desk"}


@pytest.fixture
def library(tmp_path: Path) -> Callable[..., Project]:
    """A project about something else, with the endpoints that are asked for."""
    topics = tmp_path / "contracts" / "topics"
    topics.mkdir(parents=True)
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "shelves.csv").write_text(
        "shelfmark,reading_room\nA 17,false\nB 4,false\nZ 1,true\n"
    )
    contract = yaml.safe_load((TINY_PROJECT / "contracts/topics/lending-slips.yaml").read_text())

    def with_endpoints(*endpoints: Any) -> Project:
        said = [{"property": "endpoints", "value": list(endpoints)}] if endpoints else []
        changed = contract | {"customProperties": contract["customProperties"] + said}
        (topics / "lending-slips.yaml").write_text(yaml.safe_dump(changed))
        return Project(tmp_path, tmp_path / "var")

    return with_endpoints


def test_another_projects_topic_has_endpoints_of_its_own(library: Callable[..., Project]):
    takes = {"field": "shelfmark", "listed": "shelves", "where": {"reading_room": False}}
    project = library({"path": "desk", "takes": takes}, {"path": "van", "many": True})
    holder = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    holder.produce("lending-slips", b"{}")
    holder.flush(30)
    broker = next(iter(holder.list_topics(timeout=30).brokers.values()))
    bootstrap = f"{broker.host}:{broker.port}"
    endpoints = tuple(read_endpoints(project))

    with gateway_running(
        Gateway(endpoints, {"bootstrap.servers": bootstrap}, Settings())
    ) as gateway:
        taken = gateway.http.post("/events/desk", json=SLIP, headers=JSON)
        refused = gateway.http.post("/events/desk", json=SLIP | {"shelfmark": "Z 1"})
        broken = gateway.http.post("/events/desk", json=SLIP | {"days": 0})
        many = gateway.http.post("/events/van", json=[SLIP | {"shelfmark": "Z 1"}])

    assert (taken.status_code, many.status_code) == (202, 202)
    assert refusal(refused) == {"shelfmark": '"Z 1" is not taken here, but A 17, B 4 are'}
    assert refusal(broken) == {"days": "0 is below 1"}
    found = messages(bootstrap, "lending-slips")
    assert [m.key() for m in found.values() if m.key() is not None] == [b"C0001", b"C0001"]


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ((), "no contract in .* has endpoints"),
        (("desk",), "'desk' is not made of path, takes and many"),
        (({"path": "Desk 1"},), "path: 'Desk 1' is no word in small letters"),
        (({"path": "../health"},), "is no word in small letters"),
        ((DESK, DESK), "/events/desk is said twice"),
        (({"path": "desk", "many": "yes"},), "many: 'yes' is neither true nor false"),
        (({"path": "desk", "batch": True},), "is not made of path, takes and many"),
        (({"path": "desk", "takes": "all"},), "is not made of field, listed and where"),
        (({"path": "desk", "takes": {"field": "colour", "listed": "shelves"}},), "is no field"),
        (({"path": "desk", "takes": {"field": "card", "listed": "shelves"}},), "no column card"),
        (({"path": "desk", "takes": {"field": "card", "listed": "cards"}},), "is no seed below"),
        (
            (
                {
                    "path": "desk",
                    "takes": {
                        "field": "shelfmark",
                        "listed": "shelves",
                        "where": {"reading_room": "perhaps"},
                    },
                },
            ),
            "no row of .*shelves.csv is so",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_file(
    library: Callable[..., Project], endpoints: tuple[Any, ...], words: str
):
    with pytest.raises(UnusableInput, match=words) as told:
        read_endpoints(library(*endpoints))

    assert "topics" in str(told.value)

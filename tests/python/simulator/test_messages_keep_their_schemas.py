"""What the scenario sends is what the schemas describe, but for what goes wrong on purpose."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from simulator.simulated_world import World

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def messages(world: World) -> dict[str, list[Any]]:
    """The values of each topic that are JSON objects: tombstones and poison are left out."""
    found: dict[str, list[Any]] = {}
    for topic, value in world.messages(
        "select topic, value from messages where value is not null order by all"
    ):
        try:
            parsed = json.loads(value)
        except ValueError:
            continue
        if isinstance(parsed, dict):
            found.setdefault(topic, []).append(parsed)
    return found


def broken_rules(topic: str, values: list[Any]) -> Counter[str]:
    """How many messages break which word of the topic's schema, as it stands in the repository."""
    schema = json.loads((ROOT / f"schemas/topics/{topic}.schema.json").read_text())
    validator = Draft202012Validator(schema)
    return Counter(
        f"{topic}{error.json_path.removeprefix('$')} {error.validator}"
        for value in values
        for error in validator.iter_errors(value)
    )


def test_messages_are_valid_and_only_the_drift_on_purpose_is_not(
    world: World, messages: dict[str, list[Any]]
) -> None:
    assert world.scenario.topics and messages.keys() == world.scenario.topics.topics.keys()
    broken = sum((broken_rules(*topic) for topic in messages.items()), Counter())
    # the mobile app begins to send a field that nobody knows
    assert set(broken) == {"topic_app_events additionalProperties"}
    assert broken.total() < len(messages["topic_app_events"])

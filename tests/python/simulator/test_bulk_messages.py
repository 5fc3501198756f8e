"""Many messages of one topic, without a play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from simulator.simulated_world import OPENED, World

from waypoint.errors import UnusableInput
from waypoint.simulator import bulk
from waypoint.simulator.bulk import write_messages

TOPIC = "market-data"


@pytest.fixture
def world_to_be(tmp_path: Path) -> World:
    """A world into which nothing was played."""
    return World.made_in(tmp_path)


def _written(folder: Path) -> list[Any]:
    return duckdb.execute(
        f"select partition, \"offset\", timestamp, key, value from '{folder}/{TOPIC}/*.parquet' "
        "order by all"
    ).fetchall()


def test_exactly_so_many_messages_are_written(
    world_to_be: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_AT_A_TIME", 1500)  # several files of a few hours each
    write_messages(world_to_be.project, TOPIC, 5001, tmp_path / "many", OPENED, seed=5)
    messages = _written(tmp_path / "many")
    assert len(messages) == 5001
    assert len(list((tmp_path / "many" / TOPIC).iterdir())) > 2
    offsets: dict[int, list[int]] = {}
    for partition, offset, *_ in messages:
        offsets.setdefault(partition, []).append(offset)
    assert all(found == list(range(len(found))) for found in offsets.values())


def test_how_it_is_cut_into_files_changes_no_message(
    world_to_be: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_messages(world_to_be.project, TOPIC, 3000, tmp_path / "one", OPENED, seed=5)
    monkeypatch.setattr(bulk, "_AT_A_TIME", 500)
    write_messages(world_to_be.project, TOPIC, 3000, tmp_path / "some", OPENED, seed=5)
    assert _written(tmp_path / "one") == _written(tmp_path / "some")


def test_another_seed_gives_other_messages(world_to_be: World, tmp_path: Path) -> None:
    for seed in (5, 6):
        write_messages(world_to_be.project, TOPIC, 100, tmp_path / str(seed), OPENED, seed=seed)
    assert _written(tmp_path / "5") != _written(tmp_path / "6")


def test_a_topic_that_is_not_played_is_refused(world_to_be: World, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="plays no topic 'letters'"):
        write_messages(world_to_be.project, "letters", 10, tmp_path)

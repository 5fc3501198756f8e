"""Worlds that tests share; what changes a world makes one of its own."""

from __future__ import annotations

import pytest
from simulator.simulated_world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world after its first play. Only read from it."""
    world = World.made_in(tmp_path_factory.mktemp("world"))
    world.play()
    return world

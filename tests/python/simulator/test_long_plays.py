"""Long and large plays are made in parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypoint.simulator.state import World
from waypoint.simulator.stops import stops

START = datetime(2026, 1, 1, 8)
WORLD = World(
    seed=1,
    scale=1,
    start=START,
    full_from=START + timedelta(days=34),
    opened=START + timedelta(days=35),
)


def test_the_usual_first_play_and_the_next_days_are_not_cut() -> None:
    for since, until in ((START, WORLD.opened), (WORLD.opened, WORLD.opened + timedelta(days=2))):
        assert stops(WORLD, since, until) == [until]


def test_a_larger_business_is_played_in_as_many_parts() -> None:
    large = replace(WORLD, scale=4)
    assert stops(large, START, WORLD.opened) == [
        START + timedelta(days=17),
        START + timedelta(days=34),
        START + timedelta(days=34, hours=12),
        WORLD.opened,
    ]


def test_a_month_is_played_in_parts() -> None:
    until = WORLD.opened + timedelta(days=30)
    parts = stops(WORLD, WORLD.opened, until)
    assert len(parts) == 15
    assert parts[-1] == until


@pytest.mark.parametrize("history", [timedelta(), timedelta(days=34)])
@given(
    scale=st.floats(0.01, 30),
    minutes=st.lists(st.integers(1, 80_000), min_size=2, max_size=2, unique=True),
    killed_in=st.floats(0, 0.999),
)
def test_a_play_that_was_killed_is_cut_again_where_it_was_cut(
    history: timedelta, scale: float, minutes: list[int], killed_in: float
) -> None:
    world = replace(WORLD, scale=scale, full_from=START + history)
    world = replace(world, opened=world.full_from + timedelta(days=1))
    since, until = (START + timedelta(minutes=minute) for minute in sorted(minutes))
    parts = stops(world, since, until)
    assert parts == sorted(set(parts))
    played = int(killed_in * len(parts))
    if played:
        assert stops(world, parts[played - 1], until) == parts[played:]

"""Time goes forward, in whatever steps, to the same world."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from simulator.simulated_world import OPENED, World

from waypoint.errors import UnusableInput

LATER = OPENED + timedelta(hours=9, minutes=7)


@pytest.fixture(scope="module")
def played_at_once(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world after its first play and a second one, up to LATER."""
    world = World.made_in(tmp_path_factory.mktemp("at_once"))
    world.play()
    world.play(LATER)
    return world


def test_the_same_seed_and_time_give_the_same_bytes(world: World, tmp_path: Path) -> None:
    again = World.made_in(tmp_path)
    again.play()
    assert again.dump_digests() == world.dump_digests()
    assert again.everything() == world.everything()


def test_playing_in_parts_gives_what_playing_at_once_gives(
    played_at_once: World, tmp_path: Path
) -> None:
    world = World.made_in(tmp_path)
    world.play()
    for minutes in (1, 200):
        world.play(OPENED + timedelta(minutes=minutes, seconds=0.25))
    world.play(LATER)
    expected = played_at_once.everything()
    for what, state in world.everything().items():
        assert state == expected[what], what


def test_a_play_that_was_killed_is_finished_by_the_next(
    played_at_once: World, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill_in(what: str) -> None:
        def report(played: str, _rows: int) -> None:
            if played == what:
                raise Killed

        with pytest.raises(Killed):
            world.play(OPENED + timedelta(hours=3), report=report)

    world = World.made_in(tmp_path)
    world.play()
    kill_in("travel_booking.users")
    kill_in("topic_clickstream")
    half_written = world.places.dumps / "market-data" / ".x.parquet.tmp999999999"
    half_written.write_bytes(b"PAR1")
    world.play(LATER)
    assert not half_written.exists()
    expected = played_at_once.everything()
    for what, state in world.everything().items():
        assert state == expected[what], what


def test_playing_to_the_same_time_again_plays_nothing(played_at_once: World) -> None:
    before = played_at_once.everything()
    assert played_at_once.play(LATER).total == 0
    assert played_at_once.play(None, seed=None).total == 0
    assert played_at_once.everything() == before


def test_time_never_goes_back(world: World) -> None:
    with pytest.raises(UnusableInput, match="before it"):
        world.play(OPENED - timedelta(hours=1))


def test_a_world_keeps_its_seed(world: World) -> None:
    with pytest.raises(UnusableInput, match="seed 5, not 9"):
        world.play(LATER, seed=9)


def test_offsets_of_a_partition_have_no_gaps(played_at_once: World) -> None:
    gaps = played_at_once.messages(
        """
        select topic, partition from messages
        group by all
        having min("offset") <> 0 or max("offset") <> count(*) - 1
            or count(distinct "offset") <> count(*)
        """
    )
    assert gaps == []


def test_messages_of_a_key_stand_in_one_partition_in_the_order_of_time(
    played_at_once: World,
) -> None:
    scattered = played_at_once.messages(
        "select topic, key from messages group by all having count(distinct partition) > 1"
    )
    assert scattered == []
    disordered = played_at_once.messages(
        """
        select * from (
            select timestamp < lag(timestamp) over (
                partition by topic, partition order by "offset"
            ) as is_back
            from messages
        ) where is_back
        """
    )
    assert disordered == []

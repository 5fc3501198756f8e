"""Where a long play is cut into parts, so that one fits into memory however long or large it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from waypoint.simulator.state import World

_MINUTE = timedelta(minutes=1)


def stops(world: World, since: datetime, until: datetime) -> list[datetime]:
    """The times up to which parts of a play are played, the last of them `until`.

    At a scale of 1 the first play is one part, and later ones as many as hold twice the length of
    the part that is played in full. Where the cuts are depends on the world alone, so a play that
    was killed is cut again where it was cut before.
    """
    cuts = []
    number = int(_weight(world, since)) + 1
    while number < ceil(_weight(world, until)) + 1:
        cut = _time(world, number)
        if since < cut < until:
            cuts.append(cut)
        number += 1
    return [*cuts, until]


def _weight(world: World, time: datetime) -> float:
    """How much there is to play from the world's start to `time`; one part holds 1."""
    thinned, full = _lengths(world)
    before = (min(time, world.full_from) - world.start) / thinned if thinned else 0.0
    after = max(time - world.full_from, timedelta()) / full
    return world.scale * (before + after) / (2 if thinned else 1)


def _time(world: World, weight: float) -> datetime:
    """When there is so much to play, to the minute: the inverse of `_weight`."""
    thinned, full = _lengths(world)
    share = weight / world.scale * (2 if thinned else 1)
    before = min(share, 1.0) if thinned else 0.0
    time = world.start + before * thinned + (share - before) * full
    return time - (time - world.start) % _MINUTE


def _lengths(world: World) -> tuple[timedelta, timedelta]:
    return world.full_from - world.start, world.opened - world.full_from

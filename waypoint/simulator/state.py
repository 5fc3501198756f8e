"""What was played so far, kept in a file: the next play goes on from there.

A play first writes down how far it will go (`pending`), then plays, then writes that it is done.
One that was killed in between is played again, to the same end, before anything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from waypoint.errors import UnusableInput


@dataclass(frozen=True)
class World:
    """What decides every byte of a simulated period, besides the scenario itself. All times UTC."""

    seed: int
    scale: float
    start: datetime  # nothing happens before or at it
    full_from: datetime  # thinned before, in full after
    opened: datetime  # where the first play ends


@dataclass(frozen=True)
class Played:
    """How far a world was played, and how many messages each partition of a topic holds by now."""

    world: World
    as_of: datetime
    offsets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    pending: datetime | None = None

    def going_to(self, goal: datetime) -> Played:
        return replace(self, pending=goal)

    def arrived(self, as_of: datetime, offsets: Mapping[str, tuple[int, ...]]) -> Played:
        pending = None if as_of == self.pending else self.pending
        return replace(self, as_of=as_of, pending=pending, offsets=offsets)


def read_state(path: Path) -> Played | None:
    """What was played, or None where nothing was.

    Raises:
        UnusableInput: the file does not hold what was written there.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _played(document)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableInput(
            f"{path}: does not say what was simulated so far: {error!r}",
            hint="remove the state folder and start again, or use another WAYPOINT_STATE",
        ) from None


def write_state(path: Path, played: Played) -> None:
    """Replace the file, whole or not at all."""
    world = played.world
    document = {
        "seed": world.seed,
        "scale": world.scale,
        "start": world.start.isoformat(),
        "full_from": world.full_from.isoformat(),
        "opened": world.opened.isoformat(),
        "as_of": played.as_of.isoformat(),
        "pending": played.pending.isoformat() if played.pending else None,
        "offsets": {topic: list(counts) for topic, counts in sorted(played.offsets.items())},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _played(document: Mapping[str, Any]) -> Played:
    pending = document["pending"]
    return Played(
        world=World(
            seed=int(document["seed"]),
            scale=float(document["scale"]),
            start=datetime.fromisoformat(document["start"]),
            full_from=datetime.fromisoformat(document["full_from"]),
            opened=datetime.fromisoformat(document["opened"]),
        ),
        as_of=datetime.fromisoformat(document["as_of"]),
        pending=datetime.fromisoformat(pending) if pending else None,
        offsets={topic: tuple(counts) for topic, counts in document["offsets"].items()},
    )

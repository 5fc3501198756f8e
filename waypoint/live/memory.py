"""What live runs of a project remember, so that the next goes on in the same world."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.services.kafka import write_whole
from waypoint.simulator.play import DEFAULT_SEED, this_hour

_FILE = "played.json"
#: So long before the current hour the first run begins: times are about now, none is of tomorrow.
_BEGINS = timedelta(hours=12)


@dataclass(frozen=True)
class Memory:
    """The world's seed, when it began, and up to when it was played (UTC)."""

    seed: int
    began: datetime
    until: datetime

    @classmethod
    def of(cls, project: Project, seed: int | None) -> Memory:
        """What the state of `project` remembers, or a new world.

        Raises:
            UnusableInput: another seed is asked for than the world has.
        """
        try:
            document = json.loads(_path(project).read_text())
            found = cls(
                int(document["seed"]),
                datetime.fromisoformat(document["began"]),
                datetime.fromisoformat(document["until"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            began = this_hour() - _BEGINS
            return cls(DEFAULT_SEED if seed is None else seed, began, began)
        if seed not in (None, found.seed):
            raise UnusableInput(
                f"what was played in {project.state} has the seed {found.seed}, not {seed}",
                hint="leave --seed away to go on, or use another WAYPOINT_STATE",
            )
        return found

    def played(self, project: Project, until: datetime) -> None:
        """Remember up to when the world was played."""
        told = replace(self, until=until)
        document = {
            "seed": told.seed,
            "began": told.began.isoformat(),
            "until": told.until.isoformat(),
        }
        write_whole(_path(project), json.dumps(document))


def _path(project: Project) -> Path:
    return project.state / _FILE

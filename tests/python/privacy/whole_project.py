"""This project, run whole over its simulated sources: built once, and copied to be changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from conftest import CommandLine

ROOT = Path(__file__).parents[3]
#: A state that was built before by `waypoint run`, to save the time of building one.
VARIABLE = "WAYPOINT_WHOLE_STATE"


@dataclass(frozen=True)
class WholeProject(CommandLine):
    """The project of this repository, with a state that a test may read, or a copy of its own."""

    folder: Path = Path()

    @property
    def state(self) -> Path:
        return self.folder

    @classmethod
    def at(cls, state: Path) -> WholeProject:
        said = {"WAYPOINT_STATE": str(state), "DBT_TARGET_PATH": str(state / "target")}
        return cls(ROOT, said, state)

    @classmethod
    def built(cls, folder: Path) -> WholeProject:
        """The state that the environment names, only to be read, or else one that is built now."""
        given = os.environ.get(VARIABLE)
        if given:
            return cls.at(Path(given))
        whole = cls.at(folder)
        ended = whole.waypoint("run")
        assert ended.code == 0, ended.err
        return whole

    def copied_to(self, folder: Path) -> WholeProject:
        shutil.copytree(self.state, folder, ignore=shutil.ignore_patterns("postgres", "spill"))
        return WholeProject.at(folder)

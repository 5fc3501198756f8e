"""What all commands share: the project they act on, and how much they say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import typer

from waypoint.errors import UnusableInput
from waypoint.project import Project


@dataclass(frozen=True)
class Invocation:
    """The options that stand before the command: `waypoint --project-dir X run`."""

    project_dir: Path | None = None
    target: str | None = None
    quiet: bool = False

    @cached_property
    def project(self) -> Project:
        """The project that the command acts on.

        Raises:
            UnusableInput: there is none in the working directory or where --project-dir points.
        """
        if self.project_dir is not None and not self.project_dir.is_dir():
            raise UnusableInput(f"--project-dir {self.project_dir}: no such folder")
        return Project.find(self.project_dir, self.target)


def invocation(context: typer.Context) -> Invocation:
    """The options of the command that is running."""
    found = context.find_root().obj
    return found if isinstance(found, Invocation) else Invocation()

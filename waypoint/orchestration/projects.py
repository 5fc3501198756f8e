"""The project that a DAG is of; contracts that this process has read, and nobody changed, are not
read again. Airflow forks a process for each file of DAGs and for each task, from one that has."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from waypoint.contracts.model import Contracts
from waypoint.contracts.reading import read_contracts
from waypoint.errors import WaypointError
from waypoint.project import Project

_DAGS_FOLDER = "AIRFLOW__CORE__DAGS_FOLDER"


def project_at(folder: Path) -> Project:
    """The project that `folder` is in.

    Raises:
        UnusableInput: it is in none, or a contract cannot be read.
    """
    project = Project.find(folder)
    vars(project)["contracts"] = _contracts(project.contracts_dir, _state(project.contracts_dir))
    return project


def read_ahead() -> None:
    """Read the contracts of the project whose DAGs Airflow is set to; silent where that fails."""
    folder = os.environ.get(_DAGS_FOLDER)
    if folder:
        try:
            project_at(Path(folder))
        except WaypointError:
            return  # who needs them says what is wrong with them


def _state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    found = ((path, path.stat()) for path in sorted(folder.glob("*/*.yaml")))
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found)


@lru_cache(maxsize=2)
def _contracts(folder: Path, _state: tuple[tuple[str, int, int], ...]) -> Contracts:
    return read_contracts(folder)

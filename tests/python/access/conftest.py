"""The project of this repository, its contracts read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypoint.project import Project

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(root=ROOT, state=tmp_path_factory.mktemp("state"))

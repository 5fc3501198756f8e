"""The tiny project compiled for Snowflake in this process: dbt is imported once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Library

from waypoint.project import Project


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library.copied_to(tmp_path_factory.mktemp("gate") / "library")


@pytest.fixture(scope="session")
def project(library: Library) -> Project:
    """Only read from it; what dbt remembers of it lies in its state."""
    return Project(library.root, library.root / "var")


def copy_of(library: Library, folder: Path) -> Project:
    """A copy to change, with what dbt remembers of the original."""
    import shutil

    shutil.copytree(library.root, folder)
    return Project(folder, folder / "var")

"""A small project for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from linting.linted_project import Contracts


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return Contracts.written_to(tmp_path)

"""A library whose published tables the tests of this folder spoil."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from quality.shelf import Shelf


@pytest.fixture
def shelf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shelf:
    for name in [name for name in os.environ if name.startswith("WAYPOINT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shelf = Shelf(tmp_path, capsys)
    shelf.fill()
    return shelf

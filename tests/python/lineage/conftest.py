"""Commands run in this process here: most of their time would be Python's start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended

from waypoint.cli.app import run_command


@pytest.fixture
def waypoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Ended]:
    """The command line, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str | Path) -> Ended:
        code = run_command([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(int(code), said.out, said.err)

    return run

"""The command line for tests that share a project: in this process where that is enough."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from forking import Ended

from waypoint.cli.app import run_command


@dataclass(frozen=True)
class Desk:
    """`waypoint` in the folder `root`, run in this process, which is much faster."""

    root: Path

    def waypoint(self, *arguments: str | Path, **environment: str) -> Ended:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WAYPOINT_", "DBT_"))}
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, kept | environment, clear=True),
            contextlib.chdir(self.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run_command([str(argument) for argument in arguments])
        return Ended(code, out.getvalue(), err.getvalue())

    def put(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def make_command_line() -> Callable[[Path], Desk]:
    return Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty dbt project."""
    (tmp_path / "dbt_project.yml").write_text("name: desk\nversion: '1'\nprofile: desk\n")
    return Desk(tmp_path)

"""A small library under contract, in a git repository of its own, and the gate on it."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from forking import run_dbt

from waypoint.cli.app import run_command
from waypoint.contracts.changes.checking import Finding, Report, check
from waypoint.contracts.rendering import render
from waypoint.project import Project

LIBRARY = Path(__file__).parent / "library"
#: The day on which everything in these tests is committed, unless they say otherwise.
MONDAY = date(2026, 3, 2)

Edit = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Repository:
    """A git repository below `root`, with contracts in `home`, its root or a folder of it."""

    root: Path
    home: Path

    @property
    def contracts(self) -> Path:
        return self.home / "contracts"

    def git(self, *arguments: str, day: date = MONDAY) -> str:
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).isoformat()
        environment = os.environ | {
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_DATE": moment,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@library.example")
        ended = subprocess.run(
            ["git", "-C", str(self.root), *who, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout

    def commit(self, message: str = "a change", day: date = MONDAY) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, day=day)

    def path(self, name: str) -> Path:
        """The file of a contract, e.g. `marts.loans_by_day` or `marts.loans_by_day-v2`."""
        schema, _, table = name.partition(".")
        return self.contracts / schema / f"{table}.yaml"

    def document(self, name: str) -> Any:
        return yaml.safe_load(self.path(name).read_text())

    def edit(self, name: str, edit: Edit) -> None:
        """Change a contract in the working tree."""
        document = self.document(name)
        edit(document)
        self.write(name, document)

    def write(self, name: str, document: Any) -> None:
        self.path(name).write_text(yaml.safe_dump(document, sort_keys=False))

    def put(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def render(self) -> None:
        render(Project.find(self.home))

    @property
    def manifest(self) -> Path:
        return self.home / "target" / "manifest.json"

    def check(self, base: str = "HEAD", *, today: date = MONDAY, manifest: bool = True) -> Report:
        """The gate, on the library's real manifest unless told otherwise."""
        return check(
            self.contracts, base, manifest=self.manifest if manifest else None, today=today
        )

    def waypoint(self, *arguments: str, **environment: str) -> Ended:
        """The command line, run here rather than in a process of its own: that is much faster."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WAYPOINT_", "DBT_"))}
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, kept | environment, clear=True),
            contextlib.chdir(self.home),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run_command(arguments)
        return Ended(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def finding(report: Report, contract: str) -> Finding:
    """What the report says of one contract."""
    found = report.about(contract)
    assert found is not None, f"{contract} did not change"
    return found


def names(found: Finding) -> set[str]:
    """The consumers that a finding names."""
    return {consumer.name for consumer in found.consumers}


@pytest.fixture(scope="session")
def compiled_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as dbt compiled it. Shared by all tests: only copied."""
    root = tmp_path_factory.mktemp("compiled") / "library"
    shutil.copytree(LIBRARY, root)  # the macros, a link to the repository's, are copied too
    render(Project.find(root))
    ended = run_dbt(["compile", "--quiet"], root, os.environ | {"WAYPOINT_STATE": "var"})
    assert ended.code == 0, ended.out
    for left in ("logs", "target/compiled", "target/partial_parse.msgpack"):
        path = root / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return root


@pytest.fixture
def repository(compiled_library: Path, tmp_path: Path) -> Repository:
    """The library, committed on Monday; its manifest stands in target/, which git ignores."""
    return _repository(compiled_library, tmp_path / "library", tmp_path / "library")


@pytest.fixture
def monorepository(compiled_library: Path, tmp_path: Path) -> Repository:
    """The library as one folder of a larger repository."""
    root = tmp_path / "everything"
    return _repository(compiled_library, root, root / "data" / "library")


def _repository(compiled: Path, root: Path, home: Path) -> Repository:
    shutil.copytree(compiled, home, ignore=shutil.ignore_patterns("macros"))
    (home / "macros").symlink_to(LIBRARY / "macros")
    (root / ".gitignore").write_text("target/\nlogs/\n*.duckdb\nvar/\n")
    made = Repository(root, home)
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("the library")
    return made

"""A second, tiny project that has nothing to do with the one in this repository's root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TINY_PROJECT = Path(__file__).parent / "tiny_project"


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """`waypoint` in a process of its own, in the folder `root`, with a state of its own."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root / "var"

    def waypoint(self, *arguments: str | Path, **environment: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "waypoint.cli.app", *map(str, arguments)],
            cwd=self.root,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def started(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """The command, running; the caller sees to its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "waypoint.cli.app", *map(str, arguments)],
            cwd=self.root,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        # neither the state nor the sources of whoever runs the tests
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("WAYPOINT_", "STRIPE_", "DBT_"))
        }
        return inherited | self.environment | more


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """The command line in an empty folder."""
    return CommandLine(tmp_path)


@pytest.fixture
def tiny_project(tmp_path: Path) -> CommandLine:
    """A fresh copy of the tiny project, with dbt's files derived from its contracts."""
    return copy_of_tiny_project(tmp_path / "library")


@pytest.fixture(scope="session")
def published_tiny_project(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], CommandLine]]:
    """Gives the tiny project after one run over a little input. Built once: only read from it."""
    made: list[CommandLine] = []

    def make() -> CommandLine:
        if not made:
            project = copy_of_tiny_project(tmp_path_factory.mktemp("published") / "library")
            project = with_sources(project)
            ended = project.waypoint("run", "--as-of", "2026-03-02T12:00:00")
            assert ended.code == 0, ended.out + ended.err
            made.append(project)
        return made[0]

    yield make


def copy_of_tiny_project(root: Path) -> CommandLine:
    shutil.copytree(TINY_PROJECT, root)  # the macros are a link to the repository's: copied, too
    project = CommandLine(root)
    ended = project.waypoint("contracts", "render")
    assert ended.code == 0, ended.err
    return project


def with_sources(project: CommandLine) -> CommandLine:
    """The project with its card index and its lending desk connected, and a little in both."""
    cards, desk = project.root / "cards", project.root / "desk"
    cards.mkdir()
    (cards / "2026-03.csv").write_text(
        "card,name,joined\n"
        "C0001,Ada,2026-01-02\n"
        "C0002,Björn,2026-02-03\n"
        "none,Nobody,2026-02-03\n"  # no such card: to quarantine
    )
    (desk / "lending-slips").mkdir(parents=True)
    write_slips(
        desk / "lending-slips" / "0.ndjson",
        [
            ("S1", "C0001", "A 17", "2026-03-01T09:00:00.000Z", 14),
            ("S2", "C0002", "B 4", "2026-03-01T10:00:00.000Z", 14),
            ("S2", "C0002", "B 4", "2026-03-01T10:00:00.000Z", 14),  # sent twice
            ("S3", "C0001", "B 5", "2026-03-02T10:00:00.000Z", 7),
        ],
    )
    return CommandLine(
        project.root,
        {"LIBRARY_CARD_INDEX": str(cards), "LIBRARY_LENDING_DESK": str(desk)},
    )


def write_slips(
    path: Path, slips: list[tuple[str, str, str, str, int]], first_offset: int = 0
) -> None:
    """Write lending slips as an export of their topic."""
    lines = []
    for offset, (slip, card, shelfmark, lent, days) in enumerate(slips, start=first_offset):
        value = {"slip": slip, "card": card, "shelfmark": shelfmark, "lent": lent, "days": days}
        message = {
            "topic": "lending-slips",
            "partition": 0,
            "offset": offset,
            "timestamp": 1772355600000 + offset,
            "key": card,
            "value": value,
        }
        lines.append(json.dumps(message))
    path.write_text("\n".join(lines) + "\n")

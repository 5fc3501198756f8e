"""A second, tiny project that has nothing to do with the one in this repository's root."""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from forking import Ended, ForkedDbt, run_dbt, run_waypoint
from interruptible import interruptible
from xdist.scheduler import LoadScopeScheduling

from waypoint import dbt_running
from waypoint.errors import Unavailable
from waypoint.services import jars
from waypoint.services.kafka import JARS, Kafka, running_kafka

# commands that run in this process start dbt, too
dbt_running.begin_dbt = ForkedDbt

TINY_PROJECT = Path(__file__).parent / "tiny_project"
AS_OF = "2026-03-02T12:00:00"

#: Folders whose files build whole worlds. They are begun first, so that no worker is left alone
#: with one of them at the end.
SLOW = (
    *("real_input", "models", "second_project", "stream", "cli", "orchestration", "mutation"),
    *("importing", "privacy", "realtime", "maintenance", "capture", "external", "simulator"),
)

#: Folders whose files share what takes long to make: one worker takes all of them.
SHARED = ("real_input", "models")


class FilesAndFolders(LoadScopeScheduling):
    """A worker takes whole files, and whole folders where their files share what is slow to make.

    Workers are processes of their own: what two of them share is made twice.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        folder = Path(file).parent
        return str(folder) if folder.name in SHARED else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesAndFolders:
    """How xdist gives tests to its workers, where it runs."""
    return FilesAndFolders(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by their folders, the slow ones first; files stay whole."""
    rank = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(SLOW)))


def said_url(process: subprocess.Popen[str]) -> str:
    """The URL in the JSON that a server of the command line prints once it answers."""
    assert process.stdout is not None
    lines = ""
    while "}" not in lines:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        lines += line
    return str(json.loads(lines)["url"])


def pytest_collection_finish() -> None:
    """Look for what is no longer needed less often: there is memory enough, and much that stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@dataclass(frozen=True)
class CommandLine:
    """`waypoint` in a process of its own, in the folder `root`, with a state of its own."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root / "var"

    def waypoint(self, *arguments: str | Path, **environment: str) -> Ended:
        """Run it to its end."""
        words = [str(argument) for argument in arguments]
        return run_waypoint(words, self.root, self._environment(environment))

    def started(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """The command, running; the caller sees to its end."""
        return subprocess.Popen(
            interruptible([sys.executable, "-m", "waypoint.cli.app", *map(str, arguments)]),
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


@dataclass(frozen=True)
class Library(CommandLine):
    """A copy of the tiny project: a library that lends books to those who hold a card."""

    @property
    def cards(self) -> Path:
        return self.root / "cards"

    @property
    def desk(self) -> Path:
        return Path(self.environment.get("LIBRARY_LENDING_DESK") or self.root / "desk")

    @classmethod
    def copied_to(cls, root: Path) -> Library:
        """A copy with dbt's files derived from its contracts, and no source connected."""
        shutil.copytree(_derived_and_parsed(), root)
        return cls(root)

    def connected(self) -> Library:
        """With the card index and the lending desk connected, and a little in both."""
        self.cards.mkdir()
        self.hand_out_cards(
            "2026-03.csv",
            "C0001,Ada,2026-01-02",
            "C0002,Björn,2026-02-03",
            "none,Nobody,2026-02-03",  # no such card: to quarantine
        )
        (self.desk / "lending-slips").mkdir(parents=True)
        self.lend(
            "0.ndjson",
            ("S1", "C0001", "A 17", "2026-03-01T09:00:00.000Z", 14),
            ("S2", "C0002", "B 4", "2026-03-01T10:00:00.000Z", 14),
            ("S2", "C0002", "B 4", "2026-03-01T10:00:00.000Z", 14),  # sent twice
            ("S3", "C0001", "B 5", "2026-03-02T10:00:00.000Z", 7),
        )
        sources = {
            "LIBRARY_CARD_INDEX": str(self.cards),
            "LIBRARY_LENDING_DESK": str(self.desk),
        }
        return Library(self.root, sources)

    def with_desk(self, folder: Path) -> Library:
        """With another, empty lending desk."""
        (folder / "lending-slips").mkdir(parents=True)
        return Library(self.root, self.environment | {"LIBRARY_LENDING_DESK": str(folder)})

    def hand_out_cards(self, file: str, *lines: str) -> None:
        """Drop a card index file."""
        (self.cards / file).write_text("\n".join(["card,name,joined", *lines]) + "\n")

    def lend(self, file: str, *slips: tuple[str, str, str, str, int], offset: int = 0) -> None:
        """Export slips of the topic, from `offset` on."""
        messages = []
        for place, (slip, card, shelfmark, lent, days) in enumerate(slips, start=offset):
            value = {"slip": slip, "card": card, "shelfmark": shelfmark, "lent": lent, "days": days}
            message = {
                "topic": "lending-slips",
                "partition": 0,
                "offset": place,
                "timestamp": 1772355600000 + place,
                "key": card,
                "value": value,
            }
            messages.append(json.dumps(message))
        (self.desk / "lending-slips" / file).write_text("\n".join(messages) + "\n")

    def run(self, *options: str) -> Any:
        """`waypoint run` at a fixed time; gives its summary."""
        ended = self.waypoint("run", "--as-of", AS_OF, "--json", *options)
        assert ended.code == 0, ended.out + ended.err
        return ended.json


@functools.cache
def _derived_and_parsed() -> Path:
    """The tiny project with what is derived from its contracts, and what dbt remembers of it.

    dbt reads a copy by the memory of the original, which halves the time of its first command.
    """
    folder = tempfile.mkdtemp(prefix="waypoint-library-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    root = Path(folder) / "library"
    shutil.copytree(TINY_PROJECT, root)  # the macros, a link to the repository's, are copied too
    ended = CommandLine(root).waypoint("contracts", "render")
    assert ended.code == 0, ended.err
    (root / "var/warehouse").mkdir(parents=True)
    parse = ["parse", "--quiet", "--profiles-dir", "."]
    parsed = run_dbt(parse, root, CommandLine(root)._environment({}))
    assert parsed.code == 0, parsed.out
    memory = (root / "target/partial_parse.msgpack").read_bytes()
    for made in ("var", "target", "logs"):
        shutil.rmtree(root / made)
    (root / "target").mkdir()
    (root / "target/partial_parse.msgpack").write_bytes(memory)
    return root


@pytest.fixture(autouse=True)
def no_state_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in a test has its own state, whatever the environment of the developer says."""
    for name in ("WAYPOINT_STATE", "WAYPOINT_TARGET", "DBT_TARGET_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """The command line in an empty folder."""
    return CommandLine(tmp_path)


@pytest.fixture
def tiny_project(tmp_path: Path) -> Library:
    """A fresh copy of the tiny project, its sources not connected."""
    return Library.copied_to(tmp_path / "library")


@pytest.fixture
def connected_tiny_project(tmp_path: Path) -> Library:
    """A fresh copy of the tiny project with a little input."""
    return Library.copied_to(tmp_path / "library").connected()


@pytest.fixture(scope="session")
def published_tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The tiny project after a run over a little input. Shared by all tests: only read from it."""
    library = Library.copied_to(tmp_path_factory.mktemp("published") / "library").connected()
    library.run()
    return library


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """Kafka's jars are in the cache; where they cannot be had, only CI must fail."""
    try:
        jars.jars(JARS)
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Kafka's jars cannot be had: {error}")


@pytest.fixture(scope="session")
def kafka_server(kafka_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A real broker. Shared by all tests of a process: topics and groups get names of their own."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka

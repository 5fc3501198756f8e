"""A library that also takes slips from other branches' services, and a sandbox in their place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Ended, Library

from ingestion.external.entries import External, read_external
from ingestion.external.entry import Entry
from ingestion.external.running import Fetching, Target, publisher_of, run_entry
from ingestion.landing import LandingArea
from waypoint.project import Project
from waypoint.simulator.sandbox import Sandbox, sandbox_running
from waypoint.simulator.sandbox.faults import Faults, no_faults

REPOSITORY = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 2, 12)
BRANCHES, SLIPS = 4, 25  # of each branch

EXTERNAL = """\
publish:
  topic: lending-slips
  into: lending_desk
  message:
    slip: $id
    card: $data.card
    shelfmark: $data.shelfmark
    lent: $time
    days: $data.days

# Slips of other branches, ten on a page.
branch_slips:
  schedule: "@hourly"
  url: https://slips.example/v1/branches/{each.branch}/slips
  each: [{branch: North}, {branch: South}, {branch: East}, {branch: Old Town}]
  paging: {style: page, parameter: page, size_parameter: per_page, size: 10}
  patience: {attempts: 3, first_wait: 0.02, longest_wait: 5, timeout: 1}
  items: data.slips
  id: [$each.branch, number]
  time: {path: lentAt, as: time}
  data:
    card: card
    shelfmark: {template: "{shelf} {place}"}
    days: {path: weeks, as: integer, scale: 7, round: 0}
  required: [card, days]

# What the mobile library lent, as a feed.
bus_feed:
  url: https://feed.example/bus/lent.xml
  format: rss
  patience: {attempts: 2, first_wait: 0.02, timeout: 1}
  id: id
  time: {path: published, as: time}
  data:
    card: {constant: C0001}
    shelfmark: {path: title, as: text}
    days: {constant: 7}

# The archive asks for a key.
archive:
  url: https://archive.example/slips
  auth: {connection: archive, parameter: key}
  paging: {style: offset, parameter: skip, size_parameter: take, size: 7}
  patience: {attempts: 2, first_wait: 0.02, timeout: 1}
  id: number
  time: {path: lentAt, as: time}
  data: {card: card, shelfmark: {constant: Z}, days: {constant: 1}}
"""

SCENARIO = "period: {history: 1 day, full: 1 day}\n"

SANDBOX = """\
- host: slips.example
  path: /v1/branches/{branch}/slips
  query: branch_answer
  within: data.slips
  around: {version: 1}
  paging: {style: page, parameter: page, size_parameter: per_page, size: 10}
- {host: feed.example, path: "/{rest*}", query: bus_answer, shape: rss}
- host: archive.example
  path: /slips
  query: branch_answer
  key: {parameter: key}
  paging: {style: offset, parameter: skip, size_parameter: take, size: 10}
"""

BRANCH_ANSWER = f"""\
select to_json({{
    'number': number, 'card': 'C000' || (1 + number % 2), 'shelf': left(asked('branch'), 1),
    'place': number, 'weeks': whole('weeks', hash(asked('branch'), number), 1, 4),
    'lentAt': epoch(play.until())::bigint - number * 60
}}) as item
from range({SLIPS}) as numbers(number)
order by number
"""

BUS_ANSWER = """\
select
    'bus-' || number as id, '<b>M ' || number || '</b> &amp; more' as title,
    'https://feed.example/' || number as link, null as summary,
    play.until() - to_minutes(number) as published, 'en' as language
from range(5) as numbers(number)
"""


@dataclass
class Branches:
    """The library, a sandbox for its external sources, and ways to fetch from it."""

    library: Library
    start: Callable[..., Sandbox]
    sandbox: Sandbox | None = None
    faults: Faults = no_faults
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        return Project.find(self.library.root)

    @property
    def external(self) -> External:
        return read_external(self.project)

    @property
    def topic(self) -> Path:
        return self.library.desk / "lending-slips"

    @property
    def area(self) -> LandingArea:
        return LandingArea(self.project.landing_dir)

    def address(self) -> str:
        if self.sandbox is None:
            self.sandbox = self.start(self.project, as_of=NOW, faults=self._fault)
        return self.sandbox.url

    def _fault(self, number: int, path: str) -> Any:
        return self.faults(number, path)

    def fetch(
        self, source: str = "branch_slips", faults: Faults = no_faults, **options: Any
    ) -> Fetching:
        """Fetch one source within this process, and publish it."""
        self.faults = faults
        external = self.external
        assert external.broken == ()
        entry = next(entry for entry in external.entries if entry.name == source)
        publishing = self.external.publishing
        assert publishing is not None
        target = Target.of(publishing, self.project.contracts, self.project.state / "spill")
        moment = options.pop("moment", NOW)
        publisher = publisher_of(target, self.library.desk, self.area, moment)
        return run_entry(
            entry,
            target,
            moment,
            publisher,
            sandbox=options.pop("sandbox", self.address()),
            **options,
        )

    def fetched(self, *arguments: str, **environment: str) -> Ended:
        """`waypoint fetch` from the sandbox, in a process of its own."""
        return self.library.waypoint(
            "fetch", *arguments, WAYPOINT_SANDBOX=self.address(), **environment
        )

    def messages(self) -> list[dict[str, Any]]:
        """What was published, in the order of offsets."""
        import json

        lines = [
            json.loads(line)
            for path in sorted(self.topic.glob("p*.ndjson"))
            for line in path.read_text().splitlines()
        ]
        return sorted(lines, key=lambda line: (line["partition"], line["offset"]))

    def quarantine(self) -> list[dict[str, Any]]:
        """What is in quarantine, by rule."""
        files = [str(path) for path in self.area.files("quarantine")]
        if not files:
            return []
        found = duckdb.sql(f"select * from read_parquet({files}) order by rule, payload")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    def change(self, old: str, new: str) -> None:
        path = self.library.root / "ingestion" / "external.yml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def write(self, path: str, text: str) -> None:
        file = self.library.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def with_branches(library: Library) -> None:
    """Give the library external sources and a sandbox for them."""
    for path, text in {
        "ingestion/external.yml": EXTERNAL,
        "scenario/scenario.yml": SCENARIO,
        "scenario/sandbox.yml": SANDBOX,
        "scenario/branch_answer.sql": BRANCH_ANSWER,
        "scenario/bus_answer.sql": BUS_ANSWER,
    }.items():
        file = library.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def sandboxes() -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda project, **options: stack.enter_context(sandbox_running(project, **options))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with its branches. Only copied from."""
    library = Library.copied_to(tmp_path_factory.mktemp("branches") / "library")
    with_branches(library)
    return library.root


@pytest.fixture
def branches(rendered: Path, tmp_path: Path, sandboxes: Callable[..., Sandbox]) -> Branches:
    """The library with its branches and an empty desk. Its clock stands still."""
    root = tmp_path / "library"
    shutil.copytree(rendered, root, symlinks=True)
    (root / "desk").mkdir()
    library = Library(root, {"LIBRARY_LENDING_DESK": str(root / "desk")})
    return Branches(library, sandboxes)

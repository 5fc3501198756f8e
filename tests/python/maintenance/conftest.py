"""A library that keeps lendings for thirty days, and remembers in staging what raw lets go."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import AS_OF, Library

from waypoint.project import Project

#: What the tables that Waypoint itself fills promise.
OWN = {"quarantine": "_loaded_at", "load_history": "loaded_at"}
OWN_CONTRACT = """    properties:
      - name: {column}
        logicalType: timestamp
        physicalType: timestamp
        description: When the row was loaded (UTC).
slaProperties:
  - {{property: retention, value: 90, unit: d, element: {table}.{column}}}
"""

KEPT = """  - property: retention
    value: 30
    unit: d
    element: lendings.lent
"""


class Kept:
    """A library whose contracts say how long rows are kept, driven in this process."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.project = Project.find(library.root)

    def promise(self, more: str = "") -> None:
        """Rows of lendings are kept for 30 days by when the book was lent, others for 90."""
        folder = self.library.root / "contracts/raw"
        head = (folder / "members.yaml").read_text().partition("    properties:")[0]
        for table, column in OWN.items():
            promised = OWN_CONTRACT.format(table=table, column=column)
            (folder / f"{table}.yaml").write_text(head.replace("members", table) + promised)
        path = folder / "lendings.yaml"
        path.write_text(path.read_text() + KEPT + more)
        ended = self.library.waypoint("contracts", "render")
        assert ended.code == 0, ended.err
        self.project = Project.find(self.library.root)

    def remember(self) -> None:
        """Staging keeps its rows through a full refresh."""
        path = self.library.root / "models/staging/stg_lendings.sql"
        path.write_text(path.read_text().replace("unique_key", "full_refresh=false, unique_key"))

    def set_clock(self, as_of: str) -> None:
        (self.project.state / "clock.json").write_text(f'{{"as_of": "{as_of}"}}')

    def bring(self) -> dict[str, dict[str, int]]:
        """Land and load what is new; what was read, landed and left out by table."""
        from ingestion.extraction import Context, Outcome
        from ingestion.landing import LandingArea
        from ingestion.loading import load_landed
        from ingestion.pull import pull
        from ingestion.sources import read_sources
        from waypoint.clock import now, read_clock

        reading = Context(
            contracts=self.project.contracts,
            area=LandingArea(self.project.landing_dir),
            state=self.project.state,
            now=now(self.project),
        )
        sums: dict[str, dict[str, int]] = {}
        for one in pull(read_sources(self.project, self.library.environment), reading):
            assert isinstance(one, Outcome), one
            counts = sums.setdefault(one.table, {"read": 0, "landed": 0, "unchanged": 0})
            for what in counts:
                counts[what] += getattr(one, what)
        load_landed(self.project, read_clock(self.project))
        return sums

    def build(self, *options: str) -> None:
        ended = self.library.waypoint("build", *options)
        assert ended.code == 0, ended.out + ended.err

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.project.warehouse_file), read_only=True) as warehouse:
            return warehouse.execute(query).fetchall()

    def files(self) -> Mapping[str, bytes]:
        """Every file of the state that maintenance may change."""
        folders = (self.project.landing_dir, self.project.state / "archive")
        found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.project.state)): path.read_bytes() for path in found}


@pytest.fixture(scope="session")
def built_library(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Built, with slips of January (long ago) and March. Only copied from."""
    library = Library.copied_to(tmp_path_factory.mktemp("kept") / "library").connected()
    for day in range(1, 9):
        when = f"2026-01-{day:02}T09:00:00.000Z"
        lent = [(f"J{day}", "C0001", "A 17", when, 14)]
        library.lend(f"january-{day}.ndjson", *lent, offset=100 + day)
    kept = Kept(library)
    kept.project.state.mkdir(exist_ok=True)
    kept.set_clock(AS_OF)
    kept.bring()
    kept.promise()
    kept.remember()
    kept.build()
    return kept


@pytest.fixture
def kept(built_library: Kept, tmp_path: Path) -> Kept:
    """A copy of the built library."""
    root = tmp_path / "library"
    shutil.copytree(built_library.library.root, root)
    environment = {
        name: value.replace(str(built_library.library.root), str(root))
        for name, value in built_library.library.environment.items()
    }
    return Kept(Library(root, environment))

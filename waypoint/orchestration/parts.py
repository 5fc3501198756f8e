"""Which DAG has what of the manifest: the tables of some schemas, and all that hangs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from waypoint.contracts.model import ML_FEATURES
from waypoint.dbt_running import target_dir
from waypoint.orchestration.manifest import Manifest, Node
from waypoint.project import Project

#: Schemas whose tables are built once a day; all others are built every hour.
DAILY_SCHEMAS = (ML_FEATURES,)


@dataclass(frozen=True)
class Part:
    """What one DAG has of the manifest; every table and test is in one part only.

    An exposure is in each part that has some of what it shows.
    """

    manifest: Manifest
    tables: Mapping[str, Node]
    sources: Mapping[str, Node]
    tests: Mapping[str, Node]
    exposures: Mapping[str, Node]

    @classmethod
    def hourly(cls, manifest: Manifest) -> Part:
        """What is built every hour, and the tests and exposures of sources alone."""
        return cls._of(manifest, daily=False)

    @classmethod
    def daily(cls, manifest: Manifest) -> Part:
        """What is built once a day, and every test that reads some of it."""
        return cls._of(manifest, daily=True)

    @classmethod
    def _of(cls, manifest: Manifest, daily: bool) -> Part:
        of_day = {uid for uid, node in manifest.tables.items() if node.schema in DAILY_SCHEMAS}
        tables = {uid: node for uid, node in manifest.tables.items() if (uid in of_day) == daily}
        tests = {
            uid: test
            for uid, test in manifest.tests.items()
            if bool(of_day & set(test.parents)) == daily
        }
        exposures = {
            uid: exposure
            for uid, exposure in manifest.exposures.items()
            if any(p in tables or (not daily and p in manifest.sources) for p in exposure.parents)
        }
        reading = (*tables.values(), *tests.values(), *exposures.values())
        read_sources = {p for node in reading for p in node.parents if p in manifest.sources}
        sources = {uid: manifest.sources[uid] for uid in manifest.sources if uid in read_sources}
        return cls(manifest, tables, sources, tests, exposures)

    @property
    def node_ids(self) -> set[str]:
        return {*self.tables, *self.sources, *self.exposures}

    @property
    def read_of_others(self) -> list[str]:
        """The tables (`schema.name`) that are read here and built by another DAG."""
        known = self.manifest.tables
        reading = (*self.tables.values(), *self.tests.values())
        read = dict.fromkeys(p for node in reading for p in node.parents if p in known)
        return [known[uid].name for uid in read if uid not in self.tables]

    def tests_of(self, table: str) -> dict[str, Node]:
        """The tests that belong to the task of a table."""
        home = self.manifest.home
        return {uid: test for uid, test in self.tests.items() if home.get(uid) == table}

    def tests_apart(self) -> dict[str, Node]:
        """The tests with a task of their own."""
        home, remarks = self.manifest.home, self.manifest.remarks
        return {
            uid: test
            for uid, test in self.tests.items()
            if home.get(uid) not in self.tables and uid not in remarks
        }

    def remarks(self) -> dict[str, Node]:
        """The tests of sources that only warn; they share a task."""
        return {uid: t for uid, t in self.tests.items() if uid in self.manifest.remarks}


def manifest_file(project: Project) -> Path:
    """Where dbt puts the manifest that the DAGs are rendered from."""
    return target_dir(project) / "manifest.json"

"""What the dbt manifest says about the order of work: tables, the tests that guard them, consumers.

A test guards what comes after all the tables that it reads, as in `dbt build`. Where one of those
tables comes after all the others, the test belongs to that table's task; a test of tables that
stand beside each other has a task of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from waypoint.errors import UnusableInput

BUILT = ("model", "seed", "snapshot")

#: The folder of models that look at other tables, whatever became of those: they wait for them, and
#: are built also where one is stale or failed.
OBSERVERS = "observability"


@dataclass(frozen=True)
class Node:
    """A source, model, seed, snapshot, test or exposure; `name` is `schema.table` for tables."""

    unique_id: str
    kind: str
    name: str
    owner: str
    parents: tuple[str, ...]  # unique ids
    selector: str = ""  # what names it to dbt, and nothing else
    severity: str = ""
    observes: bool = False
    promises: bool = False  # a source: how fresh it is, by its contract
    description: str = ""

    @property
    def schema(self) -> str:
        return self.name.partition(".")[0]

    @property
    def table(self) -> str:
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class Manifest:
    """The nodes of a manifest by unique id."""

    path: Path
    project: str
    nodes: Mapping[str, Node]
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)  # as dbt wrote it
    _after: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    @cached_property
    def tables(self) -> dict[str, Node]:
        return {uid: node for uid, node in self.nodes.items() if node.kind in BUILT}

    @cached_property
    def sources(self) -> dict[str, Node]:
        return self._of("source")

    @cached_property
    def tests(self) -> dict[str, Node]:
        return self._of("test")

    @cached_property
    def exposures(self) -> dict[str, Node]:
        return self._of("exposure")

    def _of(self, kind: str) -> dict[str, Node]:
        return {uid: node for uid, node in self.nodes.items() if node.kind == kind}

    def ancestors(self, unique_id: str) -> frozenset[str]:
        """Every source and table that a table is built from, directly or through others."""
        known = self._after.get(unique_id)
        if known is None:
            parents = self.nodes[unique_id].parents
            known = frozenset(parents).union(*(self.ancestors(parent) for parent in parents))
            self._after[unique_id] = known
        return known

    def built_from(self, unique_ids: Collection[str]) -> frozenset[str]:
        """Every table that is built from one of some sources or tables, observers left out."""
        wanted, found = set(unique_ids), set()
        for uid, node in self.tables.items():
            if not node.observes and self._reached(uid) & wanted:
                found.add(uid)
        return frozenset(found)

    def _reached(self, unique_id: str) -> frozenset[str]:
        """What a table comes after, where what only observers are built from does not count."""
        node = self.nodes[unique_id]
        through = [p for p in node.parents if not self.nodes[p].observes]
        return frozenset(node.parents).union(*(self._reached(parent) for parent in through))

    @cached_property
    def home(self) -> dict[str, str]:
        """The table or source that each test belongs to; tests with a task of their own are not in.

        That is the one that comes after all others which the test reads.
        """
        found = {}
        for uid, test in self.tests.items():
            read = [p for p in test.parents if p in self.tables]
            for candidate in read:
                if all(p == candidate or p in self.ancestors(candidate) for p in read):
                    found[uid] = candidate
        return found

    @cached_property
    def guarded_by(self) -> dict[str, tuple[str, ...]]:
        """The tables that come after all that a test reads, for tests with a task of their own."""
        found = {}
        for uid, test in self.tests.items():
            if uid not in self.home and uid not in self.remarks and test.parents:
                read = set(test.parents)
                found[uid] = tuple(t for t in self.tables if read <= self.ancestors(t))
        return found

    @cached_property
    def remarks(self) -> dict[str, Node]:
        """The tests of sources that only warn: nothing waits for them."""
        return {
            uid: test
            for uid, test in self.tests.items()
            if test.severity == "warn" and test.parents and set(test.parents) <= set(self.sources)
        }


def read_manifest(path: Path) -> Manifest:
    """The manifest that dbt wrote; read again only when it was written again.

    Raises:
        UnusableInput: there is none, or it is no manifest.
    """
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise UnusableInput(
            f"{path}: there is no manifest", hint="run `dbt parse`, or `waypoint airflow up`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableInput(f"{path}: not a dbt manifest ({error})") from None


@lru_cache(maxsize=2)
def _read(path: Path, _written: int) -> Manifest:
    document = json.loads(path.read_text(encoding="utf-8"))
    project = document["metadata"]["project_name"]
    entries = [
        *document["sources"].values(),
        *document["nodes"].values(),
        *document["exposures"].values(),
    ]
    kinds = (*BUILT, "source", "test", "exposure")
    known = {entry["unique_id"] for entry in entries if entry["resource_type"] in kinds}
    nodes = {e["unique_id"]: _node(e, known) for e in entries if e["unique_id"] in known}
    return Manifest(path, project, nodes, document)


def _node(entry: Mapping[str, Any], known: Collection[str]) -> Node:
    config = entry.get("config") or {}
    kind = entry["resource_type"]
    return Node(
        unique_id=entry["unique_id"],
        kind=kind,
        name=_name(entry, kind),
        owner=_owner(entry, config),
        parents=_once(p for p in _depends_on(entry) if p in known),
        selector=f"fqn:{'.'.join(entry['fqn'])}" if kind in (*BUILT, "test") else "",
        severity=str(config.get("severity") or "").lower(),
        observes=kind in BUILT and OBSERVERS in entry["fqn"],
        promises=_promises(entry.get("freshness") or {}),
        description=entry.get("description") or "",
    )


def _name(entry: Mapping[str, Any], kind: str) -> str:
    if kind in ("test", "exposure"):
        return str(entry["name"])
    table = entry["identifier"] if kind == "source" else entry.get("alias") or entry["name"]
    return f"{entry['schema']}.{table}".lower()


def _promises(freshness: Mapping[str, Any]) -> bool:
    return any((freshness.get(level) or {}).get("count") for level in ("warn_after", "error_after"))


def _owner(entry: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if entry["resource_type"] == "exposure":
        return str((entry.get("owner") or {}).get("name") or "")
    meta = config.get("meta") or entry.get("meta") or {}
    return str(meta.get("owner") or "")


def _depends_on(entry: Mapping[str, Any]) -> Iterable[str]:
    return (entry.get("depends_on") or {}).get("nodes") or ()


def _once(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))

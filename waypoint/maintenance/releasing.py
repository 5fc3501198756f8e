"""Which tables may let rows go that are past their retention, and what keeps the others from it.

A full refresh has to give the rows that are there now. So a table lets expired rows go only where

- every table that is built from it lets them go, too, no later (by its own contract), or keeps
  its rows through a full refresh: a snapshot, or an incremental model with `full_refresh: false`,
  which from then on is where they are remembered;
- and nothing that it is built from would bring them back.

Tables that only look at others (a folder `observability`) count for neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from waypoint.contracts.model import RAW, Contracts
from waypoint.orchestration.manifest import Manifest, Node


class Releases:
    """What the manifest and the contracts say about letting rows go."""

    def __init__(self, manifest: Manifest, contracts: Contracts) -> None:
        self._manifest, self._contracts = manifest, contracts
        nodes = {**manifest.sources, **manifest.tables}
        self._nodes = {node.name: node for node in nodes.values()}
        self._readers: dict[str, list[Node]] = {}
        for node in manifest.tables.values():
            for parent in node.parents:
                self._readers.setdefault(parent, []).append(node)
        self._known: dict[str, tuple[str, ...]] = {}

    def is_deletable(self, table: str) -> bool:
        """Whether rows that are deleted stay away until more come: not of views, nor of tables
        that each build makes anew."""
        node = self._nodes.get(table)
        if node is None:
            return False
        return node.kind == "source" or self._config(node).get("materialized") == "incremental"

    def readers(self, table: str) -> list[str]:
        """The tables that are built from a table directly, those that only look on left out."""
        node = self._nodes[table]
        return [r.name for r in self._readers.get(node.unique_id, ()) if not r.observes]

    def held_by(self, table: str) -> tuple[str, ...]:
        """What keeps a table's expired rows there, in people's words; empty: they may go."""
        if table not in self._known:
            node = self._nodes[table]
            retention = self._retention(node)
            assert retention is not None
            found = [*self._keepers(node, retention), *self._origins(node, retention)]
            self._known[table] = tuple(dict.fromkeys(found))
        return self._known[table]

    def _keepers(self, node: Node, span: timedelta) -> Iterator[str]:
        for reader in self._readers.get(node.unique_id, ()):
            if reader.observes or self._remembers(reader):
                continue
            kept = self._retention(reader)
            if kept is None or kept > span:
                how_long = "for ever" if kept is None else f"for {kept.days} days"
                yield f"{reader.name} keeps what is made of them {how_long}"
            else:
                yield from self._keepers(reader, span)

    def _origins(self, node: Node, span: timedelta) -> Iterator[str]:
        if node.kind == "source":
            return
        parents = [self._manifest.nodes[p] for p in node.parents if p in self._manifest.nodes]
        aged = [p for p in parents if self._retention(p) is not None]
        if not aged:
            yield "nothing that it is built from lets rows go"
        for parent in aged:
            kept = self._retention(parent)
            assert kept is not None
            if kept > span:
                yield f"{parent.name} has them for {kept.days} days"
            elif self._config(parent).get("materialized") == "view":
                yield from self._origins(parent, span)
            elif self.held_by(parent.name):
                yield f"{parent.name} still has them"

    def _remembers(self, node: Node) -> bool:
        if node.kind == "snapshot":
            return True
        config = self._config(node)
        return config.get("materialized") == "incremental" and config.get("full_refresh") is False

    def _retention(self, node: Node) -> timedelta | None:
        contract = self._contracts.get(node.name)
        return contract.retention if contract else None

    def _config(self, node: Node) -> Mapping[str, Any]:
        entry = self._manifest.document["nodes"].get(node.unique_id) or {}
        config: Mapping[str, Any] = entry.get("config") or {}
        return config


def is_raw(table: str) -> bool:
    """Whether a table is one that landed files are loaded into."""
    return table.startswith(f"{RAW}.")

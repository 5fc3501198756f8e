"""What stands before and behind a table: the tables and topics it comes from, and who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from waypoint.contracts.model import RAW, Contract, Contracts

if TYPE_CHECKING:
    from waypoint.lineage.graph import Exposure, LineageGraph

_LANDS_IN, _PUBLISHED_FROM = "landsIn", "publishedFrom"


@dataclass(frozen=True)
class Neighbours:
    """Names (`schema.table`, `topics.topic`), and the consumers outside the warehouse."""

    upstream: tuple[str, ...]
    downstream: tuple[str, ...]
    exposures: tuple[Exposure, ...] = ()


def graph_of(manifest: Path) -> LineageGraph | None:
    """The lineage in dbt's manifest; None where nothing was built yet."""
    if not manifest.is_file():
        return None
    from waypoint.lineage.graph import LineageGraph

    return LineageGraph.read(manifest)


def find_neighbours(contracts: Contracts, graph: LineageGraph | None) -> Mapping[str, Neighbours]:
    """The neighbours of every table and topic under contract, by full name.

    Without a graph, only what contracts say themselves is known: where topics land, and what is
    published to them.
    """
    pairs = {pair for topic in contracts.topics for pair in _of_topic(topic)}
    if graph is not None:
        pairs |= {(parent, t.name) for t in graph.tables.values() for parent in t.parents}
    exposures = graph.exposures.values() if graph is not None else ()
    return {
        name: Neighbours(
            upstream=tuple(sorted(before for before, after in pairs if after == name)),
            downstream=tuple(sorted(after for before, after in pairs if before == name)),
            exposures=tuple(sorted((e for e in exposures if name in e.tables), key=_label)),
        )
        for name in contracts
    }


def _of_topic(topic: Contract) -> list[tuple[str, str]]:
    pairs = []
    if topic.custom.get(_LANDS_IN):
        pairs.append((topic.full_name, f"{RAW}.{topic.custom[_LANDS_IN]}"))
    if topic.custom.get(_PUBLISHED_FROM):
        pairs.append((str(topic.custom[_PUBLISHED_FROM]), topic.full_name))
    return pairs


def _label(exposure: Exposure) -> str:
    return exposure.label

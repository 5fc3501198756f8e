"""Personal data that reaches a column which nobody classified, found by lineage.

Each query is looked at alone: what is made of a personal column is personal, or its contract says
why not (`notPersonal`). A chain of tables needs no more, since every link of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from waypoint.access.matrix import is_personal
from waypoint.contracts.linting.personal import CLASSIFICATIONS, WAIVER
from waypoint.contracts.model import Column, Contracts
from waypoint.lineage.graph import LineageGraph

#: Everybody may see these.
_OPEN = (None, *CLASSIFICATIONS[:2])


@dataclass(frozen=True)
class Leak:
    """A column (`schema.table.column`) and the personal columns that its values are made of."""

    column: str
    made_of: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.column} is made of {', '.join(self.made_of)}"


def leaks(graph: LineageGraph, contracts: Contracts) -> list[Leak]:
    """The columns that carry personal data and are neither classified nor waived."""
    return list(_leaks(graph, contracts))


def _leaks(graph: LineageGraph, contracts: Contracts) -> Iterator[Leak]:
    columns = {
        (table.full_name, column.name): column
        for table in contracts.tables
        for column in table.columns
    }
    personal = {name for name, column in columns.items() if is_personal(column)}
    for table, query in graph.queries.items():
        for output, sources in query.outputs.items():
            made_of = sorted(str(s) for s in sources if (s.table, s.column) in personal)
            if made_of and not _is_settled(columns.get((table, output))):
                yield Leak(f"{table}.{output}", tuple(made_of))


def _is_settled(column: Column | None) -> bool:
    """Whether the contract says what the column holds; a column without one says nothing."""
    if column is None:
        return False
    return column.classification not in _OPEN or bool(column.custom.get(WAIVER))

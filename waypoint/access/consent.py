"""Data that needs somebody's consent and that a query passes on without asking for it, by lineage.

A contract says of a column that its values need consent (`needsConsent`), or of a table that its
rows do (`rowsNeedConsent`): then of what it holds of personal data. What is made of such a column
needs consent, too, unless the same query makes it of the column that says who agreed:
`case when people.agreed then events.cell end`. A column that goes on without has to say so itself,
which only tables before the marts may; or it says in words why it needs none.

Each query is looked at alone, as leaks are: a chain of tables needs no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from waypoint.access.matrix import is_personal
from waypoint.contracts.linting.personal import WAIVER
from waypoint.contracts.model import CONSENT, NEEDS_CONSENT, RAW, Column, Contracts
from waypoint.errors import UnusableInput
from waypoint.lineage.columns import ColumnRef
from waypoint.lineage.graph import LineageGraph

#: Schemas that keep what came as it came; everybody else gets what was agreed to.
_KEEPING = (RAW, "staging")


@dataclass(frozen=True)
class Unasked:
    """A column (`schema.table.column`), what it is made of, and what says who agreed to that."""

    column: str
    made_of: tuple[str, ...]
    agreed: str

    def __str__(self) -> str:
        return f"{self.column} is made of {', '.join(self.made_of)} and does not ask {self.agreed}"


def without_consent(graph: LineageGraph, contracts: Contracts) -> list[Unasked]:
    """The columns that pass on what needs consent, and neither ask for it nor say why not.

    Raises:
        UnusableInput: a contract wants a consent of which no column says who gave it.
    """
    return list(_without(graph, contracts))


def _without(graph: LineageGraph, contracts: Contracts) -> Iterator[Unasked]:
    columns = {
        ColumnRef(table.full_name, column.name): column
        for table in contracts.tables
        for column in table.columns
    }
    needed = _needed(contracts, columns)
    for table, query in graph.queries.items():
        for output, sources in query.outputs.items():
            this = ColumnRef(table, output)
            if _is_settled(this, columns.get(this), needed):
                continue
            for agreed in sorted({needed[source] for source in sources if source in needed}):
                made_of = sorted(str(s) for s in sources if needed.get(s) == agreed)
                if agreed not in sources:
                    yield Unasked(str(this), tuple(made_of), str(agreed))


def _needed(
    contracts: Contracts, columns: Mapping[ColumnRef, Column]
) -> Mapping[ColumnRef, ColumnRef]:
    """The columns whose values need consent, and the column that says who gave it."""
    found = {}
    for table in contracts.tables:
        of_rows = table.custom.get(CONSENT)
        for column in table.columns:
            said = column.custom.get(NEEDS_CONSENT)
            if said is None and of_rows is not None and is_personal(column):
                said = of_rows
            if said is None or isinstance(said, str):
                continue
            agreed = _reference(said)
            if agreed not in columns:
                raise UnusableInput(
                    f"{table.path}: {column.name}: no column says who agreed ({said})",
                    hint="write value: {about: <column>, agreed: <schema>.<table>.<column>},"
                    " or in words why no consent is needed",
                )
            found[ColumnRef(table.full_name, column.name)] = agreed
    return found


def _reference(said: object) -> ColumnRef:
    named = str(said.get("agreed", "")) if isinstance(said, Mapping) else ""
    table, _, column = named.rpartition(".")
    return ColumnRef(table, column)


def _is_settled(
    this: ColumnRef, column: Column | None, needed: Mapping[ColumnRef, ColumnRef]
) -> bool:
    if column is None:
        return False
    in_words = isinstance(column.custom.get(NEEDS_CONSENT), str) or bool(column.custom.get(WAIVER))
    return in_words or (this in needed and this.table.split(".")[0] in _KEEPING)

"""The answers to "what does this reach?" and "what is this made of?", step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from waypoint.errors import UnusableInput
from waypoint.lineage.columns import ColumnRef
from waypoint.lineage.graph import Exposure, LineageGraph, Table
from waypoint.lineage.naming import named_columns, named_exposure, refuse_unknown

ByColumn = Mapping[str, tuple[ColumnRef, ...]]


@dataclass(frozen=True)
class Step:
    """A table on the way of an answer, and its part in it.

    `values`: its columns that carry values along the way, each with the columns next to it on
    the side of what was asked. `decided_by` (impact): columns upstream of it, on the way, that
    decide which rows it has; `follows`: tables whose rows come and go, which it reads. `decides`
    (upstream): its columns that decide the rows of tables on the way, with those tables.
    `next_to`: the tables and exposures that it is reached from.
    """

    table: Table
    values: ByColumn
    next_to: tuple[str, ...]
    decided_by: tuple[ColumnRef, ...] = ()
    follows: tuple[str, ...] = ()
    decides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def rows(self) -> bool:
        return bool(self.decided_by or self.follows or self.decides)


@dataclass(frozen=True)
class Use:
    """A consumer outside the warehouse, and what it uses, by table.

    `values` are columns that carry values along the way; `rows` are the tables that it uses of
    which (only) the rows are concerned.
    """

    exposure: Exposure
    values: Mapping[str, tuple[str, ...]]
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What was asked, and the tables and exposures on the way, in build order."""

    direction: str  # "impact" or "upstream"
    asked: tuple[str, ...]  # full names
    start: Mapping[str, tuple[str, ...]]  # the columns asked about, by table
    whole: frozenset[str]  # tables asked about as a whole
    steps: tuple[Step, ...]
    uses: tuple[Use, ...]
    graph: LineageGraph = field(repr=False, compare=False)

    @property
    def owners(self) -> tuple[str, ...]:
        """Who owns what is on the way, without those who were asked about."""
        names = [s.table.owner for s in self.steps] + [u.exposure.owner for u in self.uses]
        return tuple(dict.fromkeys(name for name in names if name))

    def document(self) -> dict[str, Any]:
        """The answer for programs."""
        return {
            "direction": self.direction,
            "asked": list(self.asked),
            "columns": {table: list(columns) for table, columns in self.start.items()},
            "tables": [_step_document(step, self.direction) for step in self.steps],
            "exposures": [_use_document(use) for use in self.uses],
            "owners": list(self.owners),
            "not_traceable": dict(self.graph.untraced),
        }


def impact(graph: LineageGraph, names: Sequence[str]) -> Answer:
    """What a change of some tables or columns reaches, downstream.

    Raises:
        UnusableInput: a name stands for no table or column.
    """
    for name in names:
        if named_exposure(graph, name) is not None:
            raise UnusableInput(
                f"{name} is an exposure: nothing is made of it",
                hint=f'ask what it is made of: waypoint lineage upstream "{name}"',
            )
    start = frozenset[ColumnRef]().union(*(named_columns(graph, name) for name in names))
    found = graph.impact(start)
    by_table = _by_table(start)
    whole = frozenset(t for t in by_table if start >= graph.columns_of(t))
    reached = start | found.carried
    restless = found.rows | whole
    steps = []
    for name in found.tables:
        query = graph.queries[name]
        values = {c: _sorted(refs & reached) for c, refs in query.outputs.items() if refs & reached}
        values = {c: refs for c, refs in values.items() if ColumnRef(name, c) in found.carried}
        decided = _sorted(r for r in query.deciding & reached if r.table != name)
        follows = tuple(sorted((query.tables & restless) - {name}))
        from_values = {ref.table for refs in values.values() for ref in refs}
        next_to = from_values | {ref.table for ref in decided} | set(follows)
        table = graph.tables[name]
        steps.append(
            Step(table, values, _ordered(graph, next_to), decided_by=decided, follows=follows)
        )
    uses = tuple(_reached_use(graph, e, reached, restless) for e in found.exposures)
    return Answer("impact", _asked(by_table, whole), by_table, whole, tuple(steps), uses, graph)


def upstream(graph: LineageGraph, names: Sequence[str]) -> Answer:
    """What exposures, tables or columns are made of, back to the sources.

    Raises:
        UnusableInput: a name stands for no exposure, table or column.
    """
    uses: list[Use] = []
    start: set[ColumnRef] = set()
    shown: dict[ColumnRef, list[ColumnRef]] = {}
    beside: dict[str, set[str]] = {}  # table: what it is reached from
    asked_tables: set[ColumnRef] = set()
    for name in names:
        refuse_unknown(graph, name)
        exposure = named_exposure(graph, name)
        if exposure is None:
            asked_tables |= named_columns(graph, name)
            continue
        columns = {
            ref for t in exposure.tables for ref in graph.columns_of(t) if exposure.uses(ref)
        }
        uses.append(Use(exposure, _by_table(columns), ()))
        for table in exposure.tables:
            beside.setdefault(table, set()).add(exposure.label)
        shown |= {ref: [] for ref in columns}
        start |= columns
    start |= asked_tables
    decides = _walk_up(graph, start, shown, beside)
    by_table = _by_table(asked_tables)
    whole = frozenset(t for t in by_table if asked_tables >= graph.columns_of(t))
    steps = []
    for name in graph.build_order:
        if name not in beside or name in by_table:
            continue
        values = {
            ref.column: _sorted(nexts) for ref, nexts in sorted(shown.items()) if ref.table == name
        }
        deciding = {
            ref.column: tuple(sorted(tables))
            for ref, tables in sorted(decides.items())
            if ref.table == name
        }
        next_to = tuple(sorted(beside[name] - {name}))
        steps.append(Step(graph.tables[name], values, next_to, decides=deciding))
    asked = (*(use.exposure.label for use in uses), *_asked(by_table, whole))
    return Answer("upstream", asked, by_table, whole, tuple(steps), tuple(uses), graph)


def _walk_up(
    graph: LineageGraph,
    start: Iterable[ColumnRef],
    shown: dict[ColumnRef, list[ColumnRef]],
    beside: dict[str, set[str]],
) -> dict[ColumnRef, set[str]]:
    """Fill in what `start` is made of; returns the columns that decide rows, with those tables."""
    visited = {ref.table for ref in start}
    for child, parent in _made_of(graph, start):
        shown.setdefault(parent, []).append(child)
        beside.setdefault(parent.table, set()).add(child.table)
        visited.add(parent.table)
    decides: dict[ColumnRef, set[str]] = {}
    queue = [*visited]
    while queue:
        name = queue.pop()
        query = graph.queries.get(name)
        if query is None:
            continue
        deciding = {ref for ref in query.deciding if ref.table in graph.tables.keys() - {name}}
        edges = [(name, ref) for ref in deciding]
        edges += [(child.table, parent) for child, parent in _made_of(graph, deciding)]
        for child_table, ref in edges:
            decides.setdefault(ref, set()).add(name)
            beside.setdefault(ref.table, set()).add(child_table)
        # those whose rows it reads have rows that something decides, too
        read = (query.tables & graph.tables.keys()) - {name}
        for parent_table in read:
            beside.setdefault(parent_table, set()).add(name)
        new = (read | {ref.table for _, ref in edges}) - visited
        visited |= new
        queue.extend(new)
    return decides


def _made_of(
    graph: LineageGraph, refs: Iterable[ColumnRef]
) -> Iterator[tuple[ColumnRef, ColumnRef]]:
    """Each column and one that its value is made of, from `refs` up to the sources."""
    queue = list(refs)
    seen = set(queue)
    while queue:
        ref = queue.pop()
        query = graph.queries.get(ref.table)
        for parent in query.outputs.get(ref.column, frozenset()) if query else ():
            if parent.table == ref.table or parent.table not in graph.tables:
                continue
            yield ref, parent
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)


def _reached_use(
    graph: LineageGraph, exposure: Exposure, reached: frozenset[ColumnRef], restless: frozenset[str]
) -> Use:
    values = _by_table(ref for ref in reached if exposure.uses(ref))
    rows = _ordered(graph, restless.intersection(exposure.tables))
    return Use(exposure, values, rows)


def _asked(by_table: Mapping[str, tuple[str, ...]], whole: frozenset[str]) -> tuple[str, ...]:
    found: list[str] = []
    for table, columns in by_table.items():
        found.extend([table] if table in whole else (f"{table}.{c}" for c in columns))
    return tuple(found)


def _by_table(refs: Iterable[ColumnRef]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for ref in sorted(refs):
        found.setdefault(ref.table, []).append(ref.column)
    return {table: tuple(columns) for table, columns in found.items()}


def _ordered(graph: LineageGraph, tables: Iterable[str]) -> tuple[str, ...]:
    wanted = set(tables)
    return tuple(name for name in graph.build_order if name in wanted)


def _sorted(refs: Iterable[ColumnRef]) -> tuple[ColumnRef, ...]:
    return tuple(sorted(set(refs)))


def _step_document(step: Step, direction: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "table": step.table.name,
        "kind": step.table.kind,
        "schema": step.table.schema,
        "owner": step.table.owner,
        "next_to": list(step.next_to),
        "values": {column: [str(ref) for ref in refs] for column, refs in step.values.items()},
    }
    if direction == "impact":
        document["rows"] = step.rows
        document["rows_decided_by"] = [str(ref) for ref in step.decided_by]
        document["rows_follow"] = list(step.follows)
    else:
        document["decides_rows_of"] = {c: list(tables) for c, tables in step.decides.items()}
    return document


def _use_document(use: Use) -> dict[str, Any]:
    return {
        "name": use.exposure.name,
        "label": use.exposure.label,
        "type": use.exposure.kind,
        "owner": use.exposure.owner,
        "email": use.exposure.email,
        "tables": list(use.exposure.tables),
        "values": {table: list(columns) for table, columns in use.values.items()},
        "rows": list(use.rows),
    }

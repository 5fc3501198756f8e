"""What a person means by a name: a table, a column, or an exposure, however they write it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from waypoint.errors import UnusableInput
from waypoint.lineage.columns import ColumnRef
from waypoint.lineage.graph import Exposure, LineageGraph

#: How alike a name must be to be offered instead of an unknown one, from 0 to 1.
_ALIKE = 0.55


def named_columns(graph: LineageGraph, name: str) -> frozenset[ColumnRef]:
    """The columns that a name stands for: `schema.table` for all of its columns,
    `schema.table.column` for one; the schema may be left out where the table's name is its own.

    Raises:
        UnusableInput: there is no such table or column; the message offers those alike.
    """
    wanted = _plain(name)
    table = _table(graph, wanted)
    if table is not None:
        return graph.columns_of(table)
    owner, _, column = wanted.rpartition(".")
    table = _table(graph, owner) if owner else None
    if table is None:
        raise _unknown(name, wanted, "table or column", _table_names(graph))
    if column not in graph.columns(table):
        known = {c: c for c in graph.columns(table)}
        where = f"{name}: {table} has no column {column!r}"
        raise UnusableInput(where, hint=_offer(column, known, fallback=True))
    return frozenset({ColumnRef(table, column)})


def named_exposure(graph: LineageGraph, name: str) -> Exposure | None:
    """The exposure of that name or label, if there is one."""
    wanted = _plain(name)
    for exposure in graph.exposures.values():
        if wanted in (exposure.name.lower(), exposure.label.lower(), exposure.unique_id.lower()):
            return exposure
    return None


def refuse_unknown(graph: LineageGraph, name: str) -> None:
    """Raise for a name that is neither an exposure, a table nor a column, offering all kinds.

    Raises:
        UnusableInput: it is none of them.
    """
    wanted = _plain(name)
    if named_exposure(graph, name) or _table(graph, wanted):
        return
    owner = wanted.rpartition(".")[0]
    if owner and _table(graph, owner):
        named_columns(graph, name)
        return
    labels = {e.label.lower(): e.label for e in graph.exposures.values()}
    names = {e.name.lower(): e.label for e in graph.exposures.values()}
    raise _unknown(name, wanted, "exposure, table or column", _table_names(graph) | names | labels)


def _plain(name: str) -> str:
    """A name without what dbt's selectors put before it, in lower case."""
    return name.strip().lower().removeprefix("source:").removeprefix("exposure:")


def _table(graph: LineageGraph, wanted: str) -> str | None:
    """The table of a full name, a unique id, or a name that only one table has.

    Raises:
        UnusableInput: several tables have it.
    """
    if wanted in graph.tables:
        return wanted
    found = [
        table.name
        for table in graph.tables.values()
        if wanted in (table.unique_id.lower(), table.name.partition(".")[2])
    ]
    if len(found) > 1:
        raise UnusableInput(
            f"{wanted}: several tables have that name", hint=f"say {' or '.join(sorted(found))}"
        )
    return found[0] if found else None


def _table_names(graph: LineageGraph) -> dict[str, str]:
    """Each table's full name, by that and by the name without the schema."""
    return {name.partition(".")[2]: name for name in graph.tables} | {n: n for n in graph.tables}


def _unknown(name: str, wanted: str, kinds: str, known: Mapping[str, str]) -> UnusableInput:
    return UnusableInput(f"{name}: no {kinds} of that name", hint=_offer(wanted, known))


def _offer(wanted: str, known: Mapping[str, str], fallback: bool = False) -> str:
    """Names that are alike; all of them where there are none and `fallback` says so."""
    close = get_close_matches(wanted, known, n=4, cutoff=_ALIKE)
    if not close and "." in wanted:
        close = get_close_matches(wanted.rpartition(".")[2], known, n=4, cutoff=_ALIKE)
    if close:
        offered = dict.fromkeys(known[name] for name in close)
        return f"did you mean {' or '.join(offered)}?"
    return f"it has {', '.join(known.values())}" if fallback and known else ""

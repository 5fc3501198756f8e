"""How the tables are: one line each, by schema, those that break their promise first."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from waypoint.pages.formats import NOTHING, text
from waypoint.status import FRESH, LATE, MISSING, WARN, TableStatus

_WORDS = {FRESH: "fresh", WARN: "soon late", LATE: "late", MISSING: "missing"}
_WORST_FIRST = (MISSING, LATE, WARN, FRESH)


def overview(tables: Sequence[TableStatus]) -> str:
    """The tables as HTML; a schema in which a promise is broken stands open."""
    ordered = sorted(tables, key=lambda t: (t.schema, _WORST_FIRST.index(t.level), t.name))
    return "".join(
        _schema(schema, list(group)) for schema, group in groupby(ordered, lambda t: t.schema)
    )


def _schema(schema: str, tables: list[TableStatus]) -> str:
    counted = {level: sum(t.level == level for t in tables) for level in _WORST_FIRST}
    told = ", ".join(f"{n} {_WORDS[level]}" for level, n in counted.items() if n)
    size = f"{len(tables)} table{'s' if len(tables) > 1 else ''}"
    rows = sum(t.rows or 0 for t in tables)
    opened = " open" if any(not t.fresh for t in tables) else ""
    body = "".join(_row(table) for table in tables)
    return (
        f'<details class="schema"{opened}><summary>{escape(schema)}'
        f"<span>{size}, {rows:,} rows: {told}</span></summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Tables of {escape(schema)}">'
        '<table><thead><tr><th scope="col">Table</th><th scope="col">State</th>'
        '<th scope="col" class="number">Rows</th><th scope="col">Newest load</th>'
        '<th scope="col">Promise</th><th scope="col">Owner</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _row(table: TableStatus) -> str:
    return (
        f'<tr><th scope="row">{escape(table.name)}</th>'
        f'<td><span class="chip {table.level}">{_WORDS[table.level]}</span></td>'
        f'<td class="number">{text(table.rows, "integer")}</td>'
        f'<td class="time">{escape(text(table.newest))}</td>'
        f'<td class="time">{escape(_promise(table.late_after_seconds))}</td>'
        f"<td>{escape(table.owner)}</td></tr>"
    )


def _promise(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    hours = seconds / 3600
    return f"within {hours:g} h" if hours < 48 else f"within {hours / 24:g} days"

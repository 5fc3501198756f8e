"""The operators on a model's query: a predicate less, a join of another kind or on another column.

They change the compiled select by its syntax alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_SHOWN = 90  # characters of a predicate in a finding


@dataclass(frozen=True)
class ChangedQuery:
    """A model's select with one fault in it."""

    operator: str
    detail: str
    sql: str


def changed_queries(sql: str, dialect: str = "duckdb") -> Iterator[ChangedQuery]:
    """Every change that the operators make to a select; none where it cannot be parsed."""
    try:
        parsed = sqlglot.parse_one(sql, dialect=dialect)
    except SqlglotError:
        return
    yield from _dropped_filters(parsed, dialect)
    yield from _wrong_joins(parsed, dialect)


def _dropped_filters(parsed: exp.Expr, dialect: str) -> Iterator[ChangedQuery]:
    for place, clause in enumerate(parsed.find_all(exp.Where, exp.Qualify, exp.Having)):
        predicates = list(clause.this.flatten()) if isinstance(clause.this, exp.And) else None
        for number, predicate in enumerate(predicates or [clause.this]):
            if _says_nothing(predicate):
                continue
            copied = parsed.copy()
            there = list(copied.find_all(exp.Where, exp.Qualify, exp.Having))[place]
            rest = [p for n, p in enumerate(predicates or [predicate]) if n != number]
            if rest:
                there.set("this", exp.and_(*(p.copy() for p in rest)))
            else:
                there.pop()
            word = clause.key
            yield _changed("dropped_filter", f"without {word} {_shown(predicate)}", copied, dialect)
    for place, join in enumerate(parsed.find_all(exp.Join)):
        on = join.args.get("on")
        if not isinstance(on, exp.And):
            continue
        predicates = list(on.flatten())
        for number, predicate in enumerate(predicates):
            if _says_nothing(predicate):
                continue
            copied = parsed.copy()
            there_join = list(copied.find_all(exp.Join))[place]
            rest = [p.copy() for n, p in enumerate(predicates) if n != number]
            there_join.set("on", exp.and_(*rest))
            detail = f"join without {_shown(predicate)}"
            yield _changed("dropped_filter", detail, copied, dialect)


def _wrong_joins(parsed: exp.Expr, dialect: str) -> Iterator[ChangedQuery]:
    for place, join in enumerate(parsed.find_all(exp.Join)):
        if join.args.get("on") is None and not join.args.get("using"):
            continue
        name = join.this.alias_or_name
        side = (join.side or "").upper()
        other = "" if side else "LEFT"
        copied = parsed.copy()
        there = list(copied.find_all(exp.Join))[place]
        there.set("side", other or None)
        there.set("kind", None if other else "INNER")
        detail = f"{other or 'inner'} join of {name} instead of {side or 'inner'}".lower()
        yield _changed("wrong_join", detail, copied, dialect)
        yield from _other_columns(parsed, place, join, dialect)


def _other_columns(
    parsed: exp.Expr, place: int, join: exp.Join, dialect: str
) -> Iterator[ChangedQuery]:
    """The first equality of the join, with another column of the joined relation."""
    on = join.args.get("on")
    if on is None:
        return
    name = join.this.alias_or_name
    select = join.parent
    for number, equality in enumerate(on.find_all(exp.EQ)):
        column = next((c for c in (equality.left, equality.right) if _is_of(c, name)), None)
        if column is None:
            continue
        others = {
            c.name
            for c in (select.find_all(exp.Column) if select else ())
            if c.table == name and c.name != column.name
        }
        for other in sorted(others):
            copied = parsed.copy()
            there = list(copied.find_all(exp.Join))[place]
            found = list(there.args["on"].find_all(exp.EQ))[number]
            wrong = found.left if _is_of(found.left, name) else found.right
            wrong.replace(exp.column(other, table=name))
            detail = f"join of {name} on {other} instead of {column.name}"
            yield _changed("wrong_join", detail, copied, dialect)
            break
        return


def _is_of(expression: exp.Expr, relation: str) -> bool:
    return isinstance(expression, exp.Column) and expression.table == relation


def _says_nothing(predicate: exp.Expr) -> bool:
    bare = predicate.unnest()
    return isinstance(bare, exp.Boolean) and bool(bare.this)


def _shown(predicate: exp.Expr) -> str:
    text = predicate.sql(dialect="duckdb", comments=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _changed(operator: str, detail: str, parsed: exp.Expr, dialect: str) -> ChangedQuery:
    return ChangedQuery(operator, detail, parsed.sql(dialect=dialect))

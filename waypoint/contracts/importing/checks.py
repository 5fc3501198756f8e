"""What check constraints of a database say, as ranges, lists, patterns and rules of a contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from waypoint.contracts.importing.draft import DraftColumn, DraftRule

#: Comparisons as read from the right: 0 < x is x > 0.
_MIRRORED: Mapping[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}


@dataclass
class Check:
    """A check constraint: its name, its condition in SQL, and what people noted about it."""

    name: str
    condition: str
    comment: str = ""


def apply_check(
    check: Check, columns: Mapping[str, DraftColumn], dialect: str
) -> DraftRule | str | None:
    """Put a constraint onto the columns that it is about.

    What is no range, list or pattern of one column comes back as a rule over the table; what
    cannot be read, as words for a person.
    """
    try:
        condition = sqlglot.parse_one(check.condition, dialect=dialect)
    except SqlglotError:
        return f"the constraint {check.name} could not be read: {check.condition}"
    left_over = [part for part in _parts(condition) if not _apply(part, columns)]
    if not left_over:
        return None
    text = " and ".join(_portable(part) for part in left_over)
    return DraftRule(
        name=check.name,
        query=f"select count(*) from {{object}} where not ({text})",
        description=check.comment,
    )


def _parts(condition: exp.Expr) -> Iterator[exp.Expr]:
    inner = condition.unnest()
    if isinstance(inner, exp.And):
        yield from _parts(inner.left)
        yield from _parts(inner.right)
    else:
        yield inner


def _apply(part: exp.Expr, columns: Mapping[str, DraftColumn]) -> bool:
    match part:
        case exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
            return _apply_comparison(part, columns)
        case exp.Between():
            column = _column(part.this, columns)
            low, high = _value(part.args["low"]), _value(part.args["high"])
            if column is None or not _is_number(low) or not _is_number(high):
                return False
            column.minimum, column.maximum = low, high
            return True
        case exp.In() | exp.EQ():
            return _apply_list(part, columns)
        case exp.RegexpLike():
            column, pattern = _column(part.this, columns), _value(part.expression)
            if column is None or not isinstance(pattern, str):
                return False
            # the contract's patterns are about the whole text
            if not (pattern.startswith("^") and pattern.endswith("$")):
                return False
            column.pattern = pattern
            return True
        case exp.Not(this=exp.Is(this=tested, expression=exp.Null())):
            column = _column(tested, columns)
            if column is not None:
                column.required = True
            return column is not None
    return False


def _apply_comparison(part: exp.Expr, columns: Mapping[str, DraftColumn]) -> bool:
    kind, tested, bound = type(part), part.this, part.expression
    if _column(tested, columns) is None:
        kind, tested, bound = _MIRRORED[kind], bound, tested
    column, value = _column(tested, columns), _value(bound)
    if column is None or not _is_number(value):
        return False
    if kind in (exp.GT, exp.LT):
        if column.logical != "integer" or not isinstance(value, int):
            return False  # a contract's bounds are allowed values themselves
        value += 1 if kind is exp.GT else -1
    if kind in (exp.GT, exp.GTE):
        column.minimum = value
    else:
        column.maximum = value
    return True


def _apply_list(part: exp.Expr, columns: Mapping[str, DraftColumn]) -> bool:
    column = _column(part.this, columns)
    if isinstance(part, exp.In):
        items = part.expressions
    else:  # PostgreSQL keeps `x in (...)` as `x = any (array[...])`
        found = part.expression
        array = found.find(exp.Array) if isinstance(found, exp.Any) else None
        items = array.expressions if array is not None else []
    values = [_value(item) for item in items]
    if column is None or not values or None in values:
        return False
    column.valid_values = values
    return True


def _column(expression: exp.Expr, columns: Mapping[str, DraftColumn]) -> DraftColumn | None:
    """The column that an expression is, through casts and brackets."""
    while isinstance(expression, exp.Cast | exp.Paren):
        expression = expression.this
    return columns.get(expression.name) if isinstance(expression, exp.Column) else None


def _value(expression: exp.Expr) -> Any:
    while isinstance(expression, exp.Cast | exp.Paren):
        expression = expression.this
    if isinstance(expression, exp.Neg):
        value = _value(expression.this)
        return -value if _is_number(value) else None
    if not isinstance(expression, exp.Literal):
        return None
    if expression.is_string:
        return str(expression.this)
    text = str(expression.this)
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _portable(part: exp.Expr) -> str:
    """The condition without PostgreSQL's casts of texts to text, lowercase, names unquoted."""

    def plain(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Cast) and node.to.this in exp.DataType.TEXT_TYPES:
            inner: exp.Expr = node.this.transform(plain)
            return inner
        if isinstance(node, exp.Identifier):
            return exp.to_identifier(node.name, quoted=False)
        return node

    return part.transform(plain).sql(dialect="duckdb", normalize_functions="lower")

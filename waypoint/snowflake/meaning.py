"""What a qualified query shows: how it groups, where windows have no order, what names it gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlglot import exp

from waypoint.snowflake.documented import TYPES, reserved_words
from waypoint.snowflake.statement import Remark

_NEEDS_ORDER = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.Lag, exp.Lead, exp.FirstValue,
    exp.LastValue, exp.NthValue, exp.CumeDist, exp.PercentRank,
)  # fmt: skip
_IN_ANY_ORDER = (exp.GroupConcat, exp.ArrayAgg)
_BY_CHANCE = (exp.Rand, exp.Randn, exp.Uuid, exp.AnyValue)


def line_of(node: exp.Expr) -> int | None:
    """The line of the compiled text that the node, or the first known part of it, stands on."""
    for part in node.walk():
        if part.meta.get("line"):
            return int(part.meta["line"])
    return None


def nodes_by_type(tree: exp.Expr) -> Mapping[type[exp.Expr], list[Any]]:
    """All nodes of a tree; no nodes of a type are an empty list."""
    nodes: dict[type[exp.Expr], list[Any]] = defaultdict(list)
    for node in tree.walk():  # once: walking is most of what the gate costs
        nodes[type(node)].append(node)
    return nodes


def written(nodes: Mapping[type[exp.Expr], list[Any]]) -> Iterator[Remark]:
    """Remarks on the nodes of a tree as it was written, before names are resolved."""
    yield from _reserved(nodes[exp.Identifier])
    yield from _types([*nodes[exp.Cast], *nodes[exp.TryCast]])
    for window in nodes[exp.Window]:
        yield from _window(window)
    for select in nodes[exp.Select]:
        yield from _limits(select)
        qualifying = select.args.get("qualify")
        if qualifying and not _has_window(qualifying, select):
            yield Remark(
                "grouping",
                "qualify without a window function",
                "write where, or having behind group by",
                line_of(qualifying),
            )
        for clause, name in (("where", "where"), ("group", "group by"), ("having", "having")):
            part = select.args.get(clause)
            if part and next(_within(part, exp.Window), None):
                yield Remark(
                    "grouping", f"a window function in {name}", "use qualify", line_of(part)
                )
    for kind in _IN_ANY_ORDER:
        for gathered in nodes[kind]:
            if not isinstance(gathered.parent, exp.WithinGroup) and not gathered.find(exp.Order):
                yield Remark(
                    "determinism",
                    f"{gathered.sql_name().lower()} in no order gives another text each time",
                    "add within group (order by ...)",
                    line_of(gathered),
                )
    for drawn in (one for kind in _BY_CHANCE for one in nodes[kind]):
        yield Remark(
            "determinism",
            f"{drawn.sql_name().lower()} gives another value each time",
            "use a value that follows from the row: min, max_by, md5 of the key",
            line_of(drawn),
        )


def resolved(tree: exp.Expr) -> Iterator[Remark]:
    """Remarks on the tree when every column has its table: grouping above all."""
    for select in tree.find_all(exp.Select):
        yield from _grouping(select)


def _reserved(names: Iterable[exp.Identifier]) -> Iterator[Remark]:
    for name in names:
        if not name.args.get("quoted") and name.name.lower() in reserved_words():
            yield Remark(
                "reserved word",
                f"{name.name.lower()} is a reserved word and names nothing on Snowflake",
                "take another name",
                line_of(name),
            )


def _types(casts: Iterable[exp.Cast]) -> Iterator[Remark]:
    for cast in casts:
        to = cast.to
        if to.this in _COMMON:
            continue
        name = to.sql("duckdb").lower().partition("(")[0]
        plain = to.sql("snowflake").lower().partition("(")[0]
        known = {"int128": "hugeint", "uint": "uinteger"}.get(name, name)
        if to.this in _FOREIGN or plain not in TYPES:
            yield Remark(
                "type",
                f"Snowflake has no type {known}",
                "cast to a type that contracts know: bigint, decimal(p,s), varchar ...",
                line_of(cast),
            )


_COMMON = frozenset(
    {
        exp.DataType.Type.VARCHAR, exp.DataType.Type.BIGINT, exp.DataType.Type.DECIMAL,
        exp.DataType.Type.DOUBLE, exp.DataType.Type.DATE, exp.DataType.Type.BOOLEAN,
        exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ,
    }
)  # fmt: skip
_FOREIGN = frozenset(
    getattr(exp.DataType.Type, name)
    for name in (
        "INT128", "UINT128", "UBIGINT", "UINT", "USMALLINT", "UTINYINT", "UUID", "JSON", "BIT",
        "ENUM", "LIST", "STRUCT", "NESTED", "INTERVAL", "UNION", "BLOB", "HUGEINT",
    )
    if hasattr(exp.DataType.Type, name)
)  # fmt: skip


def _window(window: exp.Window) -> Iterator[Remark]:
    function = window.this
    while isinstance(function, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
        function = function.this
    order = window.args.get("order")
    name = function.sql_name().lower() if isinstance(function, exp.Func) else "a window"
    if order is None:
        if isinstance(function, _NEEDS_ORDER):
            yield Remark(
                "determinism",
                f"{name} over rows in no order gives another answer each time",
                "add order by, down to the key",
                line_of(window),
            )
        return
    constants = [
        item for item in order.expressions if not item.find(exp.Column, exp.Func, exp.Subquery)
    ]
    if len(constants) == len(order.expressions):
        yield Remark(
            "determinism",
            f"{name} is ordered by a constant, which is no order",
            "order by columns, down to the key",
            line_of(window),
        )


def _limits(select: exp.Select) -> Iterator[Remark]:
    limit = select.args.get("limit")
    if limit is not None and select.args.get("order") is None and limit.name != "0":
        expression = limit.args.get("expression")
        if expression is None or expression.name != "0":
            yield Remark(
                "determinism",
                "limit without order by takes other rows each time",
                "add order by, or qualify row_number() over (...) = 1",
                line_of(limit) or line_of(select),
            )


def _has_window(clause: exp.Expr, select: exp.Select) -> bool:
    if next(_within(clause, exp.Window), None):
        return True
    windows = {s.alias_or_name.lower() for s in select.selects if s.find(exp.Window)}
    return any(column.name.lower() in windows for column in clause.find_all(exp.Column))


def _within(node: exp.Expr, *kinds: type[exp.Expr]) -> Iterator[exp.Expr]:
    """Nodes of some kinds below a clause, those of its subqueries aside."""
    for part in node.walk(prune=lambda n: isinstance(n, exp.Query) and n is not node):
        if isinstance(part, kinds):
            yield part


def _grouping(select: exp.Select) -> Iterator[Remark]:
    where = select.args.get("where")
    if where:
        for found in _within(where, exp.AggFunc):
            if not isinstance(found.parent, exp.Window) and not _is_window_argument(found):
                yield Remark("grouping", "an aggregate in where", "use having", line_of(found))
    group = select.args.get("group")
    outputs = [item.unalias() for item in select.selects]
    clauses = [*outputs]
    for name in ("having", "qualify", "order"):
        if select.args.get(name):
            clauses.append(select.args[name])
    if group is None and not any(True for item in outputs for _ in _aggregates(item)):
        if select.args.get("having"):
            yield Remark("grouping", "having without groups", "use where", line_of(select))
        return
    if group is not None and (group.args.get("all") or _sets(group)):
        return
    keys = {key.sql("snowflake") for key in (group.expressions if group else ())}
    names = {s.alias for s in select.selects if isinstance(s, exp.Alias)}
    for clause in clauses:
        for column in _loose(clause, keys):
            if not column.table and column.name in names:
                continue
            yield Remark(
                "grouping",
                f"{column.name.lower()} is neither grouped by nor within an aggregate",
                "add it to group by, or aggregate it",
                line_of(column) or line_of(select),
            )
    for item in clauses:
        for outer in _aggregates(item):
            inner = next((a for a in _arguments(outer) for _ in _aggregates(a)), None)
            if inner is not None:
                yield Remark(
                    "grouping",
                    "an aggregate within an aggregate",
                    "aggregate in two steps",
                    line_of(outer),
                )


def _sets(group: exp.Group) -> bool:
    return any(group.args.get(kind) for kind in ("grouping_sets", "cube", "rollup"))


def _arguments(function: exp.Expr) -> Iterable[exp.Expr]:
    """What an aggregate is computed of; for `f(x) within group (order by y)`, x and y."""
    if isinstance(function, exp.WithinGroup):
        return [*function.this.iter_expressions(), function.expression]
    return function.iter_expressions()


def _is_window_argument(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
        parent = parent.parent
    return isinstance(parent, exp.Window)


def _aggregates(node: exp.Expr) -> Iterator[exp.Expr]:
    """Aggregates over groups (not windows) that are not within another one."""
    if isinstance(node, exp.Query):
        return
    if isinstance(node, exp.AggFunc | exp.WithinGroup) and not _is_window_argument(node):
        yield node
        return
    for part in node.iter_expressions():
        yield from _aggregates(part)


def _loose(node: exp.Expr, keys: set[str]) -> Iterator[exp.Column]:
    """Columns that are neither part of a group's key nor within an aggregate."""
    if isinstance(node, exp.Query):
        return  # what a correlated subquery reads is not looked at
    if isinstance(node, exp.AggFunc | exp.WithinGroup) and not _is_window_argument(node):
        return
    if keys and node.sql("snowflake") in keys:
        return
    if isinstance(node, exp.Column):
        yield node
        return
    for part in node.iter_expressions():
        yield from _loose(part, keys)

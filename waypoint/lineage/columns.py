"""Which source columns each output column of a query is made of, and which decide its rows.

The query is qualified by sqlglot (every star expanded, every column given its table), then each
scope is traced once, from the outermost select down to the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from waypoint.errors import WaypointError

#: Columns of every table that a query may read: {"schema.table": ("column", ...)}.
TableColumns = Mapping[str, Iterable[str]]


class UntraceableQuery(WaypointError):
    """A query that cannot be parsed, or that names a column which no table has."""


@dataclass(frozen=True, order=True)
class ColumnRef:
    """A column of a table; `table` is `schema.table`, both in lower case."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


Refs = frozenset[ColumnRef]
_Kind = TypeVar("_Kind", Scope, exp.Table)
_NONE: Refs = frozenset()


@dataclass(frozen=True)
class QueryLineage:
    """What a query is made of.

    `outputs` maps each output column, in order, to the columns whose values it carries (through
    expressions, aggregates and windows too); `deciding` are the columns that only decide which
    rows there are, or how they are grouped: filters, join conditions, group by, qualify. `tables`
    are those whose rows it reads, be it only to count them.
    """

    outputs: Mapping[str, Refs]
    deciding: Refs
    tables: frozenset[str] = frozenset()

    @property
    def reads(self) -> Refs:
        """Every column that the query could not do without."""
        return self.deciding.union(*self.outputs.values())


def trace(sql: str, tables: TableColumns, dialect: str = "duckdb") -> QueryLineage:
    """The lineage of one select statement.

    Args:
        sql: compiled SQL; names may be quoted and may carry a catalog.
        tables: the columns of the tables it may read, to expand `*` and to place bare columns.
        dialect: "duckdb" or "snowflake".

    Raises:
        UntraceableQuery: not one parseable select, or a column that no table has.
    """
    try:
        parsed = sqlglot.parse_one(sql, dialect=dialect)
        for table in parsed.find_all(exp.Table):
            table.set("catalog", None)
        qualified = qualify(
            parsed,
            schema=_schema(tables, dialect),
            dialect=dialect,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        scope = build_scope(qualified)
    except SqlglotError as error:
        raise UntraceableQuery(f"not traceable: {str(error).splitlines()[0]}") from None
    if scope is None:
        raise UntraceableQuery("not traceable: not a select statement")
    return _Tracer().query(scope)


def _schema(tables: TableColumns, dialect: str) -> dict[str, Any]:
    # Snowflake folds unquoted names to upper case; the columns are compared in lower case below
    fold = str.upper if dialect == "snowflake" else str.lower
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for name, columns in tables.items():
        database, _, table = name.rpartition(".")
        schema.setdefault(fold(database), {})[fold(table)] = {
            fold(column): "unknown" for column in columns
        }
    return dict(schema)


class _Tracer:
    """Traces the scopes of one query, each once."""

    def __init__(self) -> None:
        self._done: dict[int, QueryLineage] = {}
        self._underway: set[int] = set()

    def query(self, scope: Scope) -> QueryLineage:
        key = id(scope)
        if key in self._underway:  # a recursive CTE reads itself: that adds no other source
            return QueryLineage({}, _NONE)
        if key not in self._done:
            self._underway.add(key)
            expression = scope.expression
            is_set = isinstance(expression, exp.SetOperation)
            self._done[key] = self._union(scope) if is_set else self._select(scope)
            self._underway.discard(key)
        return self._done[key]

    def _union(self, scope: Scope) -> QueryLineage:
        branches = [self.query(branch) for branch in scope.set_operation_scopes]
        outputs = {
            name: frozenset().union(*(_nth(branch.outputs, position) for branch in branches))
            for position, name in enumerate(branches[0].outputs)
        }
        deciding = frozenset().union(*(branch.deciding for branch in branches))
        if _drops_repeated_rows(scope.expression):
            deciding = deciding.union(*outputs.values())
        tables = frozenset[str]().union(*(branch.tables for branch in branches))
        return QueryLineage(outputs, deciding, tables)

    def _select(self, scope: Scope) -> QueryLineage:
        select = scope.expression
        if not isinstance(select, exp.Select):
            return QueryLineage({}, self._refs(select, scope))
        outputs: dict[str, Refs] = {}
        deciding = frozenset().union(*(self._refs(c, scope) for c in _row_clauses(select)))
        for item in select.selects:
            name = item.alias_or_name.lower()
            # a star that is left is one of tables whose columns nobody knows
            outputs[name] = self._starred(scope) if item.is_star else self._refs(item, scope)
        if select.args.get("distinct"):
            deciding = deciding.union(*outputs.values())
        tables = {_name(source) for source in self._used_sources(scope, exp.Table)}
        for source in (*self._used_sources(scope, Scope), *scope.subquery_scopes):
            nested = self.query(source)
            deciding |= nested.deciding
            tables |= nested.tables
        return QueryLineage(outputs, deciding, frozenset(tables - {""}))

    def _used_sources(self, scope: Scope, kind: type[_Kind]) -> Iterator[_Kind]:
        for _, source in scope.selected_sources.values():
            if isinstance(source, kind):
                yield source

    def _refs(self, node: exp.Expr, scope: Scope) -> Refs:
        """The source columns under `node`, and those of the subqueries in it."""
        refs: set[ColumnRef] = set()
        subqueries = {id(s.expression): s for s in scope.subquery_scopes}
        for part in node.walk(prune=lambda n: isinstance(n, exp.Query) and n is not node):
            if isinstance(part, exp.Column):
                refs |= self._column(part, scope)
            elif isinstance(part, exp.Query) and part is not node:
                inner = part.unnest() if isinstance(part, exp.Subquery) else part
                nested = subqueries.get(id(inner)) or subqueries.get(id(part))
                if nested is not None:
                    refs |= frozenset().union(*self.query(nested).outputs.values())
        return frozenset(refs)

    def _starred(self, scope: Scope) -> Refs:
        tables = {_name(source) for source in self._used_sources(scope, exp.Table)}
        nested = (self.query(s).outputs.get("*", _NONE) for s in self._used_sources(scope, Scope))
        return frozenset(ColumnRef(table, "*") for table in tables).union(*nested)

    def _column(self, column: exp.Column, scope: Scope) -> Refs:
        source = _source(column.table, scope)
        name = column.name.lower()
        if source is None and not column.table:
            named = _named_output(column, scope)
            if named is not None:
                return self._refs(named, scope)
            if len(scope.selected_sources) == 1:  # a table whose columns nobody knows
                ((_, source),) = scope.selected_sources.values()
        if isinstance(source, Scope):
            if source.is_udtf or not isinstance(source.expression, exp.Query):
                return self._refs(source.expression, scope)
            outputs = self.query(source).outputs
            passed_on = (ColumnRef(ref.table, name) for ref in outputs.get("*", _NONE))
            return outputs.get(name, frozenset(passed_on))
        if isinstance(source, exp.Table):
            if isinstance(source.this, exp.Func):  # a table function: made of its arguments
                return self._refs(source.this, scope)
            return frozenset({ColumnRef(_name(source), name)})
        return _NONE


def _name(table: exp.Table) -> str:
    """`schema.table`; empty for a table function."""
    return "" if isinstance(table.this, exp.Func) else f"{table.db}.{table.name}".lower()


def _source(name: str, scope: Scope) -> Scope | exp.Expr | None:
    """What `name` stands for in the scope, or in one around it for a correlated subquery."""
    around: Scope | None = scope
    while around is not None:
        if name in around.sources:
            return around.sources[name]
        around = around.parent
    return None


def _named_output(column: exp.Column, scope: Scope) -> exp.Expr | None:
    """The output of the select that a bare name stands for, in `order by` above all."""
    select = scope.expression
    for item in select.selects if isinstance(select, exp.Select) else ():
        is_named = isinstance(item, exp.Alias) and item.alias.lower() == column.name.lower()
        if is_named and not any(part is column for part in item.walk()):
            return item
    return None


def _row_clauses(select: exp.Select) -> Iterator[exp.Expr]:
    """The clauses that decide which rows a select gives, or how it groups them."""
    for name in ("where", "group", "having", "qualify"):
        if select.args.get(name):
            yield select.args[name]
    if select.args.get("limit") and select.args.get("order"):
        yield select.args["order"]
    for join in select.args.get("joins") or ():
        if join.args.get("on"):
            yield join.args["on"]


def _drops_repeated_rows(operation: exp.Expr) -> bool:
    return not isinstance(operation, exp.Union) or bool(operation.args.get("distinct"))


def _nth(outputs: Mapping[str, Refs], position: int) -> Refs:
    values = list(outputs.values())
    return values[position] if position < len(values) else _NONE

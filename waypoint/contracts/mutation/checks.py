"""What `dbt build` checks after a table is built, taken from dbt's compiled manifest.

The test of a contract is one query over all rules of its table. Here it is taken apart, so that
each damage is asked of the rules only that read what was damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

#: What the damaged table is called in the queries of checks.
SUBJECT = "subject"

_TABLES = ("model", "seed", "snapshot", "source")


@dataclass(frozen=True)
class Check:
    """One rule of a contract, or one data test of the project.

    `table` is the table whose contract it is of, None for a data test. `over_rows` tells that
    `expression` is an aggregate over the rows of that table, and not a query of its own that gives
    one number.
    """

    name: str
    table: str | None
    warning: bool
    over_rows: bool
    expression: exp.Expr
    reads: frozenset[str]  # tables, as schema.table
    names: frozenset[str] | None  # columns that are named in it; None where it reads all

    @property
    def kind(self) -> str:
        return "contract" if self.table else "data test"

    def concerns(self, column: str | None) -> bool:
        """Whether damage to this column, or to rows where it is None, could be noticed by it."""
        return column is None or self.names is None or column.lower() in self.names

    def of_subject(self, table: str) -> str:
        """The SQL that gives the number of violations, with the damaged rows for `table`."""
        return _sql(self.expression, table)


@dataclass(frozen=True)
class Compiled:
    """What the compiled manifest says of the project's tables."""

    checks: tuple[Check, ...]
    models: Mapping[str, str]  # the select of each model, by table
    relations: Mapping[str, str]  # how a table is named in SQL
    enforced: frozenset[str]  # tables whose columns and types dbt enforces

    def reading(self, table: str) -> list[Check]:
        """The checks that read a table: its own rules first, then those of others."""
        found = [check for check in self.checks if table in check.reads]
        return sorted(found, key=lambda check: check.table != table)


def compiled(manifest: Mapping[str, Any]) -> Compiled:
    """What a manifest whose nodes are compiled says.

    A check that cannot be parsed is left out, so that it notices nothing.
    """
    known: dict[str, Any] = {
        unique_id: node
        for unique_id, node in {**manifest["nodes"], **manifest["sources"]}.items()
        if node["resource_type"] in _TABLES
    }
    checks: list[Check] = []
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("compiled_code"):
            try:
                checks.extend(_checks(node, known))
            except SqlglotError:
                continue
    return Compiled(
        checks=tuple(checks),
        models={
            table_of(node): node["compiled_code"]
            for node in known.values()
            if node["resource_type"] == "model" and node.get("compiled_code")
        },
        relations={table_of(node): node["relation_name"] for node in known.values()},
        enforced=frozenset(table_of(node) for node in known.values() if _is_enforced(node)),
    )


def table_of(node: Mapping[str, Any]) -> str:
    """The full name of the table that a node makes or stands for."""
    name = node.get("alias") or node.get("identifier") or node["name"]
    return f"{node['schema']}.{name}".lower()


def table_name(table: exp.Table) -> str:
    """The full name of a table in a query, without its catalog."""
    return f"{table.db}.{table.name}".lower() if table.db else table.name.lower()


def _is_enforced(node: Mapping[str, Any]) -> bool:
    config = node.get("config") or {}
    if node["resource_type"] == "seed":
        return bool(config.get("column_types"))
    return bool((config.get("contract") or {}).get("enforced"))


def _checks(node: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Check]:
    warning = str((node.get("config") or {}).get("severity", "error")).lower() == "warn"
    parsed = sqlglot.parse_one(node["compiled_code"], dialect="duckdb")
    if (node.get("test_metadata") or {}).get("name") == "contract_rules":
        table = _tested(node, known)
        if table is not None:
            yield from _rules(parsed, table)
        return
    named = exp.TableAlias(this=exp.to_identifier("failing"))
    counted = exp.select("count(*)").from_(exp.Subquery(this=parsed, alias=named))
    yield _check(node["name"], None, warning, False, counted)


def _tested(node: Mapping[str, Any], known: Mapping[str, Any]) -> str | None:
    attached = str(node.get("attached_node"))
    if attached in known:
        return table_of(known[attached])
    name = str(node["name"]).rpartition("__")[0]
    for unique_id in (node.get("depends_on") or {}).get("nodes", []):
        if unique_id in known and known[unique_id]["name"] == name:
            return table_of(known[unique_id])
    return None


def _rules(parsed: exp.Expr, table: str) -> Iterator[Check]:
    """The rules that one contract test counts; see macros/contracts/contract_rules.sql."""
    parts = {cte.alias: cte.this for cte in parsed.find_all(exp.CTE)}
    over_rows = {}
    if "counted" in parts:
        over_rows = {item.alias: item.this for item in parts["counted"].expressions}
    for branch in _branches(parts["checked"]):
        named, severity, counted = branch.expressions
        name = named.this.this.this  # cast('...' as varchar) as rule
        warning = severity.this.this.this == "warning"
        counted = counted.unalias()
        if counted.name in over_rows and not branch.find(exp.Subquery):
            yield _check(name, table, warning, True, over_rows[counted.name])
        else:
            yield _check(name, table, warning, False, exp.select(counted).from_(_source(branch)))


def _source(branch: exp.Select) -> exp.Expr:
    source: exp.Expr = branch.args["from_" if "from_" in branch.args else "from"].this
    return source


def _branches(query: exp.Expr) -> list[exp.Select]:
    """The selects of a union, in order; unions nest as deep as there are rules."""
    found: list[exp.Select] = []
    pending: list[exp.Expr] = [query]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Union):
            pending += [part.right, part.left]
        elif isinstance(part, exp.Select):
            found.append(part)
    return found


def _check(
    name: str, table: str | None, warning: bool, over_rows: bool, expression: exp.Expr
) -> Check:
    reads = {table_name(found) for found in expression.find_all(exp.Table) if found.db}
    if over_rows and table is not None:
        reads.add(table)
    return Check(
        name=name,
        table=table,
        warning=warning,
        over_rows=over_rows,
        expression=expression,
        reads=frozenset(reads),
        names=_names(expression),
    )


def _names(expression: exp.Expr) -> frozenset[str] | None:
    for star in expression.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            return None
    return frozenset(found.name.lower() for found in expression.find_all(exp.Identifier))


def _sql(expression: exp.Expr, table: str) -> str:
    copied = expression.copy()
    for found in list(copied.find_all(exp.Table)):
        if found.db and table_name(found) == table:
            found.replace(exp.to_table(SUBJECT).as_(found.alias or found.name))
    return copied.sql(dialect="duckdb")

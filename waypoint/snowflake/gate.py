"""The static gate: what Snowflake would refuse or read otherwise, told without an account.

A query is looked at four times: its tokens (syntax.py), the tree as written and the tree with every
name resolved against the contracts (meaning.py), and the types (value_types.py).
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from waypoint.contracts.model import Contracts
from waypoint.snowflake import meaning, syntax, value_types
from waypoint.snowflake.statement import Finding, Remark, Statement

_DIALECT = sqlglot.Dialect.get_or_raise("snowflake")
_UNKNOWN_NAME = re.compile(r"column '?\"?(?P<name>[^'\"]+)", re.I)


class Gate:
    """Judges statements against the contracts of a project."""

    def __init__(self, contracts: Contracts) -> None:
        tables: dict[str, dict[str, dict[str, str]]] = {}
        for contract in contracts.tables:
            columns = {c.name.upper(): c.physical_type for c in contract.columns}
            tables.setdefault(contract.schema.upper(), {})[contract.name.upper()] = columns
        for contract in contracts.tables:  # the name without a number leads to the oldest version
            if contract.versioned_as:
                columns = tables[contract.schema.upper()][contract.name.upper()]
                tables[contract.schema.upper()].setdefault(contract.family.upper(), columns)
        self._tables = tables
        self._schema = MappingSchema(dict(tables), dialect=_DIALECT)

    def findings(self, statement: Statement, root: Path = Path()) -> list[Finding]:
        """Everything that is wrong with a statement, each thing once.

        Args:
            root: what `statement.file` is relative to; lines are looked up there.
        """
        compiled = statement.sql.split("\n")
        source = _lines(root / statement.file)
        found: dict[tuple[str, str, int | None], Finding] = {}
        for remark in self._remarks(statement):
            text = compiled[remark.at - 1].strip() if remark.at else ""
            found.setdefault(
                (remark.rule, remark.problem, remark.at),
                Finding(
                    file=statement.file,
                    line=_line(source, text),
                    rule=remark.rule,
                    problem=remark.problem,
                    mend=remark.mend,
                    name=statement.name,
                    variant=statement.variant,
                    compiled=text,
                ),
            )
        return list(found.values())

    def _remarks(self, statement: Statement) -> Iterator[Remark]:
        sql = statement.sql
        try:
            tokens = _DIALECT.tokenize(sql)
            told = list(syntax.remarks(sql, tokens))
            yield from told
            parsed = [tree for tree in _DIALECT.parser().parse(tokens, sql) if tree is not None]
        except (SqlglotError, RecursionError) as error:
            yield _unparsed(error)
            return
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
            yield Remark("syntax", "not one select statement", "write one select")
            return
        tree = parsed[0]
        nodes = meaning.nodes_by_type(tree)
        yield from meaning.written(nodes)
        unknown = list(self._unknown_tables(nodes[exp.Table], nodes[exp.CTE]))
        yield from unknown
        if unknown or any(remark.rule in ("syntax", "quotes") for remark in told):
            return  # what follows would only say the same in other words
        _lend_types(nodes[exp.Anonymous])
        yield from self._resolved(tree, statement)

    def _resolved(self, tree: exp.Query, statement: Statement) -> Iterator[Remark]:
        try:
            qualified = qualify(
                tree, schema=self._schema, dialect=_DIALECT, quote_identifiers=False
            )
        except (SqlglotError, RecursionError) as error:
            yield self._unresolved(error, tree)
            return
        yield from meaning.resolved(qualified)
        typed = annotate_types(qualified, schema=self._schema, dialect=_DIALECT)
        yield from value_types.meant(typed)
        if statement.columns is not None and isinstance(typed, exp.Query):
            yield from value_types.promised(typed, statement.columns)

    def _unresolved(self, error: Exception, tree: exp.Expr) -> Remark:
        text = re.sub(r"\x1b\[\d+m", "", str(error)).split("\n")[0].rstrip(".")
        match = _UNKNOWN_NAME.search(text)
        name = match["name"].upper().rpartition(".")[2] if match else ""
        columns = [c for c in tree.find_all(exp.Column) if c.name.upper() == name]
        at = next((meaning.line_of(column) for column in columns), None)
        if any(self._is_ambiguous(column) for column in columns):
            problem = f"{name.lower()} is a column of more than one table"
            return Remark("ambiguous", problem, "write the table in front of it", at)
        mend = "name a column of the tables that it reads; contracts say which there are"
        return Remark("names", text, mend, at)

    def _is_ambiguous(self, column: exp.Column) -> bool:
        select = column.find_ancestor(exp.Select)
        if column.table or select is None:
            return False
        joined = [select.args.get("from_"), *(select.args.get("joins") or ())]
        tables = [part.this for part in joined if part and isinstance(part.this, exp.Table)]
        having = [
            table
            for table in tables
            if column.name.upper()
            in self._tables.get(table.db.upper(), {}).get(table.name.upper(), {})
        ]
        return len(having) > 1

    def _unknown_tables(
        self, tables: Sequence[exp.Table], ctes: Sequence[exp.CTE]
    ) -> Iterator[Remark]:
        steps = {cte.alias_or_name.upper() for cte in ctes}
        for table in tables:
            table.set("catalog", None)
            if isinstance(table.this, exp.Func) or (not table.db and table.name.upper() in steps):
                continue
            if table.name.upper() not in self._tables.get(table.db.upper(), {}):
                name = f"{table.db}.{table.name}".strip(".").lower()
                yield Remark(
                    "names",
                    f"{name} is no table under contract",
                    "read tables by ref() and source(), which have contracts",
                    meaning.line_of(table),
                )


def _lend_types(calls: Sequence[exp.Anonymous]) -> None:
    """Say of functions that the parser does not know what they give."""
    for call in calls:
        returned = value_types.RETURNS.get(call.name.upper())
        if returned is not None and not isinstance(call.parent, exp.Cast):
            lent = exp.cast(call.copy(), returned, dialect="snowflake")
            lent.meta.update(call.meta)
            call.replace(lent)


def _unparsed(error: Exception) -> Remark:
    if isinstance(error, sqlglot.ParseError) and error.errors:
        first = error.errors[0]
        near = f"{first.get('start_context', '')[-30:]}{first.get('highlight', '')}"
        problem = f"{first.get('description')}, near {' '.join(near.split())!r}"
        return Remark("syntax", problem, "correct the SQL", int(first.get("line") or 0) or None)
    text = re.sub(r"\x1b\[\d+m", "", str(error)).split("\n")[0] or "nested too deeply"
    return Remark("syntax", text, "correct the SQL")


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return []


def _line(source: list[str], text: str) -> int | None:
    """The line of the source that is `text`; None where there is none, or more than one."""
    return source.index(text) + 1 if text and source.count(text) == 1 else None


def judge(contracts: Contracts, statements: Sequence[Statement], root: Path) -> list[Finding]:
    """The findings of all statements, in the order of files; each of a query's lines once.

    Many statements are shared by a process for each core.
    """
    cores = min(os.cpu_count() or 1, _MOST_PROCESSES)
    if cores == 1 or len(statements) < _WORTH_PROCESSES:
        gate = Gate(contracts)
        found = [finding for one in statements for finding in gate.findings(one, root)]
    else:
        longest_first = sorted(statements, key=lambda one: -len(one.sql))
        with ProcessPoolExecutor(
            cores, multiprocessing.get_context("spawn"), _begin, (contracts, root)
        ) as pool:
            found = [f for part in pool.map(_of_one, longest_first, chunksize=2) for f in part]
    each = {(f.file, f.compiled, f.rule, f.problem): f for f in reversed(found)}
    return sorted(each.values(), key=lambda f: (str(f.file), f.line or 0, f.rule, f.problem))


_MOST_PROCESSES = 4
_WORTH_PROCESSES = 40  # statements; fewer are judged before another process has started
#: Trees are rings of many small objects, which Python would look through again and again.
_BETWEEN_COLLECTIONS = 30  # statements
_judged = 0
_here: tuple[Gate, Path] | None = None  # of a process that judges


def _begin(contracts: Contracts, root: Path) -> None:
    global _here
    _here = Gate(contracts), root
    gc.freeze()
    gc.disable()


def _of_one(statement: Statement) -> list[Finding]:
    global _judged
    assert _here is not None
    gate, root = _here
    _judged += 1
    if _judged % _BETWEEN_COLLECTIONS == 0:
        gc.collect()
    return gate.findings(statement, root)

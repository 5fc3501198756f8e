"""Rules in SQL: parsed by both dialects, about tables and columns that exist, with a reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from waypoint.contracts.documents import Entry, InvalidContract
from waypoint.contracts.linting.finding import (
    ContractFile,
    Finding,
    maps,
    with_inner_columns,
    words,
)
from waypoint.contracts.reading import contract_of
from waypoint.contracts.rules import table_rules

DIALECTS = ("duckdb", "snowflake")
_BRACES = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OBJECT = "the_object_itself"
_LONGEST = 20_000  # characters of a query

#: The columns of every table and topic by full name.
Tables = Mapping[str, Mapping[str, str]]


def rules(file: ContractFile, tables: Tables) -> Iterator[Finding]:
    """Every quality rule: that something runs it, that it says why, and that its query is sound."""
    generated = _generated(file)
    seen: dict[str, int] = {}
    holders = [file.table, *(column for column, _ in with_inner_columns(file.columns))]
    for holder in holders:
        for check in maps(holder, "quality"):
            if check.get("type") == "sql":
                yield from _written(file, check, tables)
                name = words(check, "name")
                if name in seen:
                    problem = f"{name} is the name of two rules; the other is on line {seen[name]}"
                    yield file.finding(
                        check, "name", "rule", problem, "name each after its meaning"
                    )
                elif generated[name] > 1:
                    problem = f"{name} is what a rule is called that a column brings by itself"
                    yield file.finding(check, "name", "rule", problem, "name it otherwise")
                seen.setdefault(name, check.line_of("name"))
            elif check.get("metric") != "invalidValues" or holder is file.table:
                what = check.get("metric") or check.get("type") or "text"
                problem = f"nothing runs a rule of the kind {what}"
                mend = "write it with `type: sql`; for a closed list: metric invalidValues"
                yield file.finding(check, "metric", "rule", problem, mend)


def references(file: ContractFile, tables: Tables) -> Iterator[Finding]:
    """Relationships to tables and columns that exist, and are of the same type."""
    by_table = {name.partition(".")[2]: columns for name, columns in tables.items()}
    for column, _ in with_inner_columns(file.columns):
        relations = maps(column, "relationships")
        name = words(column, "name")
        for extra in relations[1:]:
            problem = f"{name}: a second relationship, which nothing checks"
            yield file.finding(extra, "to", "relationship", problem, "write a rule in SQL for it")
        for relation in relations[:1]:
            to = words(relation, "to")
            table, _, field = to.rpartition(".")
            target = tables.get(table) or by_table.get(table)
            if target is None:
                close = get_close_matches(table, by_table, 1)
                mend = f"write {close[0]}.{field}" if close else "write <table>.<column>"
                problem = f"{name} refers to {to or 'nothing'}: there is no such table"
                yield file.finding(relation, "to", "relationship", problem, mend)
            elif field not in target:
                close = get_close_matches(field, target, 1)
                mend = f"write {table}.{close[0]}" if close else "name a column of that table"
                problem = f"{name} refers to {to}: there is no such column"
                yield file.finding(relation, "to", "relationship", problem, mend)
            elif target[field] != words(column, "physicalType"):
                problem = f"{name} is {words(column, 'physicalType')}, and {to} is {target[field]}"
                yield file.finding(
                    relation, "to", "relationship", problem, "make both of the same type"
                )


def _generated(file: ContractFile) -> Counter[str]:
    """How many rules are called what, written ones and those that come with the columns."""
    try:
        contract = contract_of(file.path, file.document)
        return Counter(rule["name"] for rule in table_rules(contract))
    except (InvalidContract, TypeError, ValueError, AttributeError):
        return Counter()  # the reader's complaint is a finding of its own


def _written(file: ContractFile, check: Entry, tables: Tables) -> Iterator[Finding]:
    name = words(check, "name")
    if not _NAME.fullmatch(name):
        problem = f"a rule is called {name!r}" if name else "a rule has no name"
        mend = "name the invariant in snake_case: never_more_than_the_charge"
        yield file.finding(check, "name", "rule", problem, mend)
    if not words(check, "description"):
        problem = f"{name or 'a rule'} gives no reason"
        mend = "add a description: why it matters, and what is wrong where it breaks"
        yield file.finding(check, "description", "rule", problem, mend)
    if check.get("severity", "error") not in ("error", "warning"):
        problem = f"{name}: severity {check.get('severity')!r} is neither error nor warning"
        yield file.finding(check, "severity", "rule", problem, "write error or warning")
    if check.get("mustBe") != 0:
        problem = f"{name}: a rule counts what is wrong, and nothing else than 0 is checked"
        yield file.finding(check, "mustBe", "rule", problem, "write `mustBe: 0`")
    problem, mend = _wrong_with(words(check, "query"), file, tables)
    if problem:
        yield file.finding(check, "query", "rule", f"{name}: {problem}", mend)


def _wrong_with(query: str, file: ContractFile, tables: Tables) -> tuple[str, str]:
    """What is wrong with a query and what to do about it; two empty texts where nothing is."""
    if not query:
        return "no query", 'write query: "select count(*) from {object} where <what is wrong>"'
    if len(query) > _LONGEST:
        return f"longer than {_LONGEST:,} characters", "make it a dbt test of its own"
    known = {f"{file.folder}.{file.table_name}": file.types, **tables}
    for name in _BRACES.findall(query):
        if name != "object" and name not in known:
            close = get_close_matches(name, known, 1)
            mend = f"write {{{close[0]}}}" if close else "write {object} or {schema.table}"
            return f"{{{name}}} is no table under contract", mend
    if "{object}" not in query:
        return "it does not look at {object}, the table itself", "select from {object}"
    return _parsed(query, file, known)


def _parsed(query: str, file: ContractFile, tables: Tables) -> tuple[str, str]:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify

    if not any(file.types):
        return "", ""  # that no column is described is a finding of its own
    schema: dict[str, dict[str, object]] = {"object": {_OBJECT: _lower(file.types)}}

    def relation(found: re.Match[str]) -> str:
        if found[1] == "object":
            return f'object."{_OBJECT}"'
        folder, _, table = found[1].partition(".")
        schema.setdefault(folder, {})[table] = _lower(tables[found[1]])
        return f'{folder}."{table}"'

    sql = _BRACES.sub(relation, query)
    trees = {}
    for dialect in DIALECTS:
        try:
            parsed = sqlglot.parse(sql, dialect=dialect)
        except (SqlglotError, RecursionError) as error:
            first = str(error).splitlines()[0] if str(error) else "nested too deeply"
            return f"{dialect} does not understand it: {_bare(first)}", "correct the SQL"
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
            return "not one select statement", "write one select that counts what is wrong"
        trees[dialect] = parsed[0]
    tree = trees[DIALECTS[0]]
    if len(tree.selects) != 1:
        return "it gives more than one column", "select count(*) and nothing else"
    steps = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not table.db and table.name and table.name not in steps:
            return f"{table.name} is written bare", "write {schema.table}, so that lineage knows it"
        if table.db and table.name not in schema.get(table.db, {}):
            return f"{table.db}.{table.name} is written bare", f"write {{{table.db}.{table.name}}}"
    try:
        qualify(tree, schema=dict(schema), dialect=DIALECTS[0], quote_identifiers=False)
    except (SqlglotError, RecursionError) as error:
        return _bare(str(error).splitlines()[0]), "name columns of the tables that it reads"
    return "", ""


def _lower(columns: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): type_ or "varchar" for name, type_ in columns.items() if name}


def _bare(message: str) -> str:
    """A parser's sentence without its colours and without our stand-in for the table."""
    return re.sub(r"\x1b\[\d+m", "", message).replace(f'object."{_OBJECT}"', "{object}").rstrip(".")

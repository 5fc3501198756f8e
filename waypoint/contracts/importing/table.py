"""The structure of a live table: columns, types, keys, constraints and comments; never its rows."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from ingestion.postgres_columns import SourceColumn, read_table, table_names
from ingestion.postgres_snapshot import snapshot
from waypoint.contracts.importing.checks import Check, apply_check
from waypoint.contracts.importing.draft import DraftColumn, DraftRule
from waypoint.contracts.importing.types import ContractType, contract_type
from waypoint.errors import UnusableInput
from waypoint.warehouse import reading as open_duckdb

_COMMENTS = """
select coalesce(a.attname, ''), d.description
from pg_catalog.pg_description d
left join pg_catalog.pg_attribute a
    on a.attrelid = d.objoid and a.attnum = d.objsubid and a.attnum > 0
where d.classoid = 'pg_class'::regclass and d.objoid = to_regclass(%s)
"""

_UNIQUE = """
select array_agg(a.attname::text order by k.place)
from pg_catalog.pg_index i
cross join lateral unnest(i.indkey) with ordinality as k (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = to_regclass(%s) and i.indisunique and not i.indisprimary
    and i.indpred is null and i.indexprs is null
group by i.indexrelid order by 1
"""

# a domain's constraints say VALUE where the column stands
_CHECKS = """
select c.conname::text, pg_get_expr(c.conbin, c.conrelid),
    obj_description(c.oid, 'pg_constraint'), ''
from pg_catalog.pg_constraint c
where c.conrelid = to_regclass(%(table)s) and c.contype = 'c'
union all
select c.conname::text, pg_get_expr(c.conbin, 0), obj_description(c.oid, 'pg_constraint'),
    a.attname::text
from pg_catalog.pg_attribute a
join pg_catalog.pg_constraint c on c.contypid = a.atttypid and c.contype = 'c'
where a.attrelid = to_regclass(%(table)s) and a.attnum > 0 and not a.attisdropped
order by 1
"""

_FOREIGN_KEYS = """
select a.attname::text, n.nspname::text, t.relname::text, f.attname::text
from pg_catalog.pg_constraint c
join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
join pg_catalog.pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
join pg_catalog.pg_class t on t.oid = c.confrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
where c.conrelid = to_regclass(%s) and c.contype = 'f' and cardinality(c.conkey) = 1
order by 1
"""

_ENUMS = """
select a.attname::text, array_agg(e.enumlabel::text order by e.enumsortorder)
from pg_catalog.pg_attribute a
join pg_catalog.pg_enum e on e.enumtypid = a.atttypid
where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
group by 1
"""


@dataclass
class TableStructure:
    """A table as its database declares it. `references` are (schema, table, column) by column."""

    schema: str
    name: str
    columns: list[DraftColumn]
    description: str = ""
    rules: list[DraftRule] = field(default_factory=list)
    references: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    todos: list[str] = field(default_factory=list)

    @property
    def key(self) -> list[str]:
        keyed = [c for c in self.columns if c.key_position is not None]
        return [c.name for c in sorted(keyed, key=lambda c: c.key_position or 0)]

    def column(self, name: str) -> DraftColumn | None:
        return next((column for column in self.columns if column.name == name), None)

    def choose_key(self, names: Sequence[str] | None) -> None:
        """Make `names` the key; without them, keep the table's own.

        Raises:
            UnusableInput: one of them is no column.
        """
        if not names:
            return
        for column in self.columns:
            column.key_position = None
        for place, name in enumerate(names, start=1):
            found = self.column(name)
            if found is None:
                known = ", ".join(c.name for c in self.columns)
                what = f"{self.schema}.{self.name} has no column {name!r}"
                raise UnusableInput(what, hint=f"its columns are {known}")
            found.key_position, found.required = place, True


# PostgreSQL


def postgres_table(source: str, dsn: str, schema: str, table: str) -> TableStructure:
    """The structure of a table or view of a PostgreSQL database; `source` names it in errors.

    Raises:
        UnusableInput: there is no such table, or the server refuses us.
        Unavailable: the server does not answer.
    """
    with (
        tempfile.TemporaryDirectory() as spill,
        snapshot(source, dsn, Path(spill)) as database,
        database.translating(f"{schema}.{table}"),
    ):
        found = read_table(database.ask, schema, table)
        if found is None:
            names = table_names(database.ask, schema)
            raise _no_such_table(database.place, f"{schema}.{table}", table, names)
        columns = [_postgres_column(column) for column in found.columns]
        structure = TableStructure(schema, table, columns)
        structure.choose_key(found.key)
        _refine(database.ask, structure, found.relation, found.columns)
    return structure


def _postgres_column(source: SourceColumn) -> DraftColumn:
    kind = _postgres_type(source)
    return DraftColumn(
        source.name, kind.physical, kind.logical, required=source.not_null, declared=source.declared
    )


def _postgres_type(source: SourceColumn) -> ContractType:
    if source.category == "A":
        return ContractType("varchar", "array")
    if source.category == "C" or source.type in ("json", "jsonb"):
        return ContractType("varchar", "object")
    return contract_type(source.type)


def _refine(
    ask: psycopg.Connection[Any],
    structure: TableStructure,
    relation: str,
    sources: Sequence[SourceColumn],
) -> None:
    columns = {column.name: column for column in structure.columns}
    for name, comment in ask.execute(_COMMENTS, (relation,)).fetchall():
        text = " ".join(comment.split())
        if name in columns:
            columns[name].description = text
        elif not name:
            structure.description = text
    for (names,) in ask.execute(_UNIQUE, (relation,)).fetchall():
        if len(names) == 1:
            columns[names[0]].unique = True
        else:
            structure.rules.append(unique_together(names))
    for name, labels in ask.execute(_ENUMS, (relation,)).fetchall():
        columns[name].valid_values = list(labels)
    for name, schema, table, field_name in ask.execute(_FOREIGN_KEYS, (relation,)).fetchall():
        structure.references[name] = (schema, table, field_name)
    for name, condition, comment, of in ask.execute(_CHECKS, {"table": relation}).fetchall():
        said = condition.replace("VALUE", f'"{of}"') if of else condition
        _apply(structure, Check(name, said, " ".join((comment or "").split())), "postgres")
    for source in sources:
        kind = _postgres_type(source)
        # a time zone is read as UTC, a user's own type by its labels: nothing to decide
        told = kind.exact or "with time zone" in source.type or columns[source.name].valid_values
        if not told and not _is_text(source):
            structure.todos.append(
                f"{source.name} is {source.declared} at the source;"
                f" is {kind.physical} right for it?"
            )


def _is_text(source: SourceColumn) -> bool:
    return source.type in ("uuid", "citext", "name", "inet", "cidr") or source.type.startswith(
        ("character", "bpchar", "smallint")
    )


# DuckDB


def duckdb_table(path: Path, schema: str | None, table: str) -> TableStructure:
    """The structure of a table or view of a DuckDB file; any schema that has it, unless given.

    Raises:
        UnusableInput: not a DuckDB file, no such table, or several schemas have one.
        Unavailable: another process writes to the file.
    """
    import duckdb

    try:
        with open_duckdb(path) as connection:
            return _duckdb_structure(connection, path, schema, table)
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise UnusableInput(f"{path} cannot be read as a DuckDB file: {said}") from None


def _duckdb_structure(
    connection: Any, path: Path, schema: str | None, table: str
) -> TableStructure:
    places = connection.execute(
        "select schema_name, table_name, comment from duckdb_tables() where not internal"
        " and database_name = current_database() union all"
        " select schema_name, view_name, comment from duckdb_views() where not internal"
        " and database_name = current_database() order by all"
    ).fetchall()
    found = [p for p in places if p[1] == table and schema in (None, p[0])]
    if not found:
        wanted = f"{schema}.{table}" if schema else table
        raise _no_such_table(str(path), wanted, table, [p[1] for p in places])
    if len(found) > 1:
        names = ", ".join(f"{p[0]}.{table}" for p in found)
        raise UnusableInput(f"{path} has {names}", hint="say which: <schema>.<table>")
    schema, _, comment = found[0]
    structure = TableStructure(schema, table, [], _words(comment))
    rows = connection.execute(
        "select column_name, data_type, not is_nullable, comment from duckdb_columns()"
        " where database_name = current_database() and schema_name = ? and table_name = ?"
        " order by column_index",
        [schema, table],
    ).fetchall()
    for name, declared, required, words in rows:
        structure.columns.append(_duckdb_column(structure, name, declared, required, words))
    constraints = connection.execute(
        "select constraint_type, constraint_column_names, expression, referenced_table,"
        " referenced_column_names, constraint_name from duckdb_constraints()"
        " where database_name = current_database() and schema_name = ? and table_name = ?"
        " order by constraint_index",
        [schema, table],
    ).fetchall()
    for kind, names, expression, other, fields, constraint in constraints:
        match kind:
            case "PRIMARY KEY":
                structure.choose_key(names)
            case "UNIQUE" if len(names) == 1:
                _column(structure, names[0]).unique = True
            case "UNIQUE":
                structure.rules.append(unique_together(names))
            case "FOREIGN KEY" if len(names) == 1:
                structure.references[names[0]] = (schema, other, fields[0])
            case "CHECK":
                _apply(structure, Check(constraint, expression), "duckdb")
    return structure


def _duckdb_column(
    structure: TableStructure, name: str, declared: str, required: bool, comment: str | None
) -> DraftColumn:
    values = None
    kind = contract_type(declared)
    if declared.startswith("ENUM("):
        import ast

        values = list(ast.literal_eval(f"[{declared[5:-1]}]".replace("''", "\\'")))
    elif not kind.exact:
        structure.todos.append(
            f"{name} is {declared.lower()}, which not both warehouses have;"
            f" cast it to {kind.physical} where it is made, or choose another type"
        )
    return DraftColumn(
        name,
        kind.physical,
        kind.logical,
        _words(comment),
        required=required,
        valid_values=values,
        declared=declared,
    )


# both


def unique_together(names: Sequence[str]) -> DraftRule:
    """The rule that several columns together name a row."""
    columns = ", ".join(names)
    present = " and ".join(f"{name} is not null" for name in names)
    return DraftRule(
        name=f"{'_and_'.join(names)}_are_unique_together",
        query=(
            f"select count(*) from (select {columns} from {{object}} where {present}"
            f" group by {columns} having count(*) > 1) as repeated"
        ),
    )


def _apply(structure: TableStructure, check: Check, dialect: str) -> None:
    left = apply_check(check, {c.name: c for c in structure.columns}, dialect)
    if isinstance(left, DraftRule):
        structure.rules.append(left)
    elif left:
        structure.todos.append(left)


def _column(structure: TableStructure, name: str) -> DraftColumn:
    found = structure.column(name)
    assert found is not None
    return found


def _no_such_table(place: str, wanted: str, table: str, names: Sequence[str]) -> UnusableInput:
    close = difflib.get_close_matches(table, names, n=1)
    there = ", ".join(names[:10]) or "nothing that this user may see"
    hint = f"did you mean {close[0]}?" if close else f"there is {there}"
    return UnusableInput(f"{place} has no table {wanted}", hint=hint)


def _words(text: str | None) -> str:
    return " ".join((text or "").split())

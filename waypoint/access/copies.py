"""Copies of the warehouse cut to what a role may see: its tables, and no personal data in them.

A copy is a DuckDB file of its own, written anew: nothing that was left out can be found in it, not
in free blocks either. What a role may see is decided by the matrix. Personal data is there as
tokens; a column that can hold none is empty.

Views stay views where all that they read is in the copy. One that reads more, or that shows
personal data, becomes a table with its rows as they were when the copy was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from waypoint.access.matrix import MASKED, TOKEN, columns_seen, is_personal, table_access
from waypoint.access.tokens import duckdb_token, key_of
from waypoint.contracts.model import Contract, Contracts
from waypoint.contracts.roles import RolePolicy, read_roles
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.views import without_catalog

if TYPE_CHECKING:
    import duckdb

_COPY = "copy_for_role"


@dataclass(frozen=True)
class Relation:
    """A table or view of the warehouse; `sql` is a view's statement."""

    schema: str
    name: str
    sql: str | None = None

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        return f"{_name(self.schema)}.{_name(self.name)}"


def roles_with_a_copy(project: Project) -> list[RolePolicy]:
    """The roles that the policy wants a copy for, in its order."""
    return [role for role in (read_roles(project) or {}).values() if role.copy]


def copy_paths(project: Project) -> dict[str, Path]:
    """Where the copy of each role is, or will be.

    Raises:
        UnusableInput: a role is called as the published copy is.
    """
    paths = {}
    for role in roles_with_a_copy(project):
        path = project.published_file.with_name(f"{role.name}.duckdb")
        if path == project.published_file:
            raise UnusableInput(
                f"the copy of the role {role.name} would have the name of the published copy",
                hint=f"call the role otherwise, or take `copy` away ({project.roles_file})",
            )
        paths[role.name] = path
    return paths


def cut(
    connection: duckdb.DuckDBPyConnection, project: Project, role: RolePolicy, path: Path
) -> None:
    """Write what the role may see of the connection's own database to a new file at `path`.

    Raises:
        duckdb.Error: the file cannot be written.
        UnusableInput: the key of the tokens cannot be used.
    """
    catalog = project.warehouse_file.stem
    connection.execute(f"attach {_text(str(path))} as {_COPY}")
    try:
        _Cut(connection, project, role, catalog).write()
        connection.execute(f"checkpoint {_COPY}")
    finally:
        connection.execute(f"use {_name(catalog)}")
        connection.execute(f"detach {_COPY}")


class _Cut:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        project: Project,
        role: RolePolicy,
        catalog: str,
    ) -> None:
        self._connection, self._project, self._role = connection, project, role
        self._catalog = catalog
        self._contracts = _readable(project.contracts, role)

    def write(self) -> None:
        relations = list(self._relations())
        for schema in sorted({relation.schema for relation in relations}):
            self._connection.execute(f"create schema if not exists {_COPY}.{_name(schema)}")
        tables = [r for r in relations if r.sql is None or self._shows_personal(r)]
        for relation in tables:
            self._write_table(relation)
        waiting = [r for r in relations if r not in tables]
        while waiting:
            left = [relation for relation in waiting if not self._write_view(relation)]
            if len(left) == len(waiting):  # what is left reads more than there is in the copy
                self._write_table(left.pop(0))
            waiting = left

    def _relations(self) -> Iterator[Relation]:
        """What the role may see, views that only lead to a version of a table included."""
        found = self._connection.execute(
            "select schema_name, table_name, null from duckdb_tables()"
            " where database_name = $1 and not internal union all"
            " select schema_name, view_name, sql from duckdb_views()"
            " where database_name = $1 and not internal order by 1, 2",
            [self._catalog],
        ).fetchall()
        for schema, name, sql in found:
            relation = Relation(schema, name, sql)
            if relation.full_name in self._contracts:
                yield relation

    def _shows_personal(self, relation: Relation) -> bool:
        contract = self._contracts[relation.full_name]
        return any(is_personal(column) for column in contract.columns)

    def _write_table(self, relation: Relation) -> None:
        contract = self._contracts[relation.full_name]
        seen = {column.name: access for column, access in columns_seen(self._role, contract)}
        there = self._connection.execute(
            "select column_name from duckdb_columns()"
            " where database_name = $1 and schema_name = $2 and table_name = $3"
            " order by column_index",
            [self._catalog, relation.schema, relation.name],
        ).fetchall()
        # a column that no contract knows is left out: nobody said what it holds
        chosen = [(name, seen[name]) for (name,) in there if name in seen]
        if not chosen:
            return
        tokens = [name for name, access in chosen if access == TOKEN]
        source = f"{_name(self._catalog)}.{relation.quoted}"
        self._connection.execute(
            f"create table {_COPY}.{relation.quoted} as {_select(source, chosen, tokens)}",
            {"key": key_of(self._project)} if tokens else {},
        )

    def _write_view(self, relation: Relation) -> bool:
        """Whether the view could be made: all that it reads is in the copy by now."""
        import duckdb

        assert relation.sql is not None
        self._connection.execute(f"use {_COPY}")
        try:
            statement = without_catalog(self._connection, relation.sql, self._catalog)
            if statement is None:
                return False
            self._connection.execute(statement)
        except duckdb.Error:
            return False
        finally:
            self._connection.execute(f"use {_name(self._catalog)}")
        return True


def _readable(contracts: Contracts, role: RolePolicy) -> Mapping[str, Contract]:
    """The contracts that the role reads under, by table; the name that versions share included."""
    readable: dict[str, Contract] = {}
    for contract in contracts.tables:
        if table_access(role, contract) is not None:
            readable[contract.full_name] = contract
            readable.setdefault(contract.family_name, contract)
    return readable


def _select(source: str, chosen: Sequence[tuple[str, str]], tokens: Sequence[str]) -> str:
    """The query for a table's rows; each value's token is computed once, however often it comes."""
    shown = []
    for name, access in chosen:
        column = f"seen.{_name(name)}"
        if access == TOKEN:
            column = f"token_{tokens.index(name)}.token"
        elif access == MASKED:
            # the type stays what it is, so that queries go on to run
            column = f"case when false then {column} end"
        shown.append(f"{column} as {_name(name)}")
    joins = "".join(
        f" left join (select value, {duckdb_token('value')} as token from"
        f" (select distinct {_name(name)} as value from {source})) as token_{number}"
        f" on seen.{_name(name)} = token_{number}.value"
        for number, name in enumerate(tokens)
    )
    return f"select {', '.join(shown)} from {source} as seen{joins}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

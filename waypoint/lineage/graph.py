"""The lineage of a whole dbt project, from its manifest: tables, columns, and who consumes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from waypoint.errors import UnusableInput
from waypoint.lineage.columns import ColumnRef, QueryLineage, UntraceableQuery, trace
from waypoint.lineage.memory import TraceMemory

_TABLE_KINDS = ("model", "seed", "snapshot")

#: Queries traced already: the manifests of two commits share nearly all of theirs.
_TRACED: dict[tuple[object, ...], QueryLineage] = {}


@dataclass(frozen=True)
class Table:
    """A source, model, seed or snapshot: `name` is `schema.table`."""

    name: str
    kind: str
    unique_id: str
    columns: tuple[str, ...]
    owner: str
    parents: tuple[str, ...]  # names of the tables it is built from
    description: str = ""
    types: Mapping[str, str] = field(default_factory=dict)  # by column, where they are known
    told: Mapping[str, str] = field(default_factory=dict)  # descriptions, by column

    @property
    def schema(self) -> str:
        return self.name.split(".")[0]


@dataclass(frozen=True)
class Exposure:
    """A consumer outside the warehouse: a dashboard, an ML model, an application.

    `columns` are those it uses, by table; a table without an entry is used whole.
    """

    name: str
    label: str
    kind: str
    owner: str
    email: str
    tables: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unique_id: str = ""
    description: str = ""
    url: str = ""

    def uses(self, ref: ColumnRef) -> bool:
        """Whether it shows or reads a column."""
        listed = self.columns.get(ref.table)
        return ref.table in self.tables and (listed is None or ref.column in listed)


@dataclass(frozen=True)
class Impact:
    """What a change of some columns reaches.

    `values` are the columns, anywhere downstream, that carry the changed values or stand in rows
    that come and go; `carried` are those of them that carry the values. `rows` are the tables
    whose rows or groups are decided by what changed. `tables` is every table touched either way,
    the changed ones left out, in build order.
    """

    values: frozenset[ColumnRef]
    carried: frozenset[ColumnRef]
    rows: frozenset[str]
    tables: tuple[str, ...]
    exposures: tuple[Exposure, ...]


class LineageGraph:
    """Tables, column lineage and exposures of one manifest; queries are traced when asked for.

    `traced` names the tables whose queries are looked at: all, unless given. A query that cannot
    be traced is an error, unless the graph is `lenient`: then all of its table depends on all
    that it is built from, and `untraced` says why; and columns that no yml describes count, too.
    What a manifest does not hold compiled is looked for in the folder `compiled`, where dbt leaves
    it.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        dialect: str | None = None,
        traced: Collection[str] | None = None,
        lenient: bool = False,
        compiled: Path | None = None,
        memory: TraceMemory | None = None,
    ) -> None:
        self._manifest = manifest
        self._traced = traced
        self._lenient = lenient
        self._compiled = compiled
        self._memory = memory
        self.untraced: dict[str, str] = {}
        self.dialect = dialect or manifest["metadata"]["adapter_type"]
        self._names = {
            unique_id: f"{node['schema']}.{node.get('alias') or node['identifier']}".lower()
            for unique_id, node in self._table_nodes()
        }
        self.tables = {
            self._names[unique_id]: self._table(unique_id, node)
            for unique_id, node in self._table_nodes()
        }
        self._columns = {table.name: table.columns for table in self.tables.values()}
        self._known: set[str] = set()  # tables of which all columns are
        self.exposures = {
            node["name"]: self._exposure(node) for node in manifest["exposures"].values()
        }

    @classmethod
    def read(
        cls,
        manifest_file: Path,
        dialect: str | None = None,
        lenient: bool = False,
        memory: TraceMemory | None = None,
    ) -> LineageGraph:
        """The graph of a `manifest.json`.

        Raises:
            UnusableInput: there is no such file, or it is no dbt manifest.
        """
        try:
            manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
            compiled = manifest_file.parent / "compiled"
            return cls(manifest, dialect, lenient=lenient, compiled=compiled, memory=memory)
        except FileNotFoundError:
            raise UnusableInput(
                f"{manifest_file}: there is no manifest", hint="run `dbt compile` first"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableInput(f"{manifest_file}: not a dbt manifest ({error})") from None

    @cached_property
    def queries(self) -> dict[str, QueryLineage]:
        """The traced query of each model and snapshot, by table name.

        Raises:
            UntraceableQuery: a query cannot be traced, or was not compiled; it names the model.
        """
        nodes = {self._names[i]: node for i, node in self._table_nodes() if _has_query(node)}
        traced: dict[str, QueryLineage] = {}
        for name in self.build_order:
            if name not in nodes or (self._traced is not None and name not in self._traced):
                continue
            try:
                traced[name] = self._traced_query(name, nodes[name])
            except UntraceableQuery as error:
                if not self._lenient:
                    raise
                self.untraced[name] = str(error)
                traced[name] = self._made_of_everything(name)
            self._learn_columns(name, traced[name])
        if self._memory is not None:
            self._memory.keep()
        return traced

    def _traced_query(self, name: str, node: Mapping[str, Any]) -> QueryLineage:
        sql = node.get("compiled_code") or self._compiled_file(node)
        path = node["original_file_path"]
        if not sql:
            raise UntraceableQuery(
                f"{name} ({path}) is not compiled in the manifest",
                hint="run `dbt compile`, or `dbt build`, and try again",
            )
        if node.get("language", "sql") != "sql":
            raise UntraceableQuery(f"{path}: not traceable: not SQL")
        try:
            return self._trace(sql, self._columns)
        except UntraceableQuery as error:
            if self._lenient:
                with suppress(UntraceableQuery):
                    # a yml may describe only some columns of a source: better to know none
                    return self._trace(sql, {name: self._columns[name] for name in self._known})
            raise UntraceableQuery(f"{path}: {error}") from None

    def _compiled_file(self, node: Mapping[str, Any]) -> str | None:
        """What dbt left of an earlier run, where the last one did not select the node."""
        if self._compiled is None or "package_name" not in node:
            return None
        path = self._compiled / node["package_name"] / node["original_file_path"]
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def _trace(self, sql: str, known: Mapping[str, tuple[str, ...]]) -> QueryLineage:
        """The lineage of one query; the same query over the same columns is traced once."""
        text = sql.lower()
        # the tables that it can read are those that it names
        named = {
            name: columns
            for name, columns in known.items()
            if columns and name.split(".")[-1] in text
        }
        key = (sql, self.dialect, tuple(named.items()))
        if key not in _TRACED:
            remembered = self._memory.recall(key) if self._memory else None
            _TRACED[key] = remembered or trace(sql, named, self.dialect)
        if self._memory is not None:
            self._memory.store(key, _TRACED[key])
        return _TRACED[key]

    def _made_of_everything(self, name: str) -> QueryLineage:
        """What can be said of a query that cannot be read: all of its parents may decide it."""
        parents = self.tables[name].parents
        deciding = frozenset(ColumnRef(p, c) for p in parents for c in self._columns[p])
        outputs = {column: frozenset[ColumnRef]() for column in self._columns[name]}
        return QueryLineage(outputs, deciding, frozenset(parents))

    def _learn_columns(self, name: str, query: QueryLineage) -> None:
        """Columns that nobody described: those a query makes, and those it reads elsewhere."""
        if name not in self.untraced and "*" not in query.outputs:
            self._known.add(name)
        self._learn(name, query.outputs)
        for ref in sorted(query.reads):
            if ref.table in self.tables and ref.table not in self._known:
                self._learn(ref.table, (ref.column,))

    def _learn(self, table: str, columns: Iterable[str]) -> None:
        described = self._columns[table]
        if self._lenient or not self.tables[table].columns:
            new = (c for c in columns if c != "*" and c not in described)
            self._columns[table] = (*described, *new)

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a table: those described, and those that the queries show.

        Where all that is described is true (unless `lenient`), no query is looked at for it.
        """
        if self._lenient or not self.tables[table].columns:
            _ = self.queries
        return self._columns[table]

    def limited_to(self, tables: Iterable[str]) -> LineageGraph:
        """The graph in which only the queries of these tables are looked at."""
        return LineageGraph(
            self._manifest,
            self.dialect,
            frozenset(tables),
            lenient=self._lenient,
            compiled=self._compiled,
            memory=self._memory,
        )

    def built_from(self, names: Iterable[str]) -> frozenset[str]:
        """Every table that is built from some tables, directly or through others."""
        found: set[str] = set()
        queue = list(names)
        while queue:
            for child in self._children.get(queue.pop(), ()):
                if child not in found:
                    found.add(child)
                    queue.append(child)
        return frozenset(found)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for table in self.tables.values():
            for parent in table.parents:
                children.setdefault(parent, []).append(table.name)
        return children

    @cached_property
    def _carried_to(self) -> dict[ColumnRef, set[ColumnRef]]:
        edges: dict[ColumnRef, set[ColumnRef]] = {}
        for table, query in self.queries.items():
            for column, refs in query.outputs.items():
                for ref in refs:
                    edges.setdefault(ref, set()).add(ColumnRef(table, column))
        return edges

    @cached_property
    def _deciding_for(self) -> dict[ColumnRef, set[str]]:
        edges: dict[ColumnRef, set[str]] = {}
        for table, query in self.queries.items():
            for ref in query.deciding:
                edges.setdefault(ref, set()).add(table)
        return edges

    @cached_property
    def _readers(self) -> dict[str, set[str]]:
        edges: dict[str, set[str]] = {}
        for table, query in self.queries.items():
            for name in query.tables - {table}:
                edges.setdefault(name, set()).add(table)
        return edges

    def columns_of(self, table: str) -> frozenset[ColumnRef]:
        return frozenset(ColumnRef(table, column) for column in self.columns(table))

    def impact(self, changed: Iterable[ColumnRef]) -> Impact:
        """Everything downstream of some columns, down to columns, tables and exposures.

        Where all columns of a table are given, its rows may change, too.
        """
        start = frozenset(changed)
        whole = {t for t in {ref.table for ref in start} if start >= self.columns_of(t)}
        carried = self.carried_from(start)
        rows: set[str] = set()
        queue = [*whole]
        for ref in start | carried:
            queue.extend(self._decided_by(ref) - rows)
            rows |= self._decided_by(ref)
        while queue:
            # rows that come and go do so in every table that reads them
            found = self._readers.get(queue.pop(), set()) - rows
            rows |= found
            queue.extend(found)
        reached = start | carried | {c for table in rows for c in self.columns_of(table)}
        touched = {ref.table for ref in reached} | rows
        touched -= {ref.table for ref in start}
        return Impact(
            values=frozenset(reached - start),
            carried=carried,
            rows=frozenset(rows),
            tables=tuple(name for name in self.build_order if name in touched),
            exposures=tuple(
                e for e in self.exposures.values() if any(e.uses(ref) for ref in reached)
            ),
        )

    def carried_from(self, start: frozenset[ColumnRef]) -> frozenset[ColumnRef]:
        """The columns, anywhere downstream, whose values are made of some columns."""
        found: set[ColumnRef] = set()
        queue = list(start)
        while queue:
            ref = queue.pop()
            for child in self._carried_to.get(ref, ()):
                if child not in found and child not in start and child.table != ref.table:
                    found.add(child)
                    queue.append(child)
        return frozenset(found)

    def _decided_by(self, ref: ColumnRef) -> set[str]:
        return self._deciding_for.get(ref, set()) - {ref.table}

    def upstream(self, refs: Iterable[ColumnRef]) -> frozenset[ColumnRef]:
        """Every column that some columns are made of, or whose rows it decides, to the sources."""
        found: set[ColumnRef] = set()
        queue = list(refs)
        while queue:
            ref = queue.pop()
            query = self.queries.get(ref.table)
            if query is None:
                continue
            for parent in query.outputs.get(ref.column, frozenset()) | query.deciding:
                if parent not in found and parent.table != ref.table:
                    found.add(parent)
                    queue.append(parent)
        return frozenset(found)

    @cached_property
    def build_order(self) -> list[str]:
        """Table names, each after those it is built from."""
        order: list[str] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            if name in seen:
                return
            seen.add(name)
            for parent in self.tables[name].parents:
                visit(parent)
            order.append(name)

        for name in sorted(self.tables):
            visit(name)
        return order

    def _table_nodes(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        yield from self._manifest["sources"].items()
        for unique_id, node in self._manifest["nodes"].items():
            if node["resource_type"] in _TABLE_KINDS:
                yield unique_id, node

    def _table(self, unique_id: str, node: Mapping[str, Any]) -> Table:
        parents = (node.get("depends_on") or {}).get("nodes", ())
        meta = (node.get("config") or {}).get("meta") or node.get("meta") or {}
        return Table(
            name=self._names[unique_id],
            kind=node["resource_type"],
            unique_id=unique_id,
            columns=tuple(column.lower() for column in node["columns"]),
            owner=str(meta.get("owner") or ""),
            parents=tuple(self._names[p] for p in parents if p in self._names),
            description=node.get("description") or "",
            types=_by_column(node, "data_type"),
            told=_by_column(node, "description"),
        )

    def _exposure(self, node: Mapping[str, Any]) -> Exposure:
        meta = (node.get("config") or {}).get("meta") or node.get("meta") or {}
        owner = node.get("owner") or {}
        return Exposure(
            name=node["name"],
            label=node.get("label") or node["name"],
            kind=node["type"],
            owner=owner.get("name") or "",
            email=owner.get("email") or "",
            tables=tuple(self._names[p] for p in node["depends_on"]["nodes"] if p in self._names),
            columns={t: tuple(columns) for t, columns in (meta.get("columns") or {}).items()},
            unique_id=node.get("unique_id", ""),
            description=node.get("description") or "",
            url=node.get("url") or "",
        )


def _has_query(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] in ("model", "snapshot")


def _by_column(node: Mapping[str, Any], what: str) -> dict[str, str]:
    return {name.lower(): c[what] for name, c in node["columns"].items() if c.get(what)}

"""The lineage of a whole dbt project, from its manifest: tables, columns, and who consumes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from waypoint.errors import UnusableInput
from waypoint.lineage.columns import ColumnRef, QueryLineage, UntraceableQuery, trace

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


@dataclass(frozen=True)
class Impact:
    """What a change of some columns reaches.

    `values` are the columns, anywhere downstream, that carry the changed values; `rows` are the
    tables whose rows or groups are decided by them; `tables` is every table touched either way,
    the changed ones left out, in build order.
    """

    values: frozenset[ColumnRef]
    rows: frozenset[str]
    tables: tuple[str, ...]
    exposures: tuple[Exposure, ...]


class LineageGraph:
    """Tables, column lineage and exposures of one manifest; queries are traced when asked for.

    `traced` names the tables whose queries are looked at: all, unless given.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        dialect: str | None = None,
        traced: Collection[str] | None = None,
    ) -> None:
        self._manifest = manifest
        self._traced = traced
        self.dialect = dialect or manifest["metadata"]["adapter_type"]
        self._names = {
            unique_id: f"{node['schema']}.{node.get('alias') or node['identifier']}".lower()
            for unique_id, node in self._table_nodes()
        }
        self.tables = {
            self._names[unique_id]: self._table(unique_id, node)
            for unique_id, node in self._table_nodes()
        }
        self.exposures = {
            node["name"]: self._exposure(node) for node in manifest["exposures"].values()
        }

    @classmethod
    def read(cls, manifest_file: Path, dialect: str | None = None) -> LineageGraph:
        """The graph of a `manifest.json`.

        Raises:
            UnusableInput: there is no such file, or it is no dbt manifest.
        """
        try:
            return cls(json.loads(manifest_file.read_text()), dialect)
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
        columns = {table.name: table.columns for table in self.tables.values()}
        traced = {}
        for unique_id, node in self._table_nodes():
            if node["resource_type"] not in ("model", "snapshot"):
                continue
            name = self._names[unique_id]
            if self._traced is not None and name not in self._traced:
                continue
            if not node.get("compiled_code"):
                raise UntraceableQuery(
                    f"{name} ({node['original_file_path']}) is not compiled in the manifest",
                    hint="run `dbt compile`, or `dbt build`, and try again",
                )
            try:
                traced[name] = self._trace(node["compiled_code"], columns)
            except UntraceableQuery as error:
                raise UntraceableQuery(f"{node['original_file_path']}: {error}") from None
        return traced

    def _trace(self, sql: str, columns: Mapping[str, tuple[str, ...]]) -> QueryLineage:
        """The lineage of one query; the same query over the same columns is traced once."""
        text = sql.lower()
        # the tables that it can read are those that it names
        named = {name: found for name, found in columns.items() if name.split(".")[-1] in text}
        key = (sql, self.dialect, tuple(named.items()))
        if key not in _TRACED:
            _TRACED[key] = trace(sql, named, self.dialect)
        return _TRACED[key]

    def limited_to(self, tables: Iterable[str]) -> LineageGraph:
        """The graph in which only the queries of these tables are looked at."""
        return LineageGraph(self._manifest, self.dialect, frozenset(tables))

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

    def columns_of(self, table: str) -> frozenset[ColumnRef]:
        return frozenset(ColumnRef(table, column) for column in self.tables[table].columns)

    def impact(self, changed: Iterable[ColumnRef]) -> Impact:
        """Everything downstream of some columns, down to columns, tables and exposures."""
        start = set(changed)
        values: set[ColumnRef] = set()
        rows: set[str] = set()
        queue = list(start)
        while queue:
            ref = queue.pop()
            for child in self._carried_to.get(ref, ()):
                if child not in values and child.table != ref.table:
                    values.add(child)
                    queue.append(child)
            for table in self._deciding_for.get(ref, ()):
                # rows that come and go show in every column of the table
                if table not in rows and table != ref.table:
                    rows.add(table)
                    queue.extend(self.columns_of(table))
        changed_tables = {ref.table for ref in start}
        touched = ({ref.table for ref in values} | rows) - changed_tables
        reached = start | values | {c for table in rows for c in self.columns_of(table)}
        return Impact(
            values=frozenset(values - start),
            rows=frozenset(rows),
            tables=tuple(name for name in self.build_order if name in touched),
            exposures=tuple(e for e in self.exposures.values() if self._uses(e, reached)),
        )

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

    def _uses(self, exposure: Exposure, refs: set[ColumnRef]) -> bool:
        for ref in refs:
            if ref.table in exposure.tables:
                listed = exposure.columns.get(ref.table)
                if listed is None or ref.column in listed:
                    return True
        return False

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
            owner=meta.get("owner", ""),
            parents=tuple(self._names[p] for p in parents if p in self._names),
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
        )

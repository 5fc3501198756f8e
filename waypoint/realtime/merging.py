"""Tables answered from the published copy and from what has landed since, counting nothing twice.

In memory, and nowhere else, each model is brought up to date as an incremental build would do it:
the landed rows stand beside the published raw rows; a model's SQL computes whole the windows, days
or keys that new rows touch; these replace the published ones. Nothing is written, and nobody who
builds or reads is kept waiting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import duckdb

from ingestion.bookkeeping import BATCH, CLOCK, LOAD_HISTORY, LOADED_AT
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.landing import LandingArea
from ingestion.loading import TICK, FileNotLoadable, LandedFile, pending, raw_tables
from ingestion.loading.duckdb import DuckDBWarehouse
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable, UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.realtime.compiling import CATALOG, Node, Nodes, compiled
from waypoint.warehouse import EMBEDDED, NothingPublished, first_line

#: How queries name the tables: `realtime.<table>`.
SCHEMA = "realtime"

_PUBLISHED, _LANDED, _FRESH = "published", "landed", "fresh"
_MEMORY_LIMIT = "1500MB"
_ATTEMPTS = 3  # a file may be put together with others between its listing and its reading
_MENTIONED = re.compile(rf'\b{SCHEMA}"?\s*\.\s*"?(\w+)', re.IGNORECASE)


@dataclass(frozen=True)
class RealTimeTable:
    """A table that answers from batch and stream: what has landed for it and is not built."""

    name: str
    schema: str
    files: int
    behind: tuple[str, ...] = ()  # the raw tables of these files


@dataclass
class Merged:
    """A connection on which `realtime.<table>` answers; made ready table by table."""

    project: Project
    connection: duckdb.DuckDBPyConnection
    nodes: Nodes
    files: list[LandedFile]
    _ready: set[str] = field(default_factory=set)
    _shown: set[str] = field(default_factory=set)

    @property
    def models(self) -> dict[str, str]:
        """The tables that `realtime` has, and their nodes: those that landed rows reach."""
        return {
            node.name: name
            for name, node in self.nodes.items()
            if node.kind == "model" and self._sources(name)
        }

    def tables(self) -> list[RealTimeTable]:
        """The tables in alphabetical order."""
        rows = []
        for table, name in sorted(self.models.items()):
            raw = {source.name for source in self._sources(name)}
            waiting = [file for file in self.files if file.table in raw]
            behind = tuple(sorted({file.table for file in waiting}))
            rows.append(RealTimeTable(table, self.nodes[name].schema, len(waiting), behind))
        return rows

    def show(self, tables: Sequence[str]) -> None:
        """Make some tables ready to be asked.

        Raises:
            UnusableInput: there is no such table.
            FileNotLoadable: a landed file does not fit its table.
        """
        models = self.models
        for table in tables:
            if table not in models:
                close = get_close_matches(table, models, n=1)
                raise UnusableInput(
                    f"there is no table {SCHEMA}.{table}",
                    hint=f"{SCHEMA}.{close[0]}?"
                    if close
                    else "waypoint realtime tables lists them",
                )
        wanted = [models[table] for table in tables]
        order = [name for name in self.nodes.needed_by(wanted) if name not in self._ready]
        self._land(order)
        for name in order:
            self._make(name)
            self._ready.add(name)
        for table in tables:
            if table not in self._shown:
                relation = f"{CATALOG}.{self.nodes[models[table]].relation}"
                self._do(f"create view {SCHEMA}.main.{quoted(table)} as select * from {relation}")
                self._shown.add(table)

    def show_mentioned(self, sql: str) -> None:
        """Make the tables that a statement names ready to be asked."""
        self.show(sorted({name.lower() for name in _MENTIONED.findall(sql)}))

    def published_rows(
        self, table: str, columns: Sequence[str], where: str = "true"
    ) -> list[tuple[Any, ...]]:
        """Rows of a table as they were published; none where it was not.

        Raises:
            UnusableInput: it is a view that names a catalog, which here is the merged one.
        """
        node = self.nodes[self.models[table]]
        relation = node.relation
        if not self._is_published(relation):
            return []
        named = self.connection.execute(
            "select 1 from duckdb_views() where database_name = ? and schema_name = ?"
            " and view_name = ? and contains(sql, ?)",
            [_PUBLISHED, node.schema, node.name, f"{CATALOG}."],
        ).fetchall()
        if named:
            raise UnusableInput(
                f"{node.schema}.{node.name}: what was published of it cannot be told",
                hint="`waypoint publish` makes a copy whose views name no catalog",
            )
        listed = ", ".join(map(quoted, columns))
        return self._do(f"select {listed} from {_PUBLISHED}.{relation} where {where}").fetchall()

    def _sources(self, name: str) -> list[Node]:
        nodes = (self.nodes[one] for one in self.nodes.needed_by([name]))
        return [node for node in nodes if node.kind == "source" and node.schema == RAW]

    def _land(self, order: Sequence[str]) -> None:
        """Load the waiting rows of the sources among some nodes, as a load would."""
        columns = raw_tables(self.project.contracts)
        sources = [self.nodes[name] for name in order if self.nodes[name].kind == "source"]
        wanted = {s.name for s in sources if s.schema == RAW and s.name in columns}
        files = [file for file in self.files if file.table in wanted]
        self._do(f"use {_LANDED}")
        try:
            warehouse = DuckDBWarehouse(self.connection)
            needed = {*wanted, LOAD_HISTORY, CLOCK}
            warehouse.prepare({name: c for name, c in columns.items() if name in needed})
            if files:
                newest, clock = self._newest_load(), self._clock()
                base = max(clock or datetime.min, newest + TICK if newest else datetime.min)
                warehouse.load(files, base, None)
                if clock is None:
                    self._date_as_landed(files, base)
        finally:
            self._do(f"use {_PUBLISHED}")

    def _date_as_landed(self, files: list[LandedFile], base: datetime) -> None:
        """Give rows the time at which they landed, which asking again does not change."""
        times: dict[str, list[tuple[str, datetime]]] = {}
        for file in files:
            landed = datetime.fromtimestamp(file.path.stat().st_mtime, UTC).replace(tzinfo=None)
            for batch in [batch for batch, _ in file.together] or [file.batch]:
                times.setdefault(file.table, []).append((batch, max(base, landed)))
        for table, known in times.items():
            self.connection.execute(
                f"update {_LANDED}.{RAW}.{quoted(table)} as rows"
                f" set {quoted(LOADED_AT)} = landed_at"
                " from (select unnest(?) as batch, unnest(cast(? as timestamp[])) as landed_at) t"
                f" where rows.{quoted(BATCH)} = t.batch",
                [[batch for batch, _ in known], [landed for _, landed in known]],
            )

    def _newest_load(self) -> datetime | None:
        query = f"select max(loaded_at) from {_PUBLISHED}.{RAW}.{quoted(LOAD_HISTORY)}"
        newest: datetime | None = self._do(query).fetchall()[0][0]
        return newest

    def _clock(self) -> datetime | None:
        if not self._is_published(f"{quoted(RAW)}.{quoted(CLOCK)}"):
            return None
        query = f"select max(as_of) from {_PUBLISHED}.{RAW}.{quoted(CLOCK)}"
        clock: datetime | None = self._do(query).fetchall()[0][0]
        return clock

    def _make(self, name: str) -> None:
        """Make a node's relation under the name that compiled SQL knows it by."""
        node = self.nodes[name]
        self._do(f"create schema if not exists {CATALOG}.{quoted(node.schema)}")
        if node.kind == "source":
            self._view(node, self._source(node))
        elif node.sql is None or (
            node.materialized == "table"
            and self._is_published(node.relation)
            and not self._is_behind(name)
        ):
            self._view(node, f"select * from {_PUBLISHED}.{node.relation}")
        elif node.materialized == "incremental" and self._is_published(node.relation):
            self._merge(node)
        elif node.materialized == "view":
            self._view(node, node.sql)
        elif node.materialized != "ephemeral":  # its SQL stands in its children's
            self._do(f"create table {CATALOG}.{node.relation} as {node.sql}")

    def _source(self, node: Node) -> str:
        selects = []
        if self._is_published(node.relation):
            selects.append(f"select * from {_PUBLISHED}.{node.relation}")
        if self._exists(_LANDED, node.relation) and node.name not in (LOAD_HISTORY, CLOCK):
            selects.append(f"select * from {_LANDED}.{node.relation}")
        return " union all by name ".join(selects)

    def _merge(self, node: Node) -> None:
        """The published rows, with those replaced that new rows touch."""
        if node.unusable:
            raise UnusableInput(
                f"{SCHEMA}.{node.name} cannot be answered: {node.unusable}",
                hint="write the post-hook as plain SQL on {{ this }}",
            )
        self._view(node, f"select * from {_PUBLISHED}.{node.relation}")
        fresh = f"{_FRESH}.main.{quoted(f'{node.schema}.{node.name}')}"
        self._do(f"create table {fresh} as {node.sql}")
        old = f"select * from {_PUBLISHED}.{node.relation} as old"
        if node.key:
            replaced = f"{_FRESH}.main.{quoted(f'{node.schema}.{node.name} replaced')}"
            keys = ", ".join(map(quoted, node.key))
            self._do(f"create table {replaced} as select distinct {keys} from {fresh}")
            same = " and ".join(f"new.{quoted(k)} = old.{quoted(k)}" for k in node.key)
            old += f" where not exists (select 1 from {replaced} as new where {same})"
        for hook in node.hooks:
            self._do(hook.replace("{this}", fresh))
        self._view(node, f"{old} union all by name select * from {fresh}")

    def _is_behind(self, name: str) -> bool:
        raw = {source.name for source in self._sources(name)}
        return any(file.table in raw for file in self.files)

    def _is_published(self, relation: str) -> bool:
        return self._exists(_PUBLISHED, relation)

    def _exists(self, catalog: str, relation: str) -> bool:
        try:
            self.connection.execute(f"describe {catalog}.{relation}")
        except duckdb.CatalogException:
            return False
        return True

    def _view(self, node: Node, sql: str) -> None:
        self._do(f"create or replace view {CATALOG}.{node.relation} as {sql}")

    def _do(self, sql: str) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(sql)


@contextmanager
def merged(project: Project, tables: Sequence[str] = (), sql: str = "") -> Iterator[Merged]:
    """The project's real-time tables; those of `tables` and those that `sql` names are ready.

    Raises:
        NothingPublished: there is no published copy yet.
        UnusableInput: the target is another warehouse, or there is no such table.
        DbtFailed: the project does not compile.
        Unavailable: the files change faster than they can be read.
    """
    if project.target != EMBEDDED:
        raise UnusableInput(
            f"target {project.target}: its real-time tables are in the warehouse itself",
            hint="dynamic tables: dbt_project/snowflake.yml, waypoint snowflake setup",
        )
    if not project.published_file.exists():
        raise NothingPublished(
            f"nothing is published yet: {project.published_file} is not there",
            hint="`waypoint run` does everything up to there; `waypoint publish` the last step",
        )
    for attempt in range(_ATTEMPTS):
        with open_engine(project.state / "spill", _MEMORY_LIMIT) as connection:
            try:
                found = _opened(project, connection)
                found.show(tables)
                found.show_mentioned(sql)
            except (duckdb.IOException, FileNotFoundError, FileNotLoadable, Unavailable) as error:
                if attempt + 1 < _ATTEMPTS:
                    continue
                if isinstance(error, WaypointError):
                    raise
                raise Unavailable(
                    f"landed files could not be read: {first_line(str(error))}"
                ) from None
            except duckdb.Error as error:
                raise UnusableInput(
                    f"the tables cannot be brought up to date: {first_line(str(error))}",
                    hint="does `waypoint build` work?",
                ) from None
            yield found
            return


def _opened(project: Project, connection: duckdb.DuckDBPyConnection) -> Merged:
    connection.execute("set preserve_insertion_order = false")
    for catalog in (_LANDED, _FRESH, CATALOG, SCHEMA):
        connection.execute(f"attach ':memory:' as {catalog}")
    path = text_literal(project.published_file)
    connection.execute(f"attach {path} as {_PUBLISHED} (read_only)")
    connection.execute(f"use {_PUBLISHED}")
    nodes = compiled(project, connection, _PUBLISHED)
    return Merged(project, connection, nodes, _waiting(project, connection))


def _waiting(project: Project, connection: duckdb.DuckDBPyConnection) -> list[LandedFile]:
    """The files that have landed and are not in the published copy."""
    history = f"{_PUBLISHED}.{RAW}.{quoted(LOAD_HISTORY)}"
    rows = connection.execute(f"select file from {history}").fetchall()
    return pending(LandingArea(project.landing_dir), frozenset(name for (name,) in rows))

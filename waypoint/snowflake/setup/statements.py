"""The statements that set an account up; each can be run again without harm.

In this order: what money is spent on, who builds, the databases, what lands in production, and the
tables that keep up with the stream. Nothing is dropped: what is taken out of the settings stays
until a person removes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ingestion.bookkeeping import QUARANTINE
from ingestion.loading import raw_tables
from ingestion.loading.snowflake import PIPE, create_schema, create_table, literal, name
from waypoint.contracts.derived import observability
from waypoint.contracts.model import RAW, Contract
from waypoint.contracts.nodes import find_nodes
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.snowflake.setup.settings import Environment, Monitor, Realtime, Settings, Warehouse

#: The custom property of a topic's contract that names the raw table it lands in.
_LANDS_IN = "landsIn"
_INCREMENTAL = re.compile(r"materialized\s*=\s*['\"]incremental['\"]")
_RELATION = re.compile(r"\b(?P<database>\w+)\.(?P<schema>\w+)\.(?P<table>\w+)\b")

#: Gives the compiled query of every model by `schema.table`, and the database they name.
Queries = Callable[[], tuple[Mapping[str, str], str]]


@dataclass(frozen=True)
class Dynamic:
    """A table that keeps itself up to date: one for people to read, or one of those below it."""

    table: str  # its full name
    model: str  # `schema.table` of the model whose rows it has
    query: str
    lag: str | None  # None: as often as those that read it need it

    def sql(self, warehouse: str) -> str:
        lag = literal(self.lag) if self.lag else "downstream"
        return (
            f"create or replace dynamic table {self.table}"
            f" target_lag = {lag} warehouse = {warehouse.upper()}"
            f" refresh_mode = auto initialize = on_create as\n{self.query}"
        )

    def as_plain_table(self) -> str:
        """The same rows at one moment, for a warehouse that has no dynamic tables."""
        return f"create or replace table {self.table} as\n{self.query}"


def plan(project: Project, settings: Settings, queries: Queries, only: str = "") -> list[str]:
    """What is to be run, in order, without semicolons.

    Args:
        queries: asked only where there are real-time models, as compiling takes a while.
        only: the name of one environment; warehouses and monitors are left out then.

    Raises:
        UnusableInput: no such environment or model.
    """
    if only and only not in settings.environments:
        known = ", ".join(settings.environments)
        raise UnusableInput(f"there is no environment {only!r}", hint=f"known: {known}")
    statements: list[str] = []
    if not only:
        statements += _accounts_own(settings)
    for environment in settings.environments.values():
        if only in ("", environment.name):
            statements += _database(project, settings, environment)
    production = settings.production
    if only in ("", production.name):
        statements += _landing(project, production)
        statements += _growing(project, production)
        if settings.realtime.models:
            compiled, database = queries()
            relations = dynamic_tables(compiled, database, settings.realtime, production.database)
            schema = f"{production.database}.{settings.realtime.schema}".upper()
            statements.append(f"create schema if not exists {schema}")
            statements += [one.sql(settings.realtime.warehouse) for one in relations]
    return statements


# the account


def _accounts_own(settings: Settings) -> Iterator[str]:
    for monitor in settings.monitors:
        yield from _monitor(monitor)
    for warehouse in settings.warehouses:
        yield from _warehouse(warehouse)
    builder = settings.builder.upper()
    yield f"create role if not exists {builder} comment = 'loads and builds'"
    yield f"grant role {builder} to role SYSADMIN"
    for role in _roles_named(settings):
        yield f"create role if not exists {role}"
    for warehouse in settings.warehouses:
        for role in warehouse.used_by:
            yield f"grant usage on warehouse {warehouse.name.upper()} to role {role.upper()}"


def _roles_named(settings: Settings) -> list[str]:
    named = [role for one in settings.warehouses for role in one.used_by]
    named += [role for one in settings.environments.values() for role in one.built_by]
    return [
        r for r in dict.fromkeys(role.upper() for role in named) if r != settings.builder.upper()
    ]


def _monitor(monitor: Monitor) -> Iterator[str]:
    triggers = [f"on {share} percent do notify" for share in monitor.notify]
    if monitor.suspend is not None:
        triggers.append(f"on {monitor.suspend} percent do suspend")
    if monitor.suspend_at_once is not None:
        triggers.append(f"on {monitor.suspend_at_once} percent do suspend_immediate")
    quota = f"credit_quota = {monitor.credits}"
    fired = f" triggers {' '.join(triggers)}" if triggers else ""
    period = f"frequency = {monitor.every} start_timestamp = immediately"
    monitor_name = monitor.name.upper()
    yield f"create resource monitor if not exists {monitor_name} with {quota} {period}{fired}"
    # a period that has begun is left as it is: changing it would begin it anew
    yield f"alter resource monitor {monitor_name} set {quota}{fired}"


def _warehouse(warehouse: Warehouse) -> Iterator[str]:
    monitor = f" resource_monitor = {warehouse.monitor.upper()}" if warehouse.monitor else ""
    changing = (
        f"warehouse_size = {warehouse.size} auto_suspend = {warehouse.idle_seconds}"
        f" auto_resume = true statement_timeout_in_seconds = {warehouse.longest_seconds}{monitor}"
    )
    warehouse_name = warehouse.name.upper()
    yield (
        f"create warehouse if not exists {warehouse_name} with {changing}"
        " initially_suspended = true"
    )
    yield f"alter warehouse {warehouse_name} set {changing}"


# databases


def _database(project: Project, settings: Settings, environment: Environment) -> Iterator[str]:
    database = environment.database.upper()
    kept = f"data_retention_time_in_days = {environment.kept_days}"
    transient = "transient " if environment.transient else ""
    yield f"create {transient}database if not exists {database} {kept}"
    yield f"alter database {database} set {kept}"
    if environment.raw_from is not None:
        source = settings.environments[environment.raw_from].database.upper()
        yield f"create schema if not exists {database}.{RAW.upper()} clone {source}.{RAW.upper()}"
    builders = dict.fromkeys([settings.builder.upper(), *(r.upper() for r in environment.built_by)])
    for role in builders:
        # whoever builds makes the schemas, in a shared database with a prefix
        yield f"grant usage, create schema on database {database} to role {role}"
    if environment.shared:
        for role in builders:
            raw = f"{database}.{RAW.upper()}"
            yield f"grant usage on schema {raw} to role {role}"
            yield f"grant select on all tables in schema {raw} to role {role}"
        return
    for schema in sorted({table.schema for table in project.contracts.tables}):
        yield f"create schema if not exists {database}.{schema.upper()}"
        builder = settings.builder.upper()
        yield f"grant all privileges on schema {database}.{schema.upper()} to role {builder}"


# production: what lands, what grows, what keeps up


def _landing(project: Project, production: Environment) -> Iterator[str]:
    """The stage and the format of landed files, and a pipe for each table that topics land in."""
    yield f"use database {production.database.upper()}"
    yield from create_schema()
    tables = raw_tables(project.contracts)
    streamed = {str(t.custom[_LANDS_IN]) for t in project.contracts.topics if _LANDS_IN in t.custom}
    # what is rejected of a stream is streamed, too
    for table in sorted(streamed | {QUARANTINE} if streamed else streamed):
        if table not in tables:
            continue
        yield create_table(table, tables[table])
        # never replaced: how far each channel was committed is kept by the pipe
        pipe = f"{name(RAW)}.{name(table + PIPE)}"
        yield (
            f"create pipe if not exists {pipe} as copy into {name(RAW)}.{name(table)}"
            " from table(data_source(type => 'STREAMING'))"
            " match_by_column_name = case_insensitive"
        )


def _growing(project: Project, production: Environment) -> Iterator[str]:
    """Clustering by day of what is never built whole: raw tables, and incremental models."""
    derived = observability.files(project)
    nodes = find_nodes(project, derived)
    for table in project.contracts.tables:
        day = observability.data_day(table)
        if day is None:
            continue
        if table.schema != RAW:
            node = nodes.get(table.name)
            if node is None or node.path.suffix != ".sql":
                continue
            text = derived.get(node.path) or node.path.read_text(encoding="utf-8")
            if not _INCREMENTAL.search(text):
                continue
        yield (
            f"alter table if exists {_relation(production, table)}"
            f" cluster by (to_date({name(day.column.name)}))"
        )


def _relation(production: Environment, table: Contract) -> str:
    return f"{production.database.upper()}.{table.schema.upper()}.{table.name.upper()}"


def dynamic_tables(
    queries: Mapping[str, str], database: str, realtime: Realtime, into: str
) -> list[Dynamic]:
    """The real-time models, behind all models that they are made of; raw data they read as it is.

    Args:
        queries: by `schema.table`, as compiled for a full build in `database`.
        into: the database that they are made in.

    Raises:
        UnusableInput: there is no such model.
    """
    by_name = {table.partition(".")[2].lower(): table for table in queries}
    ordered: dict[str, None] = {}

    def parents(table: str) -> Iterator[str]:
        for found in _RELATION.finditer(queries[table]):
            if found["database"].upper() == database.upper():
                parent = f"{found['schema']}.{found['table']}".lower()
                if parent in queries and parent != table:
                    yield parent

    def visit(table: str) -> None:
        if table not in ordered:
            for parent in parents(table):
                visit(parent)
            ordered[table] = None

    for model in realtime.models:
        if model.lower() not in by_name:
            raise UnusableInput(f"there is no model {model!r} to keep up to date in real time")
        visit(by_name[model.lower()])

    def here(found: re.Match[str]) -> str:
        if found["database"].upper() != database.upper():
            return found[0]
        if f"{found['schema']}.{found['table']}".lower() in ordered:
            return f"{into}.{realtime.schema}.{found['table']}".upper()
        return f"{into}.{found['schema']}.{found['table']}".upper()

    wanted = {model.lower() for model in realtime.models}
    return [
        Dynamic(
            table=f"{into}.{realtime.schema}.{table.partition('.')[2]}".upper(),
            model=table,
            query=_RELATION.sub(here, queries[table]).strip(),
            lag=realtime.lag if table.partition(".")[2] in wanted else None,
        )
        for table in ordered
    ]

"""From a live table to all that it takes to have it in the warehouse, as drafts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingestion.sources import read_sources
from waypoint.contracts.importing.draft import Draft
from waypoint.contracts.importing.sources_file import with_table
from waypoint.contracts.importing.staging import (
    MARTS,
    STAGING,
    Naming,
    StagingModel,
    entity_of,
    mart_model,
    raw_draft,
    staging_model,
)
from waypoint.contracts.importing.table import TableStructure, duckdb_table, postgres_table
from waypoint.contracts.importing.writing import Imported, contract_files, write
from waypoint.contracts.nodes import dbt_paths
from waypoint.errors import UnusableInput
from waypoint.project import Project

_SCHEMES = ("postgres://", "postgresql://")
_KIND = "postgres"
_CURSOR = "updated_at"  # the name by which most applications keep when a row was changed


@dataclass(frozen=True)
class Request:
    """What is to be imported, as the command line says it."""

    where: str  # a source, a DSN, an environment variable that holds one, or a DuckDB file
    table: str  # <table> or <schema>.<table>
    name: str | None = None  # of the raw table, or of a DuckDB file's table
    source: str | None = None  # a new source to declare for a database that is none yet
    mart: str | None = None
    by: str | None = None
    key: Sequence[str] = ()
    entity: str | None = None
    owner: str = ""
    domain: str = ""
    contract_only: bool = False
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class _Database:
    """A PostgreSQL database that is, or becomes, a source of the project."""

    source: str | None  # its name in sources.yml; None: it stays none
    dsn: str
    schema: str
    cursor: str | None
    tables: Mapping[str, str]  # raw tables by the database's tables
    new: dict[str, str] | None  # the settings to declare it with, where it is new


def import_table(project: Project, request: Request) -> Imported:
    """Draft the contract of a table and, for a table of a source, everything up to a mart.

    Raises:
        UnusableInput: what is asked for is not there, or all of it is written already.
        Unavailable: the database does not answer.
    """
    _refuse_contradictions(request)
    database = _database(project, request)
    if database is None:
        return _import_from_duckdb(project, request)
    schema, _, table = request.table.rpartition(".")
    structure = postgres_table(
        database.source or "the database", database.dsn, schema or database.schema, table
    )
    structure.choose_key(request.key)
    naming = Naming(
        entity=request.entity or entity_of(table),
        source_table=table,
        raw_table=request.name or database.tables.get(table) or _default_name(database, table),
        owner=request.owner,
        domain=request.domain,
    )
    raw = raw_draft(structure, naming)
    if database.source is None or request.contract_only:
        imported = write(
            contract_files(project, [raw]), force=request.force, dry_run=request.dry_run
        )
        if database.source is None:
            imported.notes.append(
                "pass --source <name> to have the source, the staging model and a mart drafted, too"
            )
        return imported
    if schema not in ("", database.schema):
        raise UnusableInput(
            f"{request.table}: the source {database.source} reads the schema {database.schema}",
            hint="declare another source for that schema (--source <name>)",
        )
    return _import_whole(project, request, database, structure, naming, raw)


def _import_whole(
    project: Project,
    request: Request,
    database: _Database,
    structure: TableStructure,
    naming: Naming,
    raw: Draft,
) -> Imported:
    source = database.source
    assert source is not None
    if database.new is not None and _tells_versions_apart(structure):
        database = replace(
            database,
            cursor=_CURSOR,
            new=database.new | {"cursor": _CURSOR, "overlap": "10 minutes"},
        )
        raw.todos.append(
            f"does the application set {_CURSOR} with every change? Extraction follows it; if not,"
            " take cursor and overlap out of sources.yml, and the table is read whole each time"
        )
    cursor = database.cursor if structure.column(database.cursor or "") else None
    staging = staging_model(
        structure, naming, changed_at=cursor, known=_known(project, database, naming)
    )
    drafts = [raw, staging.draft]
    models = {_model_path(project, STAGING, staging.draft, request.domain): staging.sql}
    if request.mart:
        mart = _mart(staging, naming, request)
        drafts.append(mart.draft)
        models[_model_path(project, MARTS, mart.draft, request.domain)] = mart.sql
    sources = with_table(
        project.sources_file,
        source,
        naming.source_table,
        naming.raw_table,
        whole=bool(database.cursor) and cursor is None,
        new=database.new,
    )
    imported = write(
        contract_files(project, drafts) | models, force=request.force, dry_run=request.dry_run
    )
    if sources is not None:
        if not request.dry_run:
            project.sources_file.parent.mkdir(parents=True, exist_ok=True)
            project.sources_file.write_text(sources, encoding="utf-8")
        imported.written.append(project.sources_file)
    if database.new:
        imported.notes.append(
            f"the source reads {database.new['dsn']}: set that variable wherever Waypoint runs"
        )
    return imported


def _mart(staging: StagingModel, naming: Naming, request: Request) -> StagingModel:
    assert request.mart is not None
    by = request.by
    return mart_model(staging.draft, naming, request.mart, by and staging.renamed.get(by, by))


def _import_from_duckdb(project: Project, request: Request) -> Imported:
    schema, _, table = request.table.rpartition(".")
    structure = duckdb_table(Path(request.where), schema or None, table)
    structure.choose_key(request.key)
    for name, (_, other, column) in structure.references.items():
        found = structure.column(name)
        if found is not None:
            found.references = f"{other}.{column}"
    draft = Draft(
        schema=structure.schema,
        name=request.name or table,
        columns=structure.columns,
        description=structure.description,
        owner=request.owner,
        domain=request.domain,
        rules=structure.rules,
        todos=structure.todos,
    )
    return write(contract_files(project, [draft]), force=request.force, dry_run=request.dry_run)


def _tells_versions_apart(structure: TableStructure) -> bool:
    column = structure.column(_CURSOR)
    return column is not None and column.logical == "timestamp" and column.required


# where the table is


def _database(project: Project, request: Request) -> _Database | None:
    """The PostgreSQL database that `where` names; None for a DuckDB file.

    Raises:
        UnusableInput: it names nothing that is there.
    """
    where = request.where
    declared = {s.name: s for s in read_sources(project)} if project.sources_file.exists() else {}
    if where in declared:
        source = declared[where]
        if source.kind != _KIND:
            raise UnusableInput(
                f"{where} is a source of kind {source.kind}, which declares no structure to read",
                hint="note its columns down in the short form: waypoint contracts import short",
            )
        if not source.connected:
            missing = ", ".join(source.missing)
            raise UnusableInput(f"{where} is not connected", hint=f"set {missing}")
        return _declared(where, source.settings)
    if where.startswith(_SCHEMES) or "dbname=" in where or "host=" in where:
        variable = f"WAYPOINT_{(request.source or '').upper().replace('-', '_')}_DSN"
        return _undeclared(request, declared, where, variable)
    if os.environ.get(where):
        return _undeclared(request, declared, os.environ[where], where)
    if Path(where).is_file():
        return None
    known = ", ".join(name for name, source in declared.items() if source.kind == _KIND)
    raise UnusableInput(
        f"{where} is no source of {project.sources_file.name}, no PostgreSQL URL, no environment"
        " variable that holds one, and no DuckDB file",
        hint=f"the PostgreSQL sources are {known}"
        if known
        else "give e.g. postgresql://user@host/db",
    )


def _declared(name: str, settings: Mapping[str, Any]) -> _Database:
    tables = settings.get("tables") or {}
    lands_in = {
        str(table): str(entry["table"] if isinstance(entry, Mapping) else entry)
        for table, entry in tables.items()
    }
    return _Database(
        source=name,
        dsn=str(settings["dsn"]),
        schema=str(settings.get("schema") or "public"),
        cursor=settings.get("cursor"),
        tables=lands_in,
        new=None,
    )


def _undeclared(
    request: Request, declared: Mapping[str, Any], dsn: str, variable: str
) -> _Database:
    schema = request.table.rpartition(".")[0] or "public"
    new = None
    if request.source:
        if request.source in declared:
            raise UnusableInput(
                f"--source {request.source}: there is a source of that name",
                hint=f"waypoint contracts import table {request.source} {request.table}",
            )
        new = {"kind": _KIND, "dsn": f"${{{variable}}}", "schema": schema}
    return _Database(request.source, dsn, schema, None, {}, new)


def _default_name(database: _Database, table: str) -> str:
    name = table.lower()
    return f"{database.source}_{name}".replace("-", "_") if database.source else name


def _refuse_contradictions(request: Request) -> None:
    if request.by and not request.mart:
        raise UnusableInput("--by is about a mart", hint="pass --mart <name>, too")
    if request.domain and not re.fullmatch(r"\w[\w -]*", request.domain):
        raise UnusableInput(f"--domain {request.domain!r}: is no plain word")
    if request.mart and request.contract_only:
        raise UnusableInput("--contract-only drafts no mart", hint="leave one of the two away")


# what the project has already


def _known(project: Project, database: _Database, naming: Naming) -> dict[tuple[str, str], str]:
    """In which staging column a column of another table of the source stands."""
    known = {}
    for table in database.tables:
        other = Naming(entity_of(table), table, "")
        contract = project.contracts.get(f"{STAGING}.{other.staging_table}")
        if contract is None or table == naming.source_table:
            continue
        for column in contract.columns:
            known[table, column.name] = f"{contract.name}.{column.name}"
        if f"{other.entity}_id" in {column.name for column in contract.columns}:
            known[table, "id"] = f"{contract.name}.{other.entity}_id"
    return known


def _model_path(project: Project, schema: str, draft: Draft, domain: str) -> Path:
    """Where the model's SQL goes: in the domain's folder, where models have such folders."""
    folder = project.root / dbt_paths(project)["model-paths"][0] / schema
    by_domain = folder.is_dir() and not any(folder.glob("*.sql")) and any(folder.iterdir())
    return (folder / domain if domain and by_domain else folder) / f"{draft.name}.sql"

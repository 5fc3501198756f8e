"""From an existing dbt project to drafts of its contracts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

from waypoint.contracts.importing.dbt_properties import not_taken_over, without_tables
from waypoint.contracts.importing.dbt_tables import (
    DbtTable,
    property_files,
    tables_of_files,
    tables_of_manifest,
)
from waypoint.contracts.importing.dbt_tests import apply_tests
from waypoint.contracts.importing.draft import Draft, DraftColumn
from waypoint.contracts.importing.table import duckdb_table
from waypoint.contracts.importing.types import contract_type
from waypoint.contracts.importing.writing import Imported, contract_files, contract_path, write
from waypoint.contracts.model import DBT_SOURCE, RAW, TOPICS
from waypoint.dbt_running import target_dir
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: (name, type, description) of each column of a built table, in its order.
_Built = Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class DbtRequest:
    """What is to be imported, as the command line says it."""

    only: Sequence[str] = ()
    manifest: Path | None = None
    catalog: Path | None = None
    warehouse: Path | None = None
    schema: str | None = None
    keep_properties: bool = False
    owner: str = ""
    domain: str = ""
    force: bool = False
    dry_run: bool = False


def import_dbt(project: Project, request: DbtRequest) -> Imported:
    """Draft a contract for each table of the project, and take over dbt's yml files.

    Raises:
        UnusableInput: a file cannot be read, a named model is not there, a schema is not known,
            or every contract is there already.
    """
    notes: list[str] = []
    tables = _tables(project, request)
    built = _BuiltTables(project, request)
    drafts: dict[Path, DbtTable] = {}
    wanted = []
    for table in _wanted(tables, request.only):
        reason = table.unsupported or _taken_schema(table)
        if reason:
            notes.append(f"{table.name} was left out: {reason}")
            continue
        draft = _draft(table, built, request)
        wanted.append(draft)
        drafts[contract_path(project, draft)] = table
    if not wanted:
        raise UnusableInput("the project has no table to draft a contract for", "; ".join(notes))
    _note_what_is_left(project, drafts, wanted)
    imported = write(contract_files(project, wanted), force=request.force, dry_run=request.dry_run)
    imported.notes += notes
    if built.nothing:
        imported.notes.append(
            "no built tables were found, so types are known only where the project states them:"
            " run dbt build, and pass --warehouse with its DuckDB file, or run dbt docs generate"
        )
    if not request.keep_properties:
        taken = [table for path, table in drafts.items() if path in set(imported.written)]
        _take_out(project, taken, imported)
    return imported


def _tables(project: Project, request: DbtRequest) -> list[DbtTable]:
    manifest = request.manifest or target_dir(project) / "manifest.json"
    if request.manifest or manifest.is_file():
        return tables_of_manifest(manifest)
    return tables_of_files(project)


def _wanted(tables: list[DbtTable], only: Sequence[str]) -> list[DbtTable]:
    names = sorted({table.name for table in tables})
    for name in only:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(names)}"
            raise UnusableInput(f"the dbt project has no table {name}", hint=hint)
    found = [table for table in tables if not only or table.name in only]
    return sorted(found, key=lambda table: (table.schema or "", table.name))


def _taken_schema(table: DbtTable) -> str:
    if table.schema in (RAW, TOPICS) and table.kind != "sources":
        return f"the folder contracts/{table.schema} is not for tables that dbt builds"
    return ""


def _draft(table: DbtTable, built: _BuiltTables, request: DbtRequest) -> Draft:
    schema = table.schema or built.schema_of(table.name) or request.schema
    if not schema:
        raise UnusableInput(
            f"in which schema {table.name} is built is not known without dbt's manifest",
            hint="run `dbt parse`, which writes it, or pass --schema",
        )
    draft = Draft(
        schema=schema,
        name=table.name,
        columns=[],
        description=table.description,
        owner=table.owner or request.owner,
        domain=request.domain,
        tags=table.tags,
    )
    if table.kind == "sources":
        draft.custom = {DBT_SOURCE: table.source_name}
        draft.todos.append("how old may the newest row be? Write slaProperties: freshness, if any")
    there = built.columns(table, schema)
    by_name = {name.lower(): (kind, comment) for name, kind, comment in there}
    stated = {name.lower(): name for name in table.columns}
    names = [stated.get(n.lower(), _unquoted(n)) for n, _, _ in there] or list(table.columns)
    for name in names:
        description, declared = table.columns.get(name, ("", ""))
        kind, comment = by_name.get(name.lower(), ("", ""))
        draft.columns.append(_column(draft, table, name, declared or kind, description or comment))
    for name in table.columns:
        if name not in names:
            draft.todos.append(
                f"{name} is described in dbt's yml, but the table has no such column"
            )
    if not draft.columns:
        draft.todos.append("which columns it has is not known: build it, and import it again")
    apply_tests(table, draft)
    return draft


def _column(
    draft: Draft, table: DbtTable, name: str, declared: str, description: str
) -> DraftColumn:
    if not declared:
        draft.todos.append(f"of which type {name} is is not known; varchar was put in")
        return DraftColumn(name, "varchar", description=description)
    kind = contract_type(declared)
    # a seed is typed by its contract; a model has to yield the type itself
    if not kind.exact and table.kind != "seeds":
        draft.todos.append(
            f"{name} is {declared.lower()}, which not both warehouses have;"
            f" cast it to {kind.physical} in the model, or choose another type"
        )
    return DraftColumn(name, kind.physical, kind.logical, description=description)


def _unquoted(name: str) -> str:
    """A name as people write it: Snowflake keeps in capitals what was written without quotes."""
    return name.lower() if name.isupper() else name


# types


class _BuiltTables:
    """What dbt's catalog, or else the warehouse itself, says of the tables that were built."""

    def __init__(self, project: Project, request: DbtRequest) -> None:
        catalog = request.catalog or target_dir(project) / "catalog.json"
        self._catalog = _read_catalog(catalog) if request.catalog or catalog.is_file() else {}
        self._warehouse = request.warehouse or _default_warehouse(project)
        if request.warehouse and not request.warehouse.is_file():
            raise UnusableInput(f"--warehouse {request.warehouse}: no such file")
        self.nothing = not self._catalog and self._warehouse is None

    def columns(self, table: DbtTable, schema: str) -> _Built:
        found = self._catalog.get(table.unique_id) or self._catalog.get(f"{schema}.{table.name}")
        if found:
            return found
        if self._warehouse is None:
            return ()
        try:
            structure = duckdb_table(self._warehouse, schema, table.name)
        except UnusableInput:
            return ()
        return [(c.name, c.declared, c.description) for c in structure.columns]

    def schema_of(self, table: str) -> str | None:
        if self._warehouse is None:
            return None
        try:
            return duckdb_table(self._warehouse, None, table).schema
        except UnusableInput:
            return None


def _read_catalog(path: Path) -> dict[str, _Built]:
    try:
        catalog = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, _Built] = {}
        for unique_id, node in {**catalog["nodes"], **catalog["sources"]}.items():
            columns = sorted(node["columns"].values(), key=lambda column: column["index"])
            built = [(c["name"], c["type"], c.get("comment") or "") for c in columns]
            name = f"{node['metadata']['schema']}.{node['metadata']['name']}"
            found[unique_id] = found[name] = built
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{path}: not a catalog of dbt ({type(error).__name__}: {error})"
        raise UnusableInput(what, hint="run `dbt docs generate`, which writes it") from None
    return found


def _default_warehouse(project: Project) -> Path | None:
    """The project's own warehouse, or the DuckDB file that its profile names in plain words."""
    if project.warehouse_file.is_file():
        return project.warehouse_file
    try:
        settings = yaml.safe_load((project.root / "dbt_project.yml").read_text(encoding="utf-8"))
        profiles = yaml.safe_load((project.root / "profiles.yml").read_text(encoding="utf-8"))
        outputs = profiles[settings["profile"]]["outputs"].values()
        paths = [project.root / o["path"] for o in outputs if o.get("type") == "duckdb"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None
    return next((path for path in paths if path.is_file()), None)


# dbt's own yml files


def _note_what_is_left(
    project: Project, tables: Mapping[Path, DbtTable], drafts: Sequence[Draft]
) -> None:
    """Note on each draft what its yml entry says beside what a contract does."""
    by_table = {
        (table.kind, table.name): draft
        for table, draft in zip(tables.values(), drafts, strict=True)
    }
    for _, document in property_files(project):
        for kind in ("models", "seeds", "snapshots"):
            for entry in document.get(kind) or []:
                draft = by_table.get((kind, str(entry.get("name"))))
                if draft is not None:
                    draft.todos += [
                        f"dbt's yml said `{left}`: put it into the model's config(), or leave it"
                        for left in not_taken_over(entry)
                    ]


def _take_out(project: Project, tables: Sequence[DbtTable], imported: Imported) -> None:
    """Take what stands in contracts out of the yml files, where dbt may find it only once."""
    taken = {(table.kind, table.name) for table in tables if table.kind != "sources"}
    derived = {name for _, name in taken}
    of_sources = {(table.source_name, table.name) for table in tables if table.kind == "sources"}
    for path, document in list(property_files(project)):
        for source in document.get("sources") or []:
            named = [(source["name"], t.get("identifier") or t["name"]) for t in source["tables"]]
            if named and of_sources.issuperset(named):
                taken.add(("sources", source["name"]))
        text = path.read_text(encoding="utf-8")
        rest = without_tables(text, taken)
        if rest == text:
            continue
        if not imported.dry_run:
            path.unlink()
        if rest is None:
            imported.removed.append(path)
            continue
        # what is left must not stand where the derived file will
        left = path.with_name(f"{path.stem}__kept.yml") if path.stem in derived else path
        if not imported.dry_run:
            left.write_text(rest, encoding="utf-8")
        imported.written.append(left)

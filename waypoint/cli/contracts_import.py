"""`waypoint contracts import`: draft contracts from what there is already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json

if TYPE_CHECKING:
    from waypoint.contracts.importing.writing import Imported
    from waypoint.project import Project

_ABOUT = """Draft contracts from a short form, a live table, or a dbt project.

A draft holds what is known and says [bold]TODO[/] where a person decides: what
things mean, who answers for them, what is personal data. Nothing is read off
the rows. Edit the drafts, set [bold]status: active[/], and
waypoint contracts lint passes them."""

drafting = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=_ABOUT)

_Owner = Annotated[str, typer.Option(help="The team that answers for the tables.", metavar="TEAM")]
_Domain = Annotated[str, typer.Option(help="Their part of the business.", metavar="NAME")]
_Force = Annotated[
    bool, typer.Option("--force", help="Write anew what is there already, edits included.")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")
]
_Json = Annotated[bool, typer.Option("--json", help="What was written and is to do, as JSON.")]


@drafting.callback(help=_ABOUT)
def family() -> None:
    """The commands that draft contracts."""


@drafting.command()
def short(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files in the short form (YAML).")],
    schema: Annotated[
        str | None,
        typer.Option(
            help="Where tables go that do not say `schema:`."
            r" \[default: staging for stg_*, else marts]"
        ),
    ] = None,
    owner: _Owner = "",
    domain: _Domain = "",
    force: _Force = False,
    dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Draft contracts from notes in the short form.

    \b
    The short form, one document, a list, or several documents (---):
      model: stg_loans
      description: Books that left the desk.
      columns:
        - {name: loan_id, type: bigint, tests: \\[not_null, unique]}
        - {name: card, type: varchar, tests: \\[not_null]}
        - {name: days, type: integer, tests: \\[positive]}
        - {name: status, type: varchar, tests: \\[{accepted_values: \\[out, back]}]}
        - {name: loaded_at, type: timestamp, tests: \\[not_null]}
      freshness: {warn_after: 2 hours, error_after: 4 hours}

    \b
    Also known: schema, owner, domain, grain; per column description, pii and
    references; tests primary_key, non_negative, between, pattern, relationships.

    \b
    Examples:
      waypoint contracts import short loans.yml
      waypoint contracts import short notes/*.yml --owner lending --dry-run
    """
    from waypoint.contracts.importing.short_form import drafts_of
    from waypoint.contracts.importing.writing import contract_files, write

    project = invocation(context).project
    drafts = [draft for file in files for draft in drafts_of(file, schema)]
    for draft in drafts:
        draft.owner = draft.owner or owner
        draft.domain = draft.domain or domain
    imported = write(contract_files(project, drafts), force=force, dry_run=dry_run)
    _tell(project, imported, as_json)


@drafting.command()
def table(
    context: typer.Context,
    where: Annotated[
        str,
        typer.Argument(
            help="A PostgreSQL source of ingestion/sources.yml, an environment variable with a"
            " PostgreSQL URL, such a URL, or a DuckDB file."
        ),
    ],
    name: Annotated[
        str, typer.Argument(help="The table, as table or schema.table.", metavar="TABLE")
    ],
    as_name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help=r"The raw table's name. \[default: <source>_<table>]"
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Declare the database as a new source of that name in ingestion/sources.yml.",
        ),
    ] = None,
    mart: Annotated[
        str | None, typer.Option(metavar="NAME", help="Draft a mart on top, too.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The mart counts rows by this column, by day where it is a time."
            r" \[default: the rows as they stand now]",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="What tells rows apart where the table has no primary key; may be repeated.",
        ),
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(
            metavar="WORD", help=r"What one row is. \[default: the table's name in the singular]"
        ),
    ] = None,
    contract_only: Annotated[
        bool, typer.Option("--contract-only", help="Draft the table's own contract and no more.")
    ] = False,
    owner: _Owner = "",
    domain: _Domain = "",
    force: _Force = False,
    dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Draft a live table's contract and, for a source, all it takes to have it in a mart.

    Columns, types, keys, requiredness, enums, check constraints, foreign keys
    and comments are taken over from the database's catalogue.

    \b
    For a table of a source, these are written:
      contracts/raw/<source>_<table>.yaml  what the source says
      contracts/staging/stg_<table>.yaml   the same, renamed, one row per key
      models/staging/stg_<table>.sql       the newest version of each row
      ingestion/sources.yml                a line: the table is extracted
      contracts/marts/, models/marts/      with --mart

    docs/new-source-table.md walks through it.

    \b
    Examples:
      waypoint contracts import table shop refunds --mart refunds
      waypoint contracts import table SHOP_DSN public.refunds --source shop
      waypoint contracts import table postgresql://me@db/shop users --as app_users
      waypoint contracts import table var/warehouse/waypoint.duckdb marts.revenue
    """
    from waypoint.contracts.importing.source_table import Request, import_table

    project = invocation(context).project
    request = Request(
        where=where,
        table=name,
        name=as_name,
        source=source,
        mart=mart,
        by=by,
        key=tuple(key or ()),
        entity=entity,
        owner=owner,
        domain=domain,
        contract_only=contract_only,
        force=force,
        dry_run=dry_run,
    )
    _tell(project, import_table(project, request), as_json)


@drafting.command()
def dbt(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(help=r"Only these models, seeds and snapshots. \[default: all]"),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=r"dbt's manifest. \[default: target/manifest.json, or else the project's files]",
        ),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=r"dbt's catalog, for types. \[default: target/catalog.json, if it is there]",
        ),
    ] = None,
    warehouse: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A DuckDB file with the built tables, for types."),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="The tables' schema, where neither manifest nor warehouse says it."),
    ] = None,
    keep_properties: Annotated[
        bool,
        typer.Option(
            "--keep-properties",
            help="Leave what became contracts in dbt's yml files, too; dbt refuses to have both.",
        ),
    ] = False,
    owner: _Owner = "",
    domain: _Domain = "",
    force: _Force = False,
    dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Draft the contracts of a dbt project, from its manifest or its files.

    Descriptions, data types and the tests not_null, unique, accepted_values
    and relationships are taken over; other tests are noted for a person. What
    became a contract is taken out of dbt's yml files: from then on it is
    derived from the contract, by waypoint contracts render.

    Types that the project does not state come from the built tables: run dbt
    build first, and point --warehouse at its DuckDB file (or run dbt docs
    generate, whose catalog has them for any warehouse).

    docs/existing-dbt-projects.md tells more.

    \b
    Examples:
      waypoint contracts import dbt --warehouse jaffle_shop.duckdb
      waypoint contracts import dbt customers orders --dry-run
    """
    from waypoint.contracts.importing.dbt_project import DbtRequest, import_dbt

    project = invocation(context).project
    request = DbtRequest(
        only=tuple(models or ()),
        manifest=manifest,
        catalog=catalog,
        warehouse=warehouse,
        schema=schema,
        keep_properties=keep_properties,
        owner=owner,
        domain=domain,
        force=force,
        dry_run=dry_run,
    )
    _tell(project, import_dbt(project, request), as_json, builds="waypoint build")


def _tell(
    project: Project, imported: Imported, as_json: bool, builds: str = "waypoint run  "
) -> None:
    """Say what was written, what is open, and what to do next."""

    def short_name(path: Path) -> str:
        return str(path.relative_to(project.root) if path.is_relative_to(project.root) else path)

    steps = _next_steps(imported, builds)
    if as_json:
        print_json(
            {
                "dry_run": imported.dry_run,
                "written": [short_name(path) for path in imported.written],
                "kept": [short_name(path) for path in imported.kept],
                "removed": [short_name(path) for path in imported.removed],
                "todos": [
                    {"file": short_name(path), "where": where, "what": what}
                    for path, questions in imported.todos.items()
                    for where, what in questions
                ],
                "notes": imported.notes,
                "next": steps,
            }
        )
        return
    console = answer()
    verb = "would write" if imported.dry_run else "wrote"
    for path in imported.written:
        count = len(imported.todos.get(path, ()))
        console.print(f"{verb} {short_name(path)}" + (f"  ({count} TODO)" if count else ""))
    for path in imported.removed:
        gone = "would remove" if imported.dry_run else "removed"
        console.print(f"{gone} {short_name(path)}: all of it stands in contracts now")
    for path in imported.kept:
        console.print(f"kept {short_name(path)}, which was there (--force writes it anew)")
    for note in imported.notes:
        console.print(f"note: {note}", markup=False)
    console.print("\nWhat to do next:")
    for number, step in enumerate(steps, start=1):
        console.print(f"  {number}. {step}", markup=False)


def _next_steps(imported: Imported, builds: str) -> list[str]:
    count = sum(len(questions) for questions in imported.todos.values())
    steps = []
    if imported.dry_run:
        steps.append("run it again without --dry-run")
    if imported.todos:
        steps.append(f"decide the {count} TODOs in the contracts; set their status: active")
    if any(path.suffix == ".sql" for path in imported.written):
        steps.append("read the models' SQL and make it yours")
    return [
        *steps,
        "waypoint contracts lint      says what is still open",
        "waypoint contracts render    derives dbt's files from them",
        f"{builds}               builds and checks the tables",
    ]

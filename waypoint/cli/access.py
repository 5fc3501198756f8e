"""`waypoint access ...`: who may see what, down to the column, and the same on Snowflake."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import Exit, UnusableInput, WaypointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from waypoint.access.snowflake import Plan
    from waypoint.contracts.roles import RolePolicy
    from waypoint.project import Project

access = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Who may see what, from the contracts: the matrix, and Snowflake's grants and masks.",
)

_State = Annotated[
    Path | None,
    typer.Option(help="A record of access to compare with, instead of the account.", metavar="F"),
]


@access.callback()
def family() -> None:
    """Who may see what, from the contracts: the matrix, and Snowflake's grants and masks."""


class MatrixStale(WaypointError):
    """The committed matrix is not what the contracts say."""


@access.command()
def matrix(
    context: typer.Context,
    role: Annotated[
        str | None, typer.Option(help="This role only, column by column.", metavar="NAME")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 if the committed matrix is not up to date.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Rows of role, schema, table, column, access, pii.")
    ] = False,
) -> None:
    """Show what each role sees of each table; with --json of each column.

    `access` is none, read, masked or token. The reviewed matrix is dbt_project/access/matrix.csv,
    which `waypoint contracts render` writes.

    \b
    Examples:
      waypoint access matrix
      waypoint access matrix --role analyst
      waypoint access matrix --json | jq '.[] | select(.pii and .access == "read")'
    """
    from waypoint.access.files import matrix_file
    from waypoint.access.matrix import NONE, as_csv, as_markdown
    from waypoint.access.matrix import matrix as cells_of

    project = invocation(context).project
    roles = _roles(project)
    if check:
        path = matrix_file(project)
        expected = as_csv(cells_of(project.contracts, roles))
        if not path.exists() or path.read_text() != expected:
            raise MatrixStale(
                f"{path.relative_to(project.root)} is not what the contracts say",
                hint="run `waypoint contracts render`, look at the difference and commit it",
            )
    if role is not None:
        if role not in roles:
            raise UnusableInput(f"there is no role {role!r}", hint=f"known: {', '.join(roles)}")
        roles = {role: roles[role]}
    cells = cells_of(project.contracts, roles)
    if as_json:
        print_json([asdict(cell) for cell in cells])
    elif role is not None:
        for cell in cells:
            if cell.access != NONE:
                name = f"{cell.schema}.{cell.table}.{cell.column}"
                answer().print(f"{cell.access:7} {name}", markup=False)
    else:
        answer().print(as_markdown(project.contracts, roles), markup=False, end="")


@access.command()
def plan(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The statements as JSON.")] = False,
) -> None:
    """Show the statements that make it so on Snowflake; nothing is connected to.

    Roles, masking by tag, row access policies, grants, future grants. They can be run again. The
    `?` is the key of tokens, which `apply` binds.

    \b
    Examples:
      waypoint access plan
    """
    made = _plan(invocation(context).project)
    if as_json:
        print_json({"database": made.database, "statements": [s.sql for s in made.statements]})
    else:
        print(made.text, end="")


@access.command()
def apply(context: typer.Context) -> None:
    """Run the plan on the Snowflake account that the environment names, and record it.

    Needs SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and credentials, SNOWFLAKE_ACCESS_ROLE (ACCOUNTADMIN
    unless set), and the key of tokens in WAYPOINT_TOKEN_KEY. Run it after each build: a table that
    was built anew is closed until then. What is there and should not be is left; `diff` names it.

    \b
    Examples:
      waypoint access plan | less && waypoint access apply
    """
    from waypoint.access.account import apply as run_plan
    from waypoint.access.account import connected, record
    from waypoint.access.tokens import KEY_VARIABLE, key_from_environment
    from waypoint.locking import changing_state

    shared = invocation(context)
    made = _plan(shared.project)
    key = key_from_environment()
    if key is None:
        raise UnusableInput(
            f"{KEY_VARIABLE} is not set, and Snowflake's tokens need a key that all share",
            hint="openssl rand -hex 32 makes one; keep it where secrets are kept",
        )
    with changing_state(shared.project, "waypoint access apply"), connected(shared.project) as at:
        run = run_plan(at, made, key)
        record(_record_file(shared.project), made.facts)
    remarks(shared.quiet).print(f"{run} statements were run on {made.database}")


@access.command()
def diff(
    context: typer.Context,
    state: _State = None,
    write_record: Annotated[
        Path | None,
        typer.Option("--record", help="Write down what the account has.", metavar="F"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The drift as JSON.")] = False,
) -> None:
    """Say where the account, or a record of one, is not what the contracts say.

    With `--target snowflake` the account's grants, policies and tags are read. Otherwise what was
    applied last is compared, or the record that --state names.

    \b
    Examples:
      waypoint --target snowflake access diff
      waypoint --target snowflake access diff --record access.json
      waypoint access diff --state access.json

    \b
    Exit codes:
      0 all is as it should be; 1 something differs; 2 there is no record; 3 the account is away.
    """
    from waypoint.access.account import connected, read_facts, record, recorded
    from waypoint.access.snowflake import drift
    from waypoint.warehouse import EMBEDDED

    project = invocation(context).project
    made = _plan(project)
    if state is None and project.target != EMBEDDED:
        with connected(project) as account:
            found = read_facts(account, made)
        if write_record is not None:
            record(write_record, found)
    elif write_record is not None:
        raise UnusableInput("--record writes down an account", hint="add --target snowflake")
    else:
        found = recorded(state or _record_file(project))
    differences = list(drift(made.facts, found))
    if as_json:
        print_json({"drift": differences, "facts": len(made.facts)})
    else:
        for line in differences:
            answer().print(line, markup=False)
        said = f"{len(differences)} differ" if differences else "nothing differs"
        answer().print(f"{len(made.facts)} grants, policies and tags: {said}", markup=False)
    if differences:
        raise typer.Exit(Exit.FOUND_FAILURES)


@access.command()
def leaks(
    context: typer.Context,
    manifest: Annotated[
        Path | None, typer.Option(help="dbt's compiled manifest.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The leaks as JSON.")] = False,
) -> None:
    """Find columns made of personal data whose contract does not say so, or nobody asked for it.

    Follows every column through the SQL that dbt compiled. Mend a finding with
    `classification: pii`, or with a customProperty `notPersonal` that says why it is none; where
    consent is needed, by asking for it in the query.

    \b
    Examples:
      waypoint access leaks
    """
    from waypoint.access.consent import without_consent
    from waypoint.access.leaks import leaks as find_leaks
    from waypoint.lineage.finding import graph_in, graph_of

    project = invocation(context).project
    graph = graph_of(project) if manifest is None else graph_in(manifest.parent)
    found = find_leaks(graph, project.contracts)
    unasked = without_consent(graph, project.contracts)
    if as_json:
        print_json(
            {
                "leaks": [asdict(leak) for leak in found],
                "without_consent": [asdict(one) for one in unasked],
                "untraced": dict(graph.untraced),
            }
        )
    else:
        for leak in (*found, *unasked):
            answer().print(f"✗ {leak}", markup=False)
        for table, why in graph.untraced.items():
            answer().print(f"? {table}: {why}", markup=False)
        said = f"{len(found)} carry personal data unsaid" if found else "no personal data unsaid"
        if unasked:
            said += f", {len(unasked)} without consent"
        answer().print(f"{len(graph.queries)} queries: {said}", markup=False)
    if found or unasked:
        raise typer.Exit(Exit.FOUND_FAILURES)


def _roles(project: Project) -> Mapping[str, RolePolicy]:
    from waypoint.contracts.roles import read_roles

    roles = read_roles(project)
    if roles is None:
        raise UnusableInput(
            f"there is no policy of roles: {project.roles_file} is not there",
            hint="say in it who may read and write which schemas",
        )
    return roles


def _plan(project: Project) -> Plan:
    from waypoint.access.account import names_from_environment
    from waypoint.access.snowflake import plan as make_plan

    return make_plan(project, *names_from_environment())


def _record_file(project: Project) -> Path:
    return project.state / "access.json"

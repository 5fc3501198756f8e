"""Access on Snowflake: the statements that make it so, and the facts that then hold.

Both come from the matrix. A statement can be run again without harm; the order matters:

1. roles, and the schema `GOVERNANCE` with the key of tokens, the masking policy and the tag;
2. every table that anybody reads gets its row access policy, and its personal columns their tag;
3. only then are tables granted. So a role never reads a column before it is masked.

dbt replaces tables that it builds anew, and a new table has neither tags nor grants: it is closed
until access is applied again. Future grants on tables are hence given only for schemas of which no
table holds personal data; future grants to write, and on views (which show what their tables
show), are given everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ingestion.snowflake_account import DEFAULTS
from waypoint.access.matrix import TOKEN, is_personal, protection, table_access
from waypoint.access.tokens import snowflake_token
from waypoint.contracts.derived import observability
from waypoint.contracts.model import CONSENT, Column, Contract, Contracts
from waypoint.contracts.nodes import find_nodes
from waypoint.contracts.roles import RolePolicy, read_roles
from waypoint.errors import UnusableInput
from waypoint.project import Project

DEFAULT_DATABASE = DEFAULTS["database"][1]
#: The role that dbt builds with: it has to see what it computes with.
DEFAULT_BUILDER = DEFAULTS["role"][1]
GOVERNANCE = "GOVERNANCE"
#: What a person sees in the place of masked text.
MASK = "***"

#: Kinds of policies, in the words of statements.
MASKING, ROW_ACCESS = "masking policy", "row access policy"

_TAG, _KEYS, _KEY = "PERSONAL_DATA", "TOKEN_KEYS", "TOKEN_KEY"
_WRITING = ("DELETE", "INSERT", "TRUNCATE", "UPDATE")
_VIEW = re.compile(r"materialized\s*=\s*['\"]view['\"]")
#: By the contracts' types; a masking policy is for one type.
_TYPES = {
    "varchar": "VARCHAR",
    "bigint": "NUMBER",
    "integer": "NUMBER",
    "double": "FLOAT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
}


@dataclass(frozen=True)
class Statement:
    """A statement; `bound` says that the key of tokens is its one parameter."""

    sql: str
    bound: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be run, in order, and what then holds of the account."""

    statements: tuple[Statement, ...]
    facts: frozenset[str]
    roles: tuple[str, ...]
    database: str
    policies: tuple[str, ...]
    protected: tuple[str, ...] = ()  # full names of what has tags
    kinds: Mapping[str, str] = field(default_factory=dict)  # masking policy .. by policy

    @property
    def text(self) -> str:
        """The plan as a file: one statement after the other, the key as a placeholder."""
        return "".join(f"{statement.sql};\n" for statement in self.statements)


@dataclass
class _Parts:
    """A plan on the way."""

    statements: list[Statement] = field(default_factory=list)
    facts: set[str] = field(default_factory=set)

    def add(self, sql: str, bound: bool = False) -> None:
        self.statements.append(Statement(sql, bound))


def plan(
    project: Project, database: str = DEFAULT_DATABASE, builder: str = DEFAULT_BUILDER
) -> Plan:
    """What makes the access of the project's roles so, in a Snowflake database.

    Raises:
        UnusableInput: there is no policy of roles, or a table's consent cannot be understood.
    """
    roles = read_roles(project)
    if roles is None:
        raise UnusableInput(
            f"there is no policy of roles: {project.roles_file} is not there",
            hint="say in it who may read and write which schemas",
        )
    return _Planner(project, roles, database.upper(), builder.upper()).plan()


class _Planner:
    def __init__(
        self, project: Project, roles: Mapping[str, RolePolicy], database: str, builder: str
    ) -> None:
        self._roles, self._database, self._builder = roles, database, builder
        self._contracts = project.contracts
        self._views = _views(project)
        self._parts = _Parts()
        self._policies: dict[str, str] = {}  # and of which kind each is
        self._protected: list[str] = []

    def plan(self) -> Plan:
        self._make_roles()
        self._make_governance()
        for table in self._contracts.tables:
            self._protect(table)
        for role in self._roles.values():
            self._grant(role)
        return Plan(
            tuple(self._parts.statements),
            frozenset(self._parts.facts),
            tuple(name.upper() for name in self._roles),
            self._database,
            tuple(self._policies),
            tuple(self._protected),
            self._policies,
        )

    # 1. roles and policies

    def _make_roles(self) -> None:
        for role in self._roles.values():
            approved = literal(f"granted by {', then '.join(role.approvers) or 'nobody'}")
            self._parts.add(f"create role if not exists {role.name.upper()} comment = {approved}")
            self._parts.add(f"alter role {role.name.upper()} set comment = {approved}")

    def _make_governance(self) -> None:
        keys = self._governance(_KEYS)
        self._parts.add(f"create schema if not exists {self._database}.{GOVERNANCE}")
        self._parts.add(
            f"create table if not exists {keys}"
            " (TOKEN_KEY varchar not null, MADE_AT timestamp_ntz not null)"
        )
        # bound by the connector, so that the key stands in no query history
        self._parts.add(
            f"insert into {keys} (TOKEN_KEY, MADE_AT)"
            " select ?, cast(current_timestamp() as timestamp_ntz)"
            f" where not exists (select 1 from {keys})",
            bound=True,
        )
        self._parts.add(
            f"create or replace secure function {self._governance(_KEY)}() returns varchar"
            f" memoizable as $$ select max_by(TOKEN_KEY, MADE_AT) from {keys} $$"
        )
        tag = self._governance(_TAG)
        self._parts.add(f"create tag if not exists {tag} allowed_values 'masked', 'token'")
        for kind in self._types_of_personal_data():
            policy = self._governance(f"{_TAG}_{kind}")
            body = self._mask(kind)
            self._parts.add(
                f"create masking policy if not exists {policy}"
                f" as (VALUE {kind.lower()}) returns {kind.lower()} -> {body}"
            )
            self._parts.add(f"alter masking policy {policy} set body -> {body}")
            self._parts.add(f"alter tag {tag} set masking policy {policy} force")
            self._remember_policy(policy, f"tag {tag}", MASKING, body)

    def _types_of_personal_data(self) -> list[str]:
        columns = (c for table in self._contracts.tables for c in table.columns if is_personal(c))
        return sorted({_type(column) for column in columns})

    def _mask(self, kind: str) -> str:
        tag = literal(self._governance(_TAG))
        is_token = f"system$get_tag_on_current_column({tag}) = {literal(TOKEN)}"
        branches = [f"when current_role() = {literal(self._builder)} then VALUE"]
        branches += [
            f"when is_role_in_session({literal(role.name.upper())}) and not ({is_token}) then VALUE"
            for role in self._roles.values()
            if role.privacy
        ]
        if kind != "VARCHAR":
            return f"case {' '.join(branches)} else null end"
        token = snowflake_token(f"{self._governance(_KEY)}()", "VALUE")
        branches += ["when VALUE is null then null", f"when {is_token} then {token}"]
        return f"case {' '.join(branches)} else {literal(MASK)} end"

    # 2. protection of tables

    def _protect(self, table: Contract) -> None:
        # a view shows what its tables show, and a second mask would mask the mask
        if table.full_name in self._views:
            return
        self._protect_rows(table)
        tags = {c.name: protection(table, c) for c in table.columns if is_personal(c)}
        if not tags:
            return
        tag = self._governance(_TAG)
        for value in sorted(set(tags.values())):
            for column in (name for name, said in tags.items() if said == value):
                self._parts.add(
                    f"alter table {self._relation(table)} modify column {column_name(column)}"
                    f" set tag {tag} = {literal(value)}"
                )
                self._parts.facts.add(
                    f"tag {tag} = {value} on {self._relation(table)}.{column.upper()}"
                )
        self._protected.append(self._relation(table))

    def _protect_rows(self, table: Contract) -> None:
        consent = table.custom.get(CONSENT)
        if consent is None:
            return
        about, given = _consent(table, consent, self._contracts)
        schema, source, agreed = given
        policy = self._governance(f"{table.schema}_{table.name}_CONSENT".upper())
        kind = _type(table.column(about))
        people = f"{self._database}.{schema.upper()}.{source.upper()}"
        exempt = " or ".join([f"current_role() = {literal(self._builder)}"])
        body = (
            f"{exempt} or exists (select 1 from {people} as PEOPLE"
            f" where PEOPLE.{column_name(about)} = ABOUT and PEOPLE.{column_name(agreed)})"
        )
        self._parts.add(
            f"create row access policy if not exists {policy}"
            f" as (ABOUT {kind.lower()}) returns boolean -> {body}"
        )
        self._parts.add(f"alter row access policy {policy} set body -> {body}")
        self._parts.add(
            f"alter table {self._relation(table)} drop all row access policies,"
            f" add row access policy {policy} on ({column_name(about)})"
        )
        where = f"{self._relation(table)} ({about.upper()})"
        self._remember_policy(policy, where, ROW_ACCESS, body)

    def _remember_policy(self, policy: str, where: str, kind: str, body: str) -> None:
        self._policies[policy] = kind
        self._parts.facts.add(f"policy {policy} on {where}")
        self._parts.facts.add(body_fact(kind, policy, body))

    # 3. grants

    def _grant(self, role: RolePolicy) -> None:
        name = role.name.upper()
        readable = [t for t in self._contracts.tables if table_access(role, t) is not None]
        if not readable:
            return
        self._give("USAGE", "DATABASE", self._database, name)
        for schema in sorted({table.schema for table in readable}):
            self._give("USAGE", "SCHEMA", f"{self._database}.{schema.upper()}", name)
            tables = [table for table in readable if table.schema == schema]
            for table in tables:
                self._grant_table(role, table, name)
            if not role.named and len(tables) == len(self._contracts.in_schema(schema)):
                self._grant_what_comes(role, schema, tables, name)

    def _grant_table(self, role: RolePolicy, table: Contract, name: str) -> None:
        kind = "VIEW" if table.full_name in self._views else "TABLE"
        self._give("SELECT", kind, self._relation(table), name)
        if kind == "TABLE" and table_access(role, table) == "write":
            for privilege in _WRITING:
                self._give(privilege, kind, self._relation(table), name)
        if table.versioned_as is not None:
            relation = f"{self._database}.{table.schema.upper()}.{table.family.upper()}"
            self._give("SELECT", "VIEW", relation, name)

    def _grant_what_comes(
        self, role: RolePolicy, schema: str, tables: Iterable[Contract], name: str
    ) -> None:
        where = f"{self._database}.{schema.upper()}"
        is_free = not any(is_personal(column) for table in tables for column in table.columns)
        privileges = ["SELECT"] if is_free else []
        privileges += _WRITING if role.access(schema) == "write" else ()
        for privilege in privileges:
            self._give_future(privilege, "TABLE", where, name)
        self._give_future("SELECT", "VIEW", where, name)

    def _give(self, privilege: str, kind: str, what: str, role: str) -> None:
        fact = grant_fact(privilege, kind, what, role)
        if fact not in self._parts.facts:
            self._parts.facts.add(fact)
            self._parts.add(f"grant {privilege.lower()} on {kind.lower()} {what} to role {role}")

    def _give_future(self, privilege: str, kind: str, schema: str, role: str) -> None:
        self._parts.facts.add(future_fact(privilege, kind, schema, role))
        self._parts.add(
            f"grant {privilege.lower()} on future {kind.lower()}s in schema {schema} to role {role}"
        )

    def _governance(self, name: str) -> str:
        return f"{self._database}.{GOVERNANCE}.{name}"

    def _relation(self, table: Contract) -> str:
        return f"{self._database}.{table.schema.upper()}.{table.name.upper()}"


def rotation(database: str) -> str:
    """The statement that adds a key of tokens, bound twice, unless it is the newest already."""
    keys = f"{database}.{GOVERNANCE}.{_KEYS}"
    return (
        f"insert into {keys} (TOKEN_KEY, MADE_AT)"
        " select ?, cast(current_timestamp() as timestamp_ntz)"
        f" where ? <> coalesce((select max_by(TOKEN_KEY, MADE_AT) from {keys}), '')"
    )


def grant_fact(privilege: str, kind: str, what: str, role: str) -> str:
    """A grant, in the words that plans and accounts are compared in."""
    return f"grant {privilege} on {kind} {what} to {role}"


def future_fact(privilege: str, kind: str, schema: str, role: str) -> str:
    """A grant on what will be made in a schema."""
    return f"future grant {privilege} on {kind}s in {schema} to {role}"


def body_fact(kind: str, policy: str, body: str) -> str:
    """What a policy says, in the words that plans and accounts are compared in."""
    return f"{kind} {policy} says {' '.join(body.split())}"


def literal(text: str) -> str:
    """A text in quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def column_name(column: str) -> str:
    """A column as Snowflake stores it; in quotes, since some are called as types are."""
    return '"' + column.upper().replace('"', '""') + '"'


def _type(column: Column) -> str:
    return _TYPES.get(column.physical_type.lower(), "NUMBER")


def _consent(
    table: Contract, said: object, contracts: Contracts
) -> tuple[str, tuple[str, str, str]]:
    """The column that says who a row is about, and where it stands who agreed."""
    if isinstance(said, Mapping):
        about, given = str(said.get("about", "")), str(said.get("agreed", ""))
        schema, _, rest = given.partition(".")
        source, _, column = rest.partition(".")
        known = contracts.get(f"{schema}.{source}")
        names = {c.name for c in table.columns}
        if about in names and known and {about, column} <= {c.name for c in known.columns}:
            return about, (schema, source, column)
    raise UnusableInput(
        f"{table.path}: {CONSENT} does not name a column and who agreed",
        hint="write value: {about: <column>, agreed: <schema>.<table>.<column>}; both tables have"
        " the first column",
    )


def _views(project: Project) -> frozenset[str]:
    """The tables under contract that are built as views, derived models that lack among them."""
    derived = observability.files(project)
    nodes = find_nodes(project, derived)
    found = set()
    for table in project.contracts.tables:
        node = nodes.get(table.name)
        if node is not None and node.path.suffix == ".sql":
            sql = derived.get(node.path) or node.path.read_text(encoding="utf-8")
            if _VIEW.search(sql):
                found.add(table.full_name)
    return frozenset(found)


def drift(wanted: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    """What differs, a line each: what should be there and is not, and what should not and is."""
    wanted, found = set(wanted), set(found)
    yield from (f"missing: {fact}" for fact in sorted(wanted - found))
    yield from (f"extra: {fact}" for fact in sorted(found - wanted))

"""The account as access sees it: statements are run on it, and what holds is read from it.

Everything goes through `Account`, which is small enough to be stood in for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ingestion.snowflake_account import account_connection, words
from waypoint.access.snowflake import DEFAULT_BUILDER, DEFAULT_DATABASE, Plan, body_fact
from waypoint.access.snowflake import future_fact as future
from waypoint.access.snowflake import grant_fact as grant
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

#: Privileges on these are not about data.
_NO_DATA = ("WAREHOUSE", "RESOURCE_MONITOR")
#: Snowflake's numbers for what does not exist, or may not be seen.
_DOES_NOT_EXIST = (2003, 2043)


class NotThere(Unavailable):
    """What a statement names does not exist, or is hidden from the role that asks."""


class Account(Protocol):
    """Runs a statement with bound parameters; its rows by column name in lower case.

    Raises:
        NotThere: what the statement names is not there.
        Unavailable: it failed otherwise.
    """

    def run(self, sql: str, parameters: Sequence[str] = ()) -> list[Mapping[str, Any]]: ...


def apply(account: Account, plan: Plan, key: str) -> int:
    """Run the plan; returns how many statements were run.

    Raises:
        Unavailable: a statement failed; those before it hold, and all can be run again.
    """
    for statement in plan.statements:
        account.run(statement.sql, (key,) if statement.bound else ())
    return len(plan.statements)


def read_facts(account: Account, plan: Plan) -> frozenset[str]:
    """What holds for the plan's roles, policies and protected columns on the account.

    Of a role, policy or table that is not there, nothing holds.

    Raises:
        Unavailable: the account could not be read.
    """
    facts: set[str] = set()
    for role in plan.roles:
        facts |= set(_grants(_rows(account, f"show grants to role {role}"), role, plan.database))
        facts |= set(_future(_rows(account, f"show future grants to role {role}"), role, plan))
    for policy in plan.policies:
        facts |= set(_where_policy_is(account, plan.database, policy))
        facts |= set(_what_policy_says(account, plan.kinds[policy], policy))
    for table in plan.protected:
        facts |= set(_tags(account, plan.database, table))
    return frozenset(facts)


def _rows(account: Account, sql: str) -> list[Mapping[str, Any]]:
    try:
        return account.run(sql)
    except NotThere:
        return []


def _grants(rows: Sequence[Mapping[str, Any]], role: str, database: str) -> Iterator[str]:
    for row in rows:
        kind, what = str(row["granted_on"]).upper(), str(row["name"]).replace('"', "").upper()
        elsewhere = "." in what and not what.startswith(f"{database}.")
        other_database = kind == "DATABASE" and what != database
        if kind not in _NO_DATA and not elsewhere and not other_database:
            yield grant(str(row["privilege"]).upper(), kind, what, role)


def _future(rows: Sequence[Mapping[str, Any]], role: str, plan: Plan) -> Iterator[str]:
    for row in rows:
        # WAYPOINT.MARTS.<TABLE>
        where = str(row["name"]).replace('"', "").upper().rpartition(".<")[0]
        if where == plan.database or where.startswith(f"{plan.database}."):
            yield future(str(row["privilege"]).upper(), str(row["grant_on"]).upper(), where, role)


def _where_policy_is(account: Account, database: str, policy: str) -> Iterator[str]:
    rows = _rows(
        account,
        "select REF_DATABASE_NAME, REF_SCHEMA_NAME, REF_ENTITY_NAME, REF_ENTITY_DOMAIN,"
        " REF_ARG_COLUMN_NAMES"
        f" from table({database}.INFORMATION_SCHEMA.POLICY_REFERENCES(POLICY_NAME => '{policy}'))"
        # columns that a tag leads to are read as tags
        " where POLICY_STATUS = 'ACTIVE' and (REF_ENTITY_DOMAIN = 'TAG' or TAG_NAME is null)",
    )
    for row in rows:
        parts = (row["ref_database_name"], row["ref_schema_name"], row["ref_entity_name"])
        name = ".".join(str(part) for part in parts)
        if row["ref_entity_domain"] == "TAG":
            yield f"policy {policy} on tag {name}"
        else:
            columns = json.loads(row["ref_arg_column_names"] or "[]")
            yield f"policy {policy} on {name} ({', '.join(columns)})"


def _what_policy_says(account: Account, kind: str, policy: str) -> Iterator[str]:
    for row in _rows(account, f"describe {kind} {policy}"):
        yield body_fact(kind, policy, str(row["body"]))


def _tags(account: Account, database: str, table: str) -> Iterator[str]:
    rows = _rows(
        account,
        "select TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE, COLUMN_NAME from table("
        f"{database}.INFORMATION_SCHEMA.TAG_REFERENCES_ALL_COLUMNS('{table}', 'table'))"
        " where LEVEL = 'COLUMN'",
    )
    for row in rows:
        tag = ".".join(str(row[part]) for part in ("tag_database", "tag_schema", "tag_name"))
        yield f"tag {tag} = {row['tag_value']} on {table}.{row['column_name']}"


# what was applied last, or what somebody recorded


def record(path: Path, facts: frozenset[str]) -> None:
    """Keep facts in a file, to be compared with later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"access": sorted(facts)}, indent=2) + "\n")


def recorded(path: Path) -> frozenset[str]:
    """The facts in a file.

    Raises:
        UnusableInput: there is none, or it is no record.
    """
    try:
        return frozenset(str(fact) for fact in json.loads(path.read_text())["access"])
    except FileNotFoundError:
        raise UnusableInput(
            f"{path} is not there: no access was recorded",
            hint="`waypoint --target snowflake access apply` records it; so does `access diff`"
            " there, with --record FILE",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UnusableInput(f"{path} is no record of access") from None


# the real thing


def names_from_environment() -> tuple[str, str]:
    """The database, and the role that builds, as profiles.yml has them."""
    return (
        os.environ.get("SNOWFLAKE_DATABASE") or DEFAULT_DATABASE,
        os.environ.get("SNOWFLAKE_ROLE") or DEFAULT_BUILDER,
    )


@contextmanager
def connected(project: Project) -> Iterator[Account]:
    """The account that the environment names.

    Raises:
        UnusableInput: a variable or the connector is missing.
        Unavailable: it cannot be reached, or refuses the credentials.
    """
    # roles and policies are not the builder's to make
    role = os.environ.get("SNOWFLAKE_ACCESS_ROLE") or "ACCOUNTADMIN"
    # qmark: parameters are bound by the server and stand in no statement
    with account_connection("waypoint access", role=role, paramstyle="qmark") as (account, error):
        yield ConnectorAccount(account, error)


class ConnectorAccount:
    """`Account` on a connection of the Snowflake connector, with parameters bound as `?`."""

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection, self._error = connection, error

    def run(self, sql: str, parameters: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, list(parameters) or None)
                names = [column[0].lower() for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except self._error as error:
            gone = getattr(error, "errno", None) in _DOES_NOT_EXIST
            raise (NotThere if gone else Unavailable)(
                f"Snowflake: {words(error)}\n  in: {sql.splitlines()[0][:200]}",
                hint="mend it and run the same command again; what was run can be run again",
            ) from None

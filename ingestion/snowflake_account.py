"""The Snowflake account that the environment names: who signs in, and how a connection is opened.

The variables are those that profiles.yml reads, too. Where they name no account, the connection
that Airflow's own operators use does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from waypoint.errors import Unavailable, UnusableInput

#: What stands in the environment, as in profiles.yml: the connector's argument and its variable.
REQUIRED = {"account": "SNOWFLAKE_ACCOUNT", "user": "SNOWFLAKE_USER"}
OPTIONAL = {
    "password": "SNOWFLAKE_PASSWORD",
    "authenticator": "SNOWFLAKE_AUTHENTICATOR",
    "private_key_file": "SNOWFLAKE_PRIVATE_KEY_PATH",
    "private_key_file_pwd": "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE",
    "host": "SNOWFLAKE_HOST",
}
DEFAULTS = {
    "role": ("SNOWFLAKE_ROLE", "TRANSFORMER"),
    "warehouse": ("SNOWFLAKE_WAREHOUSE", "TRANSFORMING"),
    "database": ("SNOWFLAKE_DATABASE", "WAYPOINT"),
}

#: A connection as Airflow has them in the environment: a URI, or JSON.
CONNECTION = "AIRFLOW_CONN_SNOWFLAKE_DEFAULT"
_IN_CONNECTION = {
    "account": "SNOWFLAKE_ACCOUNT",
    "private_key_file": "SNOWFLAKE_PRIVATE_KEY_PATH",
    "authenticator": "SNOWFLAKE_AUTHENTICATOR",
    "host": "SNOWFLAKE_HOST",
}


def with_connection(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, and the sign-in of the connection where no SNOWFLAKE_ACCOUNT is set.

    All of the sign-in or none: half of one person's and half of another's would be neither. Role,
    warehouse and database stay what the environment says, or the defaults.

    Raises:
        UnusableInput: the connection cannot be read; what it holds is not repeated.
    """
    written = environment.get(CONNECTION)
    if not written or environment.get(REQUIRED["account"]):
        return dict(environment)
    try:
        user, password, extra = _read_connection(written)
    except (ValueError, TypeError, AttributeError):
        raise UnusableInput(
            f"{CONNECTION} is no connection that can be read",
            hint='snowflake://user@/?account=...&private_key_file=..., or JSON with "extra"',
        ) from None
    found = {
        variable: str(extra[key]) for key, variable in _IN_CONNECTION.items() if extra.get(key)
    }
    secret = "private_key_file_pwd" if "private_key_file" in extra else "password"
    found |= {REQUIRED["user"]: user} if user else {}
    found |= {OPTIONAL[secret]: password} if password else {}
    signing_in = {*REQUIRED.values(), *OPTIONAL.values()}
    return {k: v for k, v in environment.items() if k not in signing_in} | found


def _read_connection(written: str) -> tuple[str, str, Mapping[str, Any]]:
    """Who signs in, the password (of the key, where there is one), and what else is said."""
    if written.lstrip().startswith("{"):
        said = json.loads(written)
        extra = said.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
        return str(said.get("login") or ""), str(said.get("password") or ""), dict(extra)
    parts = urlsplit(written)
    query = dict(parse_qsl(parts.query))
    extra = json.loads(query.pop("__extra__", "{}")) | query
    return unquote(parts.username or ""), unquote(parts.password or ""), extra


def connection_arguments(environment: Mapping[str, str]) -> dict[str, str]:
    """The connector's arguments, from the variables that profiles.yml reads, too.

    Raises:
        UnusableInput: a variable that is needed is not set, or the connection cannot be read.
    """
    environment = with_connection(environment)
    missing = [name for name in REQUIRED.values() if not environment.get(name)]
    if missing:
        raise UnusableInput(
            f"the target snowflake needs {', '.join(missing)}",
            hint="set the variables, or use the target duckdb",
        )
    found = {argument: environment[name] for argument, name in REQUIRED.items()}
    found |= {arg: environment[name] for arg, name in OPTIONAL.items() if environment.get(name)}
    if "private_key_file" in found and "authenticator" not in found:
        found["authenticator"] = "SNOWFLAKE_JWT"
    return found | {arg: environment.get(n) or value for arg, (n, value) in DEFAULTS.items()}


@contextmanager
def account_connection(
    tag: str, *, without: tuple[str, ...] = (), **more: Any
) -> Iterator[tuple[Any, type[Exception]]]:
    """A connection for the block, and what its driver raises.

    `tag` marks its queries in the account's history. `more` are arguments of the connector beside
    those of the environment, or in their place; those named in `without` are left out.

    Raises:
        UnusableInput: a variable or the connector is missing.
        Unavailable: the account cannot be reached, or refuses the credentials.
    """
    arguments: dict[str, Any] = {**connection_arguments(os.environ), **more}
    try:
        import snowflake.connector as connector
    except ImportError:
        raise UnusableInput(
            "the Snowflake connector is not installed", hint="run `make setup`"
        ) from None
    try:
        connection = connector.connect(
            **{name: value for name, value in arguments.items() if name not in without},
            timezone="UTC",
            autocommit=True,
            session_parameters={"QUERY_TAG": tag},
        )
    except connector.errors.Error as error:
        raise Unavailable(
            f"Snowflake account {arguments['account']} cannot be reached: {words(error)}",
            hint="check the SNOWFLAKE_* variables and the network",
        ) from None
    try:
        yield connection, connector.errors.Error
    finally:
        connection.close()


def words(error: Exception) -> str:
    """What the account said, on one line."""
    return " ".join(str(getattr(error, "msg", None) or error).split())

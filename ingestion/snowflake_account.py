"""The Snowflake account that the environment names: who signs in, and how a connection is opened.

The variables are those that profiles.yml reads, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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


def connection_arguments(environment: Mapping[str, str]) -> dict[str, str]:
    """The connector's arguments, from the variables that profiles.yml reads, too.

    Raises:
        UnusableInput: a variable that is needed is not set.
    """
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

"""A rehearsal from what a person asks for: which input, and on which account."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from ingestion.snowflake_account import (
    OPTIONAL,
    account_connection,
    connection_arguments,
    with_connection,
)
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.snowflake.rehearsal import inputs
from waypoint.snowflake.rehearsal.rehearsing import Rehearsal, emptied, rehearse
from waypoint.snowflake.rehearsal.standin import Account, serving

SIMULATED = "simulated"
#: What stands before schemas in a shared database: macros/warehouse/generate_schema_name.sql.
PREFIX_VARIABLE = "WAYPOINT_SCHEMA_PREFIX"

#: How dbt's profile calls what the connector calls otherwise; secrets are named, not written.
_IN_PROFILE = {
    "password": "password",
    "authenticator": "authenticator",
    "private_key_file": "private_key_path",
    "private_key_file_pwd": "private_key_passphrase",
    "host": "host",
}


def rehearse_project(
    project: Project,
    given: str = SIMULATED,
    *,
    models: Sequence[str] = (),
    on_account: bool = False,
    with_unit_tests: bool = False,
    say: Callable[[str], None] = lambda _text: None,
) -> Rehearsal:
    """Rehearse the project with a simulated world, or with what landed in a folder.

    Everything that is made meanwhile stands below `<state>/rehearsal`, until the next one.

    Raises:
        UnusableInput: packages are missing, nothing landed there, or there is no such model.
        Unavailable: the stand-in did not start, or the account cannot be reached.
    """
    folder = emptied(project.state / "rehearsal")
    if given == SIMULATED:
        if not project.scenario_dir.is_dir():
            raise UnusableInput(
                "the project has no scenario to simulate", hint="name a folder with --input"
            )
        loads = inputs.simulated(project, folder / "world")
    else:
        loads = inputs.landed(Path(given).resolve(), folder / "parts")
    account = _real_account() if on_account else serving(folder / "account")
    with account as reached, patch.dict(os.environ):
        os.environ.pop(PREFIX_VARIABLE, None)  # the database is the rehearsal's own
        return rehearse(
            project, loads, folder, reached, models=models, with_unit_tests=with_unit_tests, say=say
        )


@contextmanager
def _real_account() -> Iterator[Account]:
    """A database of the account that the environment names, made for the block and dropped."""
    environment = with_connection(os.environ)
    arguments = connection_arguments(environment)
    database = arguments["database"] = f"WAYPOINT_REHEARSAL_{secrets.token_hex(4)}".upper()
    profile = {
        "type": "snowflake", "account": arguments["account"], "user": arguments["user"],
        "role": arguments["role"], "warehouse": arguments["warehouse"], "database": database,
        "schema": "staging", "threads": 8, "query_tag": "waypoint rehearsal",
        **{
            _IN_PROFILE[argument]: "{{ env_var('" + variable + "') }}"
            for argument, variable in OPTIONAL.items()
            if environment.get(variable)
        },
    }  # fmt: skip
    session = {"TIMEZONE": "UTC", "QUERY_TAG": "waypoint rehearsal"}
    with account_connection("waypoint rehearsal", without=("database",)) as (connection, _):
        try:
            connection.cursor().execute(
                f"create transient database {database} data_retention_time_in_days = 0"
            )
            yield Account(arguments | {"session_parameters": session}, profile)
        finally:
            connection.cursor().execute(f"drop database if exists {database}")

"""Running a plan on an account."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ingestion.loading.snowflake import connection_arguments
from waypoint.errors import Unavailable, UnusableInput

#: Who may make warehouses, databases and roles, unless the variable names another role.
ROLE_VARIABLE = "SNOWFLAKE_SETUP_ROLE"
DEFAULT_ROLE = "ACCOUNTADMIN"


class Cursor(Protocol):
    """What statements are run on."""

    def execute(self, statement: str) -> Any: ...


def apply(
    cursor: Cursor,
    statements: Sequence[str],
    error: type[Exception],
    report: Callable[[str], None] = lambda _statement: None,
) -> int:
    """Run the statements in their order; returns how many were run.

    Raises:
        Unavailable: one failed; those before it hold, and all can be run again.
    """
    for number, statement in enumerate(statements, 1):
        report(head(statement))
        try:
            cursor.execute(statement)
        except error as problem:
            said = " ".join(str(getattr(problem, "msg", None) or problem).split())
            raise Unavailable(
                f"statement {number} of {len(statements)} failed ({head(statement)}): {said}",
                hint="those before it hold; mend it and run the same command again",
            ) from None
    return len(statements)


def head(statement: str) -> str:
    """The beginning of a statement, which says what it is about."""
    return re.sub(r"\s+", " ", statement)[:80]


@contextmanager
def connected() -> Iterator[tuple[Cursor, type[Exception]]]:
    """A cursor on the account that the environment names, and its driver's error.

    Raises:
        UnusableInput: a variable or the connector is missing.
        Unavailable: it cannot be reached, or refuses the credentials.
    """
    arguments = connection_arguments(os.environ)
    arguments["role"] = os.environ.get(ROLE_VARIABLE) or DEFAULT_ROLE
    # neither is there before the first set-up
    del arguments["database"], arguments["warehouse"]
    try:
        import snowflake.connector as connector
    except ImportError:
        raise UnusableInput(
            "the Snowflake connector is not installed", hint="run `make setup`"
        ) from None
    try:
        connection = connector.connect(
            **arguments, session_parameters={"QUERY_TAG": "waypoint setup"}
        )
    except connector.errors.Error as problem:
        said = " ".join(str(getattr(problem, "msg", None) or problem).split())
        raise Unavailable(
            f"Snowflake account {arguments['account']} cannot be reached: {said}",
            hint="check the SNOWFLAKE_* variables and the network",
        ) from None
    try:
        with connection.cursor() as cursor:
            yield cursor, connector.errors.Error
    finally:
        connection.close()

"""Running a plan on an account."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ingestion.snowflake_account import account_connection, words
from waypoint.errors import Unavailable

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
            raise Unavailable(
                f"statement {number} of {len(statements)} failed ({head(statement)}):"
                f" {words(problem)}",
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
    role = os.environ.get(ROLE_VARIABLE) or DEFAULT_ROLE
    # neither is there before the first set-up
    later = ("database", "warehouse")
    with (
        account_connection("waypoint setup", role=role, without=later) as (connection, error),
        connection.cursor() as cursor,
    ):
        yield cursor, error

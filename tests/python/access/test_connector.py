"""How statements reach Snowflake's connector: parameters bound by the server, errors in words."""

from __future__ import annotations

from typing import Any

import pytest

from waypoint.access.account import ConnectorAccount, NotThere
from waypoint.errors import Unavailable


class Refused(Exception):
    """An error as the connector raises it."""

    def __init__(self, errno: int, msg: str) -> None:
        super().__init__(msg)
        self.errno, self.msg = errno, msg


class Recording:
    """A connection and its cursor in one: keeps what was executed, and fails where it is to."""

    def __init__(self, fails: Refused | None = None) -> None:
        self.executed: list[tuple[str, list[str] | None]] = []
        self.description = [("PRIVILEGE",), ("granted_on",)]
        self._fails = fails

    def cursor(self) -> Recording:
        return self

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def execute(self, sql: str, parameters: list[str] | None) -> None:
        self.executed.append((sql, parameters))
        if self._fails:
            raise self._fails

    def fetchall(self) -> list[tuple[str, str]]:
        return [("SELECT", "TABLE")]


def test_parameters_are_handed_over_beside_the_statement():
    connection = Recording()

    ConnectorAccount(connection, Refused).run("insert into keys select ?", ("the key",))

    assert connection.executed == [("insert into keys select ?", ["the key"])]


def test_rows_come_by_column_name_in_lower_case():
    rows = ConnectorAccount(Recording(), Refused).run("show grants to role ANALYST")

    assert rows == [{"privilege": "SELECT", "granted_on": "TABLE"}]


def test_what_is_not_there_is_told_from_other_failures():
    gone = ConnectorAccount(Recording(Refused(2003, "Role 'X' does not exist")), Refused)
    broken = ConnectorAccount(Recording(Refused(1003, "syntax error")), Refused)

    with pytest.raises(NotThere):
        gone.run("show grants to role X")
    with pytest.raises(Unavailable, match="syntax error") as failed:
        broken.run("show grants to role X")
    assert not isinstance(failed.value, NotThere)


def test_an_error_does_not_say_the_parameters():
    account = ConnectorAccount(Recording(Refused(1003, "syntax error")), Refused)

    with pytest.raises(Unavailable) as failed:
        account.run("insert into keys select ?", ("the key",))

    assert "the key" not in f"{failed.value} {failed.value.hint}"

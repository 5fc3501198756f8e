"""What was sent, kept in a small SQLite file of the state: a repeat sends nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from waypoint.errors import Unavailable
from waypoint.project import Project


class Sent:
    """Digests of what was sent, by whom it was sent to, what it is of, and its key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, receiver: str, subject: str) -> dict[str, str]:
        """The digests by key."""
        query = "select key, digest from sent where receiver = ? and subject = ?"
        return dict(self._connection.execute(query, [receiver, subject]).fetchall())

    def remember(self, receiver: str, subject: str, digests: Mapping[str, str]) -> None:
        """Keep that these were sent; on the disk when it returns."""
        with self._connection:
            self._connection.executemany(
                "insert or replace into sent values (?, ?, ?, ?)",
                [(receiver, subject, key, digest) for key, digest in digests.items()],
            )

    def forget(self, receiver: str, subject: str, keys: set[str]) -> None:
        """Keep nothing of these any longer."""
        with self._connection:
            self._connection.executemany(
                "delete from sent where receiver = ? and subject = ? and key = ?",
                [(receiver, subject, key) for key in keys],
            )


@contextmanager
def sent(project: Project) -> Iterator[Sent]:
    """What the project sent.

    Raises:
        Unavailable: the file cannot be read or written.
    """
    path = project.state / "realtime" / "sent.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(path, timeout=30)
        try:
            connection.execute("pragma synchronous = full")
            connection.execute(
                "create table if not exists sent (receiver text, subject text, key text,"
                " digest text, primary key (receiver, subject, key)) without rowid"
            )
            yield Sent(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Unavailable(
            f"{path}: what was sent cannot be remembered: {error}",
            hint="make room on the disk, or remove the file if it is broken:"
            " what is in it would be sent once more",
        ) from None

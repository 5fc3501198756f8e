"""What a PostgreSQL database needs to be captured: as SQL, and what of it is missing.

- `wal_level = logical`, which needs a restart and so is left to whoever runs the server;
- a publication of the tracked tables, and of nothing else;
- `replica identity full`, so that the log holds the whole row before a change, large values too;
- the table of heartbeats.

The replication slot is made by the connector, at the moment of its snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from ingestion.capture.tracked import HEARTBEATS, Tracked
from ingestion.redaction import redacted
from waypoint.errors import Unavailable, UnusableInput

_PUBLISHED = "insert, update, delete, truncate"
_WAL_LEVEL = "alter system set wal_level = 'logical'"
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Step:
    """Something that a database lacks: what, how it is now, and the statement that mends it."""

    what: str
    was: str | None
    becomes: str
    statement: str


@dataclass(frozen=True)
class Found:
    """What a database has. `identities` is by tracked table that is there."""

    wal_level: str
    identities: dict[str, str]
    published: frozenset[str] | None  # None: there is no publication
    publishes: str = ""
    heartbeats: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slot:
    """How far the connector has come, by the database."""

    active: bool
    lag_bytes: int | None  # what the database has written since
    wal_status: str | None = field(default=None)


def script(tracked: Tracked) -> str:
    """The whole preparation as a script that can be run again."""
    role = _name(tracked.address["user"])
    lines = [
        f"-- {tracked.source}: change capture of {', '.join(tracked.tables)}",
        "-- once, by whoever runs the server, which has to be restarted after it:",
        f"--   {_WAL_LEVEL};",
        "-- the role that captures needs REPLICATION, SELECT on the tables, and where another"
        " role owns the heartbeats:",
        f"--   alter role {role} replication;",
        f"--   grant select, insert, update on {_name(tracked.schema, HEARTBEATS)} to {role};",
    ]
    # a publication that is dropped, if only for a moment, breaks the connector that reads it
    statements = [
        "begin",
        _heartbeats(tracked),
        *(_identity(tracked, table) for table in tracked.tables),
        "do $$ begin\n"
        f"  if exists (select from pg_publication where pubname = '{tracked.slot}') then\n"
        f"    {_set_tables(tracked)};\n"
        f"    {_set_operations(tracked)};\n"
        "  else\n"
        f"    {_publication(tracked)};\n"
        "  end if;\n"
        "end $$",
        "commit",
    ]
    return "\n".join([*lines, *(f"{statement};" for statement in statements)]) + "\n"


def steps(tracked: Tracked, found: Found) -> list[Step]:
    """What is missing, in the order in which it is made."""
    made: list[Step] = []
    if not found.heartbeats:
        table = f"{tracked.schema}.{HEARTBEATS}"
        made.append(Step(f"table {table}", None, "one row for heartbeats", _heartbeats(tracked)))
    for table, identity in found.identities.items():
        if identity != "full":
            what = f"replica identity of {tracked.schema}.{table}"
            made.append(Step(what, identity, "full", _identity(tracked, table)))
    wanted = frozenset((*tracked.tables, HEARTBEATS))
    what = f"publication {tracked.slot}"
    if found.published is None:
        becomes = ", ".join(sorted(wanted))
        made.append(Step(what, None, becomes, _publication(tracked)))
        return made
    qualified = {f"{tracked.schema}.{table}" for table in wanted}
    if found.published != qualified:
        statement = _set_tables(tracked)
        was, becomes = ", ".join(sorted(found.published)), ", ".join(sorted(qualified))
        made.append(Step(f"tables of {what}", was, becomes, statement))
    if found.publishes != _PUBLISHED:
        statement = _set_operations(tracked)
        made.append(Step(f"operations of {what}", found.publishes, _PUBLISHED, statement))
    return made


def inspect(tracked: Tracked) -> Found:
    """What the database has.

    Raises:
        Unavailable: it does not answer.
        UnusableInput: it refuses the role.
    """
    with connected(tracked) as database:
        (level,) = _row(database, "show wal_level")
        rows = database.execute(
            "select c.relname, c.relreplident from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = %s and c.relkind in ('r', 'p') and c.relname = any(%s)",
            [tracked.schema, [*tracked.tables, HEARTBEATS]],
        ).fetchall()
        words = {"f": "full", "d": "default", "n": "nothing", "i": "index"}
        identities = {name: words.get(_text(kind), "unknown") for name, kind in sorted(rows)}
        heartbeats = identities.pop(HEARTBEATS, None) is not None
        publication = database.execute(
            "select pubinsert, pubupdate, pubdelete, pubtruncate from pg_publication"
            " where pubname = %s",
            [tracked.slot],
        ).fetchone()
        published: frozenset[str] | None = None
        publishes = ""
        if publication is not None:
            published = frozenset(
                f"{schema}.{table}"
                for schema, table in database.execute(
                    "select schemaname, tablename from pg_publication_tables where pubname = %s",
                    [tracked.slot],
                ).fetchall()
            )
            kinds = _PUBLISHED.split(", ")
            publishes = ", ".join(k for k, on in zip(kinds, publication, strict=True) if on)
    problems = [
        f"there is no table {tracked.schema}.{table}"
        for table in tracked.tables
        if table not in identities
    ]
    if level != "logical":
        problems.append(f"its wal_level is {level}: {_WAL_LEVEL}, and restart it")
    return Found(str(level), identities, published, publishes, heartbeats, tuple(problems))


def prepare(tracked: Tracked, missing: list[Step]) -> None:
    """Make what is missing, all of it or nothing.

    Raises:
        Unavailable: the database does not answer.
        UnusableInput: the role may not.
    """
    with connected(tracked) as database, database.transaction():
        for step in missing:
            # statements are made of names that are quoted in them
            database.execute(step.statement.encode())


def slot(tracked: Tracked) -> Slot | None:
    """The connector's replication slot; None where it has made none yet.

    Raises:
        Unavailable: the database does not answer.
        UnusableInput: it refuses the role.
    """
    with connected(tracked) as database:
        row = database.execute(
            "select active, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn),"
            " wal_status from pg_replication_slots where slot_name = %s",
            [tracked.slot],
        ).fetchone()
    if row is None:
        return None
    return Slot(bool(row[0]), None if row[1] is None else int(row[1]), row[2])


@contextmanager
def connected(tracked: Tracked) -> Iterator[psycopg.Connection[Any]]:
    """A connection that commits each statement; errors come without the password."""
    secrets = (tracked.password, tracked.dsn)
    try:
        with psycopg.connect(
            tracked.dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS
        ) as database:
            yield database
    except psycopg.errors.InsufficientPrivilege as error:
        raise UnusableInput(
            f"{tracked.source}: {redacted(str(error).splitlines()[0], secrets)}",
            hint="have its owner run what `waypoint capture render` prints",
        ) from None
    except psycopg.OperationalError as error:
        said = redacted(" ".join(str(error).split()), secrets)
        raise Unavailable(f"{tracked.source}: the database does not answer: {said}") from None
    except psycopg.Error as error:
        said = redacted(" ".join(str(error).split()), secrets)
        raise UnusableInput(f"{tracked.source}: the database refuses: {said}") from None


def _heartbeats(tracked: Tracked) -> str:
    return (
        f"create table if not exists {_name(tracked.schema, HEARTBEATS)}"
        " (id integer primary key, beat_at timestamptz not null)"
    )


def _identity(tracked: Tracked, table: str) -> str:
    return f"alter table {_name(tracked.schema, table)} replica identity full"


def _publication(tracked: Tracked) -> str:
    return (
        f"create publication {_name(tracked.slot)} for table {_tables(tracked)}"
        f" with (publish = '{_PUBLISHED}', publish_via_partition_root = true)"
    )


def _set_tables(tracked: Tracked) -> str:
    return f"alter publication {_name(tracked.slot)} set table {_tables(tracked)}"


def _set_operations(tracked: Tracked) -> str:
    return f"alter publication {_name(tracked.slot)} set (publish = '{_PUBLISHED}')"


def _tables(tracked: Tracked) -> str:
    return ", ".join(_name(tracked.schema, table) for table in (*tracked.tables, HEARTBEATS))


def _name(*parts: str) -> str:
    return sql.Identifier(*parts).as_string(None)


def _row(database: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = database.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(row)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

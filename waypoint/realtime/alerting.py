"""Telling people of rows that somebody should look at, at least once, with an id that stays.

A table's contract says `alert`: `subject` and `text`, with `{column}` for a row's values, and if
need be `when`, the condition in SQL. A row's id is its table and key. What was told is remembered
after it was sent: a sender that is killed in between tells it again under the same id, by which a
receiver can drop it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import duckdb

from ingestion.engine import quoted
from waypoint.contracts.model import Contract
from waypoint.errors import UnusableInput
from waypoint.notifying import MAIL_TO, Channels, Message
from waypoint.project import Project
from waypoint.realtime.merging import Merged, merged
from waypoint.realtime.remembering import Sent, sent
from waypoint.warehouse import first_line

#: The custom property of a table.
ALERT = "alert"

_BEGUN = ""  # the key that says that a channel was told of a table before
_SENT = "sent"


@dataclass
class Alerted:
    """What came of one table on one channel. `known` were published before it was configured."""

    table: str
    channel: str
    sent: int = 0
    known: int = 0


def alert(project: Project, channels: Channels) -> list[Alerted]:
    """Tell each channel of the rows that it was not told of; nothing where none is configured.

    A channel that is new is told of what comes from now on: what the published copy holds is known.

    Raises:
        UnusableInput: a contract's alert cannot be followed, or mail has nowhere to go.
        NotSent: a channel did not take a message; it and the rest are sent by the next call.
    """
    senders = dict(_senders(channels))
    tables = [c for c in project.contracts.tables if ALERT in c.custom]
    if not senders or not tables:
        return []
    results = []
    with merged(project, [one.name for one in tables]) as found, sent(project) as memory:
        for contract in tables:
            messages = _messages(found, contract)
            for channel, send in senders.items():
                result = Alerted(contract.name, channel)
                results.append(result)
                _tell(found, memory, contract, messages, send, result)
    return results


def _tell(
    found: Merged,
    memory: Sent,
    contract: Contract,
    messages: dict[str, Message],
    send: Callable[[Message], None],
    result: Alerted,
) -> None:
    told = memory.of(result.channel, contract.name)
    if _BEGUN not in told:
        old = _published_ids(found, contract)
        result.known = len(old)
        told = {_BEGUN: _SENT, **dict.fromkeys(map(_digest, old), _SENT)}
        memory.remember(result.channel, contract.name, told)
    for row, message in messages.items():
        if _digest(row) not in told:
            send(message)
            memory.remember(result.channel, contract.name, {_digest(row): _SENT})
            result.sent += 1


def _senders(channels: Channels) -> Iterator[tuple[str, Callable[[Message], None]]]:
    if channels.slack is not None:
        yield "slack", channels.slack.send
    if (mail := channels.mail) is not None:
        if not channels.default_address:
            raise UnusableInput(f"{MAIL_TO} is not set", hint="the address that alerts go to")
        yield "mail", lambda message: mail.send(message, [channels.default_address])


def _messages(found: Merged, contract: Contract) -> dict[str, Message]:
    """The messages of all rows by their ids, oldest load first."""
    said = contract.custom[ALERT]
    where = f"{contract.path}: {ALERT}"
    if not isinstance(said, dict) or not {"subject", "text"} <= said.keys():
        raise UnusableInput(f"{where}: needs a subject and a text")
    if not contract.key:
        raise UnusableInput(f"{where}: the table has no key to make ids of")
    keys = ", ".join(map(quoted, contract.key))
    try:
        rows = found.connection.execute(
            f"select * from realtime.{quoted(contract.name)} where {said.get('when', 'true')}"
            f" order by loaded_at, {keys}"
        )
    except duckdb.Error as error:
        raise UnusableInput(f"{where}: when: {first_line(str(error))}") from None
    columns = [name for name, *_ in rows.description or ()]
    messages = {}
    for values in rows.fetchall():
        row = dict(zip(columns, values, strict=True))
        name = _id(contract, [row[column] for column in contract.key])
        try:
            subject, text = (str(said[part]).format_map(row) for part in ("subject", "text"))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise UnusableInput(f"{where}: {type(error).__name__}: {error}") from None
        messages[name] = Message(subject, f"{text}\n\nalert {name}")
    return messages


def _published_ids(found: Merged, contract: Contract) -> list[str]:
    """The ids of the rows that the published copy holds."""
    return [
        _id(contract, list(values))
        for values in found.published_rows(
            contract.name, list(contract.key), str(contract.custom[ALERT].get("when", "true"))
        )
    ]


def _digest(row: str) -> str:
    """What is remembered of an id, which may be a person's: not the id itself."""
    return blake2b(row.encode(), digest_size=16).hexdigest()


def _id(contract: Contract, key: list[Any]) -> str:
    return f"{contract.name}:{','.join(map(str, key))}"

"""Taking answers apart: the document that was sent, and the records in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ingestion.external.entry import Entry
from ingestion.external.feeds import InvalidFeed, read_feed
from ingestion.external.mapping import Scope
from ingestion.http_requests import Reply, Unreadable

_ENTRIES = "entries"


def read_answer(entry: Entry, reply: Reply) -> Any:
    """The document of an answer, in which `records` finds records.

    Raises:
        Unreadable: it is not what the source sends, or says itself that it is not whole.
    """
    if entry.format == "rss":
        try:
            return read_feed(reply.content)
        except InvalidFeed as error:
            raise Unreadable(str(error)) from None
    try:
        document = json.loads(reply.content.decode("utf-8-sig"), parse_constant=_refused)
    except (ValueError, RecursionError):
        raise Unreadable("is not JSON") from None
    if entry.incomplete and (said := Scope(document).at(entry.incomplete)):
        raise Unreadable(f"is not whole: {str(said)[:200]}")
    records(entry, document)
    return document


def records(entry: Entry, document: Any) -> list[Any]:
    """The records of a document.

    Raises:
        Unreadable: they are not where the entry says.
    """
    if entry.format == "rss":
        return list(document[_ENTRIES])
    if entry.pairs is not None:
        found = Scope(document).at(entry.pairs)
        if not isinstance(found, Mapping):
            raise Unreadable(f"has no object at {entry.pairs!r}")
        return [{"key": key, "value": value} for key, value in found.items()]
    if entry.items is not None:
        found = Scope(document).at(entry.items)
        if not isinstance(found, list):
            raise Unreadable(f"has no list at {entry.items!r}")
        return found
    if isinstance(document, list):
        return document
    if not isinstance(document, Mapping):
        raise Unreadable("is neither a list nor an object")
    return [document]


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")

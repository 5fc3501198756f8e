"""The second step: messages of the topic, made of the records that were fetched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ingestion.external.entries import Publishing
from ingestion.external.entry import Entry
from ingestion.external.fetching import Fetched, Request
from ingestion.external.mapping import Scope, Unfit, fields
from ingestion.external.records import records


@dataclass(frozen=True)
class Rejected:
    """Something that was sent and is not published: what is wrong with it, and what it was."""

    rule: str
    reason: str
    payload: str  # as JSON, where it was readable
    field: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Transformed:
    """Messages as JSON texts, in the order that they were sent; `repeated` came more than once."""

    messages: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    repeated: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON knows it; `from_document` takes it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Transformed:
        return cls(
            messages=tuple(document["messages"]),
            rejected=tuple(Rejected(**rejected) for rejected in document["rejected"]),
            repeated=document["repeated"],
        )


def transform(
    entry: Entry, publishing: Publishing, requests: list[Request], fetched: Fetched
) -> Transformed:
    """Make a message of every record, by the entry's rules; what does not fit is told apart.

    A record is named by the values of the entry's `id`, whenever and however often it is fetched.
    """
    each = {request.number: request.each for request in requests}
    messages: list[str] = []
    rejected = [
        Rejected("answer_is_readable", failed.error, failed.body)
        for failed in fetched.failed
        if failed.body is not None
    ]
    seen: set[str] = set()
    repeated = 0
    for answer in fetched.answers:
        around = {
            "each": each.get(answer.request, {}),
            "page": answer.document,
            "now": f"{fetched.moment}Z",
            "name": entry.name,
            "format": entry.format,
        }
        for record in records(entry, answer.document):
            made = _message(entry, publishing, Scope(record, around))
            if isinstance(made, Rejected):
                rejected.append(made)
                continue
            name, message = made
            if name in seen:
                repeated += 1
                continue
            seen.add(name)
            messages.append(message)
    return Transformed(tuple(messages), tuple(rejected), repeated)


def _message(entry: Entry, publishing: Publishing, scope: Scope) -> tuple[str, str] | Rejected:
    """The id and the message of one record, or what is wrong with it."""
    payload = _json(scope.record)
    try:
        data = fields(entry.data, scope, "data.")
        for name in entry.required:
            if name not in data:
                where = f"data.{name}"
                return Rejected("required_field", f"{where}: is missing", payload, where)
        names = [rule.value(scope, "id") for rule in entry.id]
        if any(name is None for name in names):
            return Rejected("item_has_an_id", "id: nothing in the item names it", payload, "id")
        digest = hashlib.sha256(_json(names).encode()).hexdigest()[:32]
        time = entry.time.value(scope, "time")
        if time is None:
            return Rejected("item_has_a_time", "time: is missing", payload, "time")
        around = {
            "id": f"{entry.name}-{digest}",
            "name": entry.name,
            "format": entry.format,
            "time": time,
            "data": data,
        }
        message = fields(publishing.message, Scope(scope.record, around))
    except Unfit as unfit:
        return Rejected(
            "field_fits_its_rule", str(unfit), payload, unfit.field, str(unfit.value)[:1000]
        )
    return str(around["id"]), _json(message)


def _json(value: Any) -> str:
    """`value` as JSON in UTF-8, whatever texts are in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", errors="replace").decode()

"""The third step: messages held against the topic's contract, as they will be when they land."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingestion.engine import open_engine
from ingestion.external.transforming import Rejected
from ingestion.messages import Topic
from ingestion.taking_apart import MESSAGE_COLUMNS, take_apart
from ingestion.validation import validation

_DOCUMENT = "_payload"


@dataclass(frozen=True)
class Validated:
    """The messages that keep the contract, and those that do not."""

    messages: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON knows it; `from_document` takes it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Validated:
        return cls(
            messages=tuple(document["messages"]),
            rejected=tuple(Rejected(**rejected) for rejected in document["rejected"]),
        )


def validate(topic: Topic, messages: tuple[str, ...], spill: Path) -> Validated:
    """Which of `messages` (JSON texts) keep the contract of the topic, by the rules of landing.

    `spill` is a folder for what does not fit into memory.

    Raises:
        UnusableInput: a rule of the contract cannot be checked.
    """
    if not messages:
        return Validated()
    given = {
        "number": [str(number) for number in range(len(messages))],
        "offset": [str(number) for number in range(len(messages))],
        "partition": ["0"] * len(messages),
        "timestamp": ["0"] * len(messages),
        "value": list(messages),
        "present": ["value"] * len(messages),
    }
    table = pa.table(
        {
            name: pa.array(given.get(name, [None] * len(messages)), pa.string())
            for name in MESSAGE_COLUMNS
        }
    )
    with open_engine(spill) as engine:
        engine.register("sent", table)
        take_apart(engine, "sent", topic)
        query = "select * exclude (document), unnest(document) from taken_apart"
        types = {
            name: str(kind) for name, kind, *_ in engine.execute(f"describe {query}").fetchall()
        }
        checked = validation(
            topic.contract, query, types, document=_DOCUMENT, objects=topic.columns
        )
        rows = engine.execute(
            f"select _line, case when not ({checked.good}) then to_json({checked.problem}) end"
            f" from ({checked.typed}) order by _line"
        ).fetchall()
    good: list[str] = []
    rejected: list[Rejected] = []
    for number, problem in rows:
        if problem is None:
            good.append(messages[number])
        else:
            rejected.append(Rejected(**json.loads(problem), payload=messages[number]))
    return Validated(tuple(good), tuple(rejected))

"""Change events of Debezium's connectors, as its documentation shows them, as messages.

Envelopes with and without a schema block, keys, schema changes, transaction marks. Behind each
deletion stands a tombstone, as the connectors send it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from real_input.dumps import Dumps

_WORDS = {
    "c": "INSERT",
    "u": "UPDATE",
    "d": "DELETE",
    "r": "SNAPSHOT",
    "t": "TRUNCATE",
    "m": "MESSAGE",
}


@dataclass(frozen=True)
class Debezium:
    """The examples, and what is true of them."""

    folder: Path

    @cached_property
    def messages(self) -> list[tuple[str, dict[str, Any] | None]]:
        """File and message; a tombstone has none."""
        messages: list[tuple[str, dict[str, Any] | None]] = []
        for path in sorted(self.folder.glob("docs_json*/*.json")):
            message = json.loads(path.read_text(encoding="utf-8"))
            messages.append((path.stem, message))
            if _operation(message) == "d":
                messages.append((path.stem, None))
        return messages

    def dump(self, dumps: Dumps) -> None:
        with dumps.file("topic_cdc_changes", "debezium.ndjson") as dump:
            for number, (name, message) in enumerate(self.messages):
                dump.send(name, message, datetime(2024, 3, 1) + timedelta(seconds=number))

    # what must come out, straight from the files

    def tombstones(self) -> int:
        return sum(message is None for _, message in self.messages)

    def by_operation(self) -> Counter[str]:
        """Changes that name their table, and messages that applications wrote into the log."""
        operations: Counter[str] = Counter()
        for _, message in self.messages:
            operation = _operation(message)
            source = _envelope(message).get("source")
            has_table = isinstance(source, dict) and (
                source.get("table") or source.get("collection")
            )
            if operation == "m" or (operation and has_table):
                operations[_WORDS[operation]] += 1
            elif message and message.get("datacontenttype") == "application/json":
                operations[_WORDS[message["iodebeziumop"]]] += 1  # a CloudEvent
        return operations


def _envelope(message: dict[str, Any] | None) -> dict[str, Any]:
    """What stands below a schema block, where there is one."""
    return (message or {}).get("payload", message) or {}


def _operation(message: dict[str, Any] | None) -> str | None:
    return _envelope(message).get("op")

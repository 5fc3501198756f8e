"""Which statements were found sound before, so that a second check looks only at what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from waypoint.contracts.model import Contracts
from waypoint.snowflake.statement import Statement

_HERE = Path(__file__).parent


class Memory:
    """Digests of sound statements in a file; those of other contracts or rules count for nothing.

    A file that cannot be read is an empty one.
    """

    def __init__(self, file: Path, contracts: Contracts) -> None:
        self._file = file
        self._basis = _digest(
            version("sqlglot"),
            *(path.read_text(encoding="utf-8") for path in sorted(_HERE.glob("*.*"))),
            *(f"{t.full_name} {[(c.name, c.physical_type) for c in t.columns]}"
              for t in contracts.tables),
        )  # fmt: skip
        try:
            self._sound = set(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._sound = set()

    def is_sound(self, statement: Statement) -> bool:
        return self._key(statement) in self._sound

    def keep(self, sound: Iterable[Statement]) -> None:
        """Remember these statements and forget all others."""
        keys = sorted({self._key(statement) for statement in sound})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        written = self._file.with_suffix(".tmp")
        written.write_text(json.dumps(keys), encoding="utf-8")
        written.replace(self._file)

    def _key(self, statement: Statement) -> str:
        return _digest(
            self._basis, statement.sql, json.dumps(statement.columns and dict(statement.columns))
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()

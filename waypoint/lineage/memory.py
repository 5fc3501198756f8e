"""Remembers on disk what was traced, so that only a query that has changed is traced again."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from waypoint.lineage import columns
from waypoint.lineage.columns import ColumnRef, QueryLineage, Refs


class TraceMemory:
    """Traced queries in one JSON file, by a hash of all that a trace depends on.

    What was not asked for again is forgotten when it is kept. A file that cannot be read or
    written is done without.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._used: dict[str, Any] = {}

    @cached_property
    def _known(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["made_by"] == _made_by():
                return dict(document["queries"])
        return {}

    def recall(self, key: tuple[object, ...]) -> QueryLineage | None:
        """The lineage of a query that was traced before."""
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            found = self._known[_hash(key)]
            return QueryLineage(
                outputs={column: _refs(refs) for column, refs in found["outputs"].items()},
                deciding=_refs(found["deciding"]),
                tables=frozenset(found["tables"]),
            )
        return None

    def store(self, key: tuple[object, ...], query: QueryLineage) -> None:
        self._used[_hash(key)] = {
            "outputs": {column: _texts(refs) for column, refs in query.outputs.items()},
            "deciding": _texts(query.deciding),
            "tables": sorted(query.tables),
        }

    def keep(self) -> None:
        """Write what was stored, where it differs from what was known."""
        if self._used == self._known:
            return
        document = {"made_by": _made_by(), "queries": self._used}
        temporary = self._path.with_name(f"{self._path.name}.tmp{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(json.dumps(document), encoding="utf-8")
            os.replace(temporary, self._path)


def _made_by() -> str:
    """How queries are traced and written down: where that has changed, all is traced again."""
    code = b"".join(Path(name).read_bytes() for name in (columns.__file__, __file__))
    return f"{hashlib.sha256(code).hexdigest()} sqlglot {version('sqlglot')}"


def _hash(key: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()


def _texts(refs: Refs) -> list[str]:
    return sorted(str(ref) for ref in refs)


def _refs(texts: list[str]) -> Refs:
    return frozenset(ColumnRef(*text.rsplit(".", 1)) for text in texts)

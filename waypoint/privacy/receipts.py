"""What is kept of an erasure: what it found and took out, and nothing that is personal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from ingestion.suppression import write_for_owner
from waypoint.privacy.landed import FileErased
from waypoint.privacy.tables import TableErased
from waypoint.privacy.topics import TopicErased
from waypoint.project import Project


@dataclass(frozen=True)
class Receipt:
    """What an erasure found and took out; it holds no personal data, ids are keyed hashes."""

    erased_at: str
    dry_run: bool
    people: tuple[str, ...]
    ids: dict[str, int]  # how many of each kind
    values: int  # texts that name the person and nobody else
    shared_values: int  # such as a name that others have, too: left where no id says whose it is
    files: tuple[FileErased, ...] = ()
    tables: tuple[TableErased, ...] = ()
    rebuilt: int = 0  # models and tests
    copies: tuple[str, ...] = ()
    topics: tuple[TopicErased, ...] = ()
    texts: tuple[FileErased, ...] = ()
    left: int | None = None  # rows and values found by the search at the end
    remarks: tuple[str, ...] = ()
    path: str | None = None

    @property
    def found(self) -> bool:
        return bool(self.files or self.tables or self.texts)


def keep(project: Project, receipt: Receipt) -> Receipt:
    """Write the receipt below the project's state, for its owner alone; gives it with its path."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path = project.state / "privacy" / f"{stamp}-{receipt.people[0][:12]}.json"
    kept = replace(receipt, path=str(path))
    write_for_owner(path, json.dumps(asdict(kept), indent=2, default=str) + "\n")
    return kept

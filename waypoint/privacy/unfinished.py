"""What an erasure has to know until it is done, kept for the owner alone.

It is written down before anything is deleted, since what is deleted cannot be learned again: an
erasure that is interrupted goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ingestion.suppression import write_for_owner
from waypoint.privacy.person import Person
from waypoint.project import Project


@dataclass
class Unfinished:
    """Whose erasure it is, what was learned of them, and the tables that lost rows."""

    path: Path
    begun: str
    given: list[str]
    ids: dict[str, list[str]] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)
    shared: int = 0
    touched: list[str] = field(default_factory=list)  # tables whose children are to be built

    @classmethod
    def of(cls, project: Project, given: Sequence[str]) -> Unfinished:
        """The one that was interrupted, with those that are given now, or a new one."""
        path = project.state / "privacy" / "erasing.json"
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        work = cls(path, begun, list(dict.fromkeys(given)))
        if path.exists():
            said = json.loads(path.read_text(encoding="utf-8"))
            work.given = list(dict.fromkeys([*said["given"], *given]))
            work.begun, work.ids, work.values = said["begun"], said["ids"], said["values"]
            work.shared, work.touched = said["shared"], said["touched"]
        return work

    def learned(self, person: Person) -> Person:
        """The person as known by now, what an interrupted erasure knew included; kept."""
        for kind, values in person.ids.items():
            self.ids[kind] = sorted({*self.ids.get(kind, ()), *values})
        texts = {*self.values, *person.values}
        self.values = sorted(texts, key=lambda value: (-len(value), value))
        self.shared = max(self.shared, person.shared)
        self.save()
        return self.person

    @property
    def person(self) -> Person:
        ids = {kind: frozenset(values) for kind, values in self.ids.items()}
        return Person(ids, tuple(self.values), self.shared)

    def touch(self, tables: Iterable[str]) -> None:
        self.touched = sorted({*self.touched, *tables})
        self.save()

    def forget(self) -> None:
        """The erasure is done: nothing of what it knew is kept."""
        self.path.unlink(missing_ok=True)

    def save(self) -> None:
        said = {name: value for name, value in asdict(self).items() if name != "path"}
        write_for_owner(self.path, json.dumps(said) + "\n")

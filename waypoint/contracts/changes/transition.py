"""One breaking change on its way in: from which version to which, where, and since when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from waypoint.contracts.changes.affected import Consumer
from waypoint.contracts.changes.history import Base, commits_since, content_at
from waypoint.contracts.changes.model import Written
from waypoint.contracts.changes.notices import Notice, path_of, read_notice
from waypoint.contracts.changes.pairing import Event, Step
from waypoint.contracts.documents import InvalidContract, read_document
from waypoint.contracts.model import RAW, TOPICS, Contract
from waypoint.contracts.reading import contract_of
from waypoint.project import Project


@dataclass(frozen=True)
class Site:
    """Where the cover is looked for: the folder above `contracts/`, its history, and the day.

    `consumers_known`: there is lineage to tell who has to be notified. `project` is None where no
    dbt project stands around the contracts.
    """

    root: Path
    base: Base
    today: date
    consumers_known: bool
    project: Project | None = None

    def went_in(self, path: Path, same: Callable[[bytes | None], bool]) -> date:
        """The day on which a file came to be as it is now, as far as `same` tells.

        The commits since the base are followed back for as long as the file was the same. What is
        not committed goes in today.
        """
        day = self.today
        if not same(content_at(self.base.folder, "HEAD", path)):
            return day
        for commit in commits_since(self.base, path):
            if not same(content_at(self.base.folder, commit.name, path)):
                break
            day = commit.day
        return day

    def removal_day(self, contract: Contract) -> date:
        """The day on which a contract's file went away."""
        return self.went_in(contract.path, lambda data: data is None)


@dataclass(frozen=True)
class Transition:
    """A step that breaks consumers, and everything that may cover it.

    `versions` are all versions of the contract that stand in the working tree, oldest first;
    `consumers` everybody whom the step breaks. `retiring`: the end of the table is announced, and
    nothing follows it; that breaks nobody yet, but has to be told.
    """

    step: Step
    versions: Sequence[Written]
    consumers: Sequence[Consumer]
    site: Site
    retiring: bool = False

    @property
    def old(self) -> Contract:
        """The contract that consumers rely on, as it was."""
        assert self.step.before is not None  # what is new breaks nobody
        return self.step.before.contract

    @property
    def standing(self) -> Contract | None:
        """The old version as it is in the working tree; None where it is gone."""
        return next((w.contract for w in self.versions if w.contract.major == self.old.major), None)

    @property
    def new(self) -> Contract | None:
        """The version that follows; None if the change is made in place, or nothing follows."""
        if self.step.event is Event.NEW_VERSION and self.step.after is not None:
            return self.step.after.contract
        if self.step.event is not Event.REMOVED:
            return None
        newer = (w.contract for w in self.versions if w.contract.major > self.old.major)
        return next(newer, None)

    @property
    def major(self) -> int:
        """The major version that decision and notice are about: its own, where none follows."""
        if self.new is not None:
            return self.new.major
        ends = self.retiring or self.step.event is Event.REMOVED
        return self.old.major if ends else self.old.major + 1

    @property
    def version(self) -> str:
        """The version that decision and notice are about."""
        if self.new is not None:
            return self.new.version
        return self.old.version if self.major == self.old.major else f"{self.major}.0.0"

    @property
    def is_built_here(self) -> bool:
        """Whether dbt builds the table; raw tables and topics are written by others."""
        return self.old.schema not in (RAW, TOPICS)

    @property
    def to_be_told(self) -> list[Consumer]:
        """The consumers who have to be notified: all but the table's own model."""
        return [c for c in self.consumers if (c.kind, c.name) != ("producer", self.old.full_name)]

    @property
    def notice_path(self) -> Path:
        return path_of(self.site.root, self.old.family_name, self.major)

    @cached_property
    def notice(self) -> Notice | None:
        """The notice on record.

        Raises:
            InvalidContract: the file is there and is no notice.
        """
        return read_notice(self.notice_path)

    def short(self, path: Path) -> Path:
        return path.relative_to(self.site.root)


def is_over(contract: Contract, went: date) -> bool:
    """Whether a version's announced end had come on the day on which it went away."""
    if contract.status != "deprecated" or contract.end_of_life is None:
        return False
    return went >= contract.end_of_life


def contract_in(path: Path, data: bytes | None) -> Contract | None:
    """The contract in a file's former content; None where there was none, or none readable."""
    if data is None:
        return None
    try:
        return contract_of(path, read_document(path, data))
    except InvalidContract:
        return None

"""Which contract of the base is compared with which of the working tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from waypoint.contracts.changes.model import Written
from waypoint.contracts.documents import InvalidContract
from waypoint.contracts.model import RAW, TOPICS

#: How much of two contracts' columns must be the same for one to be the other, moved.
_SAME_ENOUGH = 0.8


class Event(StrEnum):
    """What became of a contract, or of one version of it."""

    ADDED = "added"
    EDITED = "edited"
    NEW_VERSION = "new version"
    REMOVED = "removed"
    MOVED = "moved"


@dataclass(frozen=True)
class Step:
    """One contract before and after; `before` is None for a new one, `after` for one that is gone.

    `event` NEW_VERSION has the older version before, which may or may not stand beside it still.
    """

    event: Event
    before: Written | None
    after: Written | None
    keeps_name: bool = False

    @property
    def written(self) -> Written:
        """The contract after the step, or before it where it is gone."""
        found = self.after or self.before
        assert found is not None
        return found


class Families:
    """Contracts by family (all versions of one table or topic) and major version."""

    def __init__(self, written: Iterable[Written]) -> None:
        self._families: dict[str, dict[int, Written]] = {}
        for one in written:
            versions = self._families.setdefault(one.contract.family_name, {})
            twin = versions.setdefault(one.contract.major, one)
            if twin is not one:
                raise InvalidContract(
                    f"{one.contract.path}, line {one.document.line_of('version')}: "
                    f"{one.contract.family_name} has a version {one.contract.major} already,"
                    f" in {twin.contract.path.name}",
                    hint="keep one of them, or raise the version of the newer one",
                )

    def __iter__(self) -> Iterator[str]:
        return iter(self._families)

    def versions(self, name: str) -> dict[int, Written]:
        """The family's versions by major number; empty where there is no such family."""
        return self._families.get(name, {})


def steps(base: Families, head: Families) -> list[Step]:
    """What became of each contract, those that nothing happened to included as EDITED."""
    moved = dict(_moved(base, head))
    found: list[Step] = []
    for name in sorted({*base, *head}):
        if name in moved:
            before, after = base.versions(name), head.versions(moved[name])
            found.append(Step(Event.MOVED, _newest(before), _newest(after)))
        elif name not in moved.values():
            found.extend(_steps(base.versions(name), head.versions(name)))
    return found


def _steps(base: dict[int, Written], head: dict[int, Written]) -> Iterator[Step]:
    if not base:
        yield from (Step(Event.ADDED, None, after) for _, after in sorted(head.items()))
        return
    if _bumped_in_place(base, head):
        yield Step(Event.EDITED, _newest(base), _newest(head))
        return
    for major in sorted({*base, *head}):
        before, after = base.get(major), head.get(major)
        if before and after:
            keeps_name = major == min(head) and _is_named_by_a_view(before, after)
            yield Step(Event.EDITED, before, after, keeps_name)
        elif before:
            yield Step(Event.REMOVED, before, None)
        else:
            older = [number for number in base if number < major]
            if older:
                yield Step(Event.NEW_VERSION, base[max(older)], after)
            else:
                yield Step(Event.ADDED, None, after)


def _bumped_in_place(base: dict[int, Written], head: dict[int, Written]) -> bool:
    """The only version got another number, in the file that it had."""
    if len(base) != 1 or len(head) != 1:
        return False
    before, after = _newest(base).contract, _newest(head).contract
    return before.versioned_as is None and after.versioned_as is None


def _is_named_by_a_view(before: Written, after: Written) -> bool:
    """The name without a number, which the table had, becomes a view on this version."""
    built_here = after.contract.schema not in (RAW, TOPICS)
    return built_here and before.contract.versioned_as is None and bool(after.contract.versioned_as)


def _newest(versions: dict[int, Written]) -> Written:
    return versions[max(versions)]


def _moved(base: Families, head: Families) -> Iterator[tuple[str, str]]:
    """Families that are gone, and the new ones that have the same columns."""
    gone = [name for name in base if not head.versions(name)]
    come = [name for name in head if not base.versions(name)]
    for old in gone:
        for new in come:
            if _same_columns(_newest(base.versions(old)), _newest(head.versions(new))):
                come.remove(new)
                yield old, new
                break


def _same_columns(one: Written, other: Written) -> bool:
    pairs = [{(c.name, c.physical_type) for c in w.contract.columns} for w in (one, other)]
    if not pairs[0] or not pairs[1]:
        return False
    own = [{pair for pair in columns if not pair[0].startswith("_")} for columns in pairs]
    shared = len(own[0] & own[1])
    return shared >= _SAME_ENOUGH * max(len(own[0]), len(own[1])) and shared > 0

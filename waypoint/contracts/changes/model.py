"""What the gate talks about: contracts as they are written, and changes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from waypoint.contracts.changes.verdicts import Audience, Kind, verdict
from waypoint.contracts.documents import Entry, entries
from waypoint.contracts.model import RAW, TOPICS, Contract


@dataclass(frozen=True)
class Written:
    """A contract as it is written: the document, and what Waypoint reads in it."""

    contract: Contract
    document: Entry

    @cached_property
    def table(self) -> Mapping[str, Any]:
        """The table as it is written; empty where the contract is about its terms alone."""
        return next(iter(entries(self.document, "schema")), {})

    @property
    def properties(self) -> Sequence[Mapping[str, Any]]:
        """The columns as they are written."""
        return self.table.get("properties") or ()


@dataclass(frozen=True)
class Change:
    """One change of a contract.

    `subject` is the column, rule, role or setting that changed, empty for the table as a whole;
    `column` is the table's column that lineage knows (a nested field's outermost one). `breaks` are
    the kinds of consumers that the change breaks, whether or not there are any.
    """

    kind: Kind
    subject: str
    what: str
    breaks: frozenset[Audience]
    column: str | None = None
    before: str | None = None
    after: str | None = None

    @property
    def breaking(self) -> bool:
        return bool(self.breaks)

    @property
    def look(self) -> bool:
        """No rule can tell how much it means: a person should look at it."""
        return verdict(self.kind).look


def audiences(kind: Kind, contract: Contract) -> frozenset[Audience]:
    """Whom a kind of change of this contract breaks.

    A contract that was never in force (proposed, draft) has promised nothing yet.
    """
    if contract.status in ("proposed", "draft"):
        return frozenset()
    return verdict(kind).breaks(written_by_others=contract.schema in (RAW, TOPICS))

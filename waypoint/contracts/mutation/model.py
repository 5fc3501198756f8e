"""What is damaged and what came of it, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """One way to damage a table: an operator, the column it is about, and the damaged rows.

    `query` is a select of the table's columns with `{base}` for the undamaged rows, which carry
    their number in `_n`; `changed` is a condition that is true for the rows of `{base}` that it
    changes, or None where it adds, drops or computes rows anew.
    """

    operator: str
    column: str | None
    detail: str
    query: str
    changed: str | None = None
    retyped: str | None = None  # the type that the column comes with, if it is another one


@dataclass(frozen=True)
class Noticed:
    """What noticed a damage: the kind of check, its name, and whether it only warns."""

    by: str  # "contract", "types", "landing", "freshness" or "data test"
    name: str
    warning: bool = False


@dataclass(frozen=True)
class Survivor:
    """A damage that nothing noticed: a finding about the contract."""

    contract: str
    operator: str
    column: str | None
    detail: str


@dataclass(frozen=True)
class Score:
    """How one contract stood up to damage."""

    contract: str
    mutants: int
    killed: int
    by_warning: int  # of the killed, those that only a warning noticed
    equivalent: int  # damage that changed no row here
    not_run: int  # queries that the engine refused, or that took too long
    survivors: tuple[Survivor, ...]
    left_out: str = ""  # why it could not be damaged at all

    @property
    def share(self) -> float | None:
        """Killed of all mutants, between 0 and 1; None where there were none."""
        return self.killed / self.mutants if self.mutants else None


@dataclass(frozen=True)
class MutationReport:
    """The scores of all contracts that were looked at."""

    scores: Sequence[Score]

    @property
    def mutants(self) -> int:
        return sum(score.mutants for score in self.scores)

    @property
    def killed(self) -> int:
        return sum(score.killed for score in self.scores)

    @property
    def share(self) -> float | None:
        """Killed of all mutants, between 0 and 1; None where there were none."""
        return self.killed / self.mutants if self.mutants else None

    @property
    def survivors(self) -> list[Survivor]:
        return [survivor for score in self.scores for survivor in score.survivors]

"""What a breaking change needs before it may go in, and what of it is there.

All four: a decision on record, a migration window, consumers who were told, and both versions built
side by side until the window ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from waypoint.contracts.changes.conditions import (
    Condition,
    decision,
    notification,
    side_by_side,
)
from waypoint.contracts.changes.transition import Transition
from waypoint.contracts.changes.window import window


@dataclass(frozen=True)
class Cover:
    """What of the four is there for one breaking change."""

    conditions: tuple[Condition, ...]

    @property
    def complete(self) -> bool:
        return all(condition.met for condition in self.conditions)


def cover(transition: Transition) -> Cover:
    """What covers a transition that breaks consumers.

    Raises:
        InvalidContract: the notice on record is none.
    """
    return Cover(
        (
            decision(transition),
            window(transition),
            notification(transition),
            side_by_side(transition),
        )
    )

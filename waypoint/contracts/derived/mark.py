"""The words by which a derived file is known, so that one whose contract is gone is removed."""

from __future__ import annotations

MARK = "Derived from the contracts by `waypoint contracts render`: edit the contract, not this."

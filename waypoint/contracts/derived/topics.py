"""What the schemas of a topic have in common: where they stand, and what their types are."""

from __future__ import annotations

import re
from pathlib import Path

from waypoint.contracts.model import Column, Contract
from waypoint.errors import UnusableInput
from waypoint.project import Project

FOLDER = Path("schemas") / "topics"

_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+)(?:,(\d+))?\)")


def schema_path(project: Project, topic: Contract, ending: str) -> Path:
    """The file of a topic's schema, called after its contract: a topic's name may be a pattern."""
    return project.root / FOLDER / f"{topic.path.stem}{ending}"


def plain_type(column: Column) -> str:
    """The physical type in small letters and without blanks."""
    return column.physical_type.lower().replace(" ", "")


def decimal_digits(column: Column) -> tuple[int, int] | None:
    """Precision and scale of a decimal; None for other types."""
    match = _DECIMAL.fullmatch(plain_type(column))
    return (int(match[1]), int(match[2] or 0)) if match else None


def whole_number(column: Column, text: str) -> int:
    """One of the allowed values of an integer.

    Raises:
        UnusableInput: it is no whole number.
    """
    try:
        return int(text)
    except ValueError:
        raise UnusableInput(
            f"{column.name}: allows {text!r}, which is no whole number",
            hint="mend its validValues, or its logicalType",
        ) from None

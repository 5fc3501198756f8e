"""The cursor column of an incremental extraction: how far a table was read, and where to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ingestion.comparison import recent_files
from ingestion.engine import quoted
from ingestion.footers import Landed
from ingestion.postgres_columns import SourceColumn, identifier, kind, moment
from waypoint.contracts.model import Contract
from waypoint.contracts.reading import duration

DEFAULT_OVERLAP = timedelta(minutes=10)
DEFAULT_NUMBER_OVERLAP = 1000

_NUMBERS = ("smallint", "integer", "bigint")
_TIMES = ("timestamp", "date")


@dataclass(frozen=True)
class Position:
    """How far a table has been read: all rows up to `value` (UTC for times) that were committed.

    `beyond` tells that rows from the future were seen, whose cursor says nothing: a clock that is
    ahead must not hide what the others write.
    """

    value: datetime | int
    beyond: bool = False

    def as_json(self, cursor: Cursor) -> dict[str, Any]:
        """What a footer keeps of it."""
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return {"cursor": cursor.name, "value": value, "beyond": self.beyond}


@dataclass(frozen=True)
class Cursor:
    """A column whose value grows with each change of a row."""

    column: SourceColumn
    overlap: timedelta | int

    @classmethod
    def of(cls, column: SourceColumn, overlap: Any) -> Cursor:
        """The cursor on `column`; `overlap` is a duration for times, else a number.

        Raises:
            ValueError: the column cannot be a cursor, or the overlap does not fit it.
        """
        if kind(column) in _TIMES:
            return cls(column, DEFAULT_OVERLAP if overlap is None else duration(overlap))
        if column.type not in _NUMBERS:
            raise ValueError(
                f"the cursor {column.name!r} is {column.declared}, and only times, dates and whole"
                " numbers can be cursors"
            )
        if overlap is None:
            return cls(column, DEFAULT_NUMBER_OVERLAP)
        if not isinstance(overlap, int):
            raise ValueError(
                f"the cursor {column.name!r} is a number, so its overlap is one too, not"
                f" {overlap!r}"
            )
        return cls(column, overlap)

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def is_time(self) -> bool:
        return kind(self.column) in _TIMES

    def position(self, kept: Mapping[str, Any]) -> Position | None:
        """The position that a footer keeps; None where it is none of this cursor's."""
        value = kept.get("value")
        if kept.get("cursor") != self.name or isinstance(value, str) != self.is_time:
            return None
        if isinstance(value, str):
            return Position(datetime.fromisoformat(value), bool(kept.get("beyond")))
        return None if value is None else Position(int(value), bool(kept.get("beyond")))

    def part_after(self, position: Position) -> Part:
        """What is to be read once `position` was reached: all after it, and the overlap."""
        return Part(self, position.value - self.overlap)  # type: ignore[operator]

    def reached(self, now: datetime) -> tuple[str, str]:
        """Aggregates at the source: the greatest value that is not beyond now, as text; whether
        any is beyond. `now` is the project's clock, which may be ahead of the source's."""
        if not self.is_time:
            return f"max({identifier(self.name)})::text", "false"
        time = f"{moment(self.column)}::timestamp"
        clock = f"greatest(now() at time zone 'UTC', timestamp '{now.isoformat()}')"
        return (
            f"(max({time}) filter (where {time} <= {clock} and {time} >= '0001-01-01'))::text",
            f"coalesce(bool_or({time} > {clock}), false)",
        )

    def after(
        self, position: Position | None, reached: str | None, beyond: bool
    ) -> Position | None:
        """The position once the rows that `reached` was aggregated from have landed, too."""
        values = [] if position is None else [position.value]
        if reached is not None:
            values.append(datetime.fromisoformat(reached) if self.is_time else int(reached))
        if not values:
            return None
        return Position(max(values), beyond or (position is not None and position.beyond))


@dataclass(frozen=True)
class Part:
    """The rows of a table whose cursor is at `start` or later (or is not set)."""

    cursor: Cursor
    start: datetime | int

    @property
    def condition(self) -> str:
        """SQL of the source that holds for these rows."""
        column, start = self.cursor.column, self.start
        name = identifier(column.name)
        if isinstance(start, datetime):
            zone = "+00" if column.type.endswith(" with time zone") else ""
            day = kind(column) == "date"
            literal = f"'{start.date().isoformat() if day else start.isoformat() + zone}'"
        else:
            literal = str(start)
        # a row without a cursor value may be new at any time
        return f"({name} >= {literal}{'' if column.not_null else f' or {name} is null'})"

    def landed_condition(self, contract: Contract) -> str | None:
        """SQL over landed columns that holds for all versions of these rows that have landed;
        None where the contract's columns do not tell."""
        name = self.cursor.name
        column = next((c for c in contract.source_columns if c.name == name), None)
        if column is None or not self.cursor.column.not_null:
            return None
        if not isinstance(self.start, datetime):
            fits = column.physical_type in ("bigint", "integer")
            return f"{quoted(name)} >= {self.start}" if fits else None
        if column.physical_type == "date":
            return f"{quoted(name)} >= '{self.start.date().isoformat()}'"
        fits = column.physical_type == "timestamp"
        return f"{quoted(name)} >= '{self.start.isoformat()}'" if fits else None

    def files(self, files: list[Path]) -> list[Path]:
        """Those of a table's landed files, oldest first, that can hold one of these rows."""
        if not self.cursor.column.not_null:
            return files
        return recent_files(files, self._is_before)

    def _is_before(self, landed: Landed) -> bool:
        """Whether neither this batch nor any before it can hold one of these rows."""
        position = self.cursor.position(landed.position)
        if position is None or position.beyond:
            return False
        return position.value < self.start  # type: ignore[operator]

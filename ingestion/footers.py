"""What a landed file says of itself, in the key-value metadata of its Parquet footer.

Some of it is known only when the last row is written, which is after the engine has asked for the
metadata: room is reserved with a marker and filled in before the file is renamed into place.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from ingestion.engine import text_literal
from ingestion.landing import LandingArea
from waypoint.errors import UnusableInput

KEY = "waypoint"
#: In a file that several batches were put together in: what each of them said of itself.
TOGETHER_KEY = "waypoint_batches"


#: Bytes that numbers and a time may need beyond what they take while they are open.
_COUNTS = 200


@dataclass(frozen=True)
class Landed:
    """One landed batch as its footer tells it: `read` = `rows` + `rejected` + `unchanged`."""

    table: str
    batch: str
    source: str
    rows: int
    read: int
    rejected: int = 0
    unchanged: int = 0  # read again, had landed before; and rows of erased people
    position: Mapping[str, Any] = field(default_factory=dict)  # how far the source was read
    drift: tuple[str, ...] = ()  # in people's words
    landed_at: str = ""  # ISO 8601, UTC, microseconds: sorts as text
    erased: int = 0  # of the unchanged: rows of people whose data was erased, before or since


def now_text() -> str:
    """This moment as `Landed.landed_at` writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def reserved(landed: Landed) -> str:
    """A value for `KEY` with room for `landed`, its counts still open; different each time."""
    return secrets.token_hex(16).ljust(len(_text(landed)) + _COUNTS)


def fill(path: Path, room: str, landed: Landed) -> None:
    """Put `landed` where `room` was reserved for it in the footer of the Parquet file at `path`."""
    text = _text(landed).ljust(len(room))
    with path.open("r+b") as file:
        # a Parquet file ends with the footer, its length in four bytes, and a magic word
        end = file.seek(-8, 2)
        length = int.from_bytes(file.read(4), "little")
        start = file.seek(end - length)
        footer = file.read(length)
        if footer.count(room.encode()) != 1 or len(text) != len(room):
            raise AssertionError(f"{path}: the footer does not hold the reserved room once")
        file.seek(start + footer.index(room.encode()))
        file.write(text)


def _text(landed: Landed) -> bytes:
    return json.dumps(asdict(landed), separators=(",", ":")).encode()


def read_footer(path: Path) -> Landed:
    """What a landed file says of itself.

    Raises:
        UnusableInput: the file was not landed by Waypoint.
    """
    found = read_footers([path])
    if not found:
        raise UnusableInput(
            f"{path}: has no Waypoint footer, so it was not landed by Waypoint",
            hint="take it out of the landing area and land its rows with `waypoint land`",
        )
    return found[0]


def of_batch(area: LandingArea, table: str, batch: str) -> Landed:
    """What a batch says of itself, whether its file holds it alone or with others.

    Raises:
        UnusableInput: the file was not landed by Waypoint.
    """
    path = area.path(table, batch)
    return next((one for one in read_footers([path]) if one.batch == batch), None) or read_footer(
        path
    )


def read_footers(paths: list[Path]) -> list[Landed]:
    """What landed batches say of themselves, in no particular order; other files are left out."""
    if not paths:
        return []
    listed = ", ".join(text_literal(path) for path in dict.fromkeys(paths))
    with duckdb.connect() as connection:
        values = connection.execute(
            f"select key = ?, value from parquet_kv_metadata([{listed}]) where key in (?, ?)",
            [TOGETHER_KEY.encode(), KEY.encode(), TOGETHER_KEY.encode()],
        ).fetchall()
    entries: list[dict[str, Any]] = []
    for several, value in values:
        entries += json.loads(value) if several else [json.loads(value)]
    return [Landed(**{**entry, "drift": tuple(entry["drift"])}) for entry in entries]


def told_together(batches: Sequence[Landed]) -> str:
    """The value of `TOGETHER_KEY` for a file that these batches are put together in."""
    return json.dumps([asdict(landed) for landed in batches], separators=(",", ":"))


def history(area: LandingArea, table: str, source: str | None = None) -> list[Landed]:
    """What was landed of `table` (by `source`, where given), oldest batch first."""
    found = read_footers(area.files(table))
    return sorted(
        (landed for landed in found if source is None or landed.source == source),
        key=lambda landed: landed.landed_at,
    )


def newer(area: LandingArea, table: str, known: Iterable[Landed]) -> list[Landed]:
    """What has landed of `table` beside the batches that are known, in no particular order."""
    paths = {area.path(table, landed.batch) for landed in known}
    return read_footers([path for path in area.files(table) if path not in paths])


def last_position(area: LandingArea, table: str, source: str) -> Mapping[str, Any] | None:
    """How far `source` had been read when the newest batch of `table` landed; None at first."""
    landed = history(area, table, source)
    return landed[-1].position if landed else None

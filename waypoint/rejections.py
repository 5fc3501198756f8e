"""Rejected rows, summed up: how many, of which table and source, for which reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ingestion.bookkeeping import LOADED_AT, QUARANTINE
from waypoint.contracts.model import RAW
from waypoint.warehouse import reading


@dataclass(frozen=True)
class Rejection:
    """Rows that broke the same rule: how many, and the first of them as an example."""

    table: str
    source: str
    field: str | None  # None where the whole row was of no use
    rule: str
    rows: int
    reason: str  # of the example, in people's words
    place: str  # of the example: `file, line 8`, or the partition and offset


_QUERY = f"""
select
    table_name,
    source,
    field,
    rule,
    count(*),
    min_by(reason, place) as reason,
    min(place) as place
from (
    select *, concat_ws(
        ', ', parse_filename(file), 'line ' || line, 'partition ' || "partition",
        'offset ' || message_offset
    ) as place
    from {RAW}.{QUARANTINE}
    where {LOADED_AT} = ?
)
group by all
order by count(*) desc, table_name, source, field, rule
"""


def read_rejections(warehouse: Path, loaded_at: datetime) -> list[Rejection]:
    """The rejected rows of one load in the warehouse file, the most frequent reason first."""
    with reading(warehouse) as connection:
        return [Rejection(*row) for row in connection.execute(_QUERY, [loaded_at]).fetchall()]

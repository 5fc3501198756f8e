"""The quarantine as it stands: which rejected rows are still open, and what became of the others.

A rejected row is called after the file that it landed in and its place there,
`<table>/<batch>#<row>`. Landed files never change, so what became of a row stands in the footer of
the batch that replayed it (`ingestion.replay`): one rename lands its rows and closes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion import footers
from ingestion.bookkeeping import LOADED_AT, QUARANTINE, TABLES
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from waypoint.contracts.model import RAW, Column, Contract, Contracts

#: In a footer's position: the rows of the quarantine that the batch closes, by their batch.
REPLAYED = "replayed"
#: The temporary table of open rows: the quarantine's columns, and `row_number`, `id`, `landed_at`,
#: and `read_at`, which is when the row came from its source.
OPEN = "open_rows"

_PII = "pii"


@dataclass(frozen=True)
class Wanted:
    """Which rejected rows are meant; all of them where nothing is said."""

    table: str | None = None
    rule: str | None = None
    source: str | None = None
    batches: tuple[str, ...] = ()
    since: datetime | None = None  # landed then (UTC, no zone) or later

    def condition(self) -> str:
        """An SQL condition over `OPEN`."""
        equal = {"table_name": self.table, "rule": self.rule, "source": self.source}
        found = [f"{name} = {text_literal(value)}" for name, value in equal.items() if value]
        if self.batches:
            found.append(f"batch in ({', '.join(map(text_literal, self.batches))})")
        if self.since:
            found.append(f"landed_at >= timestamp {text_literal(self.since.isoformat())}")
        return " and ".join(found) or "true"


@dataclass(frozen=True)
class Group:
    """Open rows of one table and source that broke the same rule, and one of them as an example."""

    table: str
    source: str
    rule: str
    field: str | None
    rows: int
    first: datetime  # when the first and the last of them landed (UTC)
    last: datetime
    id: str  # of the example
    place: str  # of the example: file and line, or partition and offset
    reason: str | None  # of the example; None where it would tell personal data


@dataclass(frozen=True)
class RejectedRow:
    """One open row; `value` and `reason` are None where they would tell personal data."""

    id: str
    table: str
    source: str
    rule: str
    field: str | None
    place: str
    landed_at: datetime
    value: str | None
    reason: str | None


@contextmanager
def open_rows(
    area: LandingArea, spill: Path, wanted: Wanted
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine with the wanted open rows in the table `OPEN`."""
    batches = committed(area, wanted.table)
    with open_engine(spill) as engine:
        _fill(engine, area, batches, wanted)
        yield engine


def committed(area: LandingArea, table: str | None = None) -> list[Landed]:
    """The footers of the batches of every table that has something in quarantine."""
    folder = area.root / QUARANTINE
    tables = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [
        landed for name in tables if table in (None, name) for landed in footers.history(area, name)
    ]


def read_times(batches: Iterable[Landed]) -> dict[tuple[str, str], datetime]:
    """When the rows of each batch (table, batch) came from their source (UTC, no zone).

    What a batch replays is as old as the first of the batches that it had been rejected in.
    """
    found: dict[tuple[str, str], datetime] = {}
    for landed in sorted(batches, key=lambda landed: landed.landed_at):
        before = [found.get((landed.table, b)) for b in landed.position.get(REPLAYED, {})]
        known = [moment for moment in before if moment is not None]
        found[landed.table, landed.batch] = min(known, default=_landed_at(landed))
    return found


def _landed_at(landed: Landed) -> datetime:
    return datetime.fromisoformat(landed.landed_at).replace(tzinfo=None)


def summary(engine: duckdb.DuckDBPyConnection, contracts: Contracts) -> list[Group]:
    """The open rows by table, source and rule; the most frequent first."""
    rows = engine.execute(
        f"select table_name, source, rule, field, count(*), min(landed_at), max(landed_at),"
        f" min_by(id, (landed_at, id)), min_by({_PLACE}, (landed_at, id)),"
        f" min_by(reason, (landed_at, id))"
        f" from {OPEN} group by all order by 5 desc, 1, 2, 3, 4"
    ).fetchall()
    return [
        Group(table, source, rule, field, count, first, last, name, place, told)
        for table, source, rule, field, count, first, last, name, place, reason in rows
        for told in [_told(contracts, table, field, reason)]
    ]


def listed(
    engine: duckdb.DuckDBPyConnection, contracts: Contracts, most: int | None = None
) -> list[RejectedRow]:
    """The open rows one by one, the oldest first; at most so many, where given."""
    limit = f" limit {most}" if most is not None else ""
    rows = engine.execute(
        f"select id, table_name, source, rule, field, {_PLACE}, landed_at, value, reason"
        f" from {OPEN} order by landed_at, table_name, batch, row_number{limit}"
    ).fetchall()
    return [
        RejectedRow(
            id=name,
            table=table,
            source=source,
            rule=rule,
            field=field,
            place=place,
            landed_at=landed_at,
            value=_told(contracts, table, field, value) if field is not None else None,
            reason=_told(contracts, table, field, reason),
        )
        for name, table, source, rule, field, place, landed_at, value, reason in rows
    ]


_PLACE = (
    "concat_ws(', ', parse_filename(file), 'line ' || line, 'partition ' || \"partition\","
    " 'offset ' || message_offset)"
)


def _told(contracts: Contracts, table: str, field: str | None, text: str | None) -> str | None:
    """The words about a row, or its value, unless they can name a person.

    The words quote the fields that are wrong with it, and there may be several. Where the whole
    row is, they quote nothing.
    """
    contract = contracts.get(f"{RAW}.{table}")
    if contract is None or text is None:
        return None
    personal = _personal(contract, contracts)
    if not personal:
        return text
    if any(field == name or f"{name}: " in text for name in personal):
        return None
    within = (field or "").split(".")[0]
    return None if within in personal else text


def _personal(contract: Contract, contracts: Contracts) -> set[str]:
    """The names of personal fields, those within objects dotted, as checks call them."""
    topics = [t for t in contracts.topics if t.custom.get("landsIn") == contract.name]
    columns = [*contract.source_columns, *(column for topic in topics for column in topic.columns)]
    return set(_personal_names(columns))


def _personal_names(columns: Iterable[Column], within: str = "") -> Iterator[str]:
    for column in columns:
        if column.classification == _PII:
            yield f"{within}{column.name}"
        yield from _personal_names(column.columns, f"{within}{column.name}.")


def _fill(
    engine: duckdb.DuckDBPyConnection, area: LandingArea, batches: list[Landed], wanted: Wanted
) -> None:
    """Make the table `OPEN` of what is in quarantine, less what was replayed."""
    engine.execute(
        "create temp table closed (table_name varchar, batch varchar, row_number bigint)"
    )
    engine.execute(
        "create temp table landed"
        " (table_name varchar, batch varchar, landed_at timestamp, read_at timestamp)"
    )
    read_at = read_times(batches)
    for landed in batches:
        name = (landed.table, landed.batch)
        engine.execute(
            "insert into landed values (?, ?, ?, ?)", [*name, _landed_at(landed), read_at[name]]
        )
        for batch, ranges in landed.position.get(REPLAYED, {}).items():
            for first, last in ranges:
                engine.execute(
                    "insert into closed select ?, ?, unnest(range(?, ?))",
                    [landed.table, batch, first, last + 1],
                )
    columns = {name: kind for name, kind in TABLES[QUARANTINE].items() if name != LOADED_AT}
    typed = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in columns.items())
    rows = f"select {typed}, cast(null as bigint) as file_row_number limit 0"
    files = [
        path
        for landed in batches
        if landed.rejected
        and (path := area.path(QUARANTINE, f"{landed.table}/{landed.batch}")).is_file()
    ]
    if files:
        rows = (
            f"({rows}) union all by name select * from read_parquet("
            f"[{', '.join(map(text_literal, files))}], union_by_name = true,"
            f" file_row_number = true)"
        )
    engine.execute(
        f"create temp table {OPEN} as select * from ("
        " select rejected.* exclude (file_row_number), file_row_number as row_number, landed_at,"
        " read_at,"
        " table_name || '/' || batch || '#' || file_row_number as id"
        f" from ({rows}) as rejected join landed using (table_name, batch)"
        " anti join closed on closed.table_name = rejected.table_name"
        " and closed.batch = rejected.batch and closed.row_number = rejected.file_row_number"
        f") where {wanted.condition()}"
    )


def ranges_of(rows: Iterable[tuple[str, int]]) -> Mapping[str, list[list[int]]]:
    """Rows (batch, number) in order, as first and last of each run of numbers by batch."""
    found: dict[str, list[list[int]]] = {}
    for batch, number in rows:
        runs = found.setdefault(batch, [])
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return found

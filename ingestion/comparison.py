"""Landing only what is new: rows that were read again are compared with what has landed.

The batches of one source in one table are numbered (`<source>-000042`), so that the newest version
of a row is the one in the file that sorts last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingestion.batches import land_query
from ingestion.bookkeeping import QUARANTINE
from ingestion.engine import quoted, text_literal
from ingestion.footers import Landed, read_footer
from ingestion.landing import LandingArea
from ingestion.suppression import left_out
from ingestion.validation import Validation, validation
from waypoint.contracts.model import Contract

#: Whether a row has gone from its source; only tables whose contract has it are told of deletions.
DELETED = "_deleted"
#: What tells the rows of one read apart.
ROW = "_row"
PAYLOAD = "_payload"

_DIGITS = 6


@dataclass(frozen=True)
class Changes:
    """What came of one read: `landed` is None where nothing was new."""

    landed: Landed | None
    read: int
    unchanged: int
    notes: tuple[str, ...] = ()


def tells_deletions(contract: Contract) -> bool:
    """Whether the table has a place for telling that a row has gone."""
    return any(column.name == DELETED for column in contract.columns)


def landed_files(area: LandingArea, table: str, source: str) -> list[Path]:
    """The batches of `source` in `table`, oldest first."""
    prefix = f"{source}-"
    return [
        path
        for path in area.files(table)
        if path.stem.startswith(prefix) and path.stem.removeprefix(prefix).isdigit()
    ]


def next_batch(files: Sequence[Path], source: str) -> str:
    """The id of the batch that follows `files`, all that `source` has landed in a table."""
    last = int(files[-1].stem.rpartition("-")[2]) if files else 0
    return f"{source}-{last + 1:0{_DIGITS}}"


def recent_files(files: Sequence[Path], is_before: Callable[[Landed], bool]) -> list[Path]:
    """The newest of `files` (oldest first), back to the first whose footer `is_before`."""
    for place in range(len(files) - 1, -1, -1):
        if is_before(read_footer(files[place])):
            return list(files[place + 1 :])
    return list(files)


def land_changes(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    *,
    contract: Contract,
    source: str,
    batch: str,
    area: LandingArea,
    files: Sequence[Path],
    key: Sequence[str],
    complete: bool = False,
    since: str | None = None,
    position: Mapping[str, Any] | None = None,
    drift: Iterable[str] = (),
    unchanged: int = 0,
    document: str | None = None,
) -> Changes:
    """Land the rows of `query` that are new or differ from their newest landed version.

    Rows are compared by the contract's columns; a row that was rejected before and would be again,
    with the same payload, is not new either. Where the read is `complete`, landed rows whose key
    it lacks are landed once more, with their last known values and `_deleted` true. Where there is
    nothing to compare with, all rows land, in one pass.

    Args:
        connection: an engine; temporary tables are left in it.
        query: a select with the contract's columns and `_payload`, the row as the source sent it;
            where there are files to compare with, over a local relation (it runs several times)
            and with `_row`, which tells its rows apart.
        contract: of the raw table.
        source: the source's name.
        batch: from `next_batch`.
        area: where to land.
        files: from `landed_files`; those that cannot hold a row of the read may be left out.
        key: the columns that tell rows apart.
        complete: whether the query has all rows of the source.
        since: an SQL condition over the landed columns that holds for the newest version of each
            row that the query has and that had landed unchanged; None: all.
        position: see `ingestion.batches.land_query`, as are `drift` and `document`.
        unchanged: rows that the caller has left out already.
    """
    deleted = f", false as {quoted(DELETED)}" if tells_deletions(contract) else ""
    if not files:
        landed = land_query(
            connection,
            f"select *{deleted} from ({query})",
            contract=contract,
            source=source,
            batch=batch,
            area=area,
            position=position,
            drift=drift,
            unchanged=unchanged,
            document=document,
        )
        return Changes(landed, landed.read, landed.unchanged)
    described = connection.execute(f"describe {query}").fetchall()
    types = {name: str(kind) for name, kind, *_ in described}
    checked = validation(contract, query, types, document=document)
    newest = newest_versions(connection, contract, files, key, since)
    _settle(connection, contract, checked, newest, key, _rejected_before(area, contract, source))
    erased = left_out(connection, contract, query, types, area)
    if erased is not None:
        connection.execute(
            f"insert into settled_rows select {quoted(ROW)}"
            f" from ({erased.without(erased.condition)})"
            f" where {quoted(ROW)} not in (from settled_rows)"
        )
    gone = 0
    notes: tuple[str, ...] = ()
    if complete and tells_deletions(contract):
        gone, notes = _find_gone(connection, checked, newest, key)
    fetched = _count(connection, f"from ({query})")
    settled = _count(connection, "from settled_rows")
    if fetched == settled and not gone:
        return Changes(None, fetched + unchanged, settled + unchanged, notes)
    new = (
        f"select fetched.*{deleted}"
        f" from ({query}) fetched anti join settled_rows using ({quoted(ROW)})"
    )
    if gone:
        new += f" union all by name {_gone_as_read(contract, types)}"
    landed = land_query(
        connection,
        new,
        contract=contract,
        source=source,
        batch=batch,
        area=area,
        position=position,
        drift=(*drift, *notes),
        unchanged=settled + unchanged,
        document=document,
    )
    return Changes(landed, landed.read, landed.unchanged, notes)


def row_payload(columns: Iterable[str]) -> str:
    """A select item that gives a row as JSON, for sources whose rows are not JSON themselves."""
    fields = ", ".join(f"{text_literal(name)}: {quoted(name)}" for name in columns)
    return f"cast(to_json({{{fields}}}) as varchar) as {quoted(PAYLOAD)}"


def newest_versions(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    files: Sequence[Path],
    key: Sequence[str],
    since: str | None,
) -> str:
    """A select of the newest landed version of each row, as the contract types it now."""
    landed = f"read_parquet([{', '.join(map(text_literal, files))}], union_by_name = true)"
    there = {name for name, *_ in connection.execute(f"describe from {landed}").fetchall()}
    items = [
        f"cast({quoted(column.name) if column.name in there else 'null'}"
        f" as {column.physical_type}) as {quoted(column.name)}"
        for column in contract.columns
        if not column.is_metadata or column.name in (DELETED, PAYLOAD)
    ]
    # the place in the list of files says which version is newer; a file has a key once
    versions = f"select {', '.join(items)}, file_index as landed_in from {landed}"
    if since:
        versions += f" where {since}"
    if len(files) == 1:
        return versions
    keys = _listed(key)
    return (
        f"from ({versions}) semi join (select {keys}, max(landed_in) as landed_in"
        f" from ({versions}) group by {keys}) using ({keys}, landed_in)"
    )


def _settle(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    checked: Validation,
    newest: str,
    key: Sequence[str],
    rejected_before: Sequence[Path],
) -> None:
    """Note in `settled_rows` which fetched rows say nothing new."""
    same = [f"fetched.{quoted(name)} = newest.{quoted(name)}" for name in key]
    same += [
        f"fetched.{quoted(column.name)} is not distinct from newest.{quoted(column.name)}"
        for column in contract.source_columns
        if column.name not in key
    ]
    if tells_deletions(contract):
        same.append(f"not coalesce(newest.{quoted(DELETED)}, false)")
    statement = (
        "create or replace temp table settled_rows as"
        f" select fetched.{quoted(ROW)}"
        f" from (select * from ({checked.typed}) where {checked.good}) fetched"
        f" join ({newest}) newest on {' and '.join(same)}"
    )
    if rejected_before:
        statement += (
            f" union all select {quoted(ROW)} from ({checked.typed}) where not ({checked.good})"
            f" and {quoted(PAYLOAD)} in (select payload from"
            f" read_parquet([{', '.join(map(text_literal, rejected_before))}]))"
        )
    connection.execute(statement)


def _rejected_before(area: LandingArea, contract: Contract, source: str) -> list[Path]:
    """The quarantine's files for `source` in this table, those of landed batches only."""
    return [
        path
        for path in sorted((area.root / QUARANTINE / contract.name).glob(f"{source}-*.parquet"))
        if area.has(contract.name, path.stem)
    ]


def _find_gone(
    connection: duckdb.DuckDBPyConnection, checked: Validation, newest: str, key: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """Put the landed rows that the read lacks into `gone_rows`; how many, and notes on it."""
    no_key = " or ".join(f"{quoted(name)} is null" for name in key)
    if _count(connection, f"from ({checked.typed}) where {no_key}"):
        # each landed row would look as if it had gone
        return 0, (
            f"some rows have no readable {' and '.join(key)}, so it was not told which rows have"
            " gone",
        )
    connection.execute(
        "create or replace temp table gone_rows as"
        f" from (from ({newest}) where not coalesce({quoted(DELETED)}, false))"
        f" anti join (select {_listed(key)} from ({checked.typed})) using ({_listed(key)})"
    )
    return _count(connection, "from gone_rows"), ()


def _gone_as_read(contract: Contract, types: Mapping[str, str]) -> str:
    """A select of `gone_rows` with the columns and types of the read."""
    names = [column.name for column in contract.source_columns if column.name in types]
    items = [f"cast({quoted(name)} as {types[name]}) as {quoted(name)}" for name in names]
    payload = row_payload(names)
    if any(column.name == PAYLOAD for column in contract.columns):
        payload = quoted(PAYLOAD)
        items.append(payload)
    return (
        f"select {_listed(names)}, {payload}, true as {quoted(DELETED)}"
        f" from (select {', '.join(items)} from gone_rows)"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    (rows,) = connection.execute(f"select count(*) {relation}").fetchall()[0]
    return int(rows)

"""Landing the rows of a query as one batch: typed and checked by the contract, whole or not at all.

Rejected rows land before the good ones, as table `quarantine` under `<table>/<batch>`; the rename
of the good rows' file commits both. The file's footer says what became of every row that was read
(`ingestion.footers`), so that nothing about a source has to be remembered anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from ingestion import footers
from ingestion.bookkeeping import BATCH, LOADED_AT, QUARANTINE, SOURCE, TABLES
from ingestion.engine import quoted, text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.suppression import left_out
from ingestion.validation import PROBLEM_FIELDS, Validation, validation
from waypoint.contracts.model import Column, Contract
from waypoint.errors import Unavailable, UnusableInput

#: zstd at its first level costs the CPU of snappy and half its bytes.
_PARQUET = "format parquet, compression zstd, compression_level 1, row_group_size 122880"
#: What a rejected row's entry says of where it came from, and which column of the query tells it.
_PLACES = {
    "file": "_file",
    "line": "_line",
    "partition": "_partition",
    "message_offset": "_offset",
    "message_timestamp": "_kafka_timestamp",
    "message_key": "_key",
}
#: Sequences that count the rows which a scan leaves out: bad ones, and those of erased people.
_BAD, _ERASED = "rows_left_out", "rows_suppressed"
#: Longest payload that is kept of a rejected row, in characters.
PAYLOAD_KEPT = 1_000_000


def land_query(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    *,
    contract: Contract,
    source: str,
    batch: str,
    area: LandingArea,
    position: Mapping[str, Any] | None = None,
    drift: Iterable[str] = (),
    unchanged: int = 0,
    document: str | None = None,
    thousands: bool = False,
    objects: Iterable[Column] = (),
) -> Landed:
    """Land the rows of `query` as batch `batch` of the contract's table, or not at all.

    The query's columns are named like the contract's, in any order; text and JSON are typed, and
    every row is checked. A column that the query lacks is NULL; one that the contract lacks is
    left out and told as drift, unless it begins with an underscore. The query gives the metadata
    columns that the contract asks for, except `_source` and `_batch`. `_file`, `_line`,
    `_partition`, `_offset` and `_payload` are also what a rejected row's quarantine entry says of
    where it came from. A struct column `_problem` (see `ingestion.validation`) marks rows that
    could not be taken apart.

    The query runs once, streaming, and a second time only where rows are rejected: it must give
    the same rows again (inside one transaction, for a database). Landing a batch that is there
    already does nothing and returns what its footer says.

    Args:
        connection: from `ingestion.engine.open_engine`, or another one in UTC.
        query: a select.
        contract: of the raw table.
        source: the source's name in sources.yml.
        batch: the batch id, which names the file: the same rows must get the same id.
        area: where to land.
        position: how far the source has been read with this batch; JSON.
        drift: what the caller found the source to have that the contract has not.
        unchanged: rows that the caller read and left out because they had landed before; rows of
            people who were erased (`ingestion.suppression`) are added to them.
        document: see `ingestion.validation.validation`.
        thousands: see `ingestion.validation.validation`.
        objects: see `ingestion.validation.validation`.

    Raises:
        LandingAreaFull: no room on the disk; nothing of the batch was landed.
        UnusableInput: a rule of the contract is no SQL for its columns.
        Unavailable: the second run of the query gave other rows; nothing of it was landed.
    """
    if area.has(contract.name, batch):
        return footers.of_batch(area, contract.name, batch)
    described = connection.execute(f"describe {query}").fetchall()
    types = {name: str(kind) for name, kind, *_ in described}
    erased = left_out(connection, contract, query, types, area)
    if erased is not None:
        query = erased.without(_counting(erased.condition))
    checked = validation(
        contract, query, types, document=document, thousands=thousands, objects=objects
    )
    unknown = [f"column {name!r} is not in the contract" for name in checked.unknown]
    landed = Landed(
        table=contract.name,
        batch=batch,
        source=source,
        rows=0,
        read=0,
        unchanged=unchanged,
        position=dict(position or {}),
        drift=(*drift, *unknown),
    )
    room = footers.reserved(landed)
    with (
        area.writing(contract.name, batch) as path,
        _sequence(connection, _BAD) as bad,
        _sequence(connection, _ERASED) as suppressed,
    ):
        try:
            # counting what is left out saves a second pass over rows that are all good
            rows = _copy(
                connection,
                f"{_landed_columns(contract, checked, source, batch)} from ({checked.typed})"
                f" where case when {checked.good} then true else nextval('{bad}') is null end",
                path,
                room,
            )
        except (duckdb.BinderException, duckdb.ParserException) as error:
            # the query itself was understood above
            reason = str(error).split("\n")[0]
            raise UnusableInput(
                f"{contract.path}: what it demands of a row cannot be checked: {reason}",
                hint="mend the rule, or the type of the column that it is about",
            ) from None
        rejected = _used(connection, bad)
        again = unchanged + _used(connection, suppressed)
        if rejected:
            _quarantine(connection, checked, types, contract, source, batch, area, rejected)
        landed = replace(
            landed,
            rows=rows,
            read=rows + rejected + again,
            rejected=rejected,
            unchanged=again,
            erased=again - unchanged,
            landed_at=footers.now_text(),
        )
        footers.fill(path, room, landed)
    return landed


def _landed_columns(contract: Contract, checked: Validation, source: str, batch: str) -> str:
    given = {SOURCE: text_literal(source), BATCH: text_literal(batch)}
    items = []
    for column in contract.columns:
        if column.name == LOADED_AT:
            continue
        if column.name in given:
            items.append(f"{given[column.name]} as {quoted(column.name)}")
        elif column.is_metadata and column.name not in checked.as_read:
            items.append(f"cast(null as {column.physical_type}) as {quoted(column.name)}")
        else:
            items.append(quoted(column.name))
    return f"select {', '.join(items)}"


def rejected_rows(
    checked: Validation, types: Mapping[str, str], contract: Contract, more: Mapping[str, str]
) -> str:
    """A select of the quarantine's rows for the rows that `checked` finds bad.

    `types` are those of the query that was checked; `more` gives the SQL of entries that the
    query does not tell. `_loaded_at` is left to the load, and what nobody tells is NULL.
    """
    said = [c.name for c in contract.source_columns if c.name in checked.as_read]
    fields = ", ".join(f"{quoted(name)}: {quoted(checked.as_read[name])}" for name in said)
    payload = f"cast(to_json({{{fields}}}) as varchar)" if said else "null"
    if "_payload" in types:
        known = "_payload" in (column.name for column in contract.columns)
        payload = quoted("_payload") if known else f"coalesce({quoted('_payload')}, {payload})"
    values = {
        "table_name": text_literal(contract.name),
        **{entry: quoted(name) for entry, name in _PLACES.items() if name in types},
        **{name: f"found.{name}" for name in PROBLEM_FIELDS},
        "payload": f"left(cast({payload} as varchar), {PAYLOAD_KEPT})",
        **more,
    }
    columns = ", ".join(
        f"cast({values.get(name, 'null')} as {kind}) as {quoted(name)}"
        for name, kind in TABLES[QUARANTINE].items()
        if name != LOADED_AT
    )
    return (
        f"select {columns} from (select *, {checked.problem} as found from ({checked.typed})"
        f" where not ({checked.good}))"
    )


def _quarantine(
    connection: duckdb.DuckDBPyConnection,
    checked: Validation,
    types: Mapping[str, str],
    contract: Contract,
    source: str,
    batch: str,
    area: LandingArea,
    expected: int,
) -> None:
    values = {"source": text_literal(source), "batch": text_literal(batch)}
    query = rejected_rows(checked, types, contract, values)
    name = f"{contract.name}/{batch}"
    landed = Landed(QUARANTINE, name, source, expected, expected)
    room = footers.reserved(landed)
    with area.writing(QUARANTINE, name) as path:
        rows = _copy(connection, query, path, room)
        if rows != expected:
            raise Unavailable(
                f"{source}: {expected} rows for {contract.name} were rejected, but {rows} when"
                " read again: the source changed meanwhile; nothing of the batch was landed",
                hint="run the same command again",
            )
        footers.fill(path, room, replace(landed, landed_at=footers.now_text()))


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path, room: str) -> int:
    """Write the rows of `query`, with `room` kept in the footer; how many there were."""
    metadata = f"kv_metadata {{{footers.KEY}: {text_literal(room)}}}"
    (rows,) = connection.execute(
        f"copy ({query}) to {text_literal(path)} ({_PARQUET}, {metadata})"
    ).fetchall()[0]
    return int(rows)


def _counting(erased: str) -> str:
    """A condition that leaves rows of erased people out and counts them."""
    return f"case when {erased} then nextval('{_ERASED}') is null else true end"


@contextmanager
def _sequence(connection: duckdb.DuckDBPyConnection, name: str) -> Iterator[str]:
    connection.execute(f"create or replace temp sequence {name} start 1")
    try:
        yield name
    finally:
        connection.execute(f"drop sequence if exists temp.{name}")


def _used(connection: duckdb.DuckDBPyConnection, sequence: str) -> int:
    (last,) = connection.execute(
        "select last_value from duckdb_sequences() where sequence_name = ? and temporary",
        [sequence],
    ).fetchall()[0]
    return int(last or 0)

"""CSV files that are dropped in a folder: settings `folder`, `pattern`, `table`, and if the files
are odd `encoding`, `delimiter` and `settle` (how long a file must have been left alone).

Files stay where they are. The batch ids hold the content's hash, so that a file lands once,
whatever it is called and however often it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from ingestion import footers
from ingestion.batches import land_query
from ingestion.csvfiles import Text, UnusableFile, problem_table, read_rows, text_of
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.extraction import Context, Outcome, Source
from ingestion.inbox import (
    Dropped,
    Parts,
    checked_unchanged,
    dropped_files,
    known_stats,
    last_told,
    open_inbox,
    settle_time,
    settled,
)
from waypoint.contracts.model import RAW, Contract
from waypoint.errors import Unavailable, UnusableInput

PATTERN = "*.csv"


def extract(source: Source, context: Context) -> Iterator[Outcome]:
    """Land the rows of the files that are new in the source's folder.

    Raises:
        UnusableInput: a setting is missing or wrong.
        Unavailable: a file cannot be read.
        LandingAreaFull: no room; the parts that had landed stay.
    """
    contract = contract_of(source, context)
    if context.tables is not None and contract.name not in context.tables:
        return
    settings = source.settings
    files = dropped_files(open_inbox(settings), [str(settings.get("pattern", PATTERN))])
    if not context.full_refresh:
        known = known_stats(footers.history(context.area, contract.name))
        files = [file for file in files if tuple(file.stat) not in known]
    yield from land_files(
        settled(files, settle_time(settings)), contract, source.name, context, settings
    )


def land_files(
    files: Iterator[Dropped] | list[Dropped],
    contract: Contract,
    source: str,
    context: Context,
    settings: Any = None,
) -> Iterator[Outcome]:
    """Land CSV files in the contract's table; one outcome for each part of each."""
    settings = settings or {}
    with open_engine(context.state / "spill") as connection:
        for file in files:
            context.report(file.name, 0)
            yield from _land_file(connection, file, contract, source, context, settings)


def _land_file(
    connection: duckdb.DuckDBPyConnection,
    file: Dropped,
    contract: Contract,
    source: str,
    context: Context,
    settings: Any,
) -> Iterator[Outcome]:
    text = _text(file.path, settings.get("encoding"))
    parts = Parts("csv", text.content, file)
    landed = parts.landed(context.area, contract.name)
    for part in landed:
        yield Outcome(source, contract.name, None, read=part.read, unchanged=part.read)
    if parts.complete(landed):
        return
    tables = _tables(file, text, contract, settings.get("delimiter"))
    for number, (drift, table), last in last_told(tables):
        if number <= len(landed):
            continue
        checked_unchanged(file)
        batch = parts.batch(number)
        connection.register("part", table)
        part = land_query(
            connection,
            _query(table.column_names, contract, file),
            contract=contract,
            source=source,
            batch=batch,
            area=context.area,
            position=parts.position(number, last),
            drift=drift,
            thousands=True,
        )
        connection.unregister("part")
        context.report(file.name, part.read)
        yield Outcome(
            source=source,
            table=contract.name,
            batch=batch,
            read=part.read,
            landed=part.rows,
            rejected=part.rejected,
            drift=tuple(f"{file.name}: {words}" for words in part.drift),
        )


def _tables(
    file: Dropped, text: Text, contract: Contract, delimiter: str | None
) -> Iterator[tuple[tuple[str, ...], Any]]:
    try:
        for header, table in read_rows(file.path, text, contract, delimiter):
            yield header.drift, table
    except UnusableFile as error:
        yield (), problem_table(error.rule, f"the whole file: {error}", error.header)


def _query(given: list[str], contract: Contract, file: Dropped) -> str:
    """The rows of the registered table `part`; an empty cell is no value."""
    items = [f"{text_literal(file.name)} as _file"]
    for name in given:
        if name.startswith("_"):
            items.append(quoted(name))
        elif contract.column(name).physical_type == "varchar":
            items.append(f"nullif({quoted(name)}, '') as {quoted(name)}")
        else:
            items.append(f"nullif(trim({quoted(name)}), '') as {quoted(name)}")
    return f"select {', '.join(items)} from part"


def _text(path: Path, encoding: str | None) -> Text:
    try:
        return text_of(path, encoding)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read: {error.strerror}",
            hint="give the user that runs Waypoint the right to read it",
        ) from None
    except LookupError:
        raise UnusableInput(f"{encoding!r} is no encoding", hint="e.g. utf-8 or cp1252") from None


def contract_of(source: Source, context: Context) -> Contract:
    """The contract of the raw table that a source's files land in.

    Raises:
        UnusableInput: the source names none, or one without a contract.
    """
    table = source.settings.get("table")
    if not table:
        raise UnusableInput(
            f"{source.name}: has no `table`", hint="name the raw table that its files land in"
        )
    contract = context.contracts.get(f"{RAW}.{table}")
    if contract is None:
        raise UnusableInput(
            f"{source.name}: there is no contract for {RAW}.{table}",
            hint=f"write contracts/{RAW}/{table}.yaml",
        )
    return contract

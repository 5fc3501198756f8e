"""Extracting tables of a PostgreSQL database: incrementally by a cursor column, or whole.

    shop:
      kind: postgres
      dsn: ${SHOP_DSN}
      schema: public               # default
      cursor: updated_at           # timestamp, date or growing number; without one: whole each time
      overlap: 10 minutes          # what is read again, for transactions that commit late
      tables:
        users: app_users           # table of the database: table of the warehouse's raw schema
        visits: {table: app_visits, cursor: id, overlap: 1000, key: [id]}

All tables of one extraction are read as of one moment. Rows read again in the overlap land only
where they differ from their newest landed version. A full refresh compares the whole table with
what has landed, and lands the rows that have gone once more, with `_deleted` true.

How far a table has been read stands in the footer of its newest landed file and nowhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.comparison import (
    ROW,
    Changes,
    land_changes,
    landed_files,
    next_batch,
    row_payload,
)
from ingestion.engine import quoted
from ingestion.extraction import Context, Outcome, Source
from ingestion.footers import read_footer
from ingestion.postgres_columns import (
    Plan,
    SourceTable,
    identifier,
    plan,
    read_table,
    table_names,
)
from ingestion.postgres_cursor import Cursor, Part
from ingestion.postgres_snapshot import ReadRefused, Snapshot, snapshot
from waypoint.contracts.model import RAW, Contract
from waypoint.errors import Unavailable, UnusableInput, WaypointError

DEFAULT_SCHEMA = "public"

_SETTINGS = frozenset({"dsn", "schema", "cursor", "overlap", "key", "tables", "capture"})
_TABLE_SETTINGS = frozenset({"table", "cursor", "overlap", "key"})


class TablesNotExtracted(WaypointError):
    """Some tables of a source could not be extracted; the others were."""


@dataclass(frozen=True)
class _Task:
    """One table to extract, as sources.yml says it."""

    table: str
    contract: Contract
    cursor: str | None
    overlap: Any
    key: tuple[str, ...]


def extract(source: Source, context: Context) -> Iterator[Outcome]:
    """Land what is new in each of the source's tables; an outcome per table.

    Raises:
        UnusableInput: the settings, the DSN or the access are wrong; nothing was landed.
        Unavailable: the database does not answer or went away; what landed before is whole.
        TablesNotExtracted: after the other tables, with what is wrong with these.
    """
    schema = str(source.settings.get("schema") or DEFAULT_SCHEMA)
    tasks = _tasks(source, context)
    if not tasks:
        return
    failures: list[WaypointError] = []
    with snapshot(source.name, str(source.settings["dsn"]), context.state) as database:
        for task in tasks:
            try:
                outcome = _extract_table(source, context, database, schema, task)
            except (_TableProblem, ReadRefused) as problem:
                failures.append(problem)
                continue
            context.report(task.contract.name, outcome.landed)
            yield outcome
    if failures:
        raise TablesNotExtracted(
            "\n".join(str(failure) for failure in failures),
            hint="; ".join(dict.fromkeys(f.hint for f in failures if f.hint)),
        )


# settings


def _tasks(source: Source, context: Context) -> list[_Task]:
    settings = source.settings
    unknown = sorted(set(settings) - _SETTINGS)
    if unknown:
        raise _misconfigured(source, f"unknown setting {unknown[0]!r}", _SETTINGS)
    if not settings.get("dsn"):
        raise _misconfigured(source, "has no dsn", _SETTINGS)
    tables = settings.get("tables")
    if not isinstance(tables, Mapping) or not tables:
        raise UnusableInput(
            f"{source.name}: declares no tables",
            hint="tables: {<table of the database>: <raw table>, ...}",
        )
    tasks = [_task(source, context, str(name), entry) for name, entry in tables.items()]
    names = [task.contract.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise UnusableInput(
                f"{source.name}: two tables land in {name}",
                hint="each needs a raw table, and so a contract, of its own",
            )
    return [t for t in tasks if context.tables is None or t.contract.name in context.tables]


def _task(source: Source, context: Context, table: str, entry: Any) -> _Task:
    own = entry if isinstance(entry, Mapping) else {"table": entry}
    unknown = sorted(set(own) - _TABLE_SETTINGS)
    if unknown or not own.get("table"):
        problem = f"unknown setting {unknown[0]!r}" if unknown else "names no raw table"
        raise _misconfigured(source, f"table {table}: {problem}", _TABLE_SETTINGS)
    settings = {**source.settings, **own}
    raw = f"{RAW}.{own['table']}"
    if raw not in context.contracts:
        raise UnusableInput(
            f"{source.name}: table {table} lands in {raw}, which has no contract",
            hint=f"write contracts/{RAW}/{own['table']}.yaml",
        )
    contract = context.contracts[raw]
    key = settings.get("key") or ()
    return _Task(
        table=table,
        contract=contract,
        cursor=settings.get("cursor"),
        overlap=settings.get("overlap"),
        key=tuple([key] if isinstance(key, str) else key) or contract.key,
    )


def _misconfigured(source: Source, problem: str, known: frozenset[str]) -> UnusableInput:
    return UnusableInput(
        f"{source.name}: {problem}", hint=f"the settings are {', '.join(sorted(known))}"
    )


# one table


class _TableProblem(WaypointError):
    """What keeps one table from being extracted, and not the others."""


@dataclass(frozen=True)
class _Look:
    """What the source says of the rows that are to be read, before they are."""

    rows: int
    reached: str | None
    beyond: bool
    odd: frozenset[str]  # the columns with values that need to be read as text


def _extract_table(
    source: Source, context: Context, database: Snapshot, schema: str, task: _Task
) -> Outcome:
    """Land what is new in one table."""
    contract = task.contract
    named = f"{schema}.{task.table}"
    with database.translating(named):
        table = read_table(database.ask, schema, task.table)
        if table is None:
            raise _no_such_table(source, database, schema, task.table)
        reading = plan(table, contract)
        if reading.missing:
            raise _TableProblem(
                f"{source.name}: {named} has no column"
                f" {', '.join(repr(name) for name in reading.missing)}, which {contract.full_name}"
                " requires; nothing of the table was landed",
                hint=f"bring it back, or change the contract {contract.path.name}",
            )
        cursor = _cursor(source, task, table)
        files = landed_files(context.area, contract.name, source.name)
        position = cursor.position(read_footer(files[-1]).position) if cursor and files else None
        part = None
        if cursor and position and not context.full_refresh:
            part = cursor.part_after(position)
        look = _look(database, table, reading, cursor, part, context.now)
        if look.rows == 0 and (part or not files):
            return Outcome(source.name, contract.name, None, drift=reading.drift)
        new_position = cursor.after(position, look.reached, look.beyond) if cursor else None
        changes = _land(
            source,
            context,
            database,
            task,
            reading,
            rows=database.rows(_select(table, reading, look, part)),
            expected=look.rows,
            files=files,
            key=task.key or table.key,
            part=part,
            position=new_position.as_json(cursor) if cursor and new_position else {},
        )
    return Outcome(
        source=source.name,
        table=contract.name,
        batch=changes.landed.batch if changes.landed else None,
        read=changes.read,
        landed=changes.landed.rows if changes.landed else 0,
        rejected=changes.landed.rejected if changes.landed else 0,
        unchanged=changes.unchanged,
        drift=(*reading.drift, *changes.notes),
    )


def _land(
    source: Source,
    context: Context,
    database: Snapshot,
    task: _Task,
    reading: Plan,
    *,
    rows: str,
    expected: int,
    files: list[Path],
    key: Sequence[str],
    part: Part | None,
    position: Mapping[str, Any],
) -> Changes:
    """Land what `rows`, a select over the source of `expected` rows, has that `files` have not."""
    contract = task.contract
    names = [item.column.name for item in reading.readings]
    batch = next_batch(files, source.name)
    with database.streaming() as engine:
        query = f"select *, {row_payload(names)} from ({rows})"
        if files:
            database.fetch(engine, rows, "fetched")
            query = f"select *, {row_payload(names)}, rowid as {quoted(ROW)} from fetched"
            (fetched,) = engine.execute("select count(*) from fetched").fetchall()[0]
            _refuse_loss(source, task, fetched, expected)
        changes = land_changes(
            engine,
            query,
            contract=contract,
            source=source.name,
            batch=batch,
            area=context.area,
            files=part.files(files) if part else files,
            key=[name for name in key if name in names] or names,
            complete=part is None,
            since=part.landed_condition(contract) if part else None,
            position=position,
            drift=reading.drift,
        )
    if not files and changes.read != expected:
        context.area.path(contract.name, batch).unlink()
        _refuse_loss(source, task, changes.read, expected)
    return changes


def _refuse_loss(source: Source, task: _Task, read: int, expected: int) -> None:
    if read != expected:
        raise Unavailable(
            f"{source.name}: {expected:,} rows of {task.table} were to be read, but {read:,} came;"
            " nothing of them was landed",
            hint="run the same command again",
        )


def _cursor(source: Source, task: _Task, table: SourceTable) -> Cursor | None:
    if task.cursor is None:
        return None
    column = table.column(task.cursor)
    if column is None:
        raise _TableProblem(
            f"{source.name}: {table.full_name} has no column {task.cursor!r}, its cursor",
            hint="name another cursor in sources.yml, or `cursor: null` to read it whole each time",
        )
    try:
        return Cursor.of(column, task.overlap)
    except ValueError as error:
        raise _TableProblem(f"{source.name}: {table.full_name}: {error}") from None


def _look(
    database: Snapshot,
    table: SourceTable,
    reading: Plan,
    cursor: Cursor | None,
    part: Part | None,
    now: datetime,
) -> _Look:
    """Count what is to be read, see how far it goes, and which values need care."""
    reached, beyond = cursor.reached(now) if cursor else ("null", "false")
    careful = [item for item in reading.readings if item.exact and item.odd]
    odd = [f"coalesce(bool_or({item.odd}), false)" for item in careful]
    items = ", ".join(["count(*)", reached, beyond, *odd])
    with database.ask.transaction():
        row = database.ask.execute(f"select {items} from {_rows_of(table, part)}").fetchone()
    assert row is not None
    return _Look(
        rows=row[0],
        reached=row[1],
        beyond=row[2],
        odd=frozenset(
            item.column.name for item, is_odd in zip(careful, row[3:], strict=True) if is_odd
        ),
    )


def _select(table: SourceTable, reading: Plan, look: _Look, part: Part | None) -> str:
    """The query that the source streams."""
    items = [
        f"{item.text if item.exact is None or item.column.name in look.odd else item.exact}"
        f" as {identifier(item.column.name)}"
        for item in reading.readings
    ]
    return f"select {', '.join(items)} from {_rows_of(table, part)}"


def _rows_of(table: SourceTable, part: Part | None) -> str:
    return f"{table.relation} where {part.condition}" if part else table.relation


def _no_such_table(source: Source, database: Snapshot, schema: str, table: str) -> _TableProblem:
    names = table_names(database.ask, schema)
    close = difflib.get_close_matches(table, names, n=1)
    there = ", ".join(names[:10]) or "nothing that this user may see"
    return _TableProblem(
        f"{source.name}: {database.place} has no table {schema}.{table}",
        hint=f"did you mean {close[0]}?" if close else f"schema {schema} holds {there}",
    )

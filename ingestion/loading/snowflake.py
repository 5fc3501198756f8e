"""The raw schema on Snowflake: files are PUT on an internal stage and copied into the tables.

The statements are rendered by functions, so that they can be read and tested without an account.
Identifiers are written in upper case, which is what unquoted names mean there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from ingestion.bookkeeping import BATCH, CLOCK, LOAD_HISTORY, LOADED_AT
from ingestion.loading import FileNotLoadable, LandedFile, Loaded, RowsLost
from ingestion.snowflake_account import account_connection, words
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable
from waypoint.project import Project

#: The stage that landed files are put on; its paths are those of the landing area.
STAGE = "landing"
#: The format of landed files.
FORMAT = "landed"
#: A pipe of a table's stream is called as the table with this behind it.
PIPE = "_STREAM"
#: What the batches of rows begin with that were streamed into their table, not copied from files.
STREAMED = "snowpipe"
#: The columns that tell a message's offset; a table with one of them can be streamed into.
_OFFSETS = frozenset(("_offset", "message_offset"))
#: How many files one COPY statement may name.
MOST_FILES = 1000


@contextmanager
def connected(project: Project) -> Iterator[SnowflakeWarehouse]:
    """The account that the environment names.

    Raises:
        UnusableInput: a variable or the connector is missing.
        Unavailable: it cannot be reached, or refuses the credentials.
    """
    with account_connection("waypoint") as (connection, error):
        yield SnowflakeWarehouse(connection, error)


# statements


def name(identifier: str) -> str:
    """An identifier as Snowflake stores it."""
    return '"' + identifier.upper().replace('"', '""') + '"'


def relation(table: str) -> str:
    return f"{name(RAW)}.{name(table)}"


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def moment(time: datetime) -> str:
    return f"{literal(time.isoformat(sep=' '))}::timestamp_ntz"


def create_schema() -> list[str]:
    """What must be there before any table: the schema, the stage, and the format of its files."""
    return [
        f"create schema if not exists {name(RAW)}",
        f"create stage if not exists {relation(STAGE)}",
        f"create file format if not exists {relation(FORMAT)} type = parquet"
        " use_logical_type = true",
    ]


def create_table(table: str, columns: Mapping[str, str]) -> str:
    listed = ", ".join(f"{name(column)} {_type(kind)}" for column, kind in columns.items())
    return f"create table if not exists {relation(table)} ({listed})"


def add_column(table: str, column: str, kind: str) -> str:
    return f"alter table {relation(table)} add column if not exists {name(column)} {_type(kind)}"


def put(file: LandedFile) -> str:
    """Upload a landed file; one that is on the stage already is left as it is."""
    folder = Path(file.name).parent.as_posix()
    return (
        f"put {literal(file.path.resolve().as_uri())} {literal(f'@{RAW}.{STAGE}/{folder}')}"
        " auto_compress = false overwrite = false"
    )


def copy_into(table: str, files: Sequence[LandedFile]) -> str:
    """Copy staged files into their table by the names of their columns.

    Which files are loaded is said by the history that the same transaction writes, hence `force`:
    Snowflake's own memory of files ends after 64 days, and need not be undone by a rollback.
    """
    listed = ", ".join(literal(Path(file.name).relative_to(table).as_posix()) for file in files)
    return (
        f"copy into {relation(table)} from {literal(f'@{RAW}.{STAGE}/{table}/')}"
        f" files = ({listed})"
        f" file_format = (format_name = {literal(f'{RAW}.{FORMAT}')})"
        " match_by_column_name = case_insensitive"
        " on_error = abort_statement force = true"
    )


def stamp(table: str, loaded_at: datetime) -> str:
    """Give the rows that were just copied their load time."""
    return (
        f"update {relation(table)} set {name(LOADED_AT)} = {moment(loaded_at)}"
        f" where {name(LOADED_AT)} is null"
    )


def count_loaded(table: str, column: str, loaded_at: datetime, batch: str | None = None) -> str:
    """How many rows a scan finds of one load; where `batch` tells, those that were copied."""
    copied = f" and not {_streamed(batch)}" if batch else ""
    return (
        f"select count(case when {name(column)} is null then 0 else 1 end)"
        f" from {relation(table)} where {name(LOADED_AT)} = {moment(loaded_at)}{copied}"
    )


def count_streamed(table: str, loaded_at: datetime, batch: str) -> str:
    """How many of the rows with this load time were streamed."""
    return (
        f"select count(*) from {relation(table)}"
        f" where {name(LOADED_AT)} = {moment(loaded_at)} and {_streamed(batch)}"
    )


def count_waiting(batches: Mapping[str, str]) -> str:
    """The streamed rows that wait in each of these tables, given with their column of the batch."""
    return " union all ".join(
        f"select {literal(table)}, count(*) from {relation(table)}"
        f" where {name(LOADED_AT)} is null and {_streamed(batch)}"
        for table, batch in batches.items()
    )


def _streamed(batch: str) -> str:
    return f"coalesce({name(batch)}, '') like {literal(f'{STREAMED}/%')}"


def list_in_history(rows: Mapping[LandedFile, int], loaded_at: datetime) -> str:
    """List files in the history with their rows."""
    return _list_in_history(
        ((file.name, file.table, file.batch, count) for file, count in rows.items()), loaded_at
    )


def list_streamed(table: str, rows: int, loaded_at: datetime) -> str:
    """List what was streamed into a table since the load before, as if it were a file."""
    batch = f"{STREAMED}/{loaded_at.isoformat()}"
    return _list_in_history([(f"{table}/{batch}", table, batch, rows)], loaded_at)


def _list_in_history(listed: Iterable[tuple[str, str, str, int]], loaded_at: datetime) -> str:
    columns = ("file", "table_name", "batch", "row_count", "loaded_at")
    values = ", ".join(
        f"({literal(file)}, {literal(table)}, {literal(batch)}, {count}, {moment(loaded_at)})"
        for file, table, batch, count in listed
    )
    return f"insert into {relation(LOAD_HISTORY)} ({', '.join(map(name, columns))}) values {values}"


def set_clock(clock: datetime | None) -> list[str]:
    statements = [f"delete from {relation(CLOCK)}"]
    if clock is not None:
        statements.append(
            f"insert into {relation(CLOCK)} ({name('as_of')}) values ({moment(clock)})"
        )
    return statements


def _type(kind: str) -> str:
    return "timestamp_ntz" if kind == "timestamp" else kind


class SnowflakeWarehouse:
    """`RawWarehouse` on a connection of the Snowflake connector."""

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection = connection
        self._error = error

    def prepare(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        for statement in create_schema():
            self._run(statement)
        existing = self._columns()
        for table, columns in tables.items():
            if table not in existing:
                self._run(create_table(table, columns))
                continue
            for column, kind in columns.items():
                if column not in existing[table]:
                    self._run(add_column(table, column, kind))

    def loaded_files(self) -> frozenset[str]:
        rows = self._run(f"select {name('file')} from {relation(LOAD_HISTORY)}")
        return frozenset(file for (file,) in rows)

    def newest_load(self) -> datetime | None:
        found = self._run(f"select max({name('loaded_at')}) from {relation(LOAD_HISTORY)}")
        newest: datetime | None = found[0][0]
        return newest

    def load(self, files: list[LandedFile], loaded_at: datetime, clock: datetime | None) -> Loaded:
        columns = self._columns()
        rows: dict[str, int] = {}
        for file in files:
            self._run(put(file))
        self._run("begin")
        try:
            for table, group in groupby(files, key=lambda file: file.table):
                rows[table] = self._load_table(table, list(group), loaded_at, columns[table])
            for table, streamed in self._take_streamed(columns, loaded_at, set(rows)).items():
                rows[table] = rows.get(table, 0) + streamed
            for statement in set_clock(clock):
                self._run(statement)
            self._run("commit")
        except BaseException:
            self._run("rollback")
            raise
        return Loaded(len(files), rows, loaded_at if rows else None)

    def row_counts(self) -> Mapping[str, int]:
        counts = {}
        for table, columns in self._columns().items():
            column = name(next(iter(columns)))
            query = f"select count(case when {column} is null then 0 else 1 end)"
            counts[table] = int(self._run(f"{query} from {relation(table)}")[0][0])
        return counts

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows that a query gives.

        Raises:
            Unavailable: it failed.
        """
        return self._run(statement)

    def _load_table(
        self, table: str, files: list[LandedFile], loaded_at: datetime, columns: list[str]
    ) -> int:
        for file in files:
            if file.together:
                # a stage has the batches' own files, under their own names
                raise FileNotLoadable(
                    f"{file.path}: holds several batches, which this warehouse cannot tell apart;"
                    " nothing was loaded",
                    hint="load it into the embedded warehouse, for which it was put together",
                )
        expected = _rows(table, files, columns)
        for start in range(0, len(files), MOST_FILES):
            some = files[start : start + MOST_FILES]
            try:
                self._run(copy_into(table, some))
            except Unavailable as error:
                raise FileNotLoadable(
                    f"{RAW}.{table}: {error}; nothing was loaded",
                    hint=f"mend contracts/{RAW}/{table}.yaml, or land the file's rows again",
                ) from None
            self._run(list_in_history({file: expected[file] for file in some}, loaded_at))
        self._run(stamp(table, loaded_at))
        count = count_loaded(table, columns[0], loaded_at, _batch_column(columns))
        found = int(self._run(count)[0][0])
        if found != sum(expected.values()):
            raise RowsLost(
                f"{RAW}.{table}: {sum(expected.values()):,} rows were loaded but a scan finds"
                f" {found:,}; the load was taken back",
                hint="run `waypoint load` again",
            )
        return found

    def _take_streamed(
        self, columns: Mapping[str, list[str]], loaded_at: datetime, copied: set[str]
    ) -> dict[str, int]:
        """Give rows their load time that have streamed in since the load before; how many."""
        batches = {
            table: batch
            for table, named in columns.items()
            if (batch := _batch_column(named)) and _OFFSETS.intersection(named)
        }
        if not batches:
            return {}
        waiting = {str(table) for table, rows in self._run(count_waiting(batches)) if rows}
        found = {}
        # tables that were copied into have been stamped, with whatever had streamed in by then
        for table in sorted((waiting | copied).intersection(batches)):
            if table in waiting:
                self._run(stamp(table, loaded_at))
            count = int(self._run(count_streamed(table, loaded_at, batches[table]))[0][0])
            if count:
                self._run(list_streamed(table, count, loaded_at))
                found[table] = count
        return found

    def _columns(self) -> dict[str, list[str]]:
        """The columns of each table of the schema, in lower case."""
        rows = self._run(
            "select table_name, column_name from information_schema.columns"
            f" where table_schema = {literal(RAW.upper())} order by table_name, ordinal_position"
        )
        columns: dict[str, list[str]] = {}
        for table, column in rows:
            columns.setdefault(table.lower(), []).append(column.lower())
        return columns

    def _run(self, statement: str) -> list[Any]:
        try:
            with self._connection.cursor() as cursor:
                return list(cursor.execute(statement).fetchall())
        except self._error as error:
            raise Unavailable(
                f"Snowflake: {words(error)}", hint="run the same command again"
            ) from None


def _batch_column(columns: Sequence[str]) -> str | None:
    """What the batch's column is called in this table: in the quarantine, otherwise."""
    return next((column for column in (BATCH, "batch") if column in columns), None)


def _rows(table: str, files: list[LandedFile], columns: list[str]) -> dict[LandedFile, int]:
    """The rows of each file, having checked that the table has their columns."""
    import pyarrow.parquet as pq

    rows = {}
    for file in files:
        footer = pq.read_metadata(file.path)
        for column in footer.schema.names:
            if column.lower() not in columns:
                raise FileNotLoadable(
                    f"{file.path}: {RAW}.{table} has no column {column!r}; nothing was loaded",
                    hint=f"add it to contracts/{RAW}/{table}.yaml, or land the file's rows again",
                )
        rows[file] = footer.num_rows
    return rows

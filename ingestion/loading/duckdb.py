"""The raw schema of the embedded warehouse, a DuckDB file of the project's state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path

import duckdb

from ingestion.bookkeeping import BATCH, CLOCK, LOAD_HISTORY, LOADED_AT
from ingestion.engine import quoted, text_literal
from ingestion.loading import FileNotLoadable, LandedFile, Loaded, RowsLost
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.warehouse import first_line, writing

#: What a load may hold in memory before it spills to disk.
_MEMORY_LIMIT = "1500MB"


@contextmanager
def connected(project: Project) -> Iterator[DuckDBWarehouse]:
    """The project's warehouse file, opened for writing; made if it is not there.

    Raises:
        WarehouseLocked: another process has it open; the message names file and process.
    """
    project.warehouse_file.parent.mkdir(parents=True, exist_ok=True)
    with writing(project.warehouse_file) as connection:
        connection.execute(f"set memory_limit = '{_MEMORY_LIMIT}'")
        # rows have no order of their own, and keeping one costs memory
        connection.execute("set preserve_insertion_order = false")
        yield DuckDBWarehouse(connection)


class DuckDBWarehouse:
    """`RawWarehouse` on a DuckDB connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def prepare(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        with self._transaction():
            self._connection.execute(f"create schema if not exists {RAW}")
            for table, columns in tables.items():
                existing = self._columns(table)
                if not existing:
                    listed = ", ".join(f"{quoted(n)} {kind}" for n, kind in columns.items())
                    self._connection.execute(f"create table {_relation(table)} ({listed})")
                    continue
                for name, kind in columns.items():
                    if name not in existing:
                        self._connection.execute(
                            f"alter table {_relation(table)} add column {quoted(name)} {kind}"
                        )
                    else:
                        self._widen(table, name, existing[name], kind)

    def loaded_files(self) -> frozenset[str]:
        rows = self._connection.execute(f"select file from {_relation(LOAD_HISTORY)}").fetchall()
        return frozenset(file for (file,) in rows)

    def newest_load(self) -> datetime | None:
        query = f"select max(loaded_at) from {_relation(LOAD_HISTORY)}"
        newest: datetime | None = self._connection.execute(query).fetchall()[0][0]
        return newest

    def load(self, files: list[LandedFile], loaded_at: datetime, clock: datetime | None) -> Loaded:
        rows: dict[str, int] = {}
        with self._transaction():
            for table, group in groupby(files, key=lambda file: file.table):
                rows[table] = self._load_table(table, list(group), loaded_at)
            self._set_clock(clock)
        return Loaded(len(files), rows, loaded_at if files else None)

    def row_counts(self) -> Mapping[str, int]:
        tables = self._connection.execute(
            "select table_name from duckdb_tables() where schema_name = ? order by all", [RAW]
        ).fetchall()
        return {table: self._scanned(table) for (table,) in tables}

    def _widen(self, table: str, column: str, stored: str, wanted: str) -> None:
        """Change a column's type to what the contract says, where no value can be lost by it."""
        (wanted,) = self._connection.execute(f"select typeof(cast(null as {wanted}))").fetchall()[0]
        if stored == wanted:
            return
        if not _is_wider(stored, wanted):
            raise UnusableInput(
                f"{RAW}.{table}.{column} is {stored.lower()} in the warehouse and {wanted.lower()}"
                " in its contract: values could be lost by a cast; nothing was loaded",
                hint="give the contract the warehouse's type, or a column of another name",
            )
        self._connection.execute(
            f"alter table {_relation(table)} alter column {quoted(column)} type {wanted}"
        )

    def _load_table(self, table: str, files: list[LandedFile], loaded_at: datetime) -> int:
        columns = self._columns(table)
        in_file = self._check_columns(table, files, columns)
        alone = [file for file in files if not file.together]
        listed = [(file.name, file.batch, in_file[str(file.path)]) for file in alone]
        try:
            if alone:
                self._insert(table, [file.path for file in alone], loaded_at)
            for file in files:
                if file.together:
                    self._insert(table, [file.path], loaded_at, [b for b, _ in file.together])
                    listed += self._of_batches(file)
        except (duckdb.ConversionException, duckdb.BinderException) as error:
            raise _unloadable(table, columns, files, error) from None
        expected = sum(rows for _, _, rows in listed)
        found = self._scanned(table, loaded_at)
        if found != expected:
            raise RowsLost(
                f"{RAW}.{table}: {expected:,} rows were loaded but a scan finds"
                f" {found:,}; the load was taken back",
                hint="run `waypoint load` again; if it stays so, the disk is at fault",
            )
        self._connection.execute(
            f"insert into {_relation(LOAD_HISTORY)} by name select unnest(?) as file,"
            " ? as table_name, unnest(?) as batch, unnest(?) as row_count, ? as loaded_at",
            [
                [name for name, _, _ in listed],
                table,
                [batch for _, batch, _ in listed],
                [rows for _, _, rows in listed],
                loaded_at,
            ],
        )
        return found

    def _insert(
        self, table: str, paths: list[Path], loaded_at: datetime, batches: list[str] | None = None
    ) -> None:
        """Insert the rows of files; of some batches only, where those are given."""
        of_batches = f" where list_contains(?, {quoted(BATCH)})" if batches is not None else ""
        self._connection.execute(
            f"insert into {_relation(table)} by name"
            f" select *, cast(? as timestamp) as {quoted(LOADED_AT)}"
            f" from read_parquet([{', '.join(map(text_literal, paths))}], union_by_name = true)"
            f"{of_batches}",
            [loaded_at, *([batches] if batches is not None else [])],
        )

    def _of_batches(self, file: LandedFile) -> list[tuple[str, str, int]]:
        """The wanted batches of a file that holds several: name, batch and rows of each."""
        counts = dict(
            self._connection.execute(
                f"select {quoted(BATCH)}, count(*) from read_parquet({text_literal(file.path)})"
                " group by 1"
            ).fetchall()
        )
        return [(name, batch, counts.get(batch, 0)) for batch, name in file.together]

    def _check_columns(
        self, table: str, files: list[LandedFile], columns: Mapping[str, str]
    ) -> dict[str, int]:
        """The rows of each file by its path, having checked that the table has their columns."""
        paths = f"[{', '.join(text_literal(file.path) for file in files)}]"
        try:
            strangers = self._connection.execute(
                f"select file_name, name from parquet_schema({paths})"
                " where num_children is null and not list_contains(?, name)"
                " order by all limit 1",
                [list(columns)],
            ).fetchall()
            counts = self._connection.execute(
                f"select file_name, num_rows from parquet_file_metadata({paths})"
            ).fetchall()
        except duckdb.Error as error:
            raise FileNotLoadable(
                f"a landed file of {table} cannot be read: {first_line(str(error))};"
                " nothing was loaded",
                hint="restore the file, or delete it and land its source again",
            ) from None
        for file, column in strangers:
            raise FileNotLoadable(
                f"{file}: {RAW}.{table} has no column {column!r}; nothing was loaded",
                hint=f"add it to contracts/{RAW}/{table}.yaml, or land the file's rows again",
            )
        return {str(file): int(rows) for file, rows in counts}

    def _scanned(self, table: str, loaded_at: datetime | None = None) -> int:
        """Rows that a scan of the table finds; the bare count(*) is answered without one."""
        column = next(iter(self._columns(table)))
        condition = f"where {quoted(LOADED_AT)} = ?" if loaded_at else ""
        query = (
            f"select count(case when {quoted(column)} is null then 0 else 1 end)"
            f" from {_relation(table)} {condition}"
        )
        return int(
            self._connection.execute(query, [loaded_at] if loaded_at else []).fetchall()[0][0]
        )

    def _set_clock(self, clock: datetime | None) -> None:
        stored = self._connection.execute(f"select as_of from {_relation(CLOCK)}").fetchall()
        if stored == ([(clock,)] if clock else []):
            return
        self._connection.execute(f"delete from {_relation(CLOCK)}")
        if clock is not None:
            self._connection.execute(f"insert into {_relation(CLOCK)} values (?)", [clock])

    def _columns(self, table: str) -> dict[str, str]:
        rows = self._connection.execute(
            "select column_name, data_type from duckdb_columns()"
            " where schema_name = ? and table_name = ? and database_name = current_database()"
            " order by column_index",
            [RAW, table],
        ).fetchall()
        return dict(rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.begin()
        try:
            yield
            self._connection.commit()
        except duckdb.Error as error:
            self._roll_back()
            raise Unavailable(
                f"the warehouse could not be written: {first_line(str(error))};"
                " nothing was changed",
                hint="make room on the disk if it is full, and run the same command again",
            ) from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except duckdb.Error:
            pass  # a failed commit has rolled back already


def _unloadable(
    table: str, columns: Mapping[str, str], files: list[LandedFile], error: Exception
) -> FileNotLoadable:
    """Which file and column it was; looked for only after a load has failed."""
    with duckdb.connect() as scratch:
        for file in files:
            source = f"read_parquet({text_literal(file.path)})"
            for name, kind, *_ in scratch.execute(f"describe from {source}").fetchall():
                try:
                    scratch.execute(
                        f"select count(cast({quoted(name)} as {columns[name]})) from {source}"
                    )
                except duckdb.Error as reason:
                    return FileNotLoadable(
                        f"{file.path}: column {name!r} ({kind.lower()}) does not fit"
                        f" {RAW}.{table}, where it is {columns[name].lower()}:"
                        f" {first_line(str(reason))}; nothing was loaded",
                        hint=f"mend contracts/{RAW}/{table}.yaml, or land the rows again",
                    )
    return FileNotLoadable(
        f"{RAW}.{table} cannot be loaded: {first_line(str(error))}; nothing was loaded"
    )


def _is_wider(stored: str, wanted: str) -> bool:
    """Whether every value of one type (DuckDB's names) is exactly a value of the other."""
    if wanted.startswith("DECIMAL"):
        digits, scale = _decimal_size(wanted)
        held, held_scale = _decimal_size(stored)
        return held > 0 and scale >= held_scale and digits - scale >= held - held_scale
    return (stored, wanted) in {("INTEGER", "BIGINT"), ("DATE", "TIMESTAMP")}


def _decimal_size(kind: str) -> tuple[int, int]:
    """Digits and decimal places of a whole or decimal number's type; no digits for others."""
    whole = {"INTEGER": 10, "BIGINT": 19}
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    return (int(found[1]), int(found[2])) if found else (whole.get(kind, 0), 0)


def _relation(table: str) -> str:
    return f"{RAW}.{quoted(table)}"

"""The cold tier: expired rows as compressed Parquet, still queryable.

`<archive>/<schema>/<table>/<...>.parquet` counts from its rename on, which follows the commit of
the transaction that deleted the rows. Where a process was killed between both, the next one sees
by the table which of the two had happened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingestion.engine import quoted, text_literal
from waypoint.errors import Unavailable
from waypoint.warehouse import first_line

_PENDING = ".pending"
_PARQUET = "format parquet, compression zstd, compression_level 9, row_group_size 122880"


@dataclass(frozen=True)
class Archive:
    """The folder of archived rows."""

    root: Path

    @dataclass(frozen=True)
    class File:
        """Rows that were written and do not count yet."""

        pending: Path

        def keep(self) -> None:
            """Let the file count: its rows were deleted."""
            os.replace(self.pending, self.pending.with_suffix(""))
            _sync(self.pending.parent)

        def discard(self) -> None:
            self.pending.unlink(missing_ok=True)

    def folder(self, table: str) -> Path:
        return self.root.joinpath(*table.split("."))

    def files(self, table: str) -> list[Path]:
        """What was archived of a table."""
        return sorted(self.folder(table).glob("*.parquet"))

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        query: str,
        rows: int,
    ) -> Archive.File:
        """Write the rows of `query`; they do not count yet.

        Raises:
            Unavailable: they could not be written, or were not `rows` many.
        """
        folder = self.folder(table)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.parquet{_PENDING}"
        file = Archive.File(folder / name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (written,) = connection.execute(
                f"copy ({query}) to {text_literal(file.pending)} ({_PARQUET})"
            ).fetchall()[0]
            _sync(file.pending)
        except (duckdb.Error, OSError) as error:
            file.discard()
            raise Unavailable(
                f"{folder}: {table} cannot be archived: {first_line(str(error))};"
                " nothing was deleted",
                hint="make room there and run `waypoint maintain` again",
            ) from None
        if written != rows:
            file.discard()
            raise Unavailable(
                f"{table}: {written} of {rows} rows were archived; nothing was deleted"
            )
        return file

    def settle(self, connection: duckdb.DuckDBPyConnection, table: str, relation: str) -> None:
        """Keep or discard what a killed process left: its rows are there still, or are deleted."""
        for pending in sorted(self.folder(table).glob(f"*.parquet{_PENDING}")):
            file = Archive.File(pending)
            try:
                columns = [
                    name
                    for (name, *_) in connection.execute(
                        f"describe from read_parquet({text_literal(pending)})"
                    ).fetchall()
                ]
            except duckdb.Error:
                file.discard()  # it was killed while it wrote
                continue
            same = " and ".join(
                f"theirs.{quoted(c)} is not distinct from ours.{quoted(c)}" for c in columns
            )
            (still,) = connection.execute(
                f"select count(*) from (select * from read_parquet({text_literal(pending)})"
                f" limit 1) as theirs join {relation} as ours on {same}"
            ).fetchall()[0]
            if still:
                file.discard()
            else:
                file.keep()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

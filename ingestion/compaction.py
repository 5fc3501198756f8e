"""Putting landed files together: many small ones into few that are well read.

What is put together is not changed: rows keep their `_batch`, and the footer of the new file has
what each batch said of itself, so that every row stays accounted for. Only rows that are past
their retention are left out, if the caller says which those are.

Left as they are: batches that are not loaded yet; those of sources that are compared with what has
landed (databases, REST), whose files in order say which version of a row is the newest; and the
quarantine, whose rows go by their place in a file.

A reader sees a batch once, whenever the process is killed: a file counts from the moment at which
the table's index names it, and the files that it replaces do not from then on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion import footers
from ingestion.bookkeeping import QUARANTINE
from ingestion.engine import open_engine, text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.messages import TOPIC

#: Files of less are put together with others, up to so much. Bytes.
SMALL, LARGE = 100_000_000, 200_000_000

_PARQUET = "format parquet, compression zstd, compression_level 3, row_group_size 122880"


@dataclass(frozen=True)
class Compacted:
    """What was put together for one table, sizes in bytes; `removed` rows were past retention."""

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    removed: int = 0


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    batches: tuple[Landed, ...]
    expired: int


def compact(
    area: LandingArea,
    spill: Path,
    loaded: Collection[str],
    expired: Mapping[str, str],
    dry_run: bool = False,
) -> Iterator[Compacted]:
    """Put the small files of each table together, and take the expired rows out of all.

    `loaded` are the names of the files that the load history lists, `expired` an SQL condition by
    table that holds for rows which are past their retention. The caller sees to it that nobody
    else lands, loads or compacts.
    """
    with open_engine(spill) as engine:
        for table in area.tables():
            if table == QUARANTINE:
                continue
            _tidy(area, table, dry_run)
            found = _compactable(engine, area, table, loaded, expired.get(table))
            for group in _groups(found):
                yield _put_together(engine, area, table, group, expired.get(table), dry_run)
            _tidy(area, table, dry_run)


def _tidy(area: LandingArea, table: str, dry_run: bool) -> None:
    """Remove files that were replaced, also by a process that was killed before it removed them."""
    for path in () if dry_run else area.superseded(table):
        path.unlink(missing_ok=True)


def _compactable(
    engine: duckdb.DuckDBPyConnection,
    area: LandingArea,
    table: str,
    loaded: Collection[str],
    expired: str | None,
) -> list[_File]:
    """The files of a table that may be put together."""
    found = []
    for path in area.files(table):
        told = tuple(footers.read_footers([path]))
        if not told or any(_is_numbered(landed) for landed in told):
            continue
        if any(f"{table}/{landed.batch}.parquet" not in loaded for landed in told):
            continue
        gone = _count(engine, path, expired) if expired else 0
        found.append(_File(path, path.stat().st_size, told, gone))
    return found


def _is_numbered(landed: Landed) -> bool:
    """Whether the batch is one of a series in which a later one has newer versions of rows."""
    return landed.batch.removeprefix(f"{landed.source}-").isdigit()


def _count(engine: duckdb.DuckDBPyConnection, path: Path, condition: str) -> int:
    query = f"select count(*) from read_parquet({text_literal(path)}) where {condition}"
    return int(engine.execute(query).fetchall()[0][0])


def _groups(files: list[_File]) -> Iterator[list[_File]]:
    """The files that belong together, each group one new file; one topic's and source's only."""
    kinds: dict[tuple[str, str], list[_File]] = {}
    for file in sorted(files, key=lambda file: file.batches[0].landed_at):
        first = file.batches[0]
        kinds.setdefault((first.source, str(first.position.get(TOPIC))), []).append(file)
    for members in kinds.values():
        group: list[_File] = []
        for file in members:
            if file.size >= SMALL:
                if file.expired:
                    yield [file]
                continue
            if group and sum(one.size for one in group) + file.size > LARGE:
                yield group
                group = []
            group.append(file)
        if len(group) > 1 or any(file.expired for file in group):
            yield group


def _put_together(
    engine: duckdb.DuckDBPyConnection,
    area: LandingArea,
    table: str,
    group: list[_File],
    expired: str | None,
    dry_run: bool,
) -> Compacted:
    batches = sorted(
        (landed for file in group for landed in file.batches), key=lambda one: one.landed_at
    )
    before = sum(file.size for file in group)
    removed = sum(file.expired for file in group)
    if dry_run:
        return Compacted(table, len(group), 1, before, before, removed)
    names = "\n".join(f"{file.path.name} {file.size}" for file in group)
    digest = hashlib.sha256(f"{names}\n{expired if removed else ''}".encode()).hexdigest()
    path = area.together(table, digest[:24])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    listed = ", ".join(text_literal(file.path) for file in group)
    kept = f" where not coalesce({expired}, false)" if expired and removed else ""
    told = text_literal(footers.told_together(batches))
    try:
        engine.execute(
            f"copy (select * from read_parquet([{listed}], union_by_name = true){kept})"
            f" to {text_literal(temporary)} ({_PARQUET},"
            f" kv_metadata {{{footers.TOGETHER_KEY}: {told}}})"
        )
        _check(engine, temporary, group, removed)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    area.put_together(table, {landed.batch: path for landed in batches})
    return Compacted(table, len(group), 1, before, path.stat().st_size, removed)


def _check(engine: duckdb.DuckDBPyConnection, path: Path, group: list[_File], removed: int) -> None:
    """That the new file has every row that it is to have."""
    listed = ", ".join(text_literal(file.path) for file in group)
    query = "select sum(num_rows) from parquet_file_metadata([{}])"
    (before,) = engine.execute(query.format(listed)).fetchall()[0]
    (after,) = engine.execute(query.format(text_literal(path))).fetchall()[0]
    if before - removed != after:
        raise AssertionError(f"{path}: {before} rows less {removed} expired, but {after} written")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

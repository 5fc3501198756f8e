"""A person taken out of the files that somebody dropped and that are kept: exports, CSV.

An export of a topic loses the person's messages; the others stay byte for byte, and their offsets
tell that they have landed. A CSV file is known by its content, so one that changed would land a
second time: it loses the person's values only while it has not landed, and goes as a whole once
it has, since all its rows are in the landing area.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestion.engine import text_literal
from ingestion.extractors.dumps import PATTERNS, messages_of_lines
from ingestion.landing import LandingArea
from ingestion.lines import read_lines
from ingestion.messages import Topic, topic_of
from ingestion.sources import read_sources
from waypoint.contracts.model import Contracts
from waypoint.errors import UnusableInput
from waypoint.privacy import statements
from waypoint.privacy.landed import FileErased, columns_of, write_parquet
from waypoint.privacy.person import Person
from waypoint.privacy.warehouses import DuckDBWarehouse, id_list, value_list
from waypoint.project import Project
from waypoint.simulator.sources import Places

_EXPORTS, _FILES = "dumps", "files"


@dataclass(frozen=True)
class Folder:
    """A folder that files are dropped in; `ours`: below the project's state."""

    path: Path
    kind: str
    ours: bool


def folders(project: Project) -> list[Folder]:
    """The folders of the project's file sources that are there."""
    places = Places.of(project)
    found = {places.dumps: _EXPORTS, places.drops: _FILES}
    if project.sources_file.exists():
        for source in read_sources(project):
            folder = source.settings.get("folder")
            if source.kind in (_EXPORTS, _FILES) and source.connected and folder:
                found[Path(folder)] = source.kind
    return [
        Folder(path, kind, path.resolve().is_relative_to(project.state.resolve()))
        for path, kind in found.items()
        if path.is_dir()
    ]


def erase_dropped(
    engine: DuckDBWarehouse, project: Project, person: Person, root: str, dry_run: bool
) -> Iterator[FileErased]:
    """Take the person out of every dropped file that is kept below the project's state."""
    for folder in folders(project):
        if not folder.ours:
            continue
        if folder.kind == _EXPORTS:
            yield from _exports(engine, project, folder.path, person, root, dry_run)
        else:
            yield from _csv_files(project, folder.path, person, dry_run)


def _exports(
    engine: DuckDBWarehouse,
    project: Project,
    folder: Path,
    person: Person,
    root: str,
    dry_run: bool,
) -> Iterator[FileErased]:
    paths = sorted({path for pattern in PATTERNS for path in folder.rglob(pattern)})
    for path in paths:
        topic = _topic(path.relative_to(folder).parts[0], project.contracts)
        if path.suffix == ".parquet":
            gone = _export_in_parquet(engine, path, topic, person, root, dry_run)
        else:
            gone = _export_in_lines(engine, path, topic, person, root, dry_run)
        if gone:
            table = topic.contract.name if topic else path.parent.name
            yield FileErased(table, path.relative_to(project.state).as_posix(), gone, 0)


def _topic(name: str, contracts: Contracts) -> Topic | None:
    try:
        return topic_of(name, contracts)
    except UnusableInput:
        return None


def _theirs(
    engine: DuckDBWarehouse, messages: str, topic: Topic | None, person: Person, root: str
) -> str:
    """Whether a message (columns `key` and `value`) is the person's or holds a value of theirs."""
    found = [
        statements.holds_value(
            ["key", "value"], len(person.values), value_list(engine), engine.dialect
        )
    ]
    if topic is not None:
        condition = statements.documents_condition(
            topic.contract, messages, "value", "key", root, id_list(engine), engine.dialect
        )
        found += [condition] if condition else []
    return f"({' or '.join(found)})"


def _export_in_parquet(
    engine: DuckDBWarehouse,
    path: Path,
    topic: Topic | None,
    person: Person,
    root: str,
    dry_run: bool,
) -> int:
    source = f"read_parquet({text_literal(path)}, hive_partitioning = false)"
    columns = columns_of(engine, source)
    if "value" not in columns:
        return 0
    key = '"key"' if "key" in columns else "null"
    text = f"(select cast({key} as varchar) as key, cast(value as varchar) as value from {source})"
    theirs = _theirs(engine, text, topic, person, root)
    read = f"(select * replace ({_as_text(columns)}) from {source})"
    if "key" not in columns:
        read = f"(select *, cast(null as varchar) as key from {read})"
    ((gone,),) = engine.run(f"select count(*) from {read} where {theirs}")
    if gone and not dry_run:
        names = ", ".join(engine.dialect.quoted(name) for name in columns)
        with _replacing(path) as temporary:
            query = f"select {names} from {read} where not {theirs}"
            write_parquet(engine, query, temporary.path, {})
    return int(gone)


def _as_text(columns: Iterable[str]) -> str:
    known = [name for name in ("key", "value") if name in columns]
    return ", ".join(f'cast("{name}" as varchar) as "{name}"' for name in known)


def _export_in_lines(
    engine: DuckDBWarehouse,
    path: Path,
    topic: Topic | None,
    person: Person,
    root: str,
    dry_run: bool,
) -> int:
    gone: set[int] = set()
    for part in read_lines(path):
        engine.connection.register("part", part)
        engine.run(
            f"create or replace temp table lines as select number, key, coalesce(value, line)"
            f" as value from ({messages_of_lines()})"
        )
        engine.connection.unregister("part")
        theirs = _theirs(engine, "lines", topic, person, root)
        gone |= {number for (number,) in engine.run(f"select number from lines where {theirs}")}
    if gone and not dry_run:
        opened = gzip.open if path.suffix == ".gz" else open
        with (
            _replacing(path) as temporary,
            opened(path, "rb") as lines,
            opened(temporary.path, "wb") as kept,
        ):
            for number, line in enumerate(lines, 1):
                if number not in gone:
                    kept.write(line)
    return len(gone)


def _csv_files(
    project: Project, folder: Path, person: Person, dry_run: bool
) -> Iterator[FileErased]:
    known = _landed_stats(project)
    values = [value.encode() for value in person.values]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes()
        found = sum(text.count(value) for value in values)
        if not found:
            continue
        stat = path.stat()
        name = path.relative_to(folder).as_posix()
        if not dry_run and (name, stat.st_size, stat.st_mtime_ns) in known:
            path.unlink()
        elif not dry_run:
            for value in values:
                text = text.replace(value, statements.ERASED.encode())
            with _replacing(path) as temporary:
                temporary.path.write_bytes(text)
        yield FileErased(folder.name, path.relative_to(project.state).as_posix(), 0, found)


def _landed_stats(project: Project) -> frozenset[tuple[object, ...]]:
    from ingestion import footers
    from ingestion.inbox import known_stats

    area = LandingArea(project.landing_dir)
    batches = [landed for table in area.tables() for landed in footers.history(area, table)]
    return known_stats(batches)


class _replacing:
    """Write a file anew beside itself; it takes the place of the old one when the block ends."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.tmp{os.getpid()}")

    def __enter__(self) -> _replacing:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            os.replace(self.path, self.final)
        else:
            self.path.unlink(missing_ok=True)

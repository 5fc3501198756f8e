"""A person's rows taken out of landed files, and the person's values out of what stays.

A file is written anew beside the old one and takes its name when it is whole. Its footer goes on
accounting for every row that was read: those taken out are counted as `erased`, and the ranges of
offsets that have landed stay as they are.

Entries of the quarantine are called after their place in their file, so they stay where they are
and are emptied of what they tell.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ingestion import footers
from ingestion.bookkeeping import QUARANTINE
from ingestion.engine import text_literal
from ingestion.landing import LandingArea
from waypoint.contracts.model import RAW, Contract, Contracts
from waypoint.privacy import statements
from waypoint.privacy.person import Person, Rows
from waypoint.privacy.statements import blanked, holds_value, without_values
from waypoint.privacy.warehouses import DuckDBWarehouse, Warehouse, id_list, value_list


@dataclass(frozen=True)
class FileErased:
    """What was taken out of a file: whole rows, and values within rows that stay."""

    table: str
    name: str  # relative to the landing area, or to the state
    rows: int
    values: int


def landed_rows(engine: DuckDBWarehouse, area: LandingArea, contracts: Contracts) -> Iterator[Rows]:
    """The landed rows of each raw table that could tell whose they are."""
    for table in area.tables():
        contract = contracts.get(f"{RAW}.{table}")
        files = _files(area, table)
        if contract is None or table == QUARANTINE or not files:
            continue
        relation = _parquet(files)
        rows = Rows(engine, contract, relation, frozenset(columns_of(engine, relation)))
        if rows.keys:
            yield rows


def erase_landed(
    engine: DuckDBWarehouse,
    area: LandingArea,
    contracts: Contracts,
    person: Person,
    root: str,
    dry_run: bool,
) -> Iterator[FileErased]:
    """Take the person out of every landed file that holds something of theirs.

    Raises:
        LandingAreaFull: no room on the disk; files that were not reached are as they were.
    """
    for table in area.tables():
        if table == QUARANTINE:
            yield from _quarantine(engine, area, contracts, person, root, dry_run)
            continue
        contract = contracts.get(f"{RAW}.{table}")
        files = _files(area, table)
        for path in _touched(engine, contract, files, person, root):
            batch = path.relative_to(area.root / table).with_suffix("").as_posix()
            erased = _File(engine, contract, path, person, root).counts(area.root)
            if not dry_run:
                with area.writing(table, batch) as temporary:
                    _File(engine, contract, path, person, root).write(temporary)
            yield erased


def erase_file(
    engine: DuckDBWarehouse,
    contract: Contract | None,
    path: Path,
    person: Person,
    root: str,
    base: Path,
    dry_run: bool,
) -> FileErased | None:
    """Take the person out of a Parquet file elsewhere (an archive); None where nothing is in it."""
    if not list(_touched(engine, contract, [path], person, root)):
        return None
    file = _File(engine, contract, path, person, root)
    erased = file.counts(base)
    if not dry_run:
        area = LandingArea(path.parent.parent)
        with area.writing(path.parent.name, path.stem) as temporary:
            file.write(temporary)
    return erased


def _files(area: LandingArea, table: str) -> list[Path]:
    """Every file of a table, those that nobody reads any more among them."""
    return sorted((area.root / table).rglob("*.parquet"))


def columns_of(engine: DuckDBWarehouse, relation: str) -> dict[str, str]:
    """Columns and types of something to select from."""
    return {name: str(kind) for name, kind, *_ in engine.run(f"describe from {relation}")}


def _touched(
    engine: DuckDBWarehouse,
    contract: Contract | None,
    files: list[Path],
    person: Person,
    root: str,
) -> list[Path]:
    """The files that hold a row of the person's, or one of their values."""
    if not files:
        return []
    source = _parquet(files)
    columns = columns_of(engine, source)
    theirs = _condition(engine, contract, columns, root)
    texts = statements.text_columns(columns)
    values = holds_value(texts, len(person.values), value_list(engine), engine.dialect)
    found = engine.run(f"select distinct filename from {source} where {theirs} or {values}")
    return sorted(Path(name) for (name,) in found)


class _File:
    """One Parquet file under a contract, or under none."""

    def __init__(
        self,
        engine: DuckDBWarehouse,
        contract: Contract | None,
        path: Path,
        person: Person,
        root: str,
    ) -> None:
        self._engine, self._contract, self._path = engine, contract, path
        self._values = len(person.values)
        self._source = f"read_parquet({text_literal(path)}, hive_partitioning = false)"
        self._columns = columns_of(engine, self._source)
        self._theirs = _condition(engine, contract, self._columns, root)
        self._texts = statements.text_columns(self._columns)

    def counts(self, base: Path) -> FileErased:
        holds = holds_value(self._texts, self._values, self._list(), self._engine.dialect)
        ((rows, values),) = self._engine.run(
            "select count(*) filter (where theirs), count(*) filter (where not theirs and held)"
            f" from (select {self._theirs} as theirs, {holds} as held"
            f" from {self._source})"
        )
        table = self._contract.name if self._contract else self._path.parent.name
        return FileErased(table, self._path.relative_to(base).as_posix(), rows, values)

    def write(self, temporary: Path) -> None:
        dialect = self._engine.dialect
        changed = [
            f"{without_values(name, self._values, self._list(), dialect)} as {dialect.quoted(name)}"
            for name in self._texts
        ]
        changes = f" replace ({', '.join(changed)})" if changed and self._values else ""
        query = f"select *{changes} from {self._source} where not {self._theirs}"
        write_parquet(self._engine, query, temporary, self._footer())

    def _footer(self) -> dict[str, str]:
        """The footer's entries, with the rows that go counted in what they say of batches."""
        entries = _footer(self._engine, self._path)
        if not entries:
            return {}
        batch = "_batch" if "_batch" in self._columns else "cast(null as varchar)"
        gone = dict(
            self._engine.run(
                f"select {batch}, count(*) from {self._source} where {self._theirs} group by 1"
            )
        )
        return {key: _accounted(value, gone) for key, value in entries.items()}

    def _list(self) -> str:
        return value_list(self._engine)


def _quarantine(
    engine: DuckDBWarehouse,
    area: LandingArea,
    contracts: Contracts,
    person: Person,
    root: str,
    dry_run: bool,
) -> Iterator[FileErased]:
    folder = area.root / QUARANTINE
    for path in sorted(folder.rglob("*.parquet")):
        batch = path.relative_to(folder).with_suffix("").as_posix()
        contract = contracts.get(f"{RAW}.{batch.split('/', 1)[0]}")
        source = f"read_parquet({text_literal(path)}, hive_partitioning = false)"
        columns = columns_of(engine, source)
        theirs = entries_condition(contract, source, columns, root, engine)
        texts = statements.text_columns(columns)
        holds = holds_value(texts, len(person.values), value_list(engine), engine.dialect)
        ((rows, values),) = engine.run(
            "select count(*) filter (where theirs), count(*) filter (where not theirs and held)"
            f" from (select {theirs} as theirs, {holds} as held from {source})"
        )
        if not rows and not values:
            continue
        if not dry_run:
            _empty(engine, area, path, batch, source, theirs, person)
        yield FileErased(QUARANTINE, path.relative_to(area.root).as_posix(), rows, values)


def _empty(
    engine: DuckDBWarehouse,
    area: LandingArea,
    path: Path,
    batch: str,
    source: str,
    theirs: str,
    person: Person,
) -> None:
    """Write a file of the quarantine anew, the person's entries emptied and in their places."""
    columns = columns_of(engine, source)
    dialect, values = engine.dialect, value_list(engine)
    empty = blanked(columns, dialect)
    changes = []
    for name in statements.text_columns(columns):
        text = without_values(name, len(person.values), values, dialect)
        if name in empty:
            text = f"case when {theirs} then {empty[name]} else {text} end"
        changes.append(f"{text} as {dialect.quoted(name)}")
    query = f"select * replace ({', '.join(changes)}) from {source}"
    with area.writing(QUARANTINE, batch) as temporary:
        write_parquet(engine, query, temporary, _footer(engine, path))


def entries_condition(
    contract: Contract | None,
    entries: str,
    columns: Collection[str],
    root: str,
    warehouse: Warehouse,
) -> str:
    """Whether an entry of the quarantine tells of the person, for entries of one table."""
    if contract is None:
        return "false"
    # files of earlier versions have no keys of messages
    key = "message_key" if "message_key" in columns else None
    found = statements.documents_condition(
        contract, entries, "payload", key, root, id_list(warehouse), warehouse.dialect
    )
    # an entry without a document tells nothing by which it could be theirs
    said = " or ".join(f"{name} is not null" for name in ("payload", key) if name)
    return f"(({said}) and {found})" if found else "false"


def _condition(
    engine: DuckDBWarehouse, contract: Contract | None, columns: Mapping[str, str], root: str
) -> str:
    ids = id_list(engine)
    found = statements.row_condition(contract, columns.keys(), root, ids, engine.dialect)
    return found or "false"


def _parquet(files: list[Path]) -> str:
    listed = ", ".join(map(text_literal, files))
    return f"read_parquet([{listed}], union_by_name = true, filename = true)"


# what a file says of its batches


def _footer(engine: DuckDBWarehouse, path: Path) -> dict[str, str]:
    """The entries of a file's footer that say what became of its batches."""
    found = engine.run(
        f"select decode(key), decode(value) from parquet_kv_metadata({text_literal(path)})"
        " where starts_with(decode(key), ?)",
        [footers.KEY],
    )
    return dict(found)


def _accounted(value: str, gone: Mapping[str | None, int]) -> str:
    """An entry of a footer once rows have gone, by their batch: still all that were read."""
    said = json.loads(value)
    for batch in said if isinstance(said, list) else [said]:
        # the rows of a file that holds one batch are that batch's, whatever they say
        rows = gone.get(batch["batch"], 0) if isinstance(said, list) else sum(gone.values())
        batch["rows"] -= rows
        batch["unchanged"] += rows
        batch["erased"] = batch.get("erased", 0) + rows
    return json.dumps(said, separators=(",", ":"))


def write_parquet(
    engine: DuckDBWarehouse, query: str, path: Path, footer: Mapping[str, str]
) -> None:
    """Write the rows of a query as landing does, with entries in the footer."""
    entries = ", ".join(f"{key}: {text_literal(value)}" for key, value in footer.items())
    metadata = f", kv_metadata {{{entries}}}" if entries else ""
    engine.run(
        f"copy ({query}) to {text_literal(path)}"
        f" (format parquet, compression zstd, compression_level 1{metadata})"
    )

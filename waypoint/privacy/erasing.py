"""A person's data erased from everything that the project keeps, and kept out from then on.

First who they are in the data is learned and written down for the owner alone, so that an erasure
that is interrupted can be run again and finishes what it began. Then their ids go on the
suppression list, as hashes; then landed files, dropped files, tables, what is computed of them,
published copies, topics and texts follow. At the end everything is searched once more, a receipt
without personal data is written, and what was written down is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from ingestion import footers
from ingestion.bookkeeping import QUARANTINE
from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.suppression import person_hash, suppress
from waypoint.clock import now
from waypoint.contracts.model import RAW, Contract
from waypoint.contracts.person_keys import People, people
from waypoint.errors import UnusableInput
from waypoint.privacy.dropped import erase_dropped, folders
from waypoint.privacy.landed import FileErased, erase_file, erase_landed, landed_rows
from waypoint.privacy.person import Person, Rows, find
from waypoint.privacy.rebuilding import NotErased, rebuild
from waypoint.privacy.receipts import Receipt, keep
from waypoint.privacy.tables import TableErased, account, erase_tables, raw_rows
from waypoint.privacy.texts import erase_texts
from waypoint.privacy.topics import TopicErased, erase_topics, is_configured
from waypoint.privacy.unfinished import Unfinished
from waypoint.privacy.warehouses import (
    DuckDBWarehouse,
    Warehouse,
    fill_ids,
    fill_values,
    opened,
)
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED, reading

#: Folders of the state that hold rows moved out of the warehouse, as Parquet.
_ARCHIVES = ("archive", "cold")


def erase(
    project: Project,
    given: Sequence[str],
    dry_run: bool = False,
    report: Callable[[str], None] = lambda _step: None,
) -> Receipt:
    """Erase the people whose ids are given, or say what would be erased.

    The caller holds the right to change the project's state.

    Raises:
        UnusableInput: no contract says who the people are; or the suppression list is unreadable.
        Unavailable: the warehouse, the broker or room on the disk is missing; run it again.
        NotErased: something is still there, or what is computed could not be built again.
    """
    known = people(project.contracts)
    if known is None:
        raise UnusableInput(
            "no contract says which table has the people",
            hint="give a raw table the custom property `people`, and its columns `personKey`",
        )
    return _Erasure(project, known, given, dry_run, report).run()


class _Erasure:
    def __init__(
        self,
        project: Project,
        known: People,
        given: Sequence[str],
        dry_run: bool,
        report: Callable[[str], None],
    ) -> None:
        self.project, self.people, self.dry_run, self.report = project, known, dry_run, report
        self.area = LandingArea(project.landing_dir)
        self.work = Unfinished.of(project, given)

    def run(self) -> Receipt:
        if not self.dry_run and self.area.root.is_dir():
            self.area.clean()
        self.report("looking for the person")
        person = self._find()
        if not self.dry_run:
            person = self.work.learned(person)
            suppress(self.area, self.people.kind, person.ids)
        self.report("files")
        with self._engine(person) as engine:
            files = list(self._files(engine, person))
            self._touch(f"{RAW}.{file.table}" for file in files)
        self.report("tables")
        tables = self._tables(person, [file.name for file in files])
        rebuilt, copies = self._rebuild()
        self.report("topics and texts")
        topics = tuple(erase_topics(self.project, person, now(self.project), self.dry_run))
        texts = tuple(erase_texts(self.project, person, self.dry_run))
        left = None
        if not self.dry_run:
            self.report("searching once more")
            left = self._left(person)
        return self._receipt(
            Receipt(
                erased_at=datetime.now(UTC).isoformat(timespec="seconds"),
                dry_run=self.dry_run,
                people=self._hashes(),
                ids={kind: len(values) for kind, values in sorted(person.ids.items())},
                values=len(person.values),
                shared_values=person.shared,
                files=tuple(files),
                tables=tuple(tables),
                rebuilt=rebuilt,
                copies=copies,
                topics=topics,
                texts=texts,
                left=left,
                remarks=tuple(self._remarks(topics)),
            )
        )

    # who it is

    def _find(self) -> Person:
        with (
            open_engine(self.project.state / "spill") as connection,
            opened(self.project) as warehouse,
        ):
            engine = DuckDBWarehouse(connection)
            rows: list[Rows] = list(landed_rows(engine, self.area, self.project.contracts))
            if warehouse is not None:
                rows += raw_rows(warehouse, self.project.contracts)
            return find(rows, self.people, self.work.given)

    def _hashes(self) -> tuple[str, ...]:
        if self.dry_run:
            return ()
        kind = self.people.kind
        return tuple(person_hash(self.area, kind, value) for value in self.work.given)

    # what is taken out

    @contextmanager
    def _engine(self, person: Person) -> Iterator[DuckDBWarehouse]:
        with open_engine(self.project.state / "spill") as connection:
            engine = DuckDBWarehouse(connection)
            self._fill(engine, person)
            yield engine

    def _fill(self, warehouse: Warehouse, person: Person) -> None:
        fill_ids(warehouse, person.ids)
        fill_values(warehouse, person.values)

    def _files(
        self, engine: DuckDBWarehouse, person: Person, dry_run: bool | None = None
    ) -> Iterator[FileErased]:
        dry = self.dry_run if dry_run is None else dry_run
        root, contracts = self.people.kind, self.project.contracts
        for erased in erase_landed(engine, self.area, contracts, person, root, dry):
            if not dry:  # before anything can interrupt: what is computed of it is stale by now
                self._touch([f"{RAW}.{erased.table}"])
            yield erased
        for path, contract in self._archived():
            found = erase_file(engine, contract, path, person, root, self.project.state, dry)
            if found is not None:
                yield found
        yield from erase_dropped(engine, self.project, person, root, dry)

    def _archived(self) -> Iterator[tuple[Path, Contract | None]]:
        for name in _ARCHIVES:
            for path in sorted((self.project.state / name).rglob("*.parquet")):
                parts = path.relative_to(self.project.state / name).parts
                named = [*parts, *(".".join(pair) for pair in pairwise(parts))]
                known = (self.project.contracts.get(part) for part in named)
                yield path, next((contract for contract in known if contract), None)

    def _tables(self, person: Person, files: Sequence[str]) -> list[TableErased]:
        with opened(self.project) as warehouse:
            if warehouse is None:
                return []
            self._fill(warehouse, person)
            if not self.dry_run:
                # noted before, since what is deleted is not found again
                would = erase_tables(
                    warehouse, self.project.contracts, person, self.people.kind, True
                )
                self._touch(erased.table for erased in would)
            erased = erase_tables(
                warehouse, self.project.contracts, person, self.people.kind, self.dry_run
            )
            if not self.dry_run:
                account(warehouse, self._rows_of_files())
                self._stage_anew(warehouse, files)
        return erased

    def _rows_of_files(self) -> dict[str, int]:
        return {
            f"{landed.table}/{landed.batch}.parquet": landed.rows
            for table in self.area.tables()
            if table != QUARANTINE
            for landed in footers.history(self.area, table)
            if landed.erased
        }

    def _stage_anew(self, warehouse: Warehouse, files: Sequence[str]) -> None:
        """Put rewritten files on Snowflake's stage, over those that it has."""
        if self.project.target == EMBEDDED:
            return
        from ingestion.loading import LandedFile
        from ingestion.loading.snowflake import put

        for name in files:
            path = self.area.root / name
            if path.is_file():
                file = LandedFile(name, name.split("/")[0], path.stem, path)
                warehouse.run(put(file).replace("overwrite = false", "overwrite = true"))

    def _rebuild(self) -> tuple[int, tuple[str, ...]]:
        if self.dry_run:
            return 0, ()
        return rebuild(self.project, self.work.touched, self.report)

    def _touch(self, tables: Iterable[str]) -> None:
        if not self.dry_run:
            self.work.touch(tables)

    # what is left

    def _left(self, person: Person) -> int:
        """Rows and values of the person that a search of everything finds."""
        root, contracts = self.people.kind, self.project.contracts
        found: list[FileErased | TableErased] = []
        with self._engine(person) as engine:
            found += self._files(engine, person, dry_run=True)
        with opened(self.project) as warehouse:
            if warehouse is not None:
                self._fill(warehouse, person)
                found += erase_tables(warehouse, contracts, person, root, True)
        for copy in sorted(self.project.published_file.parent.glob("*.duckdb")):
            with reading(copy) as connection:
                published = DuckDBWarehouse(connection)
                self._fill(published, person)
                found += erase_tables(published, contracts, person, root, True)
        found += erase_texts(self.project, person, True)
        return sum(one.rows + one.values for one in found)

    def _remarks(self, topics: Sequence[TopicErased]) -> Iterator[str]:
        compacted = any(topic.gone_by is None for topic in topics)
        if compacted and not self.dry_run and not is_configured(self.project):
            yield "no broker is configured: no tombstones were sent to compacted topics"
        for folder in folders(self.project):
            if not folder.ours:
                yield f"{folder.path} is not ours to change: its owner has to search it"
        if self.project.target != EMBEDDED:
            yield (
                "Snowflake keeps changed tables for Time Travel and then 7 days of Fail-safe:"
                " until both have passed, the rows can be restored there"
            )

    def _receipt(self, receipt: Receipt) -> Receipt:
        if receipt.dry_run:
            return receipt
        if receipt.left:
            raise NotErased(
                f"{receipt.left} rows or values of the person are still there",
                hint="something wrote meanwhile; run the same command again",
            )
        kept = keep(self.project, receipt)
        self.work.forget()
        return kept

"""Damaging each table in a scratch database, and asking what would notice.

The built warehouse is attached read-only. A table is copied into the scratch database once, and
each damage is a view over the copy; the checks that `dbt build` runs are asked of the view. Cheap
checks come first, on a share of the rows where the table is large: what is noticed there would be
noticed in the whole table.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ingestion.bookkeeping import LOAD_HISTORY, LOADED_AT
from waypoint.contracts.model import RAW, Column, Contract
from waypoint.contracts.mutation import landing, operators, queries
from waypoint.contracts.mutation.checks import SUBJECT, Check, Compiled
from waypoint.contracts.mutation.model import Damage, Noticed, Score, Survivor
from waypoint.warehouse import reading

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Rows that the cheap checks look at first.
SAMPLE = 4_000
#: How much longer than the model's own query a changed one may take, and how long at least, in
#: seconds; one that joins everything with everything would not be noticed by a rule but by whoever
#: waits for the build.
PATIENCE, LEAST_PATIENCE = 5, 3.0

#: Which share of a column's values must be keys of another table to be references to its rows.
_ENTITY = 0.95

_BASE = "base"
_PART = "part"
_WHOLE = "whole"


@dataclass
class _Table:
    """A table under damage."""

    contract: Contract
    columns: list[str]
    types: dict[str, str]
    rows: int
    sampled: bool
    checks: list[Check]
    queries: dict[int, str] = field(default_factory=dict)  # of the checks, by their place
    undamaged: dict[tuple[int, str], int] = field(default_factory=dict)
    landed: dict[str, dict[str, int]] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.contract.full_name

    def query(self, place: int) -> str:
        if place not in self.queries:
            self.queries[place] = self.checks[place].of_subject(self.name)
        return self.queries[place]


class Mutation:
    """The damaging of tables of one warehouse; use it as a context manager.

    Args:
        warehouse: the file of a built warehouse; only read from.
        compiled: what dbt would check.
        entities: names of columns that are the sole key of some table.
        now: the time that freshness is measured at.
        scratch: an empty folder.
    """

    def __init__(
        self,
        warehouse: Path,
        compiled: Compiled,
        entities: Mapping[str, frozenset[str]],
        now: datetime,
        scratch: Path,
    ) -> None:
        self._compiled = compiled
        self._entities = entities
        self._now = now
        with reading(warehouse):  # its errors say what to do
            pass
        self._connection: DuckDBPyConnection = duckdb.connect(str(scratch / "scratch.duckdb"))
        self._connection.execute("set timezone = 'UTC'")
        # the same rows in the same order each time: sums of doubles differ otherwise
        self._connection.execute("set threads = 1")
        self._connection.execute("set memory_limit = '3GB'")
        self._connection.execute(f"attach '{warehouse}' as {warehouse.stem} (read_only)")

    def __enter__(self) -> Mutation:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def score(self, contract: Contract) -> Score:
        """Damage one table in every way and count what is noticed."""
        relation = self._compiled.relations.get(contract.full_name)
        if relation is None:
            return _left_out(contract, "nothing builds it")
        try:
            table = self._copied(contract, relation)
        except duckdb.CatalogException:
            return _left_out(contract, "it is not in the warehouse; build it first")
        if not table.rows:
            return _left_out(contract, "it has no rows")
        tally = _Tally(contract.full_name)
        for damage in self._damages(table):
            if not self._changes(table, damage):
                tally.equivalent += 1
                continue
            tally.add(damage, self._noticed(table, damage))
        self._score_freshness(table, tally)
        self._score_queries(table, tally)
        return tally.score()

    # the table

    def _copied(self, contract: Contract, relation: str) -> _Table:
        run = self._connection.execute
        run(
            f"create or replace table {_BASE} as select *, row_number() over () as _n"
            f" from {relation}"
        )
        rows = self._number(f"select count(*) from {_BASE}")
        step = max(1, rows // SAMPLE)
        # by another hash than the operators', which choose rows by that of _n
        run(
            f"create or replace table {_PART} as select * from {_BASE}"
            f" where hash(_n, 'part') % {step} = 0"
        )
        described = run(f"describe {relation}").fetchall()
        return _Table(
            contract=contract,
            columns=[name for name, *_ in described],
            types={name: str(kind) for name, kind, *_ in described},
            rows=rows,
            sampled=step > 1,
            checks=self._compiled.reading(contract.full_name),
        )

    def _damages(self, table: _Table) -> Iterator[Damage]:
        yield from operators.damages_of_rows(table.columns)
        for column in table.contract.columns:
            if column.name in table.columns:
                facts = self._facts(column)
                entity = self._is_entity(table.contract, column.name)
                landed = table.contract.schema == RAW
                yield from operators.damages_of_column(column, table.columns, facts, entity, landed)

    def _is_entity(self, contract: Contract, column: str) -> bool:
        """Whether the column's values are ids of rows of another table, by the values themselves.

        What a source says of others' ids is kept as it was said: raw tables have none.
        """
        if contract.schema == RAW:
            return False
        for other in sorted(self._entities.get(column, frozenset()) - {contract.full_name}):
            relation = self._compiled.relations.get(other)
            if relation is None:
                continue
            known = (
                f'select avg(case when "{column}" in (select "{column}" from {relation})'
                f' then 1.0 else 0.0 end) >= {_ENTITY} from {_PART} where "{column}" is not null'
            )
            try:
                row = self._connection.execute(known).fetchone()
            except duckdb.Error:  # of another type, or not built
                continue
            if row and row[0]:
                return True
        return False

    def _facts(self, column: Column) -> operators.Facts:
        name = f'"{column.name}"'
        number = column.physical_type.partition("(")[0] in (
            "bigint",
            "integer",
            "double",
            "decimal",
        )
        below = f"coalesce(min({name}) < 0, false)" if number else "false"
        row = self._connection.execute(
            f"select count({name}), count(case when {operators.SOME} then {name} end), {below}"
            f" from {_BASE}"
        ).fetchone()
        assert row is not None
        return operators.Facts(filled=row[0], some=row[1], negative=row[2])

    # one damage

    def _changes(self, table: _Table, damage: Damage) -> bool:
        if damage.changed is None:
            if damage.operator in ("duplicate", "dropped_rows"):
                return self._number(f"select count(*) from {_BASE} where {operators.SOME}") > 0
            return True
        return self._number(f"select count(*) from {_BASE} where {damage.changed}") > 0

    def _noticed(self, table: _Table, damage: Damage) -> Noticed | None:
        if damage.retyped and table.name in self._compiled.enforced:
            return Noticed("types", f"{damage.column} is {damage.retyped}")
        stages = [_PART, _WHOLE] if table.sampled else [_WHOLE]
        if damage.column is None:
            stages = [_WHOLE]  # keys and totals only
        for stage in stages:
            self._view(damage.query.replace("{base}", _PART if stage == _PART else _BASE))
            found = self._noticed_in_rows(table, damage, stage)
            if found is not None:
                return found
        if damage.column is None and self._noticed_by_loading(table):
            return Noticed("loading", "rows are those that were landed")
        return self._noticed_in_sets(table, damage.column, bool(damage.retyped))

    def _noticed_by_loading(self, table: _Table) -> bool:
        """Whether a load would take itself back: it holds other rows than its files say."""
        if table.contract.schema != RAW or LOADED_AT not in table.columns:
            return False
        history = self._compiled.relations.get(f"{RAW}.{LOAD_HISTORY}")
        if history is None or table.contract.name == LOAD_HISTORY:
            return False
        lost = (
            f"select count(*) from (select {LOADED_AT}, count(*) as found from {{rows}} group by 1)"
            f" inner join (select loaded_at, sum(row_count) as expected from {history}"
            f" where table_name = '{table.contract.name}' group by 1)"
            f" on loaded_at = {LOADED_AT} where found <> expected"
        )
        return self._number(lost.format(rows=SUBJECT)) > self._number(lost.format(rows=_BASE))

    def _view(self, query: str) -> None:
        self._connection.execute(f"create or replace view {SUBJECT} as {query}")

    def _noticed_in_rows(self, table: _Table, damage: Damage, stage: str) -> Noticed | None:
        if table.contract.schema == RAW and damage.column is not None:
            found = self._noticed_at_landing(table, damage, stage)
            if found is not None:
                return found
        places = [
            place
            for place, check in enumerate(table.checks)
            if check.over_rows and check.table == table.name and check.concerns(damage.column)
        ]
        if not places:
            return None
        try:
            counts = self._row_counts(table, places)
        except duckdb.Error:
            return self._one_by_one(table, places) if damage.retyped else None
        for place, count in zip(places, counts, strict=True):
            if count > self._undamaged(table, place, stage):
                check = table.checks[place]
                return Noticed(check.kind, check.name, check.warning)
        return None

    def _row_counts(self, table: _Table, places: Sequence[int]) -> list[int]:
        counted = ", ".join(f"{table.query(place)}" for place in places)
        row = self._connection.execute(f"select {counted} from {SUBJECT}").fetchone()
        assert row is not None
        return [int(value or 0) for value in row]

    def _one_by_one(self, table: _Table, places: Sequence[int]) -> Noticed | None:
        """The rule that cannot be computed over a column of another type: dbt says so."""
        for place in places:
            try:
                self._row_counts(table, [place])
            except duckdb.Error:
                check = table.checks[place]
                return Noticed(check.kind, check.name, check.warning)
        return None

    def _noticed_at_landing(self, table: _Table, damage: Damage, stage: str) -> Noticed | None:
        assert damage.column is not None
        types = landing.types_as_read(table.contract, table.types)
        if damage.retyped:
            types[damage.column] = damage.retyped
        names, counts = self._landing_counts(table, SUBJECT, types)
        if stage not in table.landed:
            source = _PART if stage == _PART else _BASE
            listed = ", ".join(f'"{name}"' for name in table.columns)
            query = f"(select {listed} from {source})"
            as_read = landing.types_as_read(table.contract, table.types)
            table.landed[stage] = dict(
                zip(*self._landing_counts(table, query, as_read), strict=True)
            )
        usual = table.landed[stage]
        for name, count in zip(names, counts, strict=True):
            about = landing.concerns(table.contract, name, damage.column)
            if count > usual.get(name, 0) and about:
                return Noticed("landing", name)
        return None

    def _landing_counts(
        self, table: _Table, source: str, types: Mapping[str, str]
    ) -> tuple[list[str], list[int]]:
        query, names = landing.landing_counts(table.contract, f"select * from {source}", types)
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return names, [int(value or 0) for value in row][: len(names)]

    def _noticed_in_sets(
        self, table: _Table, column: str | None, retyped: bool = False
    ) -> Noticed | None:
        """What notices among the checks that need the whole table: keys, references, tests."""
        for place, check in enumerate(table.checks):
            if check.over_rows and (check.table == table.name) and column is not None:
                continue
            if check.over_rows and check.table != table.name:
                continue
            if not check.concerns(column) or place in table.unreadable:
                continue
            try:
                usual = self._undamaged(table, place, _WHOLE)
            except duckdb.Error:
                table.unreadable.add(place)
                continue
            try:
                count = self._count(table, place)
            except duckdb.Error:
                if retyped:
                    return Noticed(check.kind, check.name, check.warning)
                continue
            if count > usual:
                return Noticed(check.kind, check.name, check.warning)
        return None

    def _count(self, table: _Table, place: int) -> int:
        if table.checks[place].over_rows:
            return self._row_counts(table, [place])[0]
        return self._number(table.query(place))

    def _undamaged(self, table: _Table, place: int, stage: str) -> int:
        """How often a check is broken by the rows as they are."""
        key = (place, stage)
        if key not in table.undamaged:
            listed = ", ".join(f'"{name}"' for name in table.columns)
            sql = table.query(place)
            source = f"(select {listed} from {_PART if stage == _PART else _BASE})"
            if table.checks[place].over_rows:
                sql = f"select {sql} from {source} as {SUBJECT}"
            else:
                sql = f"with {SUBJECT} as {source} select * from ({sql})"
            table.undamaged[key] = self._number(sql)
        return table.undamaged[key]

    # time

    def _score_freshness(self, table: _Table, tally: _Tally) -> None:
        """The table as it would be had nothing come for longer than its promise allows."""
        freshness = table.contract.freshness
        loaded = [c for c in table.columns if c in ("loaded_at", "_loaded_at")]
        element = freshness.element if freshness else next(iter(loaded), None)
        if element is None or element not in table.columns:
            return
        damage = Damage("stale_table", element, "nothing new for longer than promised", "")
        # a table without a promise may be as old as it likes
        noticed = (
            Noticed("freshness", f"{element} within {freshness.error_after}") if freshness else None
        )
        tally.add(damage, noticed)

    # the query that builds it

    def _score_queries(self, table: _Table, tally: _Tally) -> None:
        sql = self._compiled.models.get(table.name)
        if sql is None:
            return
        changes = list(queries.changed_queries(sql))
        if not changes:
            return
        start = time.monotonic()
        fingerprint = self._built(table, sql, None)
        patience = max(LEAST_PATIENCE, PATIENCE * (time.monotonic() - start))
        if fingerprint is None:
            tally.not_run += len(changes)
            return
        # what the query gives now, which need not be what runs since then have made of the table
        self._connection.execute(f"create or replace table {_BASE} as select * from built")
        table.undamaged.clear()
        for change in changes:
            other = self._built(table, change.sql, patience)
            if other is None:
                tally.not_run += 1
            elif other == fingerprint:
                tally.equivalent += 1
            else:
                self._view("select * from built")
                damage = Damage(change.operator, None, change.detail, "")
                tally.add(damage, self._noticed_in_sets(table, None))

    def _built(self, table: _Table, sql: str, patience: float | None) -> tuple[object, ...] | None:
        """What tells the rows of a query from others; they are left in the table `built`.

        None where the query cannot be run, or takes longer than `patience` seconds.
        """
        listed = ", ".join(f'"{name}"' for name in table.columns)
        try:
            with self._interrupted_after(patience):
                self._connection.execute(
                    f"create or replace table built as select {listed} from ({sql})"
                )
            row = self._connection.execute(
                f"select count(*), sum(hash({listed})::hugeint) from built"
            ).fetchone()
        except duckdb.Error:
            return None
        return row

    @contextmanager
    def _interrupted_after(self, seconds: float | None) -> Iterator[None]:
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _number(self, sql: str) -> int:
        row = self._connection.execute(sql).fetchone()
        return int(row[0] or 0) if row else 0


@dataclass
class _Tally:
    contract: str
    mutants: int = 0
    killed: int = 0
    by_warning: int = 0
    equivalent: int = 0
    not_run: int = 0
    survivors: list[Survivor] = field(default_factory=list)

    def add(self, damage: Damage, noticed: Noticed | None) -> None:
        self.mutants += 1
        if noticed is None:
            self.survivors.append(
                Survivor(self.contract, damage.operator, damage.column, damage.detail)
            )
            return
        self.killed += 1
        self.by_warning += noticed.warning

    def score(self) -> Score:
        return Score(
            self.contract,
            self.mutants,
            self.killed,
            self.by_warning,
            self.equivalent,
            self.not_run,
            tuple(self.survivors),
        )


def _left_out(contract: Contract, why: str) -> Score:
    return Score(contract.full_name, 0, 0, 0, 0, 0, (), left_out=why)

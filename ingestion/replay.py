"""Replaying rejected rows: judged anew by today's contract, and landed where they keep it now.

What is replayed lands as a batch of its own, whose footer names the rows of the quarantine that it
closes. The rename of that file is the commit: killed before it, nothing has happened, and after it
no replay finds these rows again. Of the rows that still fail, those with another reason than
before land in the quarantine once more under the new batch, with the new reason; the others stay.

A row that was read from a database, an API or a file may have come again meanwhile: where a later
batch has its key, or the newest landed version says the same, it is closed and not landed, for it
would undo what is newer. Messages of topics land as they are; their offsets tell them apart.

Some rows cannot be replayed from what is kept of them; `Replayed.cannot` says why.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingestion import footers
from ingestion.batches import PAYLOAD_KEPT, land_query
from ingestion.bookkeeping import BATCH
from ingestion.comparison import (
    DELETED,
    PAYLOAD,
    landed_files,
    newest_versions,
    next_batch,
    tells_deletions,
)
from ingestion.engine import quoted, text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.messages import TOPIC, topic_of
from ingestion.quarantine import OPEN, REPLAYED, Wanted, open_rows, ranges_of, read_times
from ingestion.taking_apart import take_apart
from ingestion.validation import document_type, validation
from waypoint.contracts.model import RAW, Contract, Contracts
from waypoint.errors import UnusableInput

#: The number of a row within one replay, a column of its queries.
_NUMBER = "_replay"

#: Rules about what stands around a message's value: of these the line is kept, not the message.
_AROUND_THE_MESSAGE = ("message_is_readable", "message_is_of_the_topic", "value_is_there")

_NO_PLACE = "what stood around the message could not be read: mend the export and land it"
_NO_TIME = "its time was not kept, as it is by now: it lands where all is landed anew"
_NOT_APART = "the row could not be taken apart, only its text is kept: mend the file and land it"
_CUT = f"only its first {PAYLOAD_KEPT:,} characters are kept: let its source send it again"


@dataclass(frozen=True)
class Replayed:
    """What came of the open rows of one topic, or of one batch of another source.

    `tried` = `landed` + `superseded` + all of `failing` + all of `cannot`.
    """

    table: str
    source: str
    topic: str | None
    batch: str | None  # None where nothing was landed, not even a new reason
    tried: int
    landed: int
    superseded: int
    failing: Mapping[str, int] = field(default_factory=dict)  # by the rule that they break now
    cannot: Mapping[str, int] = field(default_factory=dict)  # by why, in people's words


def replay(
    area: LandingArea,
    contracts: Contracts,
    spill: Path,
    wanted: Wanted,
    dry_run: bool = False,
    messages: pa.Table | None = None,
) -> Iterator[Replayed]:
    """Judge the wanted open rows anew and land those that now pass; one outcome for each batch.

    The caller holds the right to change the project's state. With `dry_run` nothing is landed.
    Where `messages` are given, read again from their topic (`partition`, `offset`, `key`, `value`),
    only their rows are meant, and their values, which are whole, count and not what was kept.

    Raises:
        UnusableInput: a table or topic has no contract any more.
        LandingAreaFull: no room; the batches before it are landed.
    """
    with open_rows(area, spill, wanted) as engine:
        engine.execute(f"alter table {OPEN} add column whole boolean default false")
        if messages is not None:
            _take_whole(engine, messages)
        for group in _groups(engine, area):
            yield _Replay(engine, area, contracts, group).run(dry_run)


def _take_whole(engine: duckdb.DuckDBPyConnection, messages: pa.Table) -> None:
    """Of the open rows keep those of `messages`, with the values that they have there."""
    same = f'{OPEN}."partition" = m."partition" and {OPEN}.message_offset = m."offset"'
    engine.register("read_again", messages)
    engine.execute("create temp table messages_read_again as from read_again")
    engine.unregister("read_again")
    engine.execute(f"delete from {OPEN} where not exists (from messages_read_again m where {same})")
    engine.execute(
        f"update {OPEN} set payload = m.value, message_key = m.key, whole = true"
        f" from messages_read_again m where {same} and m.mark is null"
    )


@dataclass(frozen=True)
class _Group:
    """Open rows that are read in one way, and land in one batch."""

    table: str
    source: str
    topic: str | None
    batches: tuple[str, ...]


def _groups(engine: duckdb.DuckDBPyConnection, area: LandingArea) -> list[_Group]:
    """The open rows by how they are read, the oldest first.

    Other rows than messages are replayed batch by batch, so that of several versions of a row the
    newest lands last, as it would have.
    """
    rows = engine.execute(
        f"select table_name, source, batch from {OPEN} group by all"
        " order by table_name, source, min(read_at), batch"
    ).fetchall()
    found: dict[tuple[str, str, str | None, str], list[str]] = {}
    for table, source, batch in rows:
        topic = footers.of_batch(area, table, batch).position.get(TOPIC)
        found.setdefault((table, source, topic, "" if topic else batch), []).append(batch)
    return [_Group(*key[:3], tuple(batches)) for key, batches in found.items()]


class _Replay:
    """The replay of one group, in an engine that holds the open rows."""

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        area: LandingArea,
        contracts: Contracts,
        group: _Group,
    ) -> None:
        self.engine, self.area, self.group = engine, area, group
        self.topic = topic_of(group.topic, contracts) if group.topic else None
        self.contract = self.topic.contract if self.topic else _contract(contracts, group.table)
        self.files = landed_files(area, group.table, group.source)
        self.documents = any(c.name == PAYLOAD for c in self.contract.columns)

    def run(self, dry_run: bool) -> Replayed:
        self._take_candidates()
        query = self._messages() if self.topic else self._records()
        self._judge(query)
        if not self.topic:
            self._supersede(query)
        batch = None if dry_run else self._land(query)
        return self._outcome(batch)

    def _take_candidates(self) -> None:
        """Make the table `candidates` of the group's rows, those that cannot be replayed marked."""
        batches = ", ".join(map(text_literal, self.group.batches))
        self.engine.execute(
            f"create or replace temp table candidates as select row_number() over"
            f" (order by landed_at, batch, row_number) as n, *, {self._cannot()} as cannot"
            f" from {OPEN} where table_name = {text_literal(self.group.table)}"
            f" and source = {text_literal(self.group.source)} and batch in ({batches})"
        )

    def _cannot(self) -> str:
        """Why a row cannot be replayed, as SQL; NULL where it can."""
        cut = f"when length(payload) >= {PAYLOAD_KEPT} then {text_literal(_CUT)}"
        if self.topic is None:
            return (
                f"case {cut} when payload is null or not json_valid(payload)"
                " or json_type(case when json_valid(payload) then payload end) <> 'OBJECT'"
                f" then {text_literal(_NOT_APART)} end"
            )
        around = ", ".join(map(text_literal, _AROUND_THE_MESSAGE))
        return (
            f"case when whole then null {cut}"
            f' when rule in ({around}) or "partition" is null or message_offset is null'
            f" then {text_literal(_NO_PLACE)}"
            f" when message_timestamp is null then {text_literal(_NO_TIME)} end"
        )

    def _messages(self) -> str:
        """The rows of the candidates that are messages."""
        assert self.topic is not None
        self.engine.execute(
            "create or replace temp view messages as select cast(n as varchar) as number,"
            " cast(null as varchar) as mark, cast(null as varchar) as line,"
            f" {text_literal(self.topic.name)} as topic,"
            ' cast("partition" as varchar) as "partition",'
            ' cast(message_offset as varchar) as "offset",'
            " cast(message_timestamp as varchar) || 'Z' as \"timestamp\","
            " message_key as key, payload as value, 'value' as present"
            " from candidates where cannot is null"
        )
        take_apart(self.engine, "messages", self.topic)
        return (
            f"select taken_apart.* exclude (document, _line), _line as {_NUMBER}, file as _file,"
            " line as _line, unnest(document)"
            " from taken_apart join candidates on taken_apart._line = candidates.n"
        )

    def _records(self) -> str:
        """The rows of the candidates whose payload is a row as JSON."""
        rows = (
            f"select n as {_NUMBER}, file as _file, line as _line, payload as {quoted(PAYLOAD)}"
            f"{f', false as {quoted(DELETED)}' if tells_deletions(self.contract) else ''}"
        )
        if self.documents:
            kinds = document_type(self.contract)
            return (
                f"{rows}, unnest(json_transform(payload, {kinds})) from candidates"
                " where cannot is null"
            )
        self._write_out()
        return f"{rows}, unnest(document) from candidates join written using (n)"

    def _write_out(self) -> None:
        """Make the table `written` of rows that came as columns: each as text in a struct.

        The engine would read a number as a double, which is not what a database said.
        """
        payloads = self.engine.execute(
            "select n, payload from candidates where cannot is null order by n"
        ).fetchall()
        rows = [json.loads(text, parse_float=str, parse_int=str) for _, text in payloads]
        names = [column.name for column in self.contract.source_columns]
        kind = pa.struct([(name, pa.string()) for name in names])
        documents = [{name: _text(row.get(name)) for name in names} for row in rows]
        numbers = pa.array([n for n, _ in payloads], pa.int64())
        table = pa.table({"n": numbers, "document": pa.array(documents, kind)})
        self.engine.register("given", table)
        self.engine.execute("create or replace temp table written as from given")
        self.engine.unregister("given")

    def _options(self) -> dict[str, Any]:
        """How the rows are typed and checked, as when they were read first."""
        if self.topic:
            return {"document": PAYLOAD, "objects": self.topic.columns}
        if self.documents:
            return {"document": PAYLOAD}
        (written,) = self.engine.execute("select count(file) > 0 from candidates").fetchall()[0]
        return {"thousands": bool(written)}

    def _judge(self, query: str) -> None:
        """Note in the table `judged` what is to become of each candidate."""
        types = self._types(query)
        checked = validation(self.contract, query, types, **self._options())
        self.engine.execute(
            f"create or replace temp table judged as select {_NUMBER} as n, bad is null as good,"
            " false as superseded, bad.rule as rule, bad.field as field, bad.reason as reason"
            f" from (select {_NUMBER}, case when not ({checked.good}) then {checked.problem} end"
            f" as bad from ({checked.typed}))"
        )

    def _types(self, query: str) -> dict[str, str]:
        return {n: str(kind) for n, kind, *_ in self.engine.execute(f"describe {query}").fetchall()}

    def _supersede(self, query: str) -> None:
        """Mark good candidates whose key came again later, or that say nothing new."""
        key = self.contract.key
        types = self._types(query)
        if not key or not set(key) <= types.keys():
            return
        typed = validation(self.contract, query, types, **self._options()).typed
        same_key = " and ".join(f"theirs.{quoted(k)} = ours.{quoted(k)}" for k in key)
        self.engine.execute(
            f"create or replace temp table keyed as select typed.* from ({typed}) typed"
            f" join judged on judged.n = typed.{_NUMBER} where judged.good"
        )
        statements = []
        for landed in self._landed():
            path = text_literal(self.area.path(landed.table, landed.batch))
            statements.append(
                f"select ours.{_NUMBER} from keyed ours join"
                f" (select {self._cast(key)} from read_parquet({path})"
                f" where {quoted(BATCH)} = {text_literal(landed.batch)}) theirs on {same_key}"
            )
        if self.files:
            names = [c.name for c in self.contract.source_columns if c.name in types]
            equal = " and ".join(
                f"theirs.{quoted(name)} is not distinct from ours.{quoted(name)}" for name in names
            )
            newest = newest_versions(self.engine, self.contract, self.files, key, None)
            statements.append(
                f"select ours.{_NUMBER} from keyed ours join ({newest}) theirs"
                f" on {same_key} where {equal}"
            )
        for statement in statements:
            self.engine.execute(f"update judged set superseded = true where n in ({statement})")

    def _landed(self) -> list[Landed]:
        """The batches of the group's source whose rows were read after the rejected ones."""
        (read_at,) = self.engine.execute("select max(read_at) from candidates").fetchall()[0]
        batches = footers.history(self.area, self.group.table, self.group.source)
        times = read_times(batches)
        return [b for b in batches if b.rows and times[b.table, b.batch] > read_at]

    def _cast(self, key: tuple[str, ...]) -> str:
        return ", ".join(
            f"cast({quoted(k)} as {self.contract.column(k).physical_type}) as {quoted(k)}"
            for k in key
        )

    def _land(self, query: str) -> str | None:
        """Land what passes and what fails for another reason; the batch, or None for nothing."""
        self.engine.execute(
            "create or replace temp table chosen as select judged.n, batch, row_number, superseded"
            " from judged join candidates using (n)"
            " where good or (judged.rule, judged.field, judged.reason)"
            " is distinct from (candidates.rule, candidates.field, candidates.reason)"
        )
        closed = self.engine.execute(
            "select batch, row_number from chosen order by batch, row_number"
        ).fetchall()
        if not closed:
            return None
        batch, position = self._named(closed)
        land_query(
            self.engine,
            f"select * from ({query}) where {_NUMBER} in"
            " (select n from chosen where not superseded)",
            contract=self.contract,
            source=self.group.source,
            batch=batch,
            area=self.area,
            position={**position, REPLAYED: ranges_of(closed)},
            **self._options(),
        )
        return batch

    def _named(self, closed: list[tuple[str, int]]) -> tuple[str, Mapping[str, Any]]:
        """The batch's id, and how far the source has been read with it.

        Sources that are compared with what has landed number their batches, and read on from the
        newest one: there the replay is one of the series, and leaves their position as it is.
        """
        if self.topic is None and self.files and not self._dropped():
            newest = footers.read_footer(self.files[-1])
            return next_batch(self.files, self.group.source), newest.position
        told = "\n".join(f"{batch}#{row}" for batch, row in closed)
        # what fails for another reason now is a message still
        position = {TOPIC: self.group.topic} if self.group.topic else {}
        return f"replay-{hashlib.sha256(told.encode()).hexdigest()[:24]}", position

    def _dropped(self) -> bool:
        """Whether the rows stood in files that somebody dropped."""
        return bool(self._options().get("thousands"))

    def _outcome(self, batch: str | None) -> Replayed:
        (tried,) = self.engine.execute("select count(*) from candidates").fetchall()[0]
        landed, superseded = self.engine.execute(
            "select count(*) filter (not superseded), count(*) filter (superseded)"
            " from judged where good"
        ).fetchall()[0]
        return Replayed(
            table=self.group.table,
            source=self.group.source,
            topic=self.group.topic,
            batch=batch,
            tried=tried,
            landed=landed,
            superseded=superseded,
            failing=self._counted("select rule from judged where not good"),
            cannot=self._counted("select cannot from candidates where cannot is not null"),
        )

    def _counted(self, query: str) -> dict[str, int]:
        return dict(
            Counter(value for (value,) in self.engine.execute(query).fetchall()).most_common()
        )


def _contract(contracts: Contracts, table: str) -> Contract:
    contract = contracts.get(f"{RAW}.{table}")
    if contract is None:
        raise UnusableInput(
            f"there is no contract for {RAW}.{table}, which has rows in quarantine",
            hint=f"write contracts/{RAW}/{table}.yaml, or name another --table",
        )
    return contract


def _text(value: Any) -> str | None:
    """A value of a row's JSON as text; numbers are text already."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)

"""Messages of one topic against its contract: the same checks as for dumps, in Arrow.

The checks are SQL derived from the contract (`ingestion.validation`). All rows are judged in one
pass; only those that are rejected are looked at a second time, for the words to say about them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingestion import suppression
from ingestion.batches import rejected_rows
from ingestion.bookkeeping import BATCH, LOADED_AT, QUARANTINE, SOURCE, TABLES
from ingestion.engine import quoted
from ingestion.landing import LandingArea
from ingestion.messages import Topic, unknown_fields_query
from ingestion.stream.statements import Fed, Statement
from ingestion.taking_apart import consumed, starts_an_object
from ingestion.validation import validation

#: Messages as they come from the consumer; `mark` says why a value could not be read as text.
MESSAGES = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.int64()),  # milliseconds since 1970
        ("key", pa.string()),
        ("value", pa.string()),
        ("mark", pa.string()),
    ]
)
#: The mark of a row that came behind the watermark, where the contract has a column for it.
LATE = "_late"

_PAYLOAD = "_payload"
#: Of how many messages of a batch the fields are compared with the contract's.
_LOOKED_AT = 2_000
#: How often, in seconds, that is done while there are no others.
_DRIFT_SECONDS = 1.0
_GOOD, _IDENTITY, _ERASED = "_good", "_identity", "_erased"
_PARTITION, _OFFSET = "_of_partition", "_at_offset"
#: For how many batches after broken JSON more of it is expected.
_GUARDED = 100
#: Columns that the engine need not copy, and the messages' columns that they are.
_AS_THEY_CAME = {
    "_partition": "partition",
    "_offset": "offset",
    "_kafka_timestamp": "",
    "_key": "key",
    "_payload": "value",
}
#: What the sink or the load adds, or what is known only after the check.
_ADDED = (SOURCE, BATCH, LOADED_AT, LATE)
_OF_THE_SINK = ("source", "batch", LOADED_AT)


@dataclass(frozen=True)
class Checked:
    """What came of a batch of messages.

    Attributes:
        count: how many rows are good.
        identities: for each good row a hash (uint64) of what tells it from others; NULL where it
            says nothing of it; None where the topic has nothing that does.
        times: for each good row when it happened; None where the topic has no event time.
        rejects: the rows for the quarantine, without what the sink adds.
        rejected: the places, among the messages, of the rejected ones.
        erased: how many were left out, being about people who were erased.
        drift: how many messages had a field that the contract does not know, by field. While
            there are none, a batch each second is looked at, and of large ones only a part.
    """

    count: int
    identities: pa.ChunkedArray | None
    times: pa.ChunkedArray | None
    rejects: pa.Table
    rejected: pa.Array
    erased: int
    drift: dict[str, int]
    _judged: pa.Table
    _messages: pa.Table
    _good: npt.NDArray[np.bool_]
    _columns: tuple[str, ...]

    def rows(self, new: npt.NDArray[np.bool_] | None = None) -> pa.Table:
        """The good rows (of which `new` holds) in order, with the contract's columns.

        They are copied here, once.
        """
        kept = self._good
        if new is not None and not new.all():
            kept = kept.copy()
            kept[kept] = new
        judged, messages = self._judged, self._messages
        if not kept.all():
            judged, messages = judged.filter(pa.array(kept)), messages.filter(pa.array(kept))
        moments = messages.column("timestamp").cast(pa.timestamp("ms")).cast(pa.timestamp("us"))
        given = {
            name: messages.column(theirs) for name, theirs in _AS_THEY_CAME.items() if theirs
        } | {"_kafka_timestamp": moments}
        return pa.table({n: given[n] if n in given else judged.column(n) for n in self._columns})


class Checker:
    """Checks the messages of one topic in an engine that is used by one thread at a time."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, topic: Topic, area: LandingArea
    ) -> None:
        """`area` is where the list of those stands whose rows must not land."""
        self.topic = topic
        self._connection = connection
        self._area = area
        self._columns = [c.name for c in topic.contract.columns if c.name not in _ADDED]
        self._drift_seen, self._drift_at = False, 0.0
        self._guards = 0
        self._stamp = suppression.stamp(area)
        self._fed = Fed(connection, MESSAGES)
        self._plain = self._prepared(guarded=False)
        self._guarded = self._prepared(guarded=True)
        readable = f"case when {starts_an_object('value')} then value end"
        self._fields = self._fed.prepared(
            unknown_fields_query(f"select {readable} as payload from {self._fed}", topic)
        )

    @cached_property
    def _no_rejects(self) -> pa.Table:
        return self._plain.rejects(MESSAGES.empty_table())

    def check(self, messages: pa.Table) -> Checked:
        """Judge messages, a table of `MESSAGES`."""
        stamp = suppression.stamp(self._area)
        if stamp != self._stamp:
            self._stamp = stamp
            self._plain = self._prepared(guarded=False)
            self._guarded = self._prepared(guarded=True)
        prepared = self._guarded if self._guards else self._plain
        try:
            judged = self._judged(messages, prepared)
        except duckdb.InvalidInputException:
            # some value is broken JSON, which one pays for only then, and for a while
            self._guards = _GUARDED
            prepared = self._guarded
            judged = self._judged(messages, prepared)
        self._guards = max(0, self._guards - 1)
        judged = _in_order(judged, messages)
        good = judged.column(_GOOD).to_numpy(zero_copy_only=False)
        bad = ~good
        erased = 0
        if _ERASED in judged.column_names:
            theirs = judged.column(_ERASED).to_numpy(zero_copy_only=False)
            erased = int(theirs.sum())
            good, bad = good & ~theirs, bad & ~theirs
        rejected = pa.array(np.flatnonzero(bad), pa.int64())
        return Checked(
            count=int(good.sum()),
            identities=_where(judged, _IDENTITY, good) if self.topic.identity else None,
            times=_where(judged, self.topic.event_time, good) if self.topic.event_time else None,
            rejects=prepared.rejects(messages.take(rejected))
            if len(rejected)
            else self._no_rejects,
            rejected=rejected,
            erased=erased,
            drift=self._drift(messages, good),
            _judged=judged,
            _messages=messages,
            _good=good,
            _columns=tuple(self._columns),
        )

    def _prepared(self, guarded: bool) -> _Prepared:
        query = (
            "select * exclude (document), unnest(document)"
            f" from ({consumed(str(self._fed), self.topic, guarded)})"
        )
        described = self._connection.execute(f"describe {query}").fetchall()
        types = {name: str(kind) for name, kind, *_ in described}
        erased = suppression.left_out(
            self._connection, self.topic.contract, query, types, self._area
        )
        if erased is not None:
            others = f" exclude ({', '.join(erased.added)})" if erased.added else ""
            query = f"select *{others}, {erased.condition} as {_ERASED} from {erased.relation}"
            types[_ERASED] = "BOOLEAN"
        checked = validation(
            self.topic.contract, query, types, document=_PAYLOAD, objects=self.topic.columns
        )
        columns = ", ".join(
            quoted(c.name)
            if c.name in types or not c.is_metadata
            # metadata of other kinds of sources
            else f"cast(null as {c.physical_type}) as {quoted(c.name)}"
            for c in self.topic.contract.columns
            if c.name in self._columns and c.name not in _AS_THEY_CAME
        )
        found = f"select {columns}{', ' if columns else ''}{checked.good} as {_GOOD}"
        found += f", _partition as {_PARTITION}, _offset as {_OFFSET}"
        if erased is not None:
            found += f", {_ERASED}"
        if self.topic.identity:
            names = [quoted(name) for name in self.topic.identity]
            there = " and ".join(f"{name} is not null" for name in names)
            # two hashes would be one too few only for keys that differ within a microsecond
            found += f", case when {there} then hash({', '.join(names)}) end as {_IDENTITY}"
        more = dict.fromkeys(("source", "batch"), "null")
        return _Prepared(
            self._fed.prepared(f"{found} from ({checked.typed})"),
            self._fed.prepared(rejected_rows(checked, types, self.topic.contract, more)),
        )

    def _judged(self, messages: pa.Table, prepared: _Prepared) -> pa.Table:
        return prepared.judged.over(messages)

    def _drift(self, messages: pa.Table, good: npt.NDArray[np.bool_]) -> dict[str, int]:
        now = time.monotonic()
        if not self._drift_seen and now - self._drift_at < _DRIFT_SECONDS:
            return {}
        self._drift_at = now
        places = np.flatnonzero(good)
        if len(places) > _LOOKED_AT:
            places = places[:: len(places) // _LOOKED_AT]
        found = self._fields.over(messages.take(pa.array(places)))
        self._drift_seen = bool(found.num_rows)
        fields, counts = (column.to_pylist() for column in found.columns)
        return {field: int(messages) for field, messages in zip(fields, counts, strict=True)}


@dataclass(frozen=True)
class _Prepared:
    """The statements over messages: all rows with what was found, and the quarantine's rows."""

    judged: Statement
    rejected: Statement

    def rejects(self, messages: pa.Table) -> pa.Table:
        """The rows for the quarantine of messages, without what the sink adds."""
        found = self.rejected.over(messages)
        return found.select([n for n in TABLES[QUARANTINE] if n not in _OF_THE_SINK])


def _where(judged: pa.Table, name: str, good: npt.NDArray[np.bool_]) -> pa.ChunkedArray:
    return judged.column(name) if good.all() else judged.column(name).filter(pa.array(good))


def _in_order(judged: pa.Table, messages: pa.Table) -> pa.Table:
    """What was judged in the order of the messages, which the engine keeps where it can."""
    partitions, offsets = judged.column(_PARTITION).to_numpy(), judged.column(_OFFSET).to_numpy()
    theirs = messages.column("partition").to_numpy(), messages.column("offset").to_numpy()
    if (partitions == theirs[0]).all() and (offsets == theirs[1]).all():
        return judged
    places = np.empty(len(offsets), dtype=np.int64)
    places[np.lexsort(theirs)] = np.lexsort((partitions, offsets))
    return judged.take(pa.array(places))

"""Landing messages of a topic, however they came: checked, each offset once, typed by the contract.

The raw table's contract tells the columns and their rules; what must hold within objects and arrays
is told by the topic's.

Messages come as a table or view of the engine with the text columns of
`ingestion.taking_apart.MESSAGE_COLUMNS`. What has landed of a topic stands in the footers of its
batches, as the range of offsets by partition; a message whose offset has landed before, good or
rejected, is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingestion import footers
from ingestion.batches import land_query
from ingestion.bookkeeping import QUARANTINE
from ingestion.engine import text_literal
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.taking_apart import take_apart
from ingestion.validation import PROBLEM
from waypoint.contracts.model import RAW, Column, Contract, Contracts
from waypoint.errors import UnusableInput

#: What a batch's position says: the topic, and the ranges of its offsets by partition.
TOPIC, RANGES = "topic", "ranges"
#: ... and whether every message within the ranges is accounted for, those without a row, too.
COMPLETE = "complete"
_MOST_DRIFT = 20


@dataclass(frozen=True)
class Topic:
    """A topic, the raw table that it lands in, and what its messages may hold beside that."""

    name: str
    contract: Contract
    payload_only: frozenset[str]
    columns: tuple[Column, ...] = ()  # as the topic describes them, fields of objects included

    @property
    def tombstones(self) -> bool:
        """Whether a message without a value has a place in the table."""
        return not self.contract.column("_payload").required

    @property
    def event_time(self) -> str | None:
        """The column that tells when what a message is about happened; None where none does.

        The one by which the contract says how long rows are kept, else the only time there is.
        """
        times = [c.name for c in self.contract.source_columns if c.logical_type == "timestamp"]
        if self.contract.retention_element in times:
            return self.contract.retention_element
        return times[0] if len(times) == 1 else None

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which two messages are one and the same; none where nothing tells.

        The key of the table and the event's time: without a time nobody could say how far back
        to look.
        """
        key, time = self.contract.key, self.event_time
        if not key or time is None:
            return ()
        return key if time in key else (*key, time)


def topic_of(name: str, contracts: Contracts) -> Topic:
    """The topic called `name`, by its contract.

    Raises:
        UnusableInput: it has no contract, or none that says where it lands.
    """
    described = {topic.name: topic for topic in contracts.topics}
    if name not in described:
        raise UnusableInput(
            f"there is no contract for the topic {name!r}",
            hint=f"write contracts/topics/{name}.yaml; known are {', '.join(described) or 'none'}",
        )
    table = described[name].custom.get("landsIn")
    if f"{RAW}.{table}" not in contracts:
        raise UnusableInput(
            f"{described[name].path}: says no raw table under contract that the topic lands in",
            hint=f"name one of contracts/{RAW} as its custom property landsIn",
        )
    fields = described[name].custom.get("payloadOnlyFields", ())
    return Topic(name, contracts[f"{RAW}.{table}"], frozenset(fields), described[name].columns)


def land_messages(
    connection: duckdb.DuckDBPyConnection,
    messages: str,
    topic: Topic,
    *,
    source: str,
    batch: str,
    area: LandingArea,
    file: str | None = None,
    position: Mapping[str, Any] | None = None,
    landed: list[Landed] | None = None,
    again: bool = False,
) -> Landed:
    """Land the messages that have not landed before as one batch.

    Args:
        connection: an engine.
        messages: a table or view in it, see `MESSAGE_COLUMNS`; it is read more than once.
        topic: which topic all of them are of.
        source: the source's name in sources.yml.
        batch: the batch id.
        area: where to land.
        file: where they were read, for people.
        position: what to tell in the footer beside the ranges of offsets.
        landed: the footers of the table (`footers.history`), where they are at hand.
        again: land messages, too, that a stream has accounted for without a row of theirs.

    Raises:
        LandingAreaFull: no room on the disk; nothing of the batch was landed.
    """
    table = topic.contract.name
    take_apart(connection, messages, topic)
    try:
        # a loader that reads the topic at the same time must not land what is landed here
        with area.deciding(table):
            landed = [*(landed or []), *footers.newer(area, table, landed or [])]
            repeated = _drop_repeated(connection)
            ranges = _ranges(connection)
            if ranges:
                repeated += _drop_landed(connection, topic, ranges, landed, area, again)
                ranges = _ranges(connection) if repeated else ranges
            place = text_literal(file) if file else "cast(null as varchar)"
            return land_query(
                connection,
                f"select * exclude (document), {place} as _file, unnest(document) from taken_apart",
                contract=topic.contract,
                source=source,
                batch=batch,
                area=area,
                position={**(position or {}), TOPIC: topic.name, RANGES: ranges},
                drift=_unknown_fields(connection, topic),
                unchanged=repeated,
                document="_payload",
                objects=topic.columns,
            )
    finally:
        connection.execute("drop table if exists taken_apart")


def _drop_repeated(connection: duckdb.DuckDBPyConnection) -> int:
    """Drop messages whose offset stands in the table before them; how many there were."""
    (repeated,) = connection.execute(
        "select count(place) - count(distinct place) from"
        " (select _offset + (cast(_partition as hugeint) << 64) as place from taken_apart)"
    ).fetchall()[0]
    if repeated:
        connection.execute(
            "delete from taken_apart where rowid in (select rowid from taken_apart"
            " where _offset is not null and _partition is not null qualify"
            " row_number() over (partition by _partition, _offset order by _line, rowid) > 1)"
        )
    return int(repeated)


def _ranges(connection: duckdb.DuckDBPyConnection) -> dict[str, list[int]]:
    """First and last offset of each partition in the table."""
    rows = connection.execute(
        "select _partition, min(_offset), max(_offset) from taken_apart"
        " where _partition is not null and _offset is not null group by 1 order by 1"
    ).fetchall()
    return {str(partition): [first, last] for partition, first, last in rows}


def _drop_landed(
    connection: duckdb.DuckDBPyConnection,
    topic: Topic,
    ranges: Mapping[str, list[int]],
    landed: list[Landed],
    area: LandingArea,
    again: bool,
) -> int:
    """Drop messages whose offset has landed in another batch; how many there were."""
    overlapping = [
        batch
        for batch in landed
        if batch.position.get(TOPIC) == topic.name
        and _overlap(batch.position.get(RANGES, {}), ranges)
    ]
    covered = [b for b in overlapping if b.position.get(COMPLETE) and not again]
    dropped = _drop_covered(connection, covered) if covered else 0
    overlapping = [batch for batch in overlapping if batch not in covered]
    if not overlapping:
        return dropped
    keys = landed_offsets(overlapping, area)
    # ranges have gaps, so the offsets themselves are compared
    (landed_before,) = connection.execute(
        f"delete from taken_apart where exists (from ({keys}) as landed"
        " where landed._partition = taken_apart._partition"
        " and landed._offset = taken_apart._offset)"
    ).fetchall()[0]
    return dropped + int(landed_before)


def _drop_covered(connection: duckdb.DuckDBPyConnection, covered: list[Landed]) -> int:
    """Drop messages whose offset lies within ranges that are accounted for; how many there were."""
    ranges = [
        (int(partition), first, last)
        for batch in covered
        for partition, (first, last) in batch.position[RANGES].items()
    ]
    listed = ", ".join(f"({p}, {first}, {last})" for p, first, last in ranges)
    (dropped,) = connection.execute(
        f"delete from taken_apart where exists (from (values {listed}) as covered(p, first, last)"
        " where covered.p = taken_apart._partition"
        " and taken_apart._offset between covered.first and covered.last)"
    ).fetchall()[0]
    return int(dropped)


def landed_offsets(batches: list[Landed], area: LandingArea) -> str:
    """A select of `_partition` and `_offset` of all messages in batches, good or rejected."""
    good = list(dict.fromkeys(area.path(batch.table, batch.batch) for batch in batches))
    bad = [
        area.path(QUARANTINE, f"{b.table}/{b.batch}")
        for b in batches
        # what is older than the quarantine keeps it has gone
        if b.rejected and area.has(QUARANTINE, f"{b.table}/{b.batch}")
    ]
    keys = f"select _partition, _offset from {_parquet(good)}"
    if bad:
        keys += f' union all select "partition", message_offset from {_parquet(bad)}'
    return keys


def _parquet(paths: list[Path]) -> str:
    return f"read_parquet([{', '.join(map(text_literal, paths))}])"


def _overlap(some: Mapping[str, list[int]], others: Mapping[str, list[int]]) -> bool:
    return any(
        partition in others and first <= others[partition][1] and last >= others[partition][0]
        for partition, (first, last) in some.items()
    )


def _unknown_fields(connection: duckdb.DuckDBPyConnection, topic: Topic) -> list[str]:
    """Fields that messages have and the contract has not, in people's words."""
    readable = f"case when {PROBLEM} is null and document is not null then _payload end"
    found = unknown_fields(connection, f"select {readable} as payload from taken_apart", topic)
    return [
        f"field {field[:100]!r} is not in the contract"
        f" ({messages:,} message{'s' if messages > 1 else ''})"
        for field, messages in found.items()
    ]


def unknown_fields(
    connection: duckdb.DuckDBPyConnection, payloads: str, topic: Topic
) -> dict[str, int]:
    """Fields that the JSON objects `payload` of a select have and the contract has not.

    Returns:
        in how many of them each is, the most frequent first.
    """
    rows = connection.execute(unknown_fields_query(payloads, topic)).fetchall()
    return {field: int(messages) for field, messages in rows}


def unknown_fields_query(payloads: str, topic: Topic) -> str:
    """A select of what `unknown_fields` gives: the field, and in how many objects it is."""
    known = {column.name for column in topic.contract.source_columns} | topic.payload_only
    listed = ", ".join(text_literal(name) for name in sorted(known)) or "''"
    return (
        "select field, sum(messages) from (select unnest(fields) as field, messages from"
        f" (select json_keys(payload) as fields, count(*) as messages from ({payloads})"
        " group by 1))"
        f" where field not in ({listed}) group by 1 order by 2 desc, 1 limit {_MOST_DRIFT}"
    )

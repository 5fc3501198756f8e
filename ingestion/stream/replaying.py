"""Replaying from a topic: a range of offsets is read again and judged by today's contract.

What has landed stays as it is. A message that was rejected lands where it keeps the contract now,
and its row of the quarantine is closed; its value is read whole from the topic, however little of
it was kept. A message that is nowhere, its file having been lost, lands. A duplicate stays one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.engine import open_engine
from ingestion.footers import Landed
from ingestion.landing import LandingArea
from ingestion.messages import Topic, land_messages
from ingestion.quarantine import Wanted
from ingestion.replay import Replayed, replay
from ingestion.stream.checking import MESSAGES, Checker
from ingestion.stream.consuming import as_tables, silent
from ingestion.stream.deduplicating import Recent, micros
from ingestion.stream.framing import SchemaSource
from ingestion.stream.landed_keys import LandedKeys
from ingestion.stream.sinks import Sink
from waypoint.contracts.model import Contracts
from waypoint.errors import Unavailable, UnusableInput

_SECONDS = 30.0
_AT_ONCE = 20_000


@dataclass(frozen=True)
class ReplayedRange:
    """What came of some offsets of one partition: `read` is the sum of the four after it.

    `gone` are offsets of the range that the broker has no message of: deleted by its retention,
    compacted away, not written yet.
    """

    topic: str
    partition: int
    first: int
    last: int
    read: int
    landed: int  # that were nowhere, or rejected before
    rejected: int  # that were nowhere, and break the contract
    failing: int  # that were rejected before, and still are
    unchanged: int  # that had landed, themselves or as the one that they repeat
    gone: int


def replay_offsets(
    topic: Topic,
    partition: int,
    first: int,
    last: int,
    *,
    settings: Mapping[str, str],
    schemas: SchemaSource,
    contracts: Contracts,
    area: LandingArea,
    sink: Sink,
    source: str,
    spill: Path,
    dry_run: bool = False,
) -> Iterator[ReplayedRange]:
    """Replay the offsets `first` to `last` of a partition; an outcome for each part of them.

    The caller holds the right to change the project's state; a loader may run meanwhile.

    Raises:
        UnusableInput: there is no such partition.
        Unavailable: the broker is away.
    """
    for low, high, messages in _read(settings, topic, partition, first, last, schemas):
        before = _rejected_before(area, contracts, spill, topic, messages, dry_run)
        tried = sum(outcome.tried for outcome in before)
        landed = sum(outcome.landed for outcome in before)
        new = _new(area, spill, sink, topic, messages)
        batch = None
        if new.num_rows and not dry_run:
            batch = _land(area, spill, topic, source, partition, new)
        rows, rejected = (batch.rows, batch.rejected) if batch else (0, 0)
        yield ReplayedRange(
            topic=topic.name,
            partition=partition,
            first=low,
            last=high,
            read=messages.num_rows,
            landed=landed + rows,
            rejected=rejected,
            failing=tried - landed,
            unchanged=messages.num_rows - tried - rows - rejected,
            gone=high - low + 1 - messages.num_rows,
        )


def _rejected_before(
    area: LandingArea,
    contracts: Contracts,
    spill: Path,
    topic: Topic,
    messages: pa.Table,
    dry_run: bool,
) -> list[Replayed]:
    wanted = Wanted(table=topic.contract.name)
    return list(replay(area, contracts, spill, wanted, dry_run, messages))


def _new(area: LandingArea, spill: Path, sink: Sink, topic: Topic, messages: pa.Table) -> pa.Table:
    """The messages without those that say what has landed, or what one before them says."""
    if not topic.identity:
        return messages
    with open_engine(spill) as engine:
        checked = Checker(engine, topic, area).check(messages)
        recent = Recent(LandedKeys(engine, topic, sink))
        recent.remember_nothing()
        assert checked.identities is not None and checked.times is not None
        told = pc.is_valid(checked.identities).to_numpy(zero_copy_only=False)
        times = np.array(
            [micros(t) if t else 0 for t in checked.times.to_pylist()],
            dtype=np.int64,
        )
        hashes = pc.fill_null(checked.identities, 0).to_numpy()
        new = np.ones(len(told), dtype=np.bool_)
        new[told] = recent.first_seen(hashes[told], times[told])
    twice = checked.rows(~new).column("_offset")
    kept = pc.invert(pc.is_in(messages.column("offset"), value_set=twice.combine_chunks()))
    return messages.filter(kept)


def _land(
    area: LandingArea, spill: Path, topic: Topic, source: str, partition: int, messages: pa.Table
) -> Landed:
    told = hashlib.sha256(str(messages.column("offset").to_pylist()).encode()).hexdigest()[:16]
    with open_engine(spill) as engine:
        engine.register("read_again", messages)
        engine.execute(
            "create temp view messages as select row_number() over () as number, mark,"
            ' null as line, null as topic, cast("partition" as varchar) as "partition",'
            ' cast("offset" as varchar) as "offset", cast("timestamp" as varchar) as "timestamp",'
            " key, value, 'value' as present from read_again"
        )
        return land_messages(
            engine,
            "messages",
            topic,
            source=source,
            batch=f"replay-{topic.name}-{partition}-{told}",
            area=area,
            again=True,
        )


def _read(
    settings: Mapping[str, str],
    topic: Topic,
    partition: int,
    first: int,
    last: int,
    schemas: SchemaSource,
) -> Iterator[tuple[int, int, pa.Table]]:
    """The messages of a range of offsets in parts: first and last offset, and what is there."""
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

    consumer = Consumer(
        {
            **settings,
            "group.id": "waypoint-replay",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "logger": silent(),
        }
    )
    try:
        known = consumer.list_topics(topic.name, timeout=_SECONDS).topics[topic.name].partitions
        if partition not in known:
            raise UnusableInput(
                f"{topic.name} has no partition {partition}",
                hint=f"it has {len(known)}, counted from 0" if known else "waypoint topics apply",
            )
        place = TopicPartition(topic.name, partition, first)
        low, high = consumer.get_watermark_offsets(place, timeout=_SECONDS)
        consumer.assign([TopicPartition(topic.name, partition, max(first, low))])
        at, ended, quiet_since = first, min(last, high - 1) < max(first, low), time.monotonic()
        while at <= last:
            messages = [] if ended else consumer.consume(_AT_ONCE, 1.0)
            for message in messages:
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    ended = True
                elif error is not None:
                    raise Unavailable(f"{topic.name}/{partition}: {error.str()}")
            sound = [m for m in messages if m.error() is None]
            wanted = [m for m in sound if (m.offset() or 0) <= last]
            ended = ended or len(wanted) < len(sound)
            if not wanted and not ended:
                if time.monotonic() - quiet_since > _SECONDS:
                    raise Unavailable(f"{topic.name}/{partition}: nothing comes from the broker")
                continue
            quiet_since = time.monotonic()
            table = (
                as_tables(topic.name, wanted, schemas, 0.0).messages
                if wanted
                else MESSAGES.empty_table()
            )
            until = last if ended else int(wanted[-1].offset() or 0)
            yield at, until, table
            at = until + 1
    except KafkaException as error:
        raise Unavailable(f"{topic.name}: {error.args[0].str()}") from None
    finally:
        consumer.close()

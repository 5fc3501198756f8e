"""Topics, exported as dump files: `<folder>/<topic>/<since>-<until>.parquet` (or .ndjson.gz).

A message's partition is decided by its key, its offset by its place in the partition; offsets go
on where the play before ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.simulator.files import appearing
from waypoint.simulator.scenario import Topic
from waypoint.simulator.tables import Tables

#: Copies of a message come at most this much later.
LONGEST_ECHO = timedelta(minutes=10)

_POISON = [
    "not json",
    '{"event_id": "3f2a',
    "",
    "[]",
    "42",
    "<event/>",
    '"a text"',
]

_DELIVERED = """
create temp table delivered as
with said as (
    select
        arrived_at,
        key::varchar as key,
        value::varchar as value,
        hash(arrived_at, key, value) as id
    from {{query}}
    where arrived_at > play.reach() and arrived_at <= play.until()
),

everything as (
    select * from said
    union all
    select later(arrived_at, 0.2 + chance('echo', id) * 590) as arrived_at, key, value, id
    from said
    where chance('delivered twice', id) < {duplicates}
    union all
    select later(arrived_at, 0.001) as arrived_at, key, pick('poison', id, {texts}) as value, id
    from said
    where chance('poisoned', id) < {poison}
)

select
    (hash(coalesce(key, value)) % {partitions})::integer as partition,
    arrived_at,
    key,
    value
from everything
where arrived_at > play.since() and arrived_at <= play.until()
"""

_NUMBERED = """
select
    '{topic}' as topic,
    partition,
    {first}[partition + 1]
        + row_number() over (partition by partition order by arrived_at, key, value)
        - 1 as "offset",
    epoch_ms(arrived_at) as "timestamp",
    key,
    value
from delivered
order by partition, "offset"
"""

_LINES = """
select
    '{{"topic":' || to_json(topic)
    || ',"partition":' || partition
    || ',"offset":' || "offset"
    || ',"timestamp":' || "timestamp"
    || ',"key":' || coalesce(to_json(key)::varchar, 'null')
    || ',"value":' || case
        when value is null then 'null'
        when value[1] = '{{' and json_valid(value) then value
        else to_json(value)::varchar
    end || '}}'
from ({numbered})
"""


@dataclass(frozen=True)
class Dumped:
    """What a play added to a topic: messages, and how many each partition holds now."""

    messages: int
    offsets: tuple[int, ...]


def partitions_of(project: Project, topic: str) -> int:
    """How many partitions the topic's contract gives it.

    Raises:
        UnusableInput: the topic has no contract, or it does not say.
    """
    name = f"topics.{topic}"
    if name not in project.contracts:
        raise UnusableInput(
            f"the scenario plays the topic {topic!r}, which has no contract",
            hint=f"describe it in {project.contracts_dir / 'topics' / topic}.yaml",
        )
    contract = project.contracts[name]
    partitions = contract.custom.get("partitions")
    if not isinstance(partitions, int) or partitions < 1:
        raise UnusableInput(
            f"{contract.path}: customProperties, partitions: {partitions!r} is no number from 1 on"
        )
    return partitions


def dump(
    tables: Tables,
    name: str,
    topic: Topic,
    folder: Path,
    since: datetime,
    until: datetime,
    offsets: Sequence[int],
    at_most: int | None = None,
) -> Dumped:
    """Write what arrived in a topic between two times as one file, whole or not at all.

    `offsets` says how many messages each partition held before. `at_most` keeps only as many
    messages, the earliest ones. No file is written where nothing arrived.
    """
    connection = tables.connection
    tables.execute(
        topic.query,
        _DELIVERED.format(
            duplicates=topic.duplicates,
            poison=topic.poison,
            texts=_POISON,
            partitions=len(offsets),
        ),
    )
    if at_most is not None:
        connection.execute(
            "create or replace temp table delivered as "
            f"select * from delivered order by arrived_at, key, value limit {at_most}"
        )
    counts = dict(
        connection.execute("select partition, count(*) from delivered group by all").fetchall()
    )
    if counts:
        numbered = _NUMBERED.format(topic=name, first=list(offsets))
        path = folder / name / f"{_stamp(since)}-{_stamp(until)}.{topic.format}"
        with appearing(path, until) as temporary:
            connection.execute(_copy(numbered, topic.format, temporary))
    connection.execute("drop table delivered")
    return Dumped(
        messages=sum(counts.values()),
        offsets=tuple(first + counts.get(n, 0) for n, first in enumerate(offsets)),
    )


def _copy(numbered: str, form: str, path: Path) -> str:
    target = str(path).replace("'", "''")
    if form == "parquet":
        return f"copy ({numbered}) to '{target}' (format parquet, compression snappy)"
    # one JSON text a line: CSV without any of its rules
    return (
        f"copy ({_LINES.format(numbered=numbered)}) to '{target}' (format csv, header false, "
        "quote '', escape '', delimiter e'\\x01', compression gzip)"
    )


def _stamp(time: datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%S") + (f".{time.microsecond:06d}" if time.microsecond else "")

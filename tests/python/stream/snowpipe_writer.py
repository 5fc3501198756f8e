"""Writes messages through Snowpipe Streaming, in a process of its own that can be killed.

    python -m stream.snowpipe_writer <folder> <last offset>

Both partitions of the topic get the offsets from where they were up to the last one; every fifth
message is poison.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow as pa

from ingestion.engine import open_engine
from ingestion.landing import LandingArea
from ingestion.messages import topic_of
from ingestion.snowflake_account import connection_arguments
from ingestion.stream.checking import MESSAGES, Checker
from ingestion.stream.sinks import Batch, Span
from ingestion.stream.sinks.snowpipe import SnowpipeSink
from ingestion.stream.sinks.snowpipe_account import client_properties
from waypoint.project import Project

TINY = Path(__file__).parents[1] / "tiny_project"
_AT_ONCE = 150


def main(folder: Path, last: int) -> None:
    topic = topic_of("lending-slips", Project(root=TINY, state=TINY).contracts)
    arguments = connection_arguments(os.environ)
    sink = SnowpipeSink(client_properties(arguments), "waypoint", "stream", lambda _: [], 120.0)
    area = LandingArea(folder / "landing")
    with open_engine(folder / "spill") as engine:
        checker = Checker(engine, topic, area)
        committed = sink.open(topic, [0, 1])
        at = {partition: -1 if known is None else known for partition, known in committed.items()}
        while min(at.values()) < last:
            spans = {p: Span(n + 1, min(n + _AT_ONCE, last)) for p, n in at.items() if n < last}
            checked = checker.check(_messages(spans))
            sink.append(Batch(topic, spans, checked.rows(), checked.rejects))
            for channel, offset in sink.commit().offsets.items():
                at[channel.partition] = offset
        sink.close(topic, [0, 1])
    print(min(at.values()))


def _messages(spans: dict[int, Span]) -> pa.Table:
    places = [(p, n) for p, span in spans.items() for n in range(span.first, span.last + 1)]
    slip = '{{"slip": "S{0}", "card": "C", "shelfmark": "A", "lent": "2026-03-01T10:00:00Z",'
    slip += ' "days": 7}}'
    count = len(places)
    return pa.table(
        [
            [p for p, _ in places],
            [n for _, n in places],
            [1772323200000] * count,
            ["k"] * count,
            [slip.format(n) if n % 5 else "poison" for _, n in places],
            [None] * count,
        ],
        schema=MESSAGES,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

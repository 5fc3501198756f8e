"""Identities of what has landed, as the hashes that the check makes of them."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from ingestion.engine import quoted
from ingestion.messages import Topic
from ingestion.stream.deduplicating import Hashes, Period, Times
from ingestion.stream.sinks import Sink


class LandedKeys:
    """Looks identities up in periods of event time.

    `settled` returns when all has landed that was checked before, which has to be among them.
    """

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        topic: Topic,
        sink: Sink,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._topic, self._sink, self._settled = engine, topic, sink, settled

    def __call__(self, periods: list[Period]) -> tuple[Hashes, Times]:
        self._settled()
        topic = self._topic
        assert topic.event_time is not None
        columns = topic.identity
        self._engine.register("keys", self._sink.landed_keys(topic, columns, periods))
        names = ", ".join(map(quoted, columns))
        found = self._engine.execute(
            f"select hash({names}) as h, epoch_us({quoted(topic.event_time)}) as t from keys"
            f" where {' and '.join(f'{quoted(name)} is not null' for name in columns)}"
        ).to_arrow_table()
        self._engine.unregister("keys")
        return found.column("h").to_numpy(), found.column("t").to_numpy()

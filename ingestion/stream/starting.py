"""A loader for a project: its topics, its sink, its client's settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, cast

from ingestion.bookkeeping import BATCH, LOAD_HISTORY, QUARANTINE
from ingestion.engine import quoted, text_literal
from ingestion.landing import LandingArea
from ingestion.messages import Topic, topic_of
from ingestion.stream.connection import kafka_settings
from ingestion.stream.declared import dead_letters_of
from ingestion.stream.loader import LINGER, PATIENCE, Loader
from ingestion.stream.memory import use_again
from ingestion.stream.metrics import Metrics
from ingestion.stream.reaching import reach
from ingestion.stream.schemas import KnownSchemas
from ingestion.stream.sinks import Sink
from ingestion.stream.sinks.landed_batches import STREAM
from ingestion.stream.sinks.parquet import ParquetSink
from waypoint.contracts.model import RAW
from waypoint.errors import Unavailable
from waypoint.project import Project
from waypoint.warehouse import WarehouseLocked, reading

#: What `_source` says of rows that came from a topic.
SOURCE_NAME = "stream"
#: The consumer group, unless another is given.
GROUP = "waypoint"

#: The targets whose stream lands elsewhere than in the landing area, and what makes their sinks:
#: a function that takes the project and the source's name.
_SINKS = {"snowflake": "ingestion.stream.sinks.snowpipe_account:snowpipe_sink"}

_SECONDS = 10.0


def loader(
    project: Project,
    topics: Sequence[Topic],
    *,
    group: str = GROUP,
    stop: threading.Event | None = None,
    metrics: Metrics | None = None,
    linger: float = LINGER,
    patience: float = PATIENCE,
    report: Callable[[str], None] = lambda _words: None,
) -> Loader:
    """A loader of the project's, see `Loader`.

    Raises:
        Unavailable: no broker is configured.
    """
    use_again()
    area = LandingArea(project.landing_dir)
    area.clean()
    return Loader(
        topics,
        sink_of(project),
        kafka_settings(project),
        schemas=KnownSchemas.of(project),
        area=area,
        spill=project.state / "spill",
        group=group,
        dead_letters=dead_letter_topics(project, topics),
        stop=stop,
        metrics=metrics,
        linger=linger,
        patience=patience,
        report=report,
    )


def sink_of(project: Project) -> Sink:
    """Where the project's target has streams land."""
    if project.target not in _SINKS:
        return ParquetSink(
            LandingArea(project.landing_dir),
            project.state,
            SOURCE_NAME,
            lambda topic: loaded_offsets(project, topic),
        )
    module, _, name = _SINKS[project.target].partition(":")
    return cast("Sink", getattr(import_module(module), name)(project, SOURCE_NAME))


def chosen_topics(project: Project, names: Iterable[str] | None) -> tuple[list[Topic], list[str]]:
    """The topics that are to be read, and those that are not, since the broker has none.

    All that land in a table, or those that are named, which have to be there.

    Raises:
        UnusableInput: one that is named has no contract, or lands nowhere.
        Unavailable: the broker is away, or has none of the topics.
    """
    if names:
        topics = [topic_of(name, project.contracts) for name in dict.fromkeys(names)]
    else:
        topics = [
            topic_of(contract.name, project.contracts)
            for contract in project.contracts.topics
            if contract.custom.get("landsIn")
        ]
    _, metadata = reach(kafka_settings(project), _SECONDS)
    there = set(metadata.topics)
    found = [topic for topic in topics if topic.name in there]
    missing = [topic.name for topic in topics if topic.name not in there]
    without = [name for name in dead_letter_topics(project, found).values() if name not in there]
    if without or (missing and names) or not found:
        lacking = [*without, *missing]
        raise Unavailable(
            f"the broker has no topic {', '.join(lacking)}"
            if lacking
            else "no contract of a topic says where it lands",
            hint="waypoint topics apply makes the topics of the contracts",
        )
    return found, missing


def dead_letter_topics(project: Project, topics: Iterable[Topic]) -> dict[str, str]:
    """The topic for the dead letters of each topic whose contract asks for one."""
    described = {contract.name: contract for contract in project.contracts.topics}
    return {
        topic.name: dead_letters_of(topic.name, project.contracts)
        for topic in topics
        if described[topic.name].custom.get("deadLetter")
    }


def loaded_offsets(project: Project, topic: Topic) -> dict[int, int]:
    """How far a topic's partitions were loaded from its stream, by what the warehouse holds.

    For a landing area whose files were taken away after they had been loaded. Duplicates at the
    very end leave no row, and are read again, to be found duplicates again.
    """
    file = project.warehouse_file
    if not file.exists():
        return {}
    try:
        return _loaded_offsets(file, topic)
    except WarehouseLocked:
        if not project.published_file.exists():
            raise
        return _loaded_offsets(project.published_file, topic)


def _loaded_offsets(file: Any, topic: Topic) -> dict[int, int]:
    table = topic.contract.name
    like = text_literal(f"{STREAM}/%")
    with reading(file) as connection:
        there = connection.execute(
            "select count(*) from duckdb_tables() where schema_name = ?"
            " and table_name in (?, ?, ?)",
            [RAW, table, QUARANTINE, LOAD_HISTORY],
        ).fetchall()[0][0]
        if there < 3:
            return {}
        rows = connection.execute(
            "select p, max(o) from ("
            f"select _partition as p, _offset as o from {RAW}.{quoted(table)}"
            f" where {quoted(BATCH)} like {like}"
            f' union all select "partition", message_offset from {RAW}.{QUARANTINE}'
            f" where table_name = {text_literal(table)} and batch like {like}"
            ") group by 1"
        ).fetchall()
    return {int(partition): int(offset) for partition, offset in rows}

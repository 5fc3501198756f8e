"""Snowpipe Streaming's own client against a stand-in of its service: exactly once under faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from stream import snowpipe_service
from stream.snowpipe_service import COMMITTED_AND_DROPPED, NOT_COMMITTED, SATURATED
from stream.test_stream_parquet_sink import TOPIC, batch

from ingestion.landing import LandingArea
from ingestion.loading import raw_tables
from ingestion.loading.snowflake import connection_arguments
from ingestion.stream.sinks import Channel, Fenced
from ingestion.stream.sinks.snowpipe import SnowpipeSink, client_properties
from waypoint.project import Project

TINY = Path(__file__).parents[1] / "tiny_project"
TABLES = raw_tables(Project(root=TINY, state=TINY).contracts)
ZERO = Channel(TOPIC.name, 0)


@pytest.fixture
def service(tmp_path, monkeypatch):
    with snowpipe_service.serving(tmp_path / "service", TABLES) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def sink(service):
    made = []

    def make():
        arguments = connection_arguments(service.environment)
        made.append(
            SnowpipeSink(client_properties(arguments), "waypoint", "stream", service.query, 30.0)
        )
        return made[-1]

    yield make
    for one in made:
        one.close(TOPIC, [0, 1])


@pytest.fixture
def of(tmp_path):
    area = LandingArea(tmp_path / "landing")
    return lambda first, last, **more: batch(area, tmp_path, first, last, **more)


def offsets(service, partition=0):
    return [
        offset
        for (offset,) in service.query(
            f"select _offset from raw.lendings where _partition = {partition} order by 1"
        )
    ]


def test_rows_arrive_whole_and_the_next_writer_learns_how_far(service, sink, of):
    one = sink()
    assert one.open(TOPIC, [0, 1]) == {0: None, 1: None}
    one.append(of(0, 4))
    assert one.commit().offsets == {ZERO: 4}

    assert sink().open(TOPIC, [0, 1]) == {0: 4, 1: None}
    assert offsets(service) == [0, 1, 2, 3, 4]
    row = "slip, days, cast(lent as varchar), _source, _batch, _partition, _loaded_at is null"
    assert service.query(f"select {row} from raw.lendings where _offset = 3") == [
        ("S3", 7, "2026-03-01 10:00:00", "stream", f"snowpipe/{TOPIC.name}/0/0-4", 0, True)
    ]


@pytest.mark.parametrize(
    "faults",
    [
        [NOT_COMMITTED],
        [COMMITTED_AND_DROPPED],
        [SATURATED],
        [SATURATED, NOT_COMMITTED, COMMITTED_AND_DROPPED],
    ],
)
def test_under_faults_each_row_is_there_once(service, sink, of, faults):
    one = sink()
    one.open(TOPIC, [0])
    service.faults.extend(faults)
    one.append(of(0, 9))
    assert one.commit().offsets == {ZERO: 9}

    assert service.seen == faults
    assert offsets(service) == list(range(10))


def test_an_older_writer_is_fenced_and_nothing_of_it_is_committed(service, sink, of):
    old, new = sink(), sink()
    old.open(TOPIC, [0])
    old.append(of(0, 4))
    old.commit()
    old.append(of(5, 9))
    assert new.open(TOPIC, [0]) == {0: 4}

    with pytest.raises(Fenced, match="another loader"):
        old.commit()

    new.append(of(5, 6))
    new.commit()
    assert offsets(service) == list(range(7))

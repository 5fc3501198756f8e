"""Snowpipe Streaming's own client against a stand-in of its service: exactly once under faults."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from snowflake.ingest.streaming import (
    StreamingIngestChannel,
    StreamingIngestError,
    StreamingIngestErrorCode,
)
from stream import snowpipe_service
from stream.snowpipe_service import (
    COMMITTED_AND_DENIED,
    COMMITTED_AND_DROPPED,
    NOT_COMMITTED,
    SATURATED,
)
from stream.test_stream_parquet_sink import TOPIC, batch

from ingestion.landing import LandingArea
from ingestion.loading import raw_tables
from ingestion.snowflake_account import connection_arguments
from ingestion.stream.sinks import Batch, Channel, Fenced, Span, snowpipe
from ingestion.stream.sinks.snowpipe import SnowpipeSink
from ingestion.stream.sinks.snowpipe_account import client_properties
from waypoint.ending_with_parent import ending_with_parent
from waypoint.errors import Unavailable, UnusableInput
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

    def make(patience=60.0):
        arguments = connection_arguments(service.environment)
        made.append(
            SnowpipeSink(
                client_properties(arguments), "waypoint", "stream", service.query, patience
            )
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


def test_what_was_committed_without_being_told_is_not_handed_over_again(service, sink, of):
    one = sink()
    one.open(TOPIC, [0])
    service.faults.append(COMMITTED_AND_DENIED)
    one.append(of(0, 4))
    with pytest.raises(Fenced):
        one.commit()

    # what a loader does then: open again, and go on behind what is committed
    assert one.open(TOPIC, [0]) == {0: 4}
    one.append(of(5, 6))
    one.commit()
    assert offsets(service) == list(range(7))


def test_a_service_that_stays_away_is_told_of_and_gone_back_to(service, sink, of):
    one = sink(patience=1.0)
    one.open(TOPIC, [0])
    service.faults.extend([NOT_COMMITTED] * 100)
    one.append(of(0, 4))
    with pytest.raises(Unavailable):
        one.commit()

    service.faults.clear()
    two = sink()
    assert two.open(TOPIC, [0]) == {0: None}
    two.append(of(0, 4))
    assert two.commit().offsets == {ZERO: 4}
    assert offsets(service) == list(range(5))


def test_a_saturated_client_is_waited_for(service, sink, of, monkeypatch):
    refusals = [
        StreamingIngestError(StreamingIngestErrorCode.RECEIVER_SATURATED, "full", 429, "Too Many")
        for _ in range(2)
    ]
    append = StreamingIngestChannel.append_rows

    def saturated(self, *arguments):
        if refusals:
            raise refusals.pop()
        append(self, *arguments)

    monkeypatch.setattr(StreamingIngestChannel, "append_rows", saturated)
    one = sink()
    one.open(TOPIC, [0])
    one.append(of(0, 4))
    one.commit()

    assert refusals == []
    assert offsets(service) == list(range(5))


def test_rejects_are_committed_before_the_rows_that_cover_them_and_once(
    service, sink, of, monkeypatch
):
    poison, good = of(0, 3, value="poison"), of(4, 6)
    both = Batch(TOPIC, {0: Span(0, 6)}, good.rows, poison.rejects)
    one = sink()
    one.open(TOPIC, [0])
    stream = SnowpipeSink._stream

    def killed(self, table, parts):
        if table == TOPIC.contract.name:
            raise KeyboardInterrupt
        stream(self, table, parts)

    one.append(both)
    with monkeypatch.context() as patched:
        patched.setattr(SnowpipeSink, "_stream", killed)
        with pytest.raises(KeyboardInterrupt):
            one.commit()
    rejected = 'select message_offset, table_name, source, "partition" from raw.quarantine'
    assert len(service.query(rejected)) == 4
    assert offsets(service) == []

    two = sink()
    assert two.open(TOPIC, [0]) == {0: None}
    two.append(both)
    done = two.commit()
    assert (done.offsets, dict(done.known_rejects)) == ({ZERO: 6}, {TOPIC.name: 4})
    assert sorted(service.query(rejected)) == [
        (offset, "lendings", "stream", 0) for offset in range(4)
    ]
    assert offsets(service) == [4, 5, 6]


def test_many_rows_are_handed_over_in_pieces_that_account_for_every_offset(
    service, sink, of, monkeypatch
):
    monkeypatch.setattr(snowpipe, "_ROWS", 3)
    rows = pa.concat_tables([of(2, 4).rows, of(8, 9).rows, of(20, 20).rows])
    one = sink()
    one.open(TOPIC, [0])
    one.append(Batch(TOPIC, {0: Span(0, 25)}, rows, of(0, 0).rejects))
    assert one.commit().offsets == {ZERO: 25}

    assert service.taken == [(0, 7, 3), (8, 25, 3)]
    assert sink().open(TOPIC, [0]) == {0: 25}


def test_landed_keys_are_looked_up_in_the_table(service, sink, of):
    one = sink()
    one.open(TOPIC, [0])
    one.append(of(0, 2))
    one.commit()
    newest = one.newest_time(TOPIC)

    found = one.landed_keys(TOPIC, TOPIC.identity, [(newest, newest)])

    assert sorted(found.column("slip").to_pylist()) == ["S0", "S1", "S2"]
    assert found.schema.field("lent").type == pa.timestamp("us")


def test_the_target_chooses_the_sink_and_the_environment_the_account(service, tmp_path):
    from ingestion.stream.starting import sink_of

    project = Project(root=TINY, state=tmp_path, target="snowflake")
    sink = sink_of(project)

    assert isinstance(sink, SnowpipeSink)
    assert sink.open(TOPIC, [0]) == {0: None}
    sink.close(TOPIC, [0])


def test_without_a_key_pair_it_is_said_what_is_missing(monkeypatch):
    arguments = connection_arguments({"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u"})
    with pytest.raises(UnusableInput, match="needs a key pair"):
        client_properties(arguments)
    with pytest.raises(UnusableInput, match="SNOWFLAKE_PRIVATE_KEY_PATH: /nowhere"):
        client_properties(arguments | {"private_key_file": "/nowhere"})


def test_writers_killed_at_random_points(service, tmp_path):
    killed(service, tmp_path, trials=3, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_writers_killed_many_times(service, tmp_path):
    killed(service, tmp_path, trials=25, seed=2)


def killed(service, folder, trials, seed):
    """Kill the process that writes, with requests on their way and faults in between."""
    chance = random.Random(seed)
    last = 200 * trials
    service.before = lambda _channel: time.sleep(0.005)
    for trial in range(trials):
        writer = started(folder, last)
        try:
            seen = service.requests
            service.faults.extend(
                chance.choice([[], [COMMITTED_AND_DROPPED], [NOT_COMMITTED], [SATURATED]])
            )
            end = time.monotonic() + 240
            while service.requests < seen + 1 + trial % 3:
                assert writer.poll() is None, writer.communicate()
                assert time.monotonic() < end
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
    writer = started(folder, last)
    said, wrong = writer.communicate(timeout=600)
    assert writer.returncode == 0, wrong
    assert json.loads(said) == last
    # every fifth message is poison
    for partition in (0, 1):
        assert offsets(service, partition) == [n for n in range(last + 1) if n % 5]
    rejected = 'select "partition", message_offset from raw.quarantine order by all'
    assert service.query(rejected) == [
        (partition, n) for partition in (0, 1) for n in range(last + 1) if n % 5 == 0
    ]
    faults = len(service.seen)
    print(f"\n{trials} writers killed, {faults} faults: {2 * (last + 1):,} messages, each once")


def started(folder, last):
    """A process that writes offsets up to `last` of two partitions, from where it was."""
    words = ["-W", "ignore", "-m", "stream.snowpipe_writer", str(folder), str(last)]
    return subprocess.Popen(
        ending_with_parent([sys.executable, *words]),
        cwd=Path(__file__).parents[3],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.getcwd()])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

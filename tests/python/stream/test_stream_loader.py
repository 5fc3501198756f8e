"""The loader on a real broker: everything lands, is a dead letter or a duplicate, and once."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest
from stream.desk import MARCH, Desk, slip

from ingestion.compaction import compact
from ingestion.extraction import Context
from ingestion.extractors.dumps import land_dumps
from ingestion.inbox import dropped
from ingestion.loading import load_landed
from ingestion.messages import topic_of
from ingestion.stream.sinks.parquet import ParquetSink
from waypoint.errors import Unavailable, UnusableInput
from waypoint.warehouse import reading


@pytest.fixture
def desk(tmp_path, kafka_server, monkeypatch):
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)
    return Desk.opened(tmp_path / "library", kafka_server.bootstrap)


def test_messages_land_with_their_place_and_what_is_wrong_with_the_others_is_told(desk):
    desk.send([slip(1), slip(2), {"slip": "S3"}, b"no json", None])
    desk.send([slip(4)], partition=1)

    totals = desk.load()

    assert (totals.read, totals.landed, totals.dead_letters) == (6, 3, 3)
    assert desk.landed() == [("S1", 0, 0), ("S2", 0, 1), ("S4", 1, 0)]
    assert desk.landed("_key, _payload, _source, days")[0] == (
        "C1", json.dumps(slip(1)), "stream", 7,
    )  # fmt: skip
    assert desk.rejected() == [
        (0, 2, "card_is_required"),
        (0, 3, "message_is_an_object"),
        (0, 4, "tombstone"),
    ]
    letters = {int(d["headers"]["offset"]): d for d in desk.dead_letters()}
    assert sorted(letters) == [2, 3, 4]
    assert letters[3]["headers"]["topic"] == desk.topic
    assert letters[3]["headers"]["rule"] == letters[3]["body"]["rule"] == "message_is_an_object"
    assert letters[3]["body"]["payload"] == "no json"
    assert letters[4]["body"]["payload"] is None


def test_a_second_loader_goes_on_where_the_first_one_was(desk):
    desk.send([slip(1), b"poison"])
    desk.load()
    assert desk.load().read == 0
    desk.send([slip(2)])

    totals = desk.load()

    assert (totals.read, totals.landed) == (1, 1)
    assert desk.landed() == [("S1", 0, 0), ("S2", 0, 2)]


def test_a_batch_of_rejects_or_of_duplicates_only_is_not_read_again(desk):
    desk.send([slip(1)])
    desk.load()
    desk.send([b"poison", b"more poison"])
    assert desk.load().dead_letters == 2
    desk.send([slip(1), slip(1)])
    assert desk.load().duplicates == 2

    assert desk.load().read == 0
    assert desk.accounted() == {0: {0, 1, 2, 3, 4}}


def test_what_landed_long_ago_is_a_duplicate_however_late_it_comes_again(desk):
    hour = 3_600_000
    desk.send([slip(1, 0), slip(2, hour)])
    desk.load()
    desk.send([slip(3, 2 * hour)])
    desk.load()

    # the memory of a loader that starts now begins five minutes before the newest slip
    desk.send([slip(1, 0), slip(3, 2 * hour), slip(4, 0)])
    totals = desk.load()

    assert (totals.landed, totals.duplicates) == (1, 2)
    assert [name for name, _, _ in desk.landed()] == ["S1", "S2", "S3", "S4"]


def test_the_same_id_at_another_time_is_another_event(desk):
    desk.send([slip(1, 0), slip(1, 1)])

    assert desk.load().landed == 2


def test_late_events_land_and_are_counted(desk):
    desk.send([slip(1, 0), slip(2, 120_000), slip(3, 30_000), slip(4, 90_000)])

    totals = desk.load()

    assert (totals.landed, totals.late) == (4, 1)


def test_late_rows_are_marked_where_the_contract_has_a_place_for_it(desk):
    path = desk.root / "contracts/raw/lendings.yaml"
    mark = (
        "      - {name: _late, logicalType: boolean, physicalType: boolean, description: Late.}\n"
    )
    path.write_text(path.read_text().replace("slaProperties:", f"{mark}slaProperties:"))
    desk.send([slip(1, 0), slip(2, 120_000), slip(3, 30_000)])

    desk.load()

    assert desk.landed("slip, _late") == [("S1", False), ("S2", False), ("S3", True)]


def test_fields_that_the_contract_does_not_know_stay_in_the_payload_and_are_counted(desk):
    desk.send([slip(1, colour="red"), slip(2, colour="blue"), slip(3)])

    totals = desk.load()

    assert (totals.landed, dict(totals.drift)) == (3, {"colour": 2})
    payloads = [json.loads(payload) for (payload,) in desk.landed("_payload")]
    assert {p["slip"]: p.get("colour") for p in payloads} == {"S1": "red", "S2": "blue", "S3": None}


def test_a_dump_of_the_same_offsets_brings_nothing_twice(desk, tmp_path):
    desk.send([slip(1), b"poison", slip(1), slip(2)])
    messages = [slip(1), "poison", slip(1), slip(2), slip(3), "more poison"]
    dump = tmp_path / "dump.ndjson"
    dump.write_text(
        "".join(
            json.dumps(
                {
                    "topic": desk.topic, "partition": 0, "offset": offset,
                    "timestamp": MARCH, "key": None, "value": value,
                }
            )
            + "\n"
            for offset, value in enumerate(messages)
        )
    )  # fmt: skip
    desk.load()

    project = desk.project
    context = Context(project.contracts, desk.area, project.state, None)
    topic = topic_of(desk.topic, project.contracts)
    (outcome,) = land_dumps([dropped(dump)], topic, "dumps", context)

    assert (outcome.landed, outcome.rejected, outcome.unchanged) == (1, 1, 4)
    desk.send([slip(3), b"more poison", slip(4)])  # offsets 4 and 5, which the dump has brought
    totals = desk.load()
    assert (totals.known + totals.duplicates, totals.landed, totals.dead_letters) == (2, 1, 0)
    assert [name for name, _, _ in desk.landed()] == ["S1", "S2", "S3", "S4"]


def test_what_landed_is_loaded_with_its_rejects(desk):
    desk.send([slip(1), b"poison"])
    desk.load()

    load_landed(desk.project, None)

    with reading(desk.project.warehouse_file) as connection:
        assert connection.execute("select slip from raw.lendings").fetchall() == [("S1",)]
        assert connection.execute("select rule from raw.quarantine").fetchall() == [
            ("message_is_an_object",)
        ]


def test_offsets_are_known_from_the_warehouse_where_the_files_were_taken_away(desk):
    desk.send([slip(1), slip(2)])
    desk.load()
    load_landed(desk.project, None)
    for path in desk.area.files("lendings"):
        path.unlink()

    assert desk.load().read == 0


def test_files_that_were_put_together_say_what_they_said_alone(desk):
    for number in range(3):
        desk.send([slip(number), slip(f"late-{number}", -3_600_000 * number)])
        desk.load()
    load_landed(desk.project, None)
    names = [path.relative_to(desk.area.root).as_posix() for path in desk.area.files("lendings")]
    list(compact(desk.area, desk.project.state / "spill", names, {}))
    assert len(desk.area.files("lendings")) == 1

    desk.send([slip("late-2", -7_200_000), slip(4)])
    totals = desk.load()

    assert (totals.read, totals.landed, totals.duplicates) == (2, 1, 1)
    assert sum(load_landed(desk.project, None).rows.values()) == 1


def test_the_group_is_told_and_not_asked(desk):
    from confluent_kafka import Consumer, TopicPartition

    desk.send([slip(1), slip(2)])
    desk.load()
    consumer = Consumer({"bootstrap.servers": desk.bootstrap, "group.id": f"test-{desk.topic}"})
    (told,) = consumer.committed([TopicPartition(desk.topic, 0)], timeout=30)
    assert told.offset == 2
    # somebody resets the group to its end: it changes nothing
    desk.send([slip(3)])
    consumer.commit(offsets=[TopicPartition(desk.topic, 0, 3)], asynchronous=False)
    consumer.close()

    assert desk.load().landed == 1


def test_a_topic_that_was_made_anew_is_refused(desk):
    from confluent_kafka.admin import AdminClient, NewTopic

    desk.send([slip(1), slip(2)])
    desk.load()
    admin = AdminClient({"bootstrap.servers": desk.bootstrap})
    for gone in admin.delete_topics([desk.topic]).values():
        gone.result(30)
    wait_for(lambda: desk.topic not in admin.list_topics(timeout=30).topics)
    for made in admin.create_topics([NewTopic(desk.topic, 2, 1)]).values():
        made.result(30)
    wait_for(lambda: desk.topic in admin.list_topics(timeout=30).topics)

    with pytest.raises(UnusableInput, match="made anew"):
        desk.load()


def test_topics_that_are_not_there_are_named(desk):
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": desk.bootstrap})
    for gone in admin.delete_topics([f"{desk.topic}.dlq"]).values():
        gone.result(30)
    wait_for(lambda: f"{desk.topic}.dlq" not in admin.list_topics(timeout=30).topics)

    with pytest.raises(Unavailable, match=f"no topic {desk.topic}.dlq"):
        desk.load()


def test_told_to_stop_it_lands_what_it_has_read(desk):
    desk.send([slip(n) for n in range(50)])
    process = desk.started("--json")
    try:
        wait_for(lambda: len(desk.landed()) >= 50)
        desk.send([slip(n) for n in range(50, 60)])
        wait_for(lambda: len(desk.landed()) >= 60)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    (told,) = json.loads(out)["topics"]
    assert (told["read"], told["landed"]) == (60, 60)


def test_metrics_are_served(desk):
    from urllib.request import urlopen

    from ingestion.stream.metrics import new_metrics, served

    desk.send([slip(1), slip(1), b"poison"])
    metrics = new_metrics()
    with served(metrics, 0) as port:
        desk.load(metrics=metrics)
        text = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    for name in ("rows", "rejects", "duplicates"):
        assert f'waypoint_stream_{name}_total{{topic="{desk.topic}"}} 1.0' in text
    assert f'waypoint_stream_lag{{partition="0",topic="{desk.topic}"}} 0.0' in text
    assert "waypoint_stream_commit_seconds_count" in text


def test_a_slow_sink_holds_the_reading_up_and_loses_nothing(desk, monkeypatch):
    for name, value in (("_WAITING", 1_000), ("_MESSAGES", 20)):
        monkeypatch.setattr(f"ingestion.stream.pipeline.{name}", value)
    monkeypatch.setattr("ingestion.stream.loader._LONG_WAIT", 0.0)  # the group is told at once
    monkeypatch.setattr("ingestion.stream.loader._AT_ONCE", 20)
    commit = ParquetSink.commit

    def slowly(sink):
        time.sleep(0.1)
        return commit(sink)

    monkeypatch.setattr(ParquetSink, "commit", slowly)
    desk.send([slip(n) for n in range(100)])
    desk.send([slip(n) for n in range(100, 200)], partition=1)

    totals = desk.load()

    assert (totals.landed, totals.batches >= 5) == (200, True)
    assert desk.accounted() == {0: set(range(100)), 1: set(range(100))}


def test_two_loaders_share_a_topic_and_one_takes_over_from_the_other(desk):
    stops = [threading.Event(), threading.Event()]
    summaries = {}

    def run(number):
        summaries[number] = desk.totals(desk.loader(stop=stops[number]).run())

    def send_to_both(number):
        for partition in (0, 1):
            desk.send([slip(2 * number + partition)], partition=partition)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    try:
        send_to_both(0)
        for thread in threads:
            thread.start()
        wait_for(lambda: len(writers(desk)) == 2)
        send_to_both(1)
        wait_for(lambda: len(desk.landed()) == 4)
        stops[0].set()
        threads[0].join(120)
        send_to_both(2)
        wait_for(lambda: len(desk.landed()) == 6)
    finally:
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join(120)

    assert summaries[0].landed + summaries[1].landed == 6
    assert desk.accounted() == {0: {0, 1, 2}, 1: {0, 1, 2}}


def writers(desk):
    """The sinks that write the topic's partitions, by the beginning of their names."""
    file = desk.project.state / "stream" / f"{desk.topic}.writers.json"
    names = json.loads(file.read_text()).values() if file.exists() else []
    return {name.rpartition("-")[0] for name in names}


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)

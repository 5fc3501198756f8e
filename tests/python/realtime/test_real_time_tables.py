"""Real-time tables: the windows of a batch recomputation, whatever arrives in whichever order."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import duckdb
import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from conftest import Library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.landing import LandingArea
from ingestion.loading import load_landed
from waypoint.errors import Unavailable, UnusableInput
from waypoint.notifying import Channels, Message, Slack
from waypoint.project import Project
from waypoint.realtime.alerting import alert
from waypoint.realtime.merging import merged
from waypoint.realtime.publishing import publish_windows

FIRST = datetime(2026, 3, 1, 9)
WINDOW = timedelta(minutes=30)

TOPIC = Path(__file__).parents[3] / "contracts/topics/topic_processed_events.yaml"

# windows that new rows touch are computed whole; one with a recall in it goes away
MODEL = """
{{ config(
    materialized='incremental',
    unique_key='window_start',
    post_hook="delete from {{ this }} where recalls > 0"
) }}

with lendings as (
    select *, {{ window_start('lent_at', 30) }} as window_start
    from {{ ref('stg_lendings') }}
    where {{ in_touched_window(ref('stg_lendings'), 'lent_at', 30) }}
)

select
    window_start,
    cast(count(*) as bigint) as lendings,
    cast(count(distinct card) as bigint) as cards,
    cast(sum(case when shelfmark = 'recall' then 1 else 0 end) as bigint) as recalls,
    max(loaded_at) as loaded_at
from lendings
group by window_start
"""

Slip = tuple[str, str, str, datetime]  # number, card, shelfmark, when it was lent
Windows = dict[datetime, tuple[int, int]]  # lendings and cards by the window's start


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A published library with a table of windows. Only read from it: states are made beside it."""
    library = Library.copied_to(tmp_path_factory.mktemp("realtime") / "library").connected()
    (library.root / "models/marts/lendings_30m.sql").write_text(MODEL)
    library.run()
    with merged(Project(library.root, library.state)):  # compiles
        pass
    _agree(library.root, "marts/lendings_by_day", {"window": "1 d"})
    recalled = {"when": "shelfmark = 'recall'", "subject": "Recall {slip}", "text": "Of {card}."}
    _agree(library.root, "staging/stg_lendings", {"alert": recalled})
    shutil.copy(TOPIC, library.root / "contracts/topics")
    return Project(library.root, library.state)


def test_what_has_landed_is_answered_and_nothing_is_written(
    published: Project, tmp_path: Path
) -> None:
    project = _beside(published, tmp_path)
    before = project.published_file.stat().st_mtime_ns
    _land(project, "late", [("S9", "C0002", "B 9", FIRST)])
    assert _days(project) == {"2026-03-01": (3, 2), "2026-03-02": (1, 1)}
    assert project.published_file.stat().st_mtime_ns == before
    assert not project.warehouse_file.exists()


def test_a_slip_that_comes_again_counts_once(published: Project, tmp_path: Path) -> None:
    project = _beside(published, tmp_path)
    _land(project, "again", [("S1", "C0001", "A 17", FIRST)] * 2)
    assert _days(project) == {"2026-03-01": (2, 2), "2026-03-02": (1, 1)}


def test_what_was_loaded_and_published_is_not_counted_again(
    published: Project, tmp_path: Path
) -> None:
    project = _beside(published, tmp_path)
    _land(project, "late", [("S9", "C0002", "B 9", FIRST)])
    with merged(project) as found:
        assert [(table.name, table.files) for table in found.tables()] == [
            ("lendings_30m", 1),
            ("lendings_by_day", 1),
            ("stg_lendings", 1),
        ]
    project.warehouse_file.parent.mkdir(parents=True)
    shutil.copy(project.published_file, project.warehouse_file)
    load_landed(project)
    # published between its load and its build
    os.replace(project.warehouse_file, project.published_file)
    assert _windows(project)[FIRST] == (2, 2)
    with merged(project) as found:
        assert [table.files for table in found.tables()] == [0, 0, 0]


def test_rows_are_as_new_as_their_landing_where_no_clock_is_stored(
    published: Project, tmp_path: Path
) -> None:
    project = _beside(published, tmp_path)
    with duckdb.connect(str(project.published_file)) as connection:
        connection.execute("delete from raw.clock")
    landed = _land(project, "late", [("S9", "C0002", "B 9", FIRST)])
    with merged(project, ["stg_lendings"]) as found:
        query = "select loaded_at from realtime.stg_lendings where slip = 'S9'"
        ((loaded_at,),) = found.connection.execute(query).fetchall()
    written = datetime.fromtimestamp(landed.stat().st_mtime, UTC).replace(tzinfo=None)
    assert abs(loaded_at - written) < timedelta(milliseconds=1)


def test_a_table_that_is_not_there_is_named(published: Project) -> None:
    with (
        pytest.raises(UnusableInput, match=r"no table realtime\.lendings_by_week"),
        merged(published, sql="select * from realtime.lendings_by_week"),
    ):
        pass


def test_the_command_answers(published: Project) -> None:
    library = Library(published.root)
    ended = library.waypoint("realtime", "show", "lendings_by_day", "--json")
    assert ended.code == 0, ended.err
    assert [row["lendings"] for row in ended.json] in ([2, 1], [1, 2])  # loaded at once


def test_windows_are_sent_when_they_are_new_or_have_changed(
    published: Project, tmp_path: Path
) -> None:
    project = _beside(published, tmp_path)
    with _broker() as settings:
        assert _sent(project, settings) == 2
        assert _sent(project, settings) == 0
        _land(project, "late", [("S9", "C0002", "B 9", FIRST)])
        assert _sent(project, settings) == 1
        assert _sent(project, settings) == 0
        messages = _consumed(settings, 3)
    newest = {message["window_key"]: message for message in messages}
    assert [list(message["measures"].values()) for message in newest.values()] == [[3, 2], [1, 1]]
    assert messages[0]["window_key"] == messages[2]["window_key"]
    assert messages[0]["window_end"] == "2026-03-02T00:00:00.000Z"


def test_a_window_that_the_broker_did_not_take_is_sent_by_the_next_call(
    published: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _beside(published, tmp_path)
    monkeypatch.setattr("waypoint.realtime.publishing._TIMEOUT", 1.0)
    with pytest.raises(Unavailable, match="did not take 2 windows"):
        _sent(project, {"bootstrap.servers": "127.0.0.1:1"})
    monkeypatch.undo()
    with _broker() as settings:
        assert _sent(project, settings) == 2


def test_an_alert_is_told_once(published: Project, tmp_path: Path) -> None:
    project = _beside(published, tmp_path)
    with _slack() as (slack, told):
        assert [one.sent for one in alert(project, Channels(slack))] == [0]
        _land(project, "recall", [("S8", "C0002", "recall", FIRST)])
        assert [one.sent for one in alert(project, Channels(slack))] == [1]
        assert [one.sent for one in alert(project, Channels(slack))] == [0]
        assert alert(project, Channels()) == []
    assert told == ["*Recall S8*\nOf C0002.\n\nalert stg_lendings:S8"]


def test_an_alert_whose_sender_was_killed_is_told_again_under_the_same_id(
    published: Project, tmp_path: Path
) -> None:
    project = _beside(published, tmp_path)
    _land(project, "recall", [("S8", "C0002", "recall", FIRST)])
    with _slack() as (slack, told):
        with pytest.raises(KeyboardInterrupt):
            alert(project, Channels(Killed(slack.webhook)))
        alert(project, Channels(slack))
        alert(project, Channels(slack))
    assert len(told) == 2
    assert told[0] == told[1]


class Killed(Slack):
    """Ends after a message went out, before anybody knows of it."""

    def send(self, message: Message) -> None:
        super().send(message)
        raise KeyboardInterrupt


slips = st.integers(0, 11).map(
    lambda n: (
        f"T{n}",
        f"C{n % 3}",
        "recall" if n == 7 else "A 1",
        FIRST + timedelta(minutes=13 * n - 30),
    )
)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=st.lists(st.lists(slips, min_size=1, max_size=6), min_size=1, max_size=4))
def test_windows_equal_a_recomputation_in_any_order_of_arrival(
    published: Project, batches: list[list[Slip]]
) -> None:
    with TemporaryDirectory() as folder:
        project = _beside(published, Path(folder))
        arrived = [
            ("S1", "C0001", "A 17", FIRST),
            ("S2", "C0002", "B 4", FIRST + timedelta(hours=1)),
            ("S3", "C0001", "B 5", FIRST + timedelta(hours=25)),
        ]
        for number, batch in enumerate(batches):
            _land(project, f"b{number}", batch, offset=100 + 10 * number)
            arrived += batch
            assert _windows(project) == _recomputed(arrived)


def _recomputed(arrived: list[Slip]) -> Windows:
    cards, recalled = defaultdict(list), set()
    for _, card, shelfmark, lent in set(arrived):
        start = datetime.min + (lent - datetime.min) // WINDOW * WINDOW
        cards[start].append(card)
        if shelfmark == "recall":
            recalled.add(start)
    return {
        start: (len(found), len(set(found)))
        for start, found in cards.items()
        if start not in recalled
    }


def _windows(project: Project) -> Windows:
    sql = "select window_start, lendings, cards from realtime.lendings_30m"
    with merged(project, sql=sql) as found:
        rows = found.connection.execute(sql).fetchall()
    windows = {start: (lendings, cards) for start, lendings, cards in rows}
    assert len(windows) == len(rows)
    return windows


def _days(project: Project) -> dict[str, tuple[int, int]]:
    with merged(project, ["lendings_by_day"]) as found:
        query = "select lent_date, lendings, members from realtime.lendings_by_day"
        rows = found.connection.execute(query).fetchall()
    return {str(day): (lendings, members) for day, lendings, members in rows}


def _sent(project: Project, settings: dict[str, str]) -> int:
    (result,) = publish_windows(project, settings)
    assert not result.refused
    assert result.closed == 2
    return result.sent


@contextmanager
def _broker() -> Iterator[dict[str, str]]:
    """librdkafka's own broker, as long as the producer that holds it lives."""
    holder = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = holder.list_topics(timeout=60).brokers.values()
    yield {"bootstrap.servers": f"{broker.host}:{broker.port}"}
    del holder


def _consumed(settings: dict[str, str], count: int) -> list[dict[str, Any]]:
    consumer = Consumer({**settings, "group.id": "test", "log_level": 0})
    partitions = consumer.list_topics("topic_processed_events", timeout=60).topics
    numbers = partitions["topic_processed_events"].partitions
    consumer.assign([TopicPartition("topic_processed_events", number, 0) for number in numbers])
    found: list[dict[str, Any]] = []
    while len(found) < count:
        (message,) = consumer.consume(1, timeout=60)
        assert message.error() is None
        found.append(json.loads(message.value() or b""))
        assert message.key() == found[-1]["window_key"].encode()
    consumer.close()
    return sorted(found, key=lambda window: (window["computed_at"], window["window_start"]))


@contextmanager
def _slack() -> Iterator[tuple[Slack, list[str]]]:
    """A webhook that takes everything, and what it was told."""
    told: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Slack(f"http://127.0.0.1:{server.server_port}/"), told
        server.shutdown()


def _agree(root: Path, table: str, custom: dict[str, Any]) -> None:
    """Add custom properties to a contract."""
    path = root / f"contracts/{table}.yaml"
    document = yaml.safe_load(path.read_text())
    document.setdefault("customProperties", []).extend(
        {"property": name, "value": value} for name, value in custom.items()
    )
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _beside(published: Project, state: Path) -> Project:
    """The published project with a state of its own: what lands in it is nobody else's."""
    shutil.copytree(published.state / "published", state / "published")
    shutil.copytree(published.landing_dir, state / "landing")
    shutil.copy(published.state / "clock.json", state)
    (state / "realtime").mkdir()
    shutil.copy(published.state / "realtime/compiled.json", state / "realtime")
    return replace(published, state=state)


def _land(project: Project, batch: str, slips: list[Slip], offset: int = 100) -> Path:
    area = LandingArea(project.landing_dir)
    rows = ", ".join(
        f"('desk', '{batch}', 0, {place}, timestamp '2026-03-02 12:00', '{card}', '',"
        f" '{slip}', '{card}', '{shelfmark}', timestamp '{lent}', 14)"
        for place, (slip, card, shelfmark, lent) in enumerate(slips, start=offset)
    )
    columns = (
        "_source, _batch, _partition, _offset, _kafka_timestamp, _key, _payload,"
        " slip, card, shelfmark, lent, days"
    )
    with area.writing("lendings", batch) as path:
        duckdb.execute(
            f"copy (select * from (values {rows}) t({columns})) to '{path}' (format parquet)"
        )
    return area.path("lendings", batch)

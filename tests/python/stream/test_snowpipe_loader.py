"""The whole loader with Snowflake as its target: a real broker, and a stand-in of the service."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stream import snowpipe_service
from stream.desk import Desk, slip
from stream.snowpipe_service import COMMITTED_AND_DENIED, NOT_COMMITTED

from ingestion.loading import raw_tables
from ingestion.stream.sinks import snowpipe_account
from ingestion.stream.starting import chosen_topics, loader


@pytest.fixture
def desk(tmp_path, kafka_server, monkeypatch):
    monkeypatch.setenv("WAYPOINT_KAFKA", kafka_server.bootstrap)
    return Desk.opened(tmp_path / "library", kafka_server.bootstrap, partitions=1)


@pytest.fixture
def service(desk, tmp_path, monkeypatch):
    tables = raw_tables(desk.project.contracts)
    with snowpipe_service.serving(tmp_path / "service", tables) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        # queries need an account's other half, which the stand-in answers without its protocol
        monkeypatch.setattr(snowpipe_account, "_Account", lambda _project: service.query)
        yield service


def run(desk):
    project = replace(desk.project, target="snowflake")
    topics, _ = chosen_topics(project, [desk.topic])
    return loader(project, topics, group=f"test-{desk.topic}").run(until_caught_up=True)


def test_the_target_s_loader_lands_each_message_once_and_goes_on(desk, service):
    desk.send([slip(1), b"no json", slip(2, 10), slip(2, 10), slip(3, 20)])
    service.faults.extend([NOT_COMMITTED])
    totals = desk.totals(run(desk))
    assert (totals.landed, totals.dead_letters, totals.duplicates) == (3, 1, 1)

    # the connection is lost behind a commit, and the service takes the repeat for a stranger's
    service.faults.append(COMMITTED_AND_DENIED)
    desk.send([slip(4, 30), slip(1), slip(5, 40)])
    summary = run(desk)

    assert summary.rejoined == 1
    assert service.query("select slip, _offset from raw.lendings order by _offset") == [
        ("S1", 0), ("S2", 2), ("S3", 4), ("S4", 5), ("S5", 7),
    ]  # fmt: skip
    assert service.query("select message_offset from raw.quarantine") == [(1,)]
    assert [d["headers"]["offset"] for d in desk.dead_letters()] == ["1"]
    assert desk.area.files("lendings") == []

"""What change capture makes of sources.yml: connectors, SQL, and what a database lacks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from capture.captured_shop import Shop, running_shop
from models.dbt_warehouse import ROOT

from ingestion.capture import database
from ingestion.capture.connector import connector_config
from ingestion.capture.sink import sink_connectors
from ingestion.capture.tracked import Tracked, tracked, tracked_databases
from ingestion.capture.worker import WORKER_VARIABLE, Worker, failure
from ingestion.extraction import Source
from waypoint.errors import Unavailable, UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.services.connect import read_secrets, write_secrets

TOPICS = frozenset({"changes"})
DSN = "postgresql://capturer:s3cr3t@db.example:5433/shop?sslmode=require"


def source(dsn: str = DSN, kind: str = "postgres", **capture: Any) -> Source:
    settings = {"dsn": dsn, "tables": {"users": "u", "or.ders": "o"}}
    return Source("my-shop", kind, {**settings, "capture": {"topic": "changes", **capture}})


def shop(**capture: Any) -> Tracked:
    return tracked(source(**capture), TOPICS)


# what is configured


def test_a_connector_is_configured_from_the_sources_entry() -> None:
    config = connector_config(shop(), Path("/secrets"))

    assert config["database.hostname"] == "db.example"
    assert config["database.port"] == "5433"
    assert config["database.sslmode"] == "require"
    assert config["slot.name"] == config["publication.name"] == "waypoint_my_shop"
    assert config["decimal.handling.mode"] == "string"
    assert config["skipped.operations"] == "none"
    assert config["exactly.once.support"] == "required"
    tables = config["table.include.list"].split(",")
    assert tables == [r"public\.or\.ders", r"public\.users", r"public\.waypoint_heartbeat"]


def test_changes_of_tracked_tables_go_to_the_topic_and_heartbeats_do_not() -> None:
    config = connector_config(shop(), Path("/secrets"))

    def routed(topic: str) -> str:
        for name in config["transforms"].split(","):
            place = f"transforms.{name}"
            if re.fullmatch(config[f"{place}.regex"], topic):
                topic = config[f"{place}.replacement"]
        return topic

    assert routed("my_shop.public.users") == "changes"
    assert routed("my_shop.public.or.ders") == "changes"
    assert routed("my_shop.message") == "changes"
    assert routed("my_shop.public.usersx") == "my_shop.public.usersx"
    assert routed("my_shop.public.orXders") == "my_shop.public.orXders"
    assert routed("my_shop.public.waypoint_heartbeat") == "__debezium-heartbeat.my_shop"


def test_passwords_stand_in_no_configuration_and_no_script() -> None:
    for one in (shop(), shop(password="${file:/etc/connect.properties:shop}")):
        config = connector_config(one, Path("/secrets"))
        assert "s3cr3t" not in json.dumps(config) + database.script(one) + repr(one)
        assert config["database.password"].startswith("${file:/")
    with pytest.raises(UnusableInput):
        connector_config(shop())
    with pytest.raises(UnusableInput):
        connector_config(shop(password="s3cr3t"))


def test_a_password_comes_out_of_the_file_of_secrets_as_it_went_in(tmp_path: Path) -> None:
    path = tmp_path / "secrets.properties"
    kept = {"a.password": " =:#!\\u0041 ü東😀'\" ", "b": ""}
    write_secrets(path, kept)

    assert read_secrets(path) == kept
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "wrong",
    [
        source(kind="rest"),
        source(topic="unknown"),
        source(name="No Name"),
        source(slot="x"),
        source(dsn="postgresql://capturer:s3cr3t@/shop?host=/run/postgresql"),
        source(dsn="postgresql://capturer:s3cr3t@one,two/shop"),
        source(dsn="postgresql://:s3cr3t@db.example/shop"),
        source(dsn="no s3cr3t dsn"),
    ],
)
def test_what_cannot_be_captured_is_said_without_the_password(wrong: Source) -> None:
    with pytest.raises(UnusableInput) as raised:
        tracked(wrong, TOPICS)
    assert "my-shop" in str(raised.value)
    assert "s3cr3t" not in str(raised.value) + raised.value.hint


def test_this_projects_database_is_captured_into_its_topic() -> None:
    project = Project(root=ROOT, state=ROOT / "var")
    connected, left_out = tracked_databases(project, {"WAYPOINT_TRAVEL_BOOKING_DSN": DSN})
    assert [one.topic for one in connected] == ["topic_cdc_changes"]
    assert not left_out
    connected, left_out = tracked_databases(project, {})
    assert not connected
    assert [one.name for one in left_out] == ["travel_booking"]


def test_sinks_are_rendered_for_the_topics_that_land_and_name_no_secret() -> None:
    contracts = Project(root=ROOT, state=ROOT / "var").contracts
    sinks = {one.config["topics"]: one for one in sink_connectors(contracts)}

    changes = sinks["topic_cdc_changes"]
    assert changes.config["errors.deadletterqueue.topic.name"] == "topic_cdc_changes.dlq"
    assert changes.config["snowflake.private.key"].startswith("${file:")
    assert "insert into raw.cdc_changes" in changes.sql
    for one in sinks.values():
        assert json.loads(one.text[one.text.index("{\n") :])["name"] == one.connector


# the worker


def test_a_worker_that_is_away_is_said_without_its_password() -> None:
    project = Project(root=ROOT, state=ROOT / "var" / "none")
    worker = Worker.of(project, {WORKER_VARIABLE: "http://admin:s3cr3t@127.0.0.1:1"})
    with pytest.raises(Unavailable) as raised:
        worker.connectors()
    assert "s3cr3t" not in str(raised.value)
    with pytest.raises(Unavailable):
        Worker.of(project, {})


def test_a_failure_is_told_by_its_last_cause() -> None:
    trace = "org.X: it failed\n\tat a.b(C.java)\nCaused by: org.Y: the slot is gone\n\tat d.e\n"
    failed = {"connector": {"state": "RUNNING"}, "tasks": [{"state": "FAILED", "trace": trace}]}
    assert failure(failed) == "Caused by: org.Y: the slot is gone"
    assert failure({"connector": {"state": "RUNNING"}, "tasks": [{"state": "RUNNING"}]}) is None


# the database


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_shop(tmp_path_factory.mktemp("configured")) as found:
        yield found


def lacking(one: Tracked) -> list[str]:
    return [step.what for step in database.steps(one, database.inspect(one))]


def test_what_a_database_lacks_is_made_once_and_drift_is_mended(running: Shop) -> None:
    one = running.tracked("changes", name="made")
    assert lacking(one) == [
        "table public.waypoint_heartbeat",
        "replica identity of public.bookings",
        "replica identity of public.products",
        "replica identity of public.users",
        "publication waypoint_made",
    ]
    database.prepare(one, database.steps(one, database.inspect(one)))
    assert lacking(one) == []

    running.connection.execute("alter publication waypoint_made add table untracked")
    running.connection.execute("alter publication waypoint_made set (publish = 'insert')")
    running.connection.execute("alter table users replica identity nothing")
    assert lacking(one) == [
        "replica identity of public.users",
        "tables of publication waypoint_made",
        "operations of publication waypoint_made",
    ]
    database.prepare(one, database.steps(one, database.inspect(one)))
    assert lacking(one) == []


def test_the_rendered_script_makes_the_same_and_can_be_run_again(running: Shop) -> None:
    one = running.tracked("changes", name="scripted")
    for _ in range(2):
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute(database.script(one).encode())
        assert lacking(one) == []


def test_a_role_that_may_not_is_told_whom_to_ask(running: Shop) -> None:
    running.connection.execute("create role reader login")
    dsn = running.dsn.replace("postgres:", "reader:", 1)
    settings = {"dsn": dsn, "tables": {"users": "u"}, "capture": {"topic": "changes"}}
    one = tracked(Source("read-only", "postgres", settings), TOPICS)
    with pytest.raises(WaypointError) as raised:
        database.prepare(one, database.steps(one, database.inspect(one)))
    assert "waypoint capture render" in raised.value.hint
    assert "guessed" not in str(raised.value)


def test_a_table_that_is_not_there_is_named(running: Shop) -> None:
    settings = {"dsn": running.dsn, "tables": {"none": "n"}, "capture": {"topic": "changes"}}
    one = tracked(Source("shop", "postgres", settings), TOPICS)
    assert database.inspect(one).problems == ("there is no table public.none",)

"""Real event streams, clicks and logs come out by type, service and level, word for word."""

from __future__ import annotations

import json

import pytest
from duckdb import DuckDBPyConnection
from real_input.datasets import DataSets

pytestmark = [pytest.mark.real_input, pytest.mark.timeout(900)]


def test_github_events_by_type(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select event_type, count(*), count(distinct user_id) from staging.stg_app_events"
        " where app_type = 'api' group by event_type"
    ).fetchall()
    assert {kind: count for kind, count, _ in rows} == data.github.by_type()


def test_github_events_and_actors_by_five_minutes(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select window_start, event_type, events, unique_users from marts.app_event_counts_5m"
        " where app_type = 'api'"
    ).fetchall()
    assert {
        (window, kind): tuple(counts) for window, kind, *counts in rows
    } == data.github.by_window_and_type()


def test_github_payloads_come_through_whole(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select event_id, properties from staging.stg_app_events where app_type = 'api'"
    ).fetchall()
    assert {event: json.loads(text) for event, text in rows} == data.github.properties()


def test_requests_of_the_access_log_by_day(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select strftime(hour_at, '%Y-%m-%d'), sum(events) from marts.hourly_event_metrics"
        " where event_type = 'page_view' group by all"
    ).fetchall()
    assert dict(rows) == data.access_log.requests_by_day()


def test_addresses_and_bytes_of_the_access_log(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    ((users, size),) = warehouse.execute(
        "select count(distinct user_id), sum(cast(json_extract_string(properties, '$.bytes')"
        " as bigint)) from staging.stg_app_events where app_type = 'web'"
    ).fetchall()
    assert (users, size) == (data.access_log.addresses(), data.access_log.bytes_sent())


def test_the_line_that_was_cut_off_is_in_quarantine_as_it_stands(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute(
        "select line, payload, reason from raw.quarantine where table_name = 'app_events'"
    ).fetchall()
    ((number, line),) = (
        (number, line)
        for number, line in enumerate(data.access_log.lines, 1)
        if not line.endswith('"')
    )
    ((place, payload, reason),) = rows
    assert (place, payload) == (number, line)
    assert "is not a JSON object" in reason


def test_clicks_by_element(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select element_id, count(*) from staging.stg_clicks group by element_id"
    ).fetchall()
    ((without_category,),) = warehouse.execute(
        "select count(*) from staging.stg_clicks where page_url not like '%category=%'"
    ).fetchall()
    assert dict(rows) == data.rees46.by_type()
    assert without_category == data.rees46.without_category() == 366


def test_log_lines_by_service_and_level(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select service, level, count(*) from staging.stg_app_logs group by all"
    ).fetchall()
    assert {
        (service, level): count for service, level, count in rows
    } == data.loghub.by_service_and_level()


def test_log_messages_come_through_word_for_word(
    data: DataSets, warehouse: DuckDBPyConnection
) -> None:
    rows = warehouse.execute("select log_id, trim(message) from staging.stg_app_logs").fetchall()
    assert dict(rows) == data.loghub.messages()


def test_changes_by_operation(data: DataSets, warehouse: DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select operation, count(*) from staging.stg_cdc_changes group by operation"
    ).fetchall()
    ((tombstones,),) = warehouse.execute(
        "select count(*) from raw.cdc_changes where _payload is null"
    ).fetchall()
    assert dict(rows) == data.debezium.by_operation()
    assert tombstones == data.debezium.tombstones() > 0

"""Strings that are known to break programs, in every text that people and connectors send.

What they say is nonsense and stays nonsense; but the models build, and the contracts hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from models.dbt_warehouse import ROOT, DbtWarehouse, Row

STRINGS = ROOT.parent / "shared" / "data" / "conformance" / "blns" / "blns.json"
MODELS = [
    *(f"path:models/staging/{d}" for d in ("behaviour", "operations", "recommendations")),
    *(f"path:models/staging/{d}" for d in ("content", "market")),
    *(f"path:models/marts/{d}" for d in ("behaviour", "recommendations", "market")),
    "user_activity_10m",
    "place_features",
    "stg_users",
    "ref_cities",
    "ref_countries",
    # what rules of these look into
    "ref_currencies",
    "stg_bookings",
    "stg_orders",
]
AT = datetime(2026, 1, 10, 10)

pytestmark = pytest.mark.real_input


@pytest.fixture(scope="module")
def strings() -> list[str]:
    if not STRINGS.exists():
        pytest.skip(f"the strings are not there: {STRINGS}")
    numbers = ["NaN", "-Infinity", "1e400", "99999999999999999999999", "-0.0", "0x10"]
    return [*json.loads(STRINGS.read_text()), *numbers, "\x00", "a\x00b", "😀" * 1000]


def messages(number: int, text: str) -> Iterator[tuple[str, Row]]:
    """A message of every topic that says `text` wherever it can, and JSON that is only that."""
    plain = text.replace("\x00", "")  # a varchar holds none; JSON may escape one
    key = str(number)

    def named(*fields: str) -> str:
        return json.dumps(dict.fromkeys(fields, text))

    def data(**fields: Any) -> str:
        return json.dumps({**fields, **dict.fromkeys(("interaction_type", "place_id"), text)})

    where = {"lat": text, "lng": text, "accuracy": text}
    for part, properties in enumerate(
        (
            named("page", "price", "currency", "country", "processing_ms", "place_id"),
            json.dumps(text),
        )
    ):
        yield (
            "app_events",
            {
                "event_id": f"{part}-{key}",
                "event_type": plain,
                "user_id": 1,
                "session_id": plain,
                "app_type": "web",
                "properties": properties,
            },
        )
    yield "clickstream", {"click_id": key, "user_id": 1, "session_id": plain, "page_url": plain}
    yield "app_logs", {"log_id": key, "service": plain, "level": plain, "message": plain}
    context = dict.fromkeys(("recommendation_id", "position_in_results"), text)
    for part, said in enumerate(
        (data(rating=text, location=where, context=context), json.dumps(text))
    ):
        yield "user_interactions", {"event_id": f"{part}-{key}", "user_id": 1, "data": said}
    yield "location_events", {"event_id": key, "user_id": 1, "location": json.dumps(where)}
    item = dict.fromkeys(("place_id", "position", "score"), text)
    for part, items in enumerate((json.dumps([item]), json.dumps(text))):
        yield (
            "recommendation_logs",
            {
                "recommendation_id": f"{part}-{key}",
                "user_id": 1,
                "session_id": plain,
                "algorithm": plain,
                "model_version": plain,
                "items": items,
                "context": json.dumps(where),
            },
        )
    for part, kind in enumerate(
        (
            named("city", "temperature", "humidity"),
            named("platform", "engagement", "reach", "sentiment"),
            named("title", "link", "summary", "published"),
            named("place_id", "name", "category", "city", "country", "lat", "lng", "rating"),
        )
    ):
        yield "external_data", {"external_data_id": f"{part}-{key}", "source": plain, "data": kind}
    yield (
        "place_updates",
        {
            "event_id": key,
            "place_id": plain,
            "change": "created",
            "name": plain,
            "category": plain,
            "city": plain,
            "location": json.dumps(where),
            "source": "yelp",
        },
    )
    yield "market_quotes", {"symbol": plain, "price": 1, "volume": 1}
    source = {**dict.fromkeys(("table", "schema", "ts_ms", "lsn"), text), "key": number}
    envelope = {"op": "u", "before": {"a": text}, "after": text, "source": source, "ts_ms": text}
    yield "cdc_changes", {"_key": plain, "_payload": json.dumps(envelope)}
    yield "cdc_changes", {"_key": plain, "_payload": plain}
    own = ("table_name", "primary_key", "before_values", "after_values", "debezium_metadata")
    yield (
        "cdc_changes",
        {
            **dict.fromkeys(own, plain),
            "change_id": key,
            "operation": "UPDATE",
            "timestamp": AT,
        },
    )


def test_models_build_and_contracts_hold(
    strings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYPOINT_STATE", str(tmp_path))
    warehouse = DbtWarehouse.of_project(tmp_path)
    warehouse.invoke("run", "--select", "stg_cdc_changes")  # makes the raw tables
    rows: dict[str, list[Row]] = {}
    for number, text in enumerate(strings):
        for part, (table, row) in enumerate(messages(number, text)):
            time = {} if table == "cdc_changes" else {"timestamp": AT}
            place = {"_partition": 0, "_offset": number * 100 + part, "_kafka_timestamp": AT}
            rows.setdefault(table, []).append({**time, "_payload": "{}", **place, **row})
    for table, sent in rows.items():
        warehouse.insert(table, sent, AT)

    warehouse.invoke(
        "build", "--exclude-resource-type", "unit_test", "--exclude", "test_type:singular",
        "--indirect-selection", "buildable", "--select", *MODELS,
    )  # fmt: skip

    built = warehouse.tables()
    assert len(built["staging.stg_app_events"]) == 2 * len(strings)
    assert len(built["staging.stg_clicks"]) == len(strings)
    assert len(built["staging.stg_app_logs"]) == len(strings)

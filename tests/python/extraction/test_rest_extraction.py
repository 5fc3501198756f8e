"""What a list API says lands once, whatever happens on the way."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from extraction.world import Warehouse, column

from ingestion.extraction import Outcome, Source
from ingestion.http_lists import SourceRefused, UnusableAnswer
from ingestion.json_items import read_page
from waypoint.errors import Unavailable, UnusableInput
from waypoint.simulator.stripe_api import ChargeStore, Fault, StripeApi, random_faults, serving

KEY = "sk_test_dontshowthis1234"
DAY = 86_400
START = int(datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp())
CHARGES = [
    column("id", "varchar", primaryKey=True, required=True),
    column("amount", "bigint", required=True, logicalTypeOptions={"minimum": 0}),
    column("amount_refunded", "bigint"),
    column("created", "bigint", required=True),
    {"name": "metadata", "logicalType": "object", "physicalType": "varchar"},
    column("_payload", "varchar", required=True),
]
PAGINATION = {
    "style": "cursor",
    "parameter": "starting_after",
    "items": "data",
    "more": "has_more",
    "size": 10,
}
INCREMENTAL = {"field": "created", "parameter": "created[gte]", "lookback": "30 days"}


def charge(number: int, created: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": f"ch_{number:04d}",
        "object": "charge",
        "amount": 1000 + number,
        "amount_refunded": 0,
        "created": START + number * 3600 if created is None else created,
        "metadata": {"order_id": str(number)},
        **more,
    }


@dataclass
class Processor:
    """A card processor of our own: its charges, its API, and the source that reads it."""

    store: ChargeStore
    api: StripeApi
    trouble: dict[int, Any] = field(default_factory=dict)  # request number → Fault or callable

    def source(self, *, resource: dict[str, Any] | None = None, **settings: Any) -> Source:
        entry = {
            "path": "/v1/charges",
            "table": "charges",
            "pagination": PAGINATION,
            "incremental": INCREMENTAL,
            **(resource or {}),
        }
        given = {
            "base_url": self.api.url,
            "token": KEY,
            "patience": {"attempts": 4, "first_wait": 0.01, "longest_wait": 2, "timeout": 5},
            "resources": [entry],
        }
        return Source("stripe", "rest", {**given, **settings})


@pytest.fixture
def processor(tmp_path: Path, warehouse: Warehouse) -> Iterator[Processor]:
    """25 charges, an hour apart, and a contract for them."""
    warehouse.contract("charges", CHARGES, deleted=False)
    store = ChargeStore(tmp_path / "charges.sqlite")
    store.upsert(charge(number) for number in range(25))
    trouble: dict[int, Any] = {}

    def faults(number: int) -> Fault | None:
        found = trouble.get(number)
        return found() if callable(found) else found

    with serving(store, KEY, faults=faults) as api:
        yield Processor(store, api, trouble)


def ids(warehouse: Warehouse) -> list[str]:
    return [row[0] for row in warehouse.rows("charges", "id", "_batch, id")]


# what lands


def test_all_pages_land_at_first(processor: Processor, warehouse: Warehouse) -> None:
    (outcome,) = warehouse.extract(processor.source())
    assert outcome == Outcome("stripe", "charges", "stripe-000001", read=25, landed=25)
    assert ids(warehouse) == [f"ch_{number:04d}" for number in range(25)]
    assert len(processor.api.requests) == 3
    assert warehouse.footers("charges")[0].position["value"] == "2026-01-02T00:00:00"
    first = warehouse.rows("charges", "amount, metadata, _source", "id")[0]
    assert first == (1000, '{"order_id":"0"}', "stripe")


def test_records_are_kept_as_sent(processor: Processor, warehouse: Warehouse) -> None:
    sent = (
        '{ "id":"ch_odd", "amount" : 7, "created": 1767225600, "big": 12345678901234567890123,'
        ' "n":1.10,'
        ' "s":"Zo\\u00eb \\ud83d\\ude80 \\u0000 \\"x\\"", "metadata": {"a" : [1, "2.50"]} }'
    )
    processor.store.upsert([sent])
    warehouse.extract(processor.source())
    rows = warehouse.rows("charges", "id, _payload, metadata")
    assert rows[-1] == ("ch_odd", sent, '{"a":[1,"2.50"]}')


def test_nothing_new_lands_nothing(processor: Processor, warehouse: Warehouse) -> None:
    warehouse.extract(processor.source())
    (outcome,) = warehouse.extract(processor.source())
    assert outcome == Outcome("stripe", "charges", None, read=25, unchanged=25)
    assert warehouse.files("charges") == ["stripe-000001"]


def test_an_empty_list_lands_nothing(tmp_path: Path, warehouse: Warehouse) -> None:
    warehouse.contract("charges", CHARGES, deleted=False)
    with serving(ChargeStore(tmp_path / "none.sqlite"), KEY) as api:
        source = Processor(ChargeStore(tmp_path / "none.sqlite"), api).source()
        assert warehouse.extract(source) == [Outcome("stripe", "charges", None)]


def test_later_reads_go_back_by_the_lookback_only(
    processor: Processor, warehouse: Warehouse
) -> None:
    processor.store.upsert([charge(900, START + 60 * DAY)])
    warehouse.now = datetime(2027, 1, 1)
    warehouse.extract(processor.source())
    processor.store.upsert([charge(901, START + 61 * DAY)])
    (outcome,) = warehouse.extract(processor.source())
    assert (outcome.read, outcome.landed, outcome.unchanged) == (2, 1, 1)
    assert f"created%5Bgte%5D={START + 30 * DAY}" in processor.api.requests[-1]


def test_a_refund_of_an_old_charge_lands_as_a_new_version(
    processor: Processor, warehouse: Warehouse
) -> None:
    warehouse.extract(processor.source())
    processor.store.upsert([charge(3, amount_refunded=500), charge(25)])
    (outcome,) = warehouse.extract(processor.source())
    assert (outcome.read, outcome.landed, outcome.unchanged) == (26, 2, 24)
    rows = warehouse.rows("charges", "id, amount_refunded, _batch", "id, _batch")
    assert [row for row in rows if row[0] == "ch_0003"] == [
        ("ch_0003", 0, "stripe-000001"),
        ("ch_0003", 500, "stripe-000002"),
    ]


def test_a_field_outside_the_contract_makes_no_new_version(
    processor: Processor, warehouse: Warehouse
) -> None:
    warehouse.extract(processor.source())
    processor.store.upsert([charge(3, receipt_url="https://example.com/?token=new")])
    assert warehouse.extract(processor.source())[0].landed == 0


def test_a_full_refresh_reads_everything_and_lands_differences(
    processor: Processor, warehouse: Warehouse
) -> None:
    processor.store.upsert([charge(900, START + 60 * DAY)])
    warehouse.now = datetime(2027, 1, 1)
    warehouse.extract(processor.source())
    processor.store.upsert([charge(3, amount_refunded=500)])  # beyond the lookback
    assert warehouse.extract(processor.source())[0].landed == 0
    (outcome,) = warehouse.extract(processor.source(), full_refresh=True)
    assert (outcome.read, outcome.landed, outcome.unchanged) == (26, 1, 25)
    assert warehouse.extract(processor.source(), full_refresh=True)[0].landed == 0


def test_records_from_the_future_do_not_hide_the_others(
    processor: Processor, warehouse: Warehouse
) -> None:
    processor.store.upsert([charge(900, START + 400_000 * DAY)])
    warehouse.extract(processor.source())
    assert warehouse.footers("charges")[0].position["value"] == "2026-01-02T00:00:00"
    processor.store.upsert([charge(25)])
    assert warehouse.extract(processor.source())[0].landed == 1


def test_charges_made_while_pages_are_read_are_neither_lost_nor_doubled(
    processor: Processor, warehouse: Warehouse
) -> None:
    def insert() -> None:
        processor.store.upsert([charge(100), charge(101)])

    processor.trouble[2] = insert
    (outcome,) = warehouse.extract(processor.source())
    assert outcome.landed == 25  # newest first: they came before the pages that were still to read
    (outcome,) = warehouse.extract(processor.source())
    assert outcome.landed == 2
    assert len(ids(warehouse)) == len(set(ids(warehouse))) == 27


def test_records_that_break_the_contract_are_quarantined_once(
    processor: Processor, warehouse: Warehouse
) -> None:
    processor.store.upsert([charge(30, amount=-5), charge(31, amount="much")])
    (outcome,) = warehouse.extract(processor.source())
    assert (outcome.read, outcome.landed, outcome.rejected) == (27, 25, 2)
    rows = warehouse.rows("quarantine", "field, value, payload->>'id'", "3")
    assert rows == [("amount", "-5", "ch_0030"), ("amount", "much", "ch_0031")]
    (outcome,) = warehouse.extract(processor.source())
    assert (outcome.batch, outcome.rejected, outcome.unchanged) == (None, 0, 27)
    processor.store.upsert([charge(30)])
    assert warehouse.extract(processor.source())[0].landed == 1


# a server that is not well


@pytest.mark.parametrize("fault", [Fault(429), Fault(500), Fault(502), Fault(503), Fault()])
def test_passing_errors_are_waited_out(
    processor: Processor, warehouse: Warehouse, fault: Fault
) -> None:
    processor.trouble.update({1: fault, 3: fault, 4: fault})
    assert warehouse.extract(processor.source())[0].landed == 25
    assert len(processor.api.requests) == 6


def test_a_time_out_is_tried_again(processor: Processor, warehouse: Warehouse) -> None:
    processor.trouble[2] = Fault(stall=20)
    patience = {"attempts": 3, "first_wait": 0.01, "longest_wait": 1, "timeout": 0.3}
    assert warehouse.extract(processor.source(patience=patience))[0].landed == 25


def test_retry_after_is_honoured(
    processor: Processor, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    processor.trouble[2] = Fault(429, retry_after=1.5)
    warehouse.extract(processor.source())
    assert len(waited) == 1 and 1.5 <= waited[0] <= 2.5


def test_waits_grow_and_differ(
    processor: Processor, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    processor.trouble.update(dict.fromkeys(range(1, 100), Fault(500)))
    patience = {"attempts": 30, "first_wait": 1, "longest_wait": 60}
    with pytest.raises(Unavailable):
        warehouse.extract(processor.source(patience=patience))
    assert len(waited) == 29
    assert waited[0] <= 1 and max(waited) <= 60 and max(waited[10:]) > 10
    assert len(set(waited)) == 29


def test_a_server_that_asks_for_too_much_patience_is_left(
    processor: Processor, warehouse: Warehouse
) -> None:
    processor.trouble[2] = Fault(429, retry_after=3600)
    with pytest.raises(Unavailable, match="asks to come back in 3600 s"):
        warehouse.extract(processor.source())
    assert (warehouse.files("charges"), warehouse.leftovers()) == ([], [])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(429), "answered 429 to 4 requests: Request rate limit exceeded"),
        (Fault(500), "answered 500 to 4 requests: An unknown error occurred"),
        (Fault(), r"cannot be reached \(4 requests\)"),
    ],
)
def test_a_server_that_stays_unwell_lands_nothing_and_the_next_run_carries_on(
    processor: Processor, warehouse: Warehouse, fault: Fault, words: str
) -> None:
    processor.trouble.update(dict.fromkeys(range(3, 7), fault))
    with pytest.raises(Unavailable, match=words):
        warehouse.extract(processor.source())
    assert (warehouse.files("charges"), warehouse.leftovers()) == ([], [])
    assert warehouse.extract(processor.source())[0].landed == 25


def test_random_faults_are_the_same_for_the_same_seed(
    processor: Processor, warehouse: Warehouse
) -> None:
    def faults(seed: int) -> list[Fault | None]:
        chosen = random_faults(seed, rate_limited=0.1, failing=0.1, stalling=0.05)
        return [chosen(number) for number in range(400)]

    assert faults(1) == faults(1) != faults(2)
    assert 60 < sum(fault is not None for fault in faults(1)) < 140
    processor.trouble.update({n: f for n, f in enumerate(faults(1)) if f and f.status == 500})
    assert warehouse.extract(processor.source())[0].landed == 25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"token": "sk_test_alsosecret9999"}, "answered 401: Invalid API Key provided"),
        ({"token": None}, "answered 401: You did not provide an API key"),
        ({"resource": {"path": "/v1/charge"}}, "answered 404: Unrecognized request URL"),
        ({"resource": {"parameters": {"limit": 500}}}, None),
        ({"resource": {"parameters": {"colour": "red"}}}, "answered 400: .*parameter: colour"),
    ],
)
def test_what_a_server_refuses_is_said_and_not_repeated(
    processor: Processor, warehouse: Warehouse, change: dict[str, Any], words: str | None
) -> None:
    if words is None:
        pagination = {**PAGINATION, "size": 500}
        change, words = {"resource": {"pagination": pagination}}, "answered 400: Limit must be less"
    with pytest.raises(SourceRefused, match=words) as caught:
        warehouse.extract(processor.source(**change))
    assert len(processor.api.requests) == 1
    assert caught.value.hint
    shown = f"{caught.value} {caught.value.hint}"
    assert KEY not in shown and "alsosecret" not in shown


def test_a_server_that_is_not_there(warehouse: Warehouse, processor: Processor) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        source = processor.source(base_url=f"http://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1 cannot be reached"):
            warehouse.extract(source)


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that answers every request with `body`."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>hello</html>", "has '<html>hell' where '{' was expected"),
        (b"", "has '' where '{' was expected"),
        (b'{"data": [1, 2', "is not JSON|was expected"),
        (b'{"items": []}', "has no list 'data'"),
        (b'{"data": {}}', "has no list 'data'"),
        (b'{"data": []} x', "goes on after its end"),
        (b'{"data": ["\xff"]}', "is not JSON"),
        (b'{"data": [{"x": 1}], "has_more": true}', "has no 'id'"),
        (b'{"data": [{"id": 1, "created": 5}], "has_more": true}', "is the same again"),
        (b"[" * 100_000, "is not JSON|was expected"),
    ],
)
def test_answers_of_another_shape_are_errors(
    processor: Processor, warehouse: Warehouse, body: bytes, words: str
) -> None:
    with answering(body) as url, pytest.raises(UnusableAnswer, match=words):
        warehouse.extract(processor.source(base_url=url))
    assert (warehouse.files("charges"), warehouse.leftovers()) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [1, null, "x", [2], {"id": null}, {"id": "a", "amount": 1, "created": NaN}]}',
        b'{"data": [{"id": "\\ud800", "amount": 1e400, "created": 1}, {"id": {"a": 1}}, {}]}',
    ],
)
def test_records_that_are_none_are_quarantined(
    processor: Processor, warehouse: Warehouse, body: bytes
) -> None:
    records = json.loads(body)["data"]
    with answering(body) as url:
        (outcome,) = warehouse.extract(processor.source(base_url=url))
    assert (outcome.read, outcome.landed, outcome.rejected) == (len(records), 0, len(records))


def test_lists_counted_in_pages_are_read_too(processor: Processor, warehouse: Warehouse) -> None:
    pages = {"style": "page", "parameter": "page", "size": 2}
    with answering(b'[{"id": "a", "amount": 1, "created": 1}]') as url:
        resource = {"pagination": pages, "incremental": None}
        (outcome,) = warehouse.extract(processor.source(base_url=url, resource=resource))
    assert outcome.landed == 1


def test_a_record_that_comes_twice_lands_once_as_it_came_last(
    processor: Processor, warehouse: Warehouse
) -> None:
    body = b'{"data": [{"id":"a","amount":1,"created":1},{"id":"a","amount":2,"created":1}]}'
    with answering(body) as url:
        (outcome,) = warehouse.extract(processor.source(base_url=url))
    assert (outcome.read, outcome.landed, outcome.unchanged) == (2, 1, 1)
    assert warehouse.rows("charges", "amount") == [(2,)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"resources": []}, "declares no resources"),
        ({"base_url": ""}, "has no base_url"),
        ({"base_url": "charges"}, "UnsupportedProtocol|cannot be|protocol"),
        ({"tokn": "x"}, "unknown setting 'tokn'"),
        ({"token": "a\nb"}, "characters that no key has"),
        ({"patience": {"attemps": 3}}, "patience: unknown setting 'attemps'"),
        ({"resource": {"table": "nowhere"}}, "raw.nowhere, which has no contract"),
        ({"resource": {"pagination": {"style": "magic"}}}, "unknown pagination style 'magic'"),
        ({"resource": {"incremental": {"field": "created"}}}, "incremental: .*parameter"),
        ({"resource": {"incremental": {**INCREMENTAL, "lookback": "long"}}}, "not a duration"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    processor: Processor, warehouse: Warehouse, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises((UnusableInput, Unavailable), match=words):
        warehouse.extract(processor.source(**settings))
    assert not processor.api.requests


def test_many_records_are_read_in_little_memory(tmp_path: Path, warehouse: Warehouse) -> None:
    warehouse.contract("charges", CHARGES, deleted=False)
    store = ChargeStore(tmp_path / "many.sqlite")
    store.upsert(charge(n, START + n, description="x" * 500) for n in range(12_000))
    pagination = {**PAGINATION, "size": 100}
    with serving(store, KEY) as api:
        source = Processor(store, api).source(resource={"pagination": pagination})
        (outcome,) = warehouse.extract(source)
        assert (outcome.landed, len(api.requests)) == (12_000, 120)
        store.upsert(charge(n, START + n, amount=1) for n in range(5_990, 6_010))
        assert warehouse.extract(source)[0].landed == 20


# taking pages apart


@pytest.mark.parametrize(
    ("text", "name", "texts"),
    [
        ('{"data":[]}', "data", []),
        (' { "a" : 1 , "data" : [ {"x": 1} , 2.50,"s" ] , "b":[3] } ', "data",
         ['{"x": 1}', "2.50", '"s"']),
        ("[1, [2, 3] ]", None, ["1", "[2, 3]"]),
        ('{"d\\u0061ta":[1]}', "data", ["1"]),
    ],
)  # fmt: skip
def test_records_are_cut_out_of_a_page(text: str, name: str | None, texts: list[str]) -> None:
    page = read_page(text, name)
    assert list(page.texts) == texts
    assert list(page.items) == [json.loads(item) for item in texts]


def test_the_lookback_reaches_the_server(processor: Processor, warehouse: Warehouse) -> None:
    warehouse.extract(processor.source())
    resource = {"incremental": {**INCREMENTAL, "lookback": "2 h"}}
    (outcome,) = warehouse.extract(processor.source(resource=resource))
    assert outcome.read == 3
    expected = START + int(timedelta(hours=22).total_seconds())
    assert f"created%5Bgte%5D={expected}" in processor.api.requests[-1]

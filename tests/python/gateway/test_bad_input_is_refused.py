"""What breaks the contract, or is no event at all, is refused with the field and the reason."""

from __future__ import annotations

import gzip
import json
import socket

import pytest
from gateway.served import Brokers, Running, event, refusal, text

ID = "3f2a1c9e-1111-4222-8333-abcdefabcdef"


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"user_id": -1}, "user_id", "-1 is below 0"),
        ({"user_id": "12"}, "user_id", '"12" is not a whole number'),
        ({"user_id": None}, "user_id", "null is not a whole number"),
        ({"user_id": True}, "user_id", "true is not a whole number"),
        ({"user_id": 5.5}, "user_id", "5.5 is not a whole number"),
        ({"user_id": 1e17}, "user_id", "1e+17 is not written as a whole number"),
        ({"user_id": 2**63}, "user_id", "is above 9223372036854775807"),
        ({"user_id": 10**300}, "user_id", "is above 9223372036854775807"),
        ({"event_id": "3f2a"}, "event_id", '"3f2a" does not match the pattern'),
        ({"event_id": ID + "\n"}, "event_id", "does not match the pattern"),
        ({"event_id": 7}, "event_id", "7 is not a text"),
        ({"app_type": "fridge"}, "app_type", '"fridge" is not one of mobile, web, booking, api'),
        ({"timestamp": "yesterday"}, "timestamp", '"yesterday" '),
        ({"timestamp": "2026-02-30T10:00:00Z"}, "timestamp", "is no "),
        ({"timestamp": "2026-01-31T23:59:60Z"}, "timestamp", "is no time that there is"),
        ({"timestamp": "0001-01-01T00:00:00+01:00"}, "timestamp", "is no time that there is"),
        ({"timestamp": 1769853600000}, "timestamp", "1769853600000 is not a text"),
        ({"properties": [1]}, "properties", "[1] is not an object or null"),
        ({"session_id": {"$gt": ""}}, "session_id", '{"$gt":""} is not a text or null'),
        ({"experiment": "a"}, "experiment", "is no field of the contract"),
    ],
)
def test_the_field_and_the_reason_are_said(gateway: Running, fields, field, reason):
    answer = gateway.post("user", event(**fields))

    assert answer.status_code == 422
    assert reason in refusal(answer)[field]


def test_all_that_is_wrong_is_said_at_once(gateway: Running):
    wrong = event(user_id=-1, app_type="fridge", more=1)
    del wrong["timestamp"]

    reasons = refusal(gateway.post("user", wrong))

    assert set(reasons) == {"user_id", "app_type", "more", "timestamp"}
    assert reasons["timestamp"] == "is missing"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{",
        b'{"user_id": NaN}',
        b'{"user_id": Infinity}',
        b'{"user_id": 1e400}',
        b'{"user_id": 1,}',
        b"\xff\xfe{\x00}\x00",  # UTF-16
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",  # a byte order mark
        b'{"session_id": "\xe9"}',  # Latin-1
        b'{"session_id": "\\ud800"}',  # half a character
        b'{"properties": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: repr(body[:16]),
)
@pytest.mark.parametrize("endpoint", ["user", "batch"])
def test_what_is_no_json_is_a_bad_request(gateway: Running, endpoint: str, body: bytes):
    answer = gateway.post(endpoint, body if endpoint == "user" else b"[" + body + b"x]")

    assert answer.status_code in (400, 413)
    assert answer.status_code == 400 or len(body) > 100_000


@pytest.mark.parametrize("body", [b"[]", b"42", b'"a text"', b"null", b"true"])
def test_what_is_no_object_is_refused(gateway: Running, body: bytes):
    assert gateway.post("user", body).status_code == 422
    assert gateway.post("batch", body).status_code in (400, 422)


def test_nesting_that_readers_do_not_follow_is_refused_and_other_nesting_is_not(gateway: Running):
    def nested(levels: int) -> bytes:
        inner = b'{"a":' * levels + b"1" + b"}" * levels
        return text(event(properties=None)).replace(b'"properties": null', b'"properties":' + inner)

    assert gateway.post("user", nested(100)).status_code == 202
    answer = gateway.post("user", nested(300))
    assert answer.status_code == 400
    assert "levels deep" in refusal(answer)[""]


@pytest.mark.parametrize("again", [b'"user_id": 13', b'"user\\u005fid": 13'])
def test_a_field_that_stands_twice_is_refused_for_readers_differ(gateway: Running, again: bytes):
    twice = text(event())[:-1] + b", " + again + b"}"

    answer = gateway.post("user", twice)

    assert answer.status_code == 422
    assert refusal(answer) == {"user_id": "stands there twice"}


NEIGHBOURS = [
    b'{"user_id": NaN}',
    b'{"session_id": "\xe9\xff"}',
    b'{"session_id": "\\ud800, [}"}',
    b"01",
    b"nonsense",
    b"",
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b'{"properties": {"text": "' + b"x" * 120_000 + b'"}}',
    text(event(event_id="7c7ff2a8-0b2e-4b7a-9a53-3f3b1a3d6f10", user_id=10**400)),
    b"null",
]


@pytest.mark.parametrize("wrong", NEIGHBOURS, ids=lambda body: repr(body[:20]))
def test_good_neighbours_of_a_broken_event_are_taken(
    gateway: Running, brokers: Brokers, wrong: bytes
):
    good = [text(event(user_id=number, properties={"s": '"]},{['})) for number in range(3)]

    answer = gateway.post("batch", b"[" + b",\n ".join([good[0], wrong, *good[1:]]) + b"]")

    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [result["status"] == 202 for result in results] == [True, False, True, True]
    assert results[1]["errors"]
    found = brokers.messages()
    taken = [found[r["partition"], r["offset"]].value() for r in results if r["status"] == 202]
    assert taken == good


def test_a_list_whose_end_is_missing_is_refused_whole(gateway: Running, brokers: Brokers):
    before = len(brokers.messages())

    for broken in (b"[%s, %s", b"[%s, %s}", b'[%s, "%s]', b"[%s, %s] more", b"[%s]]%s"):
        assert gateway.post("batch", broken % (text(event()), text(event()))).status_code == 400

    assert len(brokers.messages()) == before


def test_a_body_that_is_too_long_is_refused_before_it_is_read(gateway: Running):
    huge = text(event(properties={"text": "x" * 10_000_000}))
    for endpoint in ("user", "batch"):
        answer = gateway.post(endpoint, huge)
        assert answer.status_code == 413
        assert "300,000 bytes" in refusal(answer)[""]
    # without a length, in parts
    parts = (huge[start : start + 65_536] for start in range(0, len(huge), 65_536))
    answer = gateway.http.post(
        "/events/user", content=parts, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


def test_an_event_that_is_too_long_is_refused(gateway: Running):
    answer = gateway.post("user", event(properties={"text": "x" * 150_000}))

    assert answer.status_code == 413
    assert "100,000 bytes" in refusal(answer)[""]


def test_a_batch_of_none_or_too_many_is_refused(gateway: Running):
    assert gateway.post("batch", b" [ ] ").status_code == 422
    answer = gateway.post("batch", b"[" + b",".join([b"{}"] * 1_001) + b"]")
    assert answer.status_code == 413
    assert "1,000 at most" in refusal(answer)[""]


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Content_Type": "text/plain"}, "Content-Type"),
        ({"Content_Type": ""}, "Content-Type"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, "Content-Type"),
        ({"Content_Type": "application/json; charset=latin-1"}, "Content-Type"),
        ({"Content_Encoding": "gzip"}, "Content-Encoding"),
        ({"Content_Encoding": "br, gzip"}, "Content-Encoding"),
    ],
)
def test_types_and_encodings_that_are_not_read_are_refused(gateway: Running, headers, field):
    body = gzip.compress(text(event())) if "Content_Encoding" in headers else text(event())

    answer = gateway.post("user", body, **headers)

    assert answer.status_code == 415
    assert field in refusal(answer)


def test_json_may_say_its_character_set(gateway: Running):
    kind = 'Application/JSON; charset="UTF-8"'
    assert gateway.post("user", event(), Content_Type=kind).status_code == 202


def test_addresses_and_methods_that_there_are_not_answer_in_the_same_shape(gateway: Running):
    missing, wrong = gateway.post("nothing", b"{}"), gateway.http.put("/events/user")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert refusal(missing) and refusal(wrong)
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "request_text",
    [
        b"POST /events/user HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n{}",
        b"POST /events/user HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n{}",
        b"POST /events/user HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
    ids=range(5),
)
def test_what_is_no_http_breaks_nothing(gateway: Running, request_text: bytes):
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request_text)
        connection.shutdown(socket.SHUT_WR)
        said = connection.recv(4096)

    assert said.startswith(b"HTTP/1.1 4") or said == b""
    assert gateway.post("user", event()).status_code == 202


def test_a_body_that_does_not_come_is_not_waited_for(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ingestion.gateway.bodies.READ_SECONDS", 0.2)
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = "POST /events/user HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 500\r\n\r\n{{".encode())

        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_naughty_strings_are_taken_as_they_are_or_refused(
    gateway: Running, brokers: Brokers, naughty_strings: list[str]
):
    batch = [event(session_id=one, properties={one: one}) for one in naughty_strings]
    batch += [event(event_type=one) for one in naughty_strings]

    results = []
    for first in range(0, len(batch), 500):
        answer = gateway.post("batch", batch[first : first + 500])
        assert answer.status_code == 202, answer.text
        results += answer.json()["results"]

    found = brokers.messages()
    for sent, result in zip(batch, results, strict=True):
        assert json.loads(found[result["partition"], result["offset"]].value()) == sent


@pytest.mark.parametrize("field", ["event_id", "user_id", "app_type", "timestamp", "properties"])
def test_naughty_strings_where_none_belongs_are_refused_with_the_field(
    gateway: Running, naughty_strings: list[str], field: str
):
    answer = gateway.post("batch", [event(**{field: one}) for one in naughty_strings])

    assert answer.status_code == 422
    for result in answer.json()["results"]:
        assert [problem["field"] for problem in result["errors"]] == [field]


def test_naughty_strings_instead_of_events_and_headers_break_nothing(
    gateway: Running, naughty_strings: list[str]
):
    for one in naughty_strings:
        raw = one.encode("utf-8", "surrogatepass")
        assert gateway.post("user", raw).status_code in (400, 422)
        assert gateway.post("batch", b"[" + raw + b"]").status_code in (400, 422)
        kind = "".join(sign for sign in one if sign.isprintable()).strip().encode()
        answer = gateway.http.post(
            "/events/user", content=b"{}", headers={"Content-Type": kind, "X-API-Key": kind}
        )
        assert 400 <= answer.status_code < 500

"""Events that keep their contract are in the topic when they are acknowledged."""

from __future__ import annotations

import json

import pytest
from gateway.served import TOPIC, Brokers, Running, event, text


def placed(answer: dict) -> tuple[int, int]:
    return answer["partition"], answer["offset"]


def test_an_acknowledged_event_is_in_the_topic_where_the_answer_says(
    gateway: Running, brokers: Brokers
):
    body = text(event(properties={"price": 12.10, "page": "/é"}))

    answer = gateway.post("user", body)

    assert answer.status_code == 202
    message = brokers.messages()[placed(answer.json())]
    assert message.value() == body
    assert message.key() == b"12"
    assert answer.json()["topic"] == message.topic() == TOPIC


@pytest.mark.parametrize(
    "body",
    [
        b'{"price": 0.1000000000000000055511151231257827, "n": 123456789012345678901234567890}',
        b'{"price": 1.50,\n\t"e": 1E2, "text": "\\u00e9\\/"}',
    ],
    ids=["many digits", "ways of writing"],
)
@pytest.mark.parametrize("endpoint", ["user", "batch"])
def test_what_was_sent_arrives_byte_for_byte(
    gateway: Running, brokers: Brokers, endpoint: str, body: bytes
):
    whole = text(event())[:-1] + b', "properties": ' + body + b"}"
    whole = whole.replace(b', "properties": {"page": "/home"}', b"", 1)

    answer = gateway.post(endpoint, whole if endpoint == "user" else b"[" + whole + b"]")

    assert answer.status_code == 202, answer.text
    said = answer.json()
    place = placed(said if endpoint == "user" else said["results"][0])
    assert brokers.messages()[place].value() == whole


def test_the_same_key_is_always_in_the_same_partition(gateway: Running):
    batch = [event(user_id=number % 7) for number in range(70)]

    results = gateway.post("batch", batch).json()["results"]

    partitions = {}
    for sent, result in zip(batch, results, strict=True):
        partitions.setdefault(sent["user_id"], set()).add(result["partition"])
    assert all(len(found) == 1 for found in partitions.values())
    assert len(set.union(*partitions.values())) > 1


def test_a_whole_number_is_the_same_key_however_it_is_written(gateway: Running, brokers: Brokers):
    places = [placed(gateway.post("user", event(user_id=value)).json()) for value in (5, 5.0)]

    found = brokers.messages()
    assert [found[place].key() for place in places] == [b"5", b"5"]


def test_each_endpoint_takes_its_own_types_and_the_batch_takes_all(gateway: Running):
    booked, looked, custom = (
        event(event_type=kind) for kind in ("booking_created", "search", "our_own_experiment")
    )

    assert gateway.post("user", looked).status_code == 202
    assert gateway.post("booking", booked).status_code == 202
    assert gateway.post("batch", [booked, looked, custom]).status_code == 202
    for endpoint, wrong in (("user", booked), ("user", custom), ("booking", looked)):
        answer = gateway.post(endpoint, wrong)
        assert answer.status_code == 422
        [problem] = answer.json()["errors"]
        assert problem["field"] == "event_type"
        assert wrong["event_type"] in problem["reason"]


def test_a_batch_answers_for_each_event_in_its_order(gateway: Running, brokers: Brokers):
    batch = [event(user_id=1), event(user_id=-1), event(user_id=2), event(app_type="fridge")]

    answer = gateway.post("batch", batch)

    said = answer.json()
    assert answer.status_code == said["status"] == 207
    assert (said["accepted"], said["refused"]) == (2, 2)
    assert [result["status"] for result in said["results"]] == [202, 422, 202, 422]
    fields = [r["errors"][0]["field"] for r in said["results"] if r["status"] == 422]
    assert fields == ["user_id", "app_type"]
    found = brokers.messages()
    for place in (0, 2):
        value = found[placed(said["results"][place])].value()
        assert json.loads(value) == batch[place]


def test_a_batch_of_which_nothing_was_taken_says_so_by_its_status(gateway: Running):
    assert gateway.post("batch", [event(user_id=-1)] * 3).status_code == 422
    assert gateway.post("batch", b'[{"a": NaN}, {"b": NaN}]').status_code == 400


def test_a_batch_may_be_lines_of_which_a_broken_one_spoils_no_other(gateway: Running):
    lines = [text(event()), b'{"event_id": "3f', b"", b"\xff\xfe", text(event())]

    answer = gateway.post("batch", b"\n".join(lines), Content_Type="application/x-ndjson")

    statuses = [result["status"] for result in answer.json()["results"]]
    assert statuses == [202, 400, 400, 202]  # the blank line is none


def test_optional_fields_may_be_left_out_or_null(gateway: Running):
    short = {k: v for k, v in event().items() if k not in ("session_id", "properties")}

    assert gateway.post("user", short).status_code == 202
    assert gateway.post("user", short | {"session_id": None, "properties": None}).status_code == 202


@pytest.mark.parametrize("when", ["1970-01-01T00:00:03.000Z", "2999-12-31T23:59:59.999Z"])
def test_ancient_and_future_times_are_taken_for_the_contract_has_no_bound(
    gateway: Running, when: str
):
    assert gateway.post("user", event(timestamp=when)).status_code == 202


def test_what_happens_is_counted(gateway: Running):
    def counted(status: int) -> tuple[float, float]:
        labels = {"endpoint": "/events/batch", "status": str(status)}
        return (
            gateway.measured("waypoint_gateway_events_total", **labels),
            gateway.measured("waypoint_gateway_requests_total", **labels),
        )

    taken, refused, mixed = counted(202), counted(422), counted(207)
    gateway.post("batch", [event(), event(user_id=-1), event()])

    assert counted(202)[0] == taken[0] + 2
    assert counted(422)[0] == refused[0] + 1
    assert counted(207)[1] == mixed[1] + 1
    assert gateway.measured("waypoint_gateway_brokers_up") == 1
    assert gateway.measured("waypoint_gateway_request_seconds_count") >= 1


def test_it_says_that_it_is_well(gateway: Running):
    answer = gateway.http.get("/health")

    assert answer.status_code == 200
    assert answer.json() == {"status": "well", "reason": ""}

"""Each offset of a topic lands once; every message lands or is kept with the reason."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waypoint.errors import UnusableInput

COLUMNS = {
    "id": "varchar required",
    "user_id": "bigint",
    "kind": "varchar in=a|b",
    "at": "timestamp",
    "about": "object",
    "tags": "array",
}


@pytest.fixture
def clicks(world):
    world.topic("clicks", "raw_clicks", COLUMNS)
    return world


def message(at, value, partition=0, **more):
    envelope = {
        "topic": "clicks",
        "partition": partition,
        "offset": at,
        "timestamp": 1769853600000 + at,
        "key": f"k{at}",
        "value": value,
    }
    return json.dumps(envelope | more)


def messages(offsets, partition=0):
    return "".join(message(o, {"id": f"m{o}"}, partition) + "\n" for o in offsets)


def extract(world, drops, **settings):
    return world.extract("dumps", folder=str(drops.folder), **settings)


def counts(outcomes):
    return [(o.read, o.landed, o.rejected, o.unchanged) for o in outcomes]


def offsets(world):
    return sorted(o for (o,) in world.landed("raw_clicks", "_offset"))


def test_a_message_lands_with_its_place_key_time_and_payload(clicks, drops):
    value = {
        "id": "x", "user_id": 7, "kind": "a", "at": "2026-01-31T10:00:00.5+01:00",
        "about": {"page": "/a", "prices": [1.5, 2]}, "tags": ["t"],
    }  # fmt: skip
    drops.write("clicks/a.ndjson", message(3, value, partition=2) + "\n")

    (outcome,) = extract(clicks, drops)

    assert counts([outcome]) == [(1, 1, 0, 0)]
    ((batch, payload, *rest),) = clicks.landed(
        "raw_clicks",
        '_batch, _payload, id, user_id, kind, "at", about, tags,'
        " _partition, _offset, _kafka_timestamp, _key, _source",
    )
    assert json.loads(payload) == value
    assert batch == outcome.batch
    assert rest == [
        "x", 7, "a", datetime(2026, 1, 31, 9, 0, 0, 500000),
        '{"page":"/a","prices":[1.5,2]}', '["t"]',
        2, 3, datetime(2026, 1, 31, 10, 0, 0, 3000), "k3", "test",
    ]  # fmt: skip


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonl", "a.ndjson.gz", "b/c/d.jsonl.gz"])
def test_plain_and_compressed_dumps_are_read(clicks, drops, name, line_end):
    content = messages(range(5)).replace("\n", line_end).removesuffix(line_end).encode()
    drops.write(f"clicks/{name}", gzip.compress(content) if name.endswith("gz") else content)

    extract(clicks, drops)

    assert offsets(clicks) == list(range(5))
    assert clicks.rejected() == []


@pytest.mark.parametrize("binary", [True, False])
def test_parquet_dumps_are_read(clicks, drops, binary):
    texts = ['{"id": "m0"}', '{"id": "m1", "tags": []}', None, "no json"]
    kind = pa.binary() if binary else pa.string()
    table = {
        "partition": pa.array([0] * 4, pa.int32()),
        "offset": [0, 1, 2, 3],
        "timestamp": pa.array([datetime(2026, 1, 31)] * 4, pa.timestamp("ms", "UTC")),
        "key": pa.array(["k"] * 4, kind),
        "value": pa.array([t and t.encode() if binary else t for t in texts], kind),
    }
    (drops.folder / "clicks").mkdir()
    pq.write_table(pa.table(table), drops.folder / "clicks/a.parquet")

    assert counts(extract(clicks, drops)) == [(4, 2, 2, 0)]
    assert clicks.landed("raw_clicks", "id, _key, _kafka_timestamp, _payload") == [
        ("m0", "k", datetime(2026, 1, 31), texts[0]),
        ("m1", "k", datetime(2026, 1, 31), texts[1]),
    ]
    assert clicks.rejected("message_offset, rule") == [
        (2, "tombstone"),
        (3, "message_is_an_object"),
    ]


BROKEN = {
    "a wrong type": (message(5, {"id": "x", "user_id": "seven"}), 5, "user_id_is_integer"),
    "a half number": (message(5, {"id": "x", "user_id": 7.5}), 5, "user_id_is_integer"),
    "a missing field": (message(5, {"user_id": 7}), 5, "id_is_required"),
    "a null": (message(5, {"id": None}), 5, "id_is_required"),
    "an unknown kind": (message(5, {"id": "x", "kind": "c"}), 5, "kind_is_allowed"),
    "an object as text": (message(5, {"id": {"x": 1}}), 5, "id_is_string"),
    "a list as text": (message(5, {"id": [1]}), 5, "id_is_string"),
    "text as an object": (message(5, {"id": "x", "about": "{}"}), 5, "about_is_object"),
    "an object as a list": (message(5, {"id": "x", "tags": {}}), 5, "tags_is_array"),
    "a day that is not": (message(5, {"id": "x", "at": "2026-02-30"}), 5, "at_is_timestamp"),
    "a tombstone": (message(5, None), 5, "tombstone"),
    "plain text": (message(5, "hello"), 5, "message_is_an_object"),
    "broken JSON": (message(5, '{"id": "x'), 5, "message_is_an_object"),
    "half a character": (message(5, '{"id": "\\ud800"}'), 5, "message_is_an_object"),
    "nothing": (message(5, ""), 5, "message_is_an_object"),
    "a number": (message(5, 17), 5, "message_is_an_object"),
    "a list": (message(5, [{"id": "x"}]), 5, "message_is_an_object"),
    "a huge message": (message(5, {"id": "x" * 17_000_000}), 5, "message_fits"),
    "no value": ('{"partition": 0, "offset": 5, "timestamp": 0}', 5, "value_is_there"),
    "no time": ('{"partition":0,"offset":5,"value":{"id":"x"}}', 5, "_kafka_timestamp_is_required"),
    "an odd time": (message(5, {"id": "x"}, timestamp="soon"), 5, "timestamp_is_timestamp"),
    "no offset": (message(5, {"id": "x"}, offset=None), None, "offset_is_integer"),
    "half an offset": (message(5, {"id": "x"}, offset=5.5), None, "offset_is_integer"),
    "a partition below zero": (message(5, {"id": "x"}, partition=-1), 5, "partition_is_integer"),
    "another topic": (message(5, {"id": "x"}, topic="other"), None, "message_is_of_the_topic"),
    "no JSON": ("hello", None, "message_is_readable"),
    "a list of nothing": ("[]", None, "message_is_readable"),
    "half a line": (message(5, {"id": "x"})[:40], None, "message_is_readable"),
}


@pytest.mark.parametrize(("line", "offset", "rule"), BROKEN.values(), ids=BROKEN.keys())
def test_a_poison_message_costs_no_other(clicks, drops, line, offset, rule):
    drops.write("clicks/a.ndjson", messages([4]) + line + "\n" + messages([6]))

    assert counts(extract(clicks, drops)) == [(3, 2, 1, 0)]

    assert offsets(clicks) == [4, 6]
    ((file, number, *found, reason, payload),) = clicks.rejected(
        "file, line, message_offset, rule, reason, payload"
    )
    assert (file, number) == ("clicks/a.ndjson", 2)
    assert found == [offset, rule]
    assert reason
    if rule != "tombstone":
        assert payload is not None


def test_bytes_that_are_no_text_cost_no_other_line(clicks, drops):
    drops.write(
        "clicks/a.ndjson", messages([1]).encode() + b"\xff\xfe\0{}\n" + messages([2]).encode()
    )

    assert counts(extract(clicks, drops)) == [(3, 2, 1, 0)]
    assert clicks.rejected("line, reason, payload") == [
        (2, "the line is not UTF-8 text", "\\xff\\xfe\0{}")
    ]


def test_a_cut_last_line_is_told_from_a_whole_one(clicks, drops):
    drops.write("clicks/whole.ndjson", messages([1]).rstrip("\n"))
    drops.write("clicks/cut.ndjson", (messages([2]) + message(3, {"id": "x"}))[:-5])

    assert counts(extract(clicks, drops)) == [(2, 1, 1, 0), (1, 1, 0, 0)]
    assert clicks.rejected("file, line, reason") == [
        ("clicks/cut.ndjson", 2, "the file ends within this line")
    ]


def test_what_can_be_read_of_a_damaged_gzip_lands_and_the_rest_when_it_is_whole(clicks, drops):
    whole = gzip.compress(messages(range(3000)).encode(), mtime=0)
    drops.write("clicks/a.ndjson.gz", whole[: len(whole) // 2])

    (first,) = extract(clicks, drops)
    assert first.landed > 1000
    assert first.rejected == 1
    ((reason,),) = clicks.rejected("reason")
    assert reason.startswith("the file is damaged or cut short from here on")

    drops.write("clicks/a.ndjson.gz", whole)
    (second,) = extract(clicks, drops)
    assert (second.read, second.unchanged) == (3000, first.landed)
    assert offsets(clicks) == list(range(3000))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not Parquet at all", None])
def test_an_unusable_parquet_file_is_quarantined_whole(clicks, drops, content):
    path = drops.write("clicks/a.parquet", content or b"")
    if content is None:
        pq.write_table(pa.table({"a": [1]}), path)

    assert counts(extract(clicks, drops)) == [(1, 0, 1, 0)]
    ((reason,),) = clicks.rejected("reason")
    assert "no readable Parquet" in reason or "has no column offset, partition, value" in reason


def test_an_empty_dump_is_a_dump_of_nothing(clicks, drops):
    drops.write("clicks/a.ndjson", "")

    assert counts(extract(clicks, drops)) == [(0, 0, 0, 0)]
    assert extract(clicks, drops) == []


def test_the_same_offset_in_one_dump_lands_once(clicks, drops):
    drops.write("clicks/a.ndjson", messages([1, 2, 1]) + messages([1], partition=1))

    assert counts(extract(clicks, drops)) == [(4, 3, 0, 1)]


def test_overlapping_dumps_leave_one_copy_of_each_offset(clicks, drops):
    drops.write("clicks/a.ndjson", messages([1, 2, 4, 6]) + message(7, "poison") + "\n")
    drops.write("clicks/b.ndjson", messages(range(1, 9)))  # fills the gaps of the other

    assert counts(extract(clicks, drops)) == [(5, 4, 1, 0), (8, 3, 0, 5)]
    assert offsets(clicks) == [1, 2, 3, 4, 5, 6, 8]
    assert len(clicks.rejected()) == 1  # offset 7 was rejected once, and is not landed later


def test_a_dump_dropped_again_under_another_name_changes_nothing(clicks, drops):
    path = drops.write("clicks/a.ndjson", messages(range(3)) + "poison\n")
    extract(clicks, drops)
    files = clicks.files()
    shutil.copy(path, path.with_name("copy.ndjson"))

    assert counts(extract(clicks, drops)) == [(4, 0, 0, 4)]
    assert clicks.files() == files


def test_another_topics_offsets_are_none_of_this_ones(clicks, drops):
    drops.write("clicks/a.ndjson", message(1, {"id": "x"}, topic="other") + "\n")
    drops.write("clicks/b.ndjson", messages([1]))

    assert counts(extract(clicks, drops)) == [(1, 0, 1, 0), (1, 1, 0, 0)]


def test_two_topics_can_land_in_one_table(clicks, drops):
    clicks.contract("taps", COLUMNS, schema="topics", custom={"landsIn": "raw_clicks"})
    drops.write("clicks/a.ndjson", messages([1]))
    drops.write("taps/a.ndjson", messages([1]).replace("clicks", "taps"))

    assert counts(extract(clicks, drops)) == [(1, 1, 0, 0), (1, 1, 0, 0)]


def test_a_large_dump_lands_in_parts_and_goes_on_where_it_was_killed(clicks, drops, monkeypatch):
    monkeypatch.setattr("ingestion.lines._BLOCK", 1000)
    monkeypatch.setattr("ingestion.lines.PART", 5000)
    monkeypatch.setattr("ingestion.lines.read_lines.__defaults__", (5000,))
    drops.write("clicks/a.ndjson", messages(range(100)))
    outcomes = extract(clicks, drops)
    assert len(outcomes) == 3
    clicks.area.path("raw_clicks", outcomes[-1].batch).unlink()

    again = extract(clicks, drops)

    assert [o.unchanged > 0 for o in again] == [True, True, False]
    assert offsets(clicks) == list(range(100))


def test_a_line_too_long_to_hold_costs_no_other(clicks, drops, monkeypatch):
    monkeypatch.setattr("ingestion.lines._BLOCK", 1000)
    monkeypatch.setattr("ingestion.lines.LONGEST_LINE", 10_000)
    drops.write("clicks/a.ndjson", messages([1]) + "x" * 50_000 + "\n" + messages([2]))

    assert counts(extract(clicks, drops)) == [(3, 2, 1, 0)]
    assert clicks.rejected("line, length(payload)") == [(2, 10_000)]


def test_tombstones_and_foreign_envelopes_land_where_only_the_payload_is_asked_for(world, drops):
    optional = {name: words.replace(" required", "") for name, words in COLUMNS.items()}
    world.topic(
        "changes", "changes", optional | {"_payload": "varchar"}, payloadOnlyFields=["op", "after"]
    )
    native = {"op": "c", "after": {"id": 1}, "weather": "fine"}
    lines = [message(1, None), message(2, native), message(3, json.dumps(native)), message(4, "x")]
    drops.write("changes/a.ndjson", "\n".join(lines).replace("clicks", "changes"))

    (outcome,) = extract(world, drops)

    assert counts([outcome]) == [(4, 3, 1, 0)]
    assert outcome.drift == ("changes: field 'weather' is not in the contract (2 messages)",)
    payloads = dict(world.landed("changes", "_offset, _payload"))
    assert payloads[1] is None
    assert json.loads(payloads[2]) == json.loads(payloads[3]) == native


def test_unknown_fields_stay_in_the_payload_and_are_counted_as_drift(clicks, drops):
    lines = [message(o, {"id": "x", "colour": "red"} | ({"a'\"b": 1} if o else {})) for o in (0, 1)]
    drops.write("clicks/a.ndjson", "\n".join(lines))

    (outcome,) = extract(clicks, drops)

    assert outcome.drift == (
        "clicks: field 'colour' is not in the contract (2 messages)",
        "clicks: field 'a\\'\"b' is not in the contract (1 message)",
    )
    assert all('"colour":"red"' in p for (p,) in clicks.landed("raw_clicks", "_payload"))


def test_what_is_no_topic_is_said_when_the_others_have_landed(clicks, drops):
    drops.write("taps/a.ndjson", "")
    drops.write("z.ndjson", "")
    drops.write("clicks/a.ndjson", messages([1]))

    with pytest.raises(UnusableInput) as caught:
        extract(clicks, drops)

    assert "no contract for the topic 'taps'" in str(caught.value)
    assert "z.ndjson: stands in no topic's folder" in str(caught.value)
    assert offsets(clicks) == [1]


@pytest.mark.parametrize("value", ['\n\t {"id": "x"}\r\n', '{"id":"x"}'])
def test_text_that_is_an_object_is_a_message(clicks, drops, value):
    drops.write("clicks/a.ndjson", "\t " + message(1, value) + " \r\n")

    assert counts(extract(clicks, drops)) == [(1, 1, 0, 0)]
    assert clicks.landed("raw_clicks", "_payload, id") == [(value, "x")]


def test_naughty_strings_land_as_they_are(clicks, drops, naughty_strings):
    lines = [message(n, {"id": string}) for n, string in enumerate(naughty_strings)]
    drops.write("clicks/a.ndjson", "\n".join(lines))
    texts = [message(n, string, partition=1) for n, string in enumerate(naughty_strings)]
    drops.write("clicks/b.ndjson", "\n".join(texts))

    extract(clicks, drops)

    landed = clicks.landed("raw_clicks", "_offset, id")
    assert dict(landed) == dict(enumerate(naughty_strings))
    poison = clicks.rejected("message_offset, payload")
    assert dict(poison) == dict(enumerate(naughty_strings))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*COLUMNS, "x", ""]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.builds(message, st.integers(-2, 20), JSON, st.integers(0, 2)) | st.text(max_size=20),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_every_line_of_two_overlapping_dumps_is_accounted_for(
    tmp_path_factory, world, lines, overlap
):
    folder = tmp_path_factory.mktemp("dump")
    fresh = type(world)(folder / "state")
    fresh.topic("clicks", "raw_clicks", COLUMNS)
    lines = [line.replace("\n", " ").replace("\r", " ") for line in lines]
    (folder / "in/clicks").mkdir(parents=True)
    for name, part in (("a", lines), ("b", lines[:overlap])):
        data = "\n".join(part).encode(errors="surrogatepass")
        (folder / f"in/clicks/{name}.ndjson").write_bytes(data)

    fresh.extract("dumps", folder=str(folder / "in"))

    places = fresh.landed("raw_clicks", "_partition, _offset") + [
        place for place in fresh.rejected('"partition", message_offset') if None not in place
    ]
    assert len(places) == len(set(places))
    sent = {_place(line) for line in lines} - {None}
    assert set(places) == sent


def _place(line):
    try:
        found = json.loads(line.encode(errors="surrogatepass").decode())
    except ValueError:
        return None
    if not isinstance(found, dict) or found["offset"] < 0:
        return None
    return (found["partition"], found["offset"])

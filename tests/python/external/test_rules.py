"""Rules that turn a record of somebody's answer into fields of ours."""

from __future__ import annotations

import pytest

from ingestion.external.mapping import InvalidRule, Scope, Unfit, fields, read_rule, read_rules

RECORD = {
    "id": 7,
    "name": "",
    "name:en": "Square",
    "pos": {"lat": "52.5", "lng": 13.4},
    "tags": [{"name": "a"}, {"name": "b"}],
    "kelvin": 300.15,
    "code": 3,
    "ms": 1772452800000,
    "html": "<p>Fish &amp; <b>chips</b><script>x()</script></p><p>now</p>",
    "zero": 0,
}


def value(rule):
    return read_rule(rule).value(Scope(RECORD, {"each": {"city": "Rome"}, "now": "n"}), "field")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("pos.lat", "52.5"),
        ("tags.1.name", "b"),
        ("tags.-1.name", "b"),
        ("tags.9.name", None),
        ("nothing.at.all", None),
        ("zero", 0),
        (["name", "name:en"], "Square"),
        ("$each.city", "Rome"),
        ("$now", "n"),
        ({"constant": False}, False),
        ({"template": "x-{id}-{$each.city}"}, "x-7-Rome"),
        ({"template": "x-{missing}"}, None),
        ({"sum": ["id", "code", "missing"]}, 10),
        ({"sum": ["missing"]}, None),
        ({"path": "pos.lat", "as": "number"}, 52.5),
        ({"path": "kelvin", "plus": -273.15, "round": 1}, 27.0),
        ({"path": "code", "scale": 2.5}, 7.5),
        ({"path": "code", "lookup": {3: "cloudy"}}, "cloudy"),
        ({"path": "id", "lookup": {3: "cloudy"}}, None),
        ({"path": "id", "lookup": {3: "cloudy"}, "otherwise": "?"}, "?"),
        ({"path": "name:en", "match": {"^Q": 1, "qu": 2, "are": 3}}, 2),
        ({"path": "name:en", "match": {"^Q": 1}}, None),
        ({"path": "ms", "as": "time", "unit": "milliseconds"}, "2026-03-02T12:00:00.000Z"),
        ({"constant": "2026030212", "as": "time", "form": "%Y%m%d%H"}, "2026-03-02T12:00:00.000Z"),
        ({"constant": "2026-03-02T14:00:00+02:00", "as": "time"}, "2026-03-02T12:00:00.000Z"),
        ({"path": "html", "as": "text"}, "Fish & chips now"),
        ({"path": "name:en", "as": "upper"}, "SQUARE"),
        ({"fields": {"a": "id", "b": "missing"}}, {"a": 7}),
        ({"constant": "a\x00b\ud800"}, "a\ufffdb\ufffd"),
    ],
)
def test_a_rule_gives_a_value(rule, expected):
    assert value(rule) == expected


@pytest.mark.parametrize(
    "rule",
    [
        {"path": "html", "as": "number"},
        {"path": "tags", "as": "number"},
        {"constant": True, "as": "number"},
        {"constant": "nan", "as": "number"},
        {"path": "kelvin", "as": "integer"},
        {"path": "html", "as": "time"},
        {"constant": 1e300, "as": "time"},
        {"path": "html", "scale": 2},
        {"sum": ["id", "html"]},
    ],
)
def test_a_value_of_another_kind_is_told_and_not_guessed(rule):
    with pytest.raises(Unfit, match=r"field: .* is not a"):
        value(rule)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (5, "is no rule"),
        ({}, "says not one of"),
        ({"path": "a", "sum": ["b"]}, "says not one of"),
        ({"path": "a", "az": "number"}, "'az' is not known"),
        ({"path": "a", "as": "float"}, "'float' is none of number"),
        ({"path": "a", "unit": "days"}, "'days' is none of seconds"),
        ({"path": "a", "scale": "2"}, "'2' is no number"),
        ({"path": 5}, "is no path"),
        ({"path": "a", "lookup": ["b"]}, "is no mapping"),
        ({"path": "a", "match": {"(": 1}}, "is no regular expression"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule, problem):
    with pytest.raises(InvalidRule, match=problem):
        read_rule(rule)


def test_a_broken_rule_is_named_by_its_field():
    with pytest.raises(InvalidRule, match=r"place: fields|place: lat: .* is no rule"):
        read_rules({"place": {"fields": {"lat": 5}}})


def test_fields_without_a_value_are_left_out():
    rules = read_rules({"a": "id", "b": "missing", "c": "name"})

    assert fields(rules, Scope(RECORD)) == {"a": 7}

"""Text is typed exactly as it is meant, or rejected with a reason; never rounded or guessed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.validation import PROBLEM_FIELDS, validation

GOOD = [
    ("bigint", "42", 42),
    ("bigint", "-7", -7),
    ("bigint", "+7", 7),
    ("bigint", "007", 7),
    ("bigint", "5.0", 5),  # as JSON writers put a whole number
    ("bigint", "9223372036854775807", 9223372036854775807),
    ("decimal(12,2)", "1234.5", Decimal("1234.50")),
    ("decimal(12,2)", "-0.05", Decimal("-0.05")),
    ("decimal(12,2)", ".5", Decimal("0.50")),
    ("decimal(12,2)", "3", Decimal("3.00")),
    ("decimal(12,2)", "1.500", Decimal("1.50")),
    ("decimal(12,2)", "1e2", Decimal("100.00")),
    ("decimal(18,6)", "1e-6", Decimal("0.000001")),
    ("double", "0.1", 0.1),
    ("double", "1e300", 1e300),
    ("boolean", "true", True),
    ("boolean", "False", False),
    ("date", "2026-02-28", date(2026, 2, 28)),
    ("timestamp", "2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10)),
    ("timestamp", "2026-01-31T10:00:00.123Z", datetime(2026, 1, 31, 10, 0, 0, 123000)),
    ("timestamp", "2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8)),
    ("timestamp", "2026-01-31T10:00:00.5-05:30", datetime(2026, 1, 31, 15, 30, 0, 500000)),
    ("timestamp", "2026-01-31 10:00:00", datetime(2026, 1, 31, 10)),  # no zone: UTC
    ("timestamp", "2026-01-31T10:00Z", datetime(2026, 1, 31, 10)),
    ("timestamp", "2026-01-31T10:00+01:00", datetime(2026, 1, 31, 9)),
    ("timestamp", "2026-01-31", datetime(2026, 1, 31)),
    ("varchar", "", ""),
    ("varchar", "  x ", "  x "),
]
BAD = [
    ("bigint", "5.7"),  # the engine's cast would round these
    ("bigint", "1_000"),
    ("bigint", "0x10"),
    ("bigint", "1e3.5"),
    ("bigint", "9223372036854775808"),
    ("bigint", "١٢"),
    ("bigint", "true"),
    ("bigint", ""),
    ("bigint", "NULL"),
    ("decimal(12,2)", "1.005"),
    ("decimal(12,2)", "1e-3"),
    ("decimal(12,2)", "12345678901.00"),
    ("decimal(12,2)", "12,50"),
    ("decimal(12,2)", "1_0.00"),
    ("decimal(12,2)", "NaN"),
    ("double", "NaN"),
    ("double", "-Infinity"),
    ("double", "1e999"),
    ("double", "1_0"),
    ("boolean", "maybe"),
    ("date", "2026-02-30"),
    ("date", "31.01.2026"),
    ("date", "2026-01-31T23:00:00Z"),  # a time is no date, and which day depends on the zone
    ("date", "infinity"),
    ("timestamp", "2026-02-30T10:00:00Z"),
    ("timestamp", "2026-01-31T25:00:00Z"),
    ("timestamp", "epoch"),
    ("timestamp", "infinity"),
    ("timestamp", "-2026-01-01"),
    ("timestamp", "2026-01-01 (BC)"),
    ("timestamp", "10000-01-01"),
    ("timestamp", "1767225600"),
    ("timestamp", "now"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_text_becomes_the_value_it_stands_for(world, kind, text, value):
    contract = world.contract("things", {"thing": kind})

    world.land(f"select '{text}' as thing", contract)

    assert world.rejected("reason") == []
    assert world.landed("things", "thing") == [(value,)]


@pytest.mark.parametrize(("kind", "text"), BAD)
def test_text_that_is_not_exactly_a_value_is_rejected(world, kind, text):
    contract = world.contract("things", {"thing": kind})

    world.land(f"select '{text}' as thing", contract)

    assert world.landed("things", "thing") == []
    ((field, value, reason),) = world.rejected("field, value, reason")
    assert (field, value) == ("thing", text)
    assert f"'{text}' is not a" in reason or "is not true or false" in reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", Decimal("1234.50")),
        ("-12,345,678", Decimal("-12345678.00")),
        ("1,234", Decimal("1234.00")),
        ("12,34.5", None),
        ("1,23", None),
        ("1234,567", None),
        (",5", None),
        ("1.234,50", None),
    ],
)
def test_thousands_separators_are_read_where_they_are_in_place(world, text, value):
    contract = world.contract("things", {"thing": "decimal(12,2)"})

    world.land(f"select '{text}' as thing", contract, thousands=True)

    assert world.landed("things", "thing") == ([(value,)] if value is not None else [])


def test_infinite_times_of_a_database_are_rejected(world):
    contract = world.contract("things", {"a": "timestamp", "b": "date"})

    world.land(
        "from (values (timestamptz 'infinity', null), (null, date '-infinity')) t(a, b)", contract
    )

    assert world.rejected("reason") == [
        ("a: 'infinity' is not within the years 1 to 9999",),
        ("b: '-infinity' is not within the years 1 to 9999",),
    ]


def test_times_with_a_zone_become_utc(world):
    contract = world.contract("things", {"thing": "timestamp"})

    world.land("select timestamptz '2026-07-01 12:00:00+02' as thing", contract)

    assert world.landed("things", "thing") == [(datetime(2026, 7, 1, 10),)]


@pytest.mark.parametrize(
    ("words", "good", "bad", "rule", "reason"),
    [
        ("varchar in=a|b", "b", "c", "thing_is_allowed", "thing: 'c' is not one of a, b"),
        ("bigint min=0", "0", "-1", "thing_at_least_minimum", "'-1' is below the minimum 0"),
        ("bigint max=5", "5", "6", "thing_at_most_maximum", "'6' is above the maximum 5"),
        ("varchar like=[A-Z]{3}", "EUR", "EURO", "thing_matches_pattern", "does not match"),
    ],
)
def test_what_the_contract_says_of_values_holds(world, words, good, bad, rule, reason):
    contract = world.contract("things", {"thing": words})

    world.land(f"select unnest(['{good}', '{bad}', null]) as thing", contract)

    assert len(world.landed("things")) == 2
    ((found, words),) = world.rejected("rule, reason")
    assert found == rule
    assert reason in words


def test_row_rules_hold_unless_they_only_warn_or_need_other_tables(world, with_rule):
    contract = with_rule(
        world.contract("stays", {"arrives": "date", "leaves": "date"}),
        ("leaves_after_it_arrives", "leaves <= arrives"),
        ("never_long", "leaves > arrives + 30", "warning"),
        ("place_is_known", "arrives not in (select day from {raw.days})"),
    )

    world.land(
        "select * from (values ('2026-01-01', '2026-01-02'), ('2026-01-02', '2026-01-01'),"
        " ('2026-01-01', '2026-12-01'), ('2026-01-01', null)) t(arrives, leaves)",
        contract,
    )

    assert len(world.landed("stays")) == 3
    assert world.rejected("field, rule, reason") == [
        (None, "leaves_after_it_arrives", "leaves_after_it_arrives.")
    ]


def test_all_reasons_are_told_and_the_first_gives_the_field(world):
    contract = world.contract("things", {"a": "bigint required", "b": "varchar in=x"})

    world.land("select null as a, 'y' as b", contract)

    assert world.rejected("field, rule, reason") == [
        ("a", "a_is_required", "a: is missing; b: 'y' is not one of x")
    ]


def test_long_values_are_shown_in_part(world):
    contract = world.contract("things", {"a": "bigint"})

    world.land("select repeat('x', 100000) as a", contract)

    ((value, reason, payload),) = world.rejected("length(value), length(reason), length(payload)")
    assert (value, payload) == (1000, 100_000 + len('{"a":""}'))
    assert reason < 150


TEXTS = st.one_of(
    st.none(),
    st.sampled_from([text for _, text, *_ in (*GOOD, *BAD)]),
    st.text(max_size=20),
    st.integers().map(str),
    st.decimals(allow_nan=True).map(str),
    st.datetimes().map(lambda time: time.isoformat()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=40))
def test_every_row_is_either_good_or_has_a_reason(world, rows):
    contract = world.contract(
        "things",
        {
            "a": "bigint min=-1000",
            "b": "decimal(12,2)",
            "c": "timestamp required",
            "d": "varchar like=[a-z0-9.]*",
        },
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "create table read (n bigint, a varchar, b varchar, c varchar, d varchar)"
        )
        connection.executemany(
            "insert into read values (?, ?, ?, ?, ?)", [(n, *row) for n, row in enumerate(rows)]
        )
        query = "select n as _n, a, b, c, d from read"
        types = {"_n": "BIGINT"} | dict.fromkeys("abcd", "VARCHAR")
        checked = validation(contract, query, types, thousands=True)
        good = connection.execute(
            f"select _n, a, b, c, d from ({checked.typed}) where {checked.good}"
        ).fetchall()
        bad = connection.execute(
            f"select _n, p.* from (select _n, {checked.problem} as p from ({checked.typed})"
            f" where not ({checked.good}))"
        ).fetchall()

    assert sorted(row[0] for row in (*good, *bad)) == list(range(len(rows)))
    for n, a, b, c, d in good:
        # what was there is there, and what was not is not
        assert [v is None for v in (a, b, c, d)] == [v is None for v in rows[n]]
        assert a is None or a == int(float(rows[n][0].replace(",", "")))
    for _, *found in bad:
        problem = dict(zip(PROBLEM_FIELDS, found, strict=True))
        assert problem["rule"]
        assert problem["reason"].startswith(f"{problem['field']}: ")

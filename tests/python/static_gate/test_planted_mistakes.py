"""SQL that DuckDB takes, or a stand-in for Snowflake lets through, and Snowflake does not."""

# ruff: noqa: E501 - a mistake a line
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from waypoint.contracts.model import Column, Contract, Contracts
from waypoint.snowflake.gate import Gate
from waypoint.snowflake.statement import Finding, Statement

TABLES = {
    "raw.orders": {
        "id": "bigint", "user_id": "bigint", "status": "varchar", "amount": "decimal(18,4)",
        "price": "double", "cents": "bigint", "created_at": "timestamp", "day": "date",
        "is_paid": "boolean", "payload": "varchar",
    },
    "raw.users": {"id": "bigint", "name": "varchar", "country": "varchar"},
}  # fmt: skip


def contract(name: str, types: dict[str, str]) -> Contract:
    schema, _, table = name.partition(".")
    columns = tuple(Column(column, "", type_) for column, type_ in types.items())
    return Contract(Path(), schema, table, "1.0.0", "active", "", "", "", "", columns)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(Contracts([contract(name, types) for name, types in TABLES.items()]))


def findings(gate: Gate, sql: str, columns: dict[str, str] | None = None) -> list[Finding]:
    return gate.findings(Statement("planted", Path("models/planted.sql"), sql, columns))


#: (rule, what is wrong, SQL); the mistake stands on line 2
MISTAKES = [
    # functions of DuckDB alone
    ("function", "arg_max", "select\narg_max(status, created_at) as s from raw.orders"),
    ("function", "strftime", "select\nstrftime(created_at, '%Y') as y from raw.orders"),
    ("function", "strptime", "select\nstrptime(status, '%Y') as y from raw.orders"),
    ("function", "epoch", "select\nepoch(created_at) as e from raw.orders"),
    ("function", "epoch_ms", "select\nepoch_ms(created_at) as e from raw.orders"),
    ("function", "quantile_cont", "select\nquantile_cont(price, 0.5) as q from raw.orders"),
    ("function", "time_bucket", "select\ntime_bucket(interval '5 minutes', day) as b from raw.orders"),
    ("function", "json_extract_string", "select\njson_extract_string(payload, '$.a') as a from raw.orders"),
    ("function", "string_split", "select\nstring_split(status, ',') as a from raw.orders"),
    ("function", "list_value", "select\nlist_value(id) as a from raw.orders"),
    ("function", "unnest", "select u.x from raw.orders,\nunnest(split(status, ',')) as u (x)"),
    ("function", "generate_series", "select x from\ngenerate_series(1, 3) as s (x)"),
    ("function", "bool_and", "select\nbool_and(is_paid) as b from raw.orders"),
    ("function", "date_diff", "select\ndate_diff('day', day, day) as d from raw.orders"),
    ("function", "regexp_matches", "select id from raw.orders where\nregexp_matches(status, 'a')"),
    ("function", "a word mistyped", "select\ncoalescs(status, 'none') as s from raw.orders"),
    # syntax of DuckDB alone
    ("syntax", "filter (where)", "select\ncount(*) filter (where is_paid) as n from raw.orders"),
    ("syntax", "->>", "select\npayload->>'a' as a from raw.orders"),
    ("syntax", "integer division by //", "select\nid // 2 as half\nfrom raw.orders"),
    ("syntax", "distinct on", "select\ndistinct on (user_id) id from raw.orders"),
    ("syntax", "from first", "select id from (\nfrom raw.orders) as o"),
    ("syntax", "interval without quotes", "select day +\ninterval 1 day as d from raw.orders"),
    ("syntax", "using sample", "select id from raw.orders\nusing sample 3 rows"),
    ("syntax", "a file as a table", "select * from\n'orders.csv'"),
    ("syntax", "semi join", "select o.id from raw.orders as o\nsemi join raw.users as u on o.user_id = u.id"),
    ("syntax", "power by **", "select\nprice ** 2 as p from raw.orders"),
    ("syntax", "bits by &", "select\nid & 3 as low from raw.orders"),
    ("syntax", "a comma too many", "select id,, day\nfrom raw.orders"),
    ("syntax", "raw text that ends in $", "select id from raw.orders where\nregexp_like(status, $$^a$$$)"),
    ("syntax", "two statements", "select id from raw.orders;\nselect id from raw.users"),
    # types that Snowflake has not
    ("type", "hugeint", "select\ncast(id as hugeint) as id from raw.orders"),
    ("type", "hugeint by ::", "select\nid::hugeint as id from raw.orders"),
    ("syntax", "ubigint", "select\ncast(id as ubigint) as id from raw.orders"),
    # paths into JSON, which the stand-in's parser quotes unasked
    ("path", "a key with a dollar sign", "select\nget_path(try_parse_json(payload), 'x.$oid') as a from raw.orders"),
    ("path", "a path as DuckDB has it", "select\nget_path(try_parse_json(payload), '$.a') as a from raw.orders"),
    ("path", "a key with a hyphen", "select\nget_path(try_parse_json(payload), 'user-id') as a from raw.orders"),
    # names
    ("quotes", "wrong case in quotes", 'select\n"id" from raw.orders'),
    ("quotes", "an alias in quotes", 'select id as\n"Order" from raw.orders'),
    ("names", "no such column", "select\nidd from raw.orders"),
    ("names", "no such column of a table", "select\no.name from raw.orders as o"),
    ("names", "no such table", "select id from\nraw.order_lines"),
    ("names", "a table without schema", "select id from\norders"),
    ("ambiguous", "a column of two tables", "select\nid from raw.orders join raw.users on orders.user_id = users.id"),
    ("reserved word", "an alias", "select id as\nincrement from raw.orders"),
    ("reserved word", "a column read", "select s.id,\ns.sample from (select id, status as sample from raw.orders) as s"),
    ("reserved word", "a step", "with\nissue as (select id from raw.orders) select id from issue"),
    # groups
    ("grouping", "neither grouped nor aggregated", "select status,\nday, count(*) as n from raw.orders group by status"),
    ("grouping", "an aggregate beside a column", "select\nstatus, count(*) as n from raw.orders"),
    ("grouping", "order by what is not grouped", "select status from raw.orders group by status order by\nday"),
    ("grouping", "an aggregate in where", "select id from raw.orders where\nsum(cents) > 1"),
    ("grouping", "a window in where", "select id from raw.orders where\nrow_number() over (order by id) = 1"),
    ("grouping", "qualify without window", "select id from raw.orders qualify\ncents > 3"),
    ("grouping", "an aggregate of an aggregate", "select\nsum(count(*)) as n from raw.orders group by status"),
    # what depends on chance
    ("determinism", "row_number in no order", "select id from raw.orders qualify\nrow_number() over (partition by user_id) = 1"),
    ("determinism", "lag in no order", "select\nlag(cents) over (partition by user_id) as c from raw.orders"),
    ("determinism", "order by a constant", "select\nrow_number() over (order by 1) as n from raw.orders"),
    ("determinism", "last_value without a frame", "select\nlast_value(cents) over (partition by user_id order by id) as c from raw.orders"),
    ("determinism", "limit without order", "select id from raw.orders\nlimit 3"),
    ("determinism", "listagg in no order", "select user_id,\nlistagg(status, ',') as s from raw.orders group by user_id"),
    ("determinism", "any_value", "select user_id,\nany_value(status) as s from raw.orders group by user_id"),
    ("determinism", "random", "select id,\nrandom() as r from raw.orders"),
    # numbers that come out otherwise, and casts that nobody wrote
    ("division", "of integers", "select\ncents / user_id as a from raw.orders"),
    ("division", "of decimals", "select\namount / amount as a from raw.orders"),
    ("rounding", "of halves in a cast", "select\ncast(price as bigint) as p from raw.orders"),
    ("rounding", "of an average", "select\ncast(avg(amount) as bigint) as p from raw.orders"),
    ("cast", ":: before a sign", "select\n-1::integer as a from raw.orders"),
    ("cast", "a text compared with a number", "select id from raw.orders where\nstatus = 1"),
    ("cast", "a boolean compared with a number", "select id from raw.orders where\nis_paid = 1"),
    ("cast", "a text in a sum", "select\nsum(status) as s from raw.orders"),
    ("cast", "a boolean in a sum", "select\nsum(is_paid) as s from raw.orders"),
    ("cast", "a timestamp less another", "select\ncreated_at - created_at as d from raw.orders"),
    ("cast", "a timestamp and a number", "select\ncreated_at + 1 as d from raw.orders"),
    ("cast", "text or number", "select\ncase when is_paid then status else cents end as c from raw.orders"),
    ("cast", "coalesce of text and number", "select\ncoalesce(cents, 'none') as c from raw.orders"),
    ("cast", "parts of a union", "select id from raw.orders union all select\nname from raw.users"),
    ("cast", "try_cast of a number", "select\ntry_cast(id as varchar) as i from raw.orders"),
    ("columns", "parts of a union of different width", "select id from raw.users union all select id, name from raw.users"),
]  # fmt: skip

#: (rule, what is wrong, the expression, the contract's type)
DRIFT = [
    ("type", "a decimal of another precision", "cast(amount as decimal(18,2))", "decimal(18,4)"),
    ("type", "an integer for a decimal", "cents", "decimal(18,2)"),
    ("type", "a text for an integer", "status", "bigint"),
    ("type", "an integer for a text", "id", "varchar"),
    ("type", "a date for a timestamp", "day", "timestamp"),
    ("type", "a timestamp for a date", "created_at", "date"),
    ("type", "a zone", "cast(created_at as timestamp_tz)", "timestamp"),
    ("type", "a decimal for a double", "amount", "double"),
    ("type", "an integer for a boolean", "cents", "boolean"),
    ("type", "a type that nobody can tell", "parse_url(status)", "varchar"),
    ("rounding", "a double for an integer", "price", "bigint"),
    ("rounding", "a decimal for an integer", "amount", "bigint"),
    ("rounding", "a decimal of fewer digits", "amount", "decimal(18,2)"),
    ("rounding", "a double for money", "price", "decimal(18,2)"),
    ("rounding", "an average", "avg(cents) over (partition by user_id)", "bigint"),
]


@pytest.mark.parametrize(
    ("rule", "sql"), [(r, s) for r, _, s in MISTAKES], ids=[f"{r}: {w}" for r, w, _ in MISTAKES]
)
def test_a_planted_mistake_is_caught(gate: Gate, rule: str, sql: str) -> None:
    found = findings(gate, sql)
    assert rule in {one.rule for one in found}, found
    assert all(one.problem and one.mend for one in found)


@pytest.mark.parametrize(
    ("rule", "value", "declared"),
    [(r, v, d) for r, _, v, d in DRIFT],
    ids=[f"{r}: {w}" for r, w, _, _ in DRIFT],
)
def test_a_drift_from_the_contract_is_caught(
    gate: Gate, rule: str, value: str, declared: str
) -> None:
    found = findings(gate, f"select {value} as it from raw.orders", {"it": declared})
    assert rule in {one.rule for one in found}, found


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("select id from raw.users", "country, which the contract has"),
        ("select id, country, name from raw.users", "name is no column of the contract"),
        ("select id, country, country from raw.users", "country is given twice"),
    ],
)
def test_the_columns_are_those_of_the_contract(gate: Gate, sql: str, problem: str) -> None:
    found = findings(gate, sql, {"id": "bigint", "country": "varchar"})
    assert any(one.rule == "columns" and problem in one.problem for one in found), found


def test_there_are_mistakes_of_many_kinds() -> None:
    kinds = Counter(rule for rule, *_ in [*MISTAKES, *DRIFT])
    assert sum(kinds.values()) >= 40
    assert len(kinds) >= 10


def test_a_finding_says_where_it_is(tmp_path: Path, gate: Gate) -> None:
    (tmp_path / "planted.sql").write_text(
        "-- a heading\nselect\n    arg_max(id, day) as a\nfrom x\n"
    )
    sql = "select\n    arg_max(id, day) as a\nfrom raw.orders"
    (found,) = gate.findings(Statement("planted", Path("planted.sql"), sql), tmp_path)
    assert (found.line, found.compiled) == (3, "arg_max(id, day) as a")
    assert "max_by" in found.mend


SOUND = [
    "select id from raw.orders qualify row_number() over (partition by user_id order by id) = 1",
    "select status, count(*) as n from raw.orders group by status having count(*) > 1",
    "select upper(status) as s, sum(cents) as c from raw.orders group by upper(status) order by s",
    "select sum(cents) over (partition by user_id) as c from raw.orders",
    "select sum(sum(cents)) over () as c from raw.orders group by status",
    "select percentile_cont(0.9) within group (order by price) as p from raw.orders",
    "select listagg(status, ',') within group (order by id) as s from raw.orders",
    "select cast(sum(amount) as decimal(18,4)) as a from raw.orders",
    "select cast(cents as double) / user_id as a from raw.orders",
    "select cast(round(price) as bigint) as a from raw.orders",
    "select id from raw.orders where day > '2026-01-01' and created_at < cast('2026-01-01' as date)",
    "select id from raw.orders where user_id in (select id from raw.users where id is not null)",
    "with a (x, y) as (select id, status from raw.orders) select x, y from a",
    "select case when is_paid then status end as s from raw.orders",
    "select dateadd('day', 1, created_at) as d, datediff('day', day, created_at) as n from raw.orders",
    "select cast(f.value as varchar) as v from raw.orders as o, lateral flatten(input =>"
    " try_parse_json(o.payload)) as f",
    "select cast(get_path(try_parse_json(payload), 'a.b_1[0][\"$oid\"]') as varchar) as v from raw.orders",
    "select id, 'https://x//y' as u -- see https://x\nfrom raw.orders",
    "select last_value(cents) ignore nulls over (partition by user_id order by id"
    " rows between unbounded preceding and current row) as c from raw.orders",
    "select id from raw.orders union all select id from raw.users",
    "select extract(year from day) as y, trim(status, ' ') as s from raw.orders",
    'select ID as "ID" from raw.orders',
    "select id from raw.orders order by id limit 3",
]


@pytest.mark.parametrize("sql", SOUND)
def test_what_is_sound_raises_no_alarm(gate: Gate, sql: str) -> None:
    assert findings(gate, sql) == []

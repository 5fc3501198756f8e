"""Column lineage against cases worked out by hand, on both dialects."""

from __future__ import annotations

import pytest

from waypoint.lineage.columns import UntraceableQuery, trace

TABLES = {
    "raw.orders": ("id", "user_id", "amount", "status", "created_at", "payload"),
    "raw.users": ("id", "email", "country", "created_at"),
    "raw.items": ("id", "order_id", "price", "quantity"),
}

# name, SQL, output columns with their sources, columns that only decide the rows
CASES: list[tuple[str, str, dict[str, str], str]] = [
    ("a column", "select id from raw.orders", {"id": "orders.id"}, ""),
    ("an alias", "select id as order_id from raw.orders", {"order_id": "orders.id"}, ""),
    (
        "an expression",
        "select amount * 2 + user_id as x from raw.orders",
        {"x": "orders.amount orders.user_id"},
        "",
    ),
    ("a constant", "select 1 as one, id from raw.orders", {"one": "", "id": "orders.id"}, ""),
    (
        "a star",
        "select * from raw.users",
        {
            "id": "users.id",
            "email": "users.email",
            "country": "users.country",
            "created_at": "users.created_at",
        },
        "",
    ),
    (
        "a star of one side",
        "select i.*, o.status from raw.items as i join raw.orders as o on i.order_id = o.id",
        {
            "id": "items.id",
            "order_id": "items.order_id",
            "price": "items.price",
            "quantity": "items.quantity",
            "status": "orders.status",
        },
        "items.order_id orders.id",
    ),
    (
        "a filter decides rows, not values",
        "select id from raw.orders where status = 'paid'",
        {"id": "orders.id"},
        "orders.status",
    ),
    (
        "a CTE",
        "with o as (select id as k, amount from raw.orders) select k, amount as a from o",
        {"k": "orders.id", "a": "orders.amount"},
        "",
    ),
    (
        "CTEs in a chain, stars all the way",
        "with a as (select * from raw.users), b as (select * from a), c as (select * from b)"
        " select email from c",
        {"email": "users.email"},
        "",
    ),
    (
        "a filter in a CTE still decides",
        "with o as (select * from raw.orders where status = 'paid') select amount from o",
        {"amount": "orders.amount"},
        "orders.status",
    ),
    (
        "a CTE that nothing reads adds nothing",
        "with o as (select email from raw.users where country = 'PT') select id from raw.orders",
        {"id": "orders.id"},
        "",
    ),
    (
        "a join",
        "select o.id, u.country from raw.orders as o left join raw.users as u on o.user_id = u.id",
        {"id": "orders.id", "country": "users.country"},
        "orders.user_id users.id",
    ),
    (
        "using",
        "select id, email, amount from raw.orders join raw.users using (id)",
        {"id": "orders.id users.id", "email": "users.email", "amount": "orders.amount"},
        "orders.id users.id",
    ),
    (
        "a self join",
        "select a.id, b.amount as other from raw.orders as a join raw.orders as b"
        " on a.user_id = b.user_id",
        {"id": "orders.id", "other": "orders.amount"},
        "orders.user_id",
    ),
    (
        "an aggregate",
        "select user_id, sum(amount) as total from raw.orders group by user_id",
        {"user_id": "orders.user_id", "total": "orders.amount"},
        "orders.user_id",
    ),
    ("count of rows", "select count(*) as n from raw.orders", {"n": ""}, ""),
    (
        "count distinct",
        "select count(distinct user_id) as n from raw.orders",
        {"n": "orders.user_id"},
        "",
    ),
    (
        "having",
        "select user_id from raw.orders group by user_id having sum(amount) > 5",
        {"user_id": "orders.user_id"},
        "orders.user_id orders.amount",
    ),
    (
        "a window's order is part of its value",
        "select row_number() over (partition by user_id order by created_at) as n from raw.orders",
        {"n": "orders.user_id orders.created_at"},
        "",
    ),
    (
        "lag",
        "select lag(amount) over (partition by user_id order by created_at) as before"
        " from raw.orders",
        {"before": "orders.amount orders.user_id orders.created_at"},
        "",
    ),
    (
        "qualify",
        "select id from raw.orders"
        " qualify row_number() over (partition by user_id order by created_at desc) = 1",
        {"id": "orders.id"},
        "orders.user_id orders.created_at",
    ),
    (
        "union all goes by position",
        "select id, amount from raw.orders union all select order_id, price from raw.items",
        {"id": "orders.id items.order_id", "amount": "orders.amount items.price"},
        "",
    ),
    (
        "union compares what it returns",
        "select id from raw.orders union select id from raw.users",
        {"id": "orders.id users.id"},
        "orders.id users.id",
    ),
    (
        "three branches in a CTE",
        "with k as (select id from raw.orders union all select id from raw.users"
        " union all select order_id from raw.items) select id as key from k",
        {"key": "orders.id users.id items.order_id"},
        "",
    ),
    (
        "except",
        "select id from raw.orders except select order_id from raw.items",
        {"id": "orders.id items.order_id"},
        "orders.id items.order_id",
    ),
    (
        "distinct",
        "select distinct country from raw.users",
        {"country": "users.country"},
        "users.country",
    ),
    (
        "case",
        "select case when status = 'paid' then amount else 0 end as paid from raw.orders",
        {"paid": "orders.status orders.amount"},
        "",
    ),
    (
        "coalesce over two tables",
        "select coalesce(u.country, o.status) as c from raw.orders as o"
        " join raw.users as u on u.id = o.user_id",
        {"c": "users.country orders.status"},
        "users.id orders.user_id",
    ),
    (
        "a scalar subquery, correlated",
        "select id, (select max(i.price) from raw.items as i where i.order_id = o.id) as top"
        " from raw.orders as o",
        {"id": "orders.id", "top": "items.price"},
        "items.order_id orders.id",
    ),
    (
        "in a subquery",
        "select id from raw.orders where user_id in (select id from raw.users where email is null)",
        {"id": "orders.id"},
        "orders.user_id users.id users.email",
    ),
    (
        "exists",
        "select id from raw.orders as o where exists"
        " (select 1 from raw.items as i where i.order_id = o.id)",
        {"id": "orders.id"},
        "items.order_id orders.id",
    ),
    (
        "a derived table",
        "select t.total from (select sum(price * quantity) as total from raw.items) as t",
        {"total": "items.price items.quantity"},
        "",
    ),
    (
        "an alias used in the same select",
        "select amount * 2 as twice, twice + 1 as more from raw.orders",
        {"twice": "orders.amount", "more": "orders.amount"},
        "",
    ),
    (
        "quoted names with a catalog",
        'select "id" from "waypoint"."raw"."orders"',
        {"id": "orders.id"},
        "",
    ),
    (
        "casts and functions",
        "select cast(lower(email) as varchar) as mail from raw.users",
        {"mail": "users.email"},
        "",
    ),
    (
        "newest per key, the staging pattern",
        "with source as (select * from raw.orders), typed as (select id as order_id,"
        " cast(amount as bigint) as cents, created_at as at from source), newest as (select * from"
        " typed qualify row_number() over (partition by order_id order by at desc) = 1)"
        " select * from newest",
        {"order_id": "orders.id", "cents": "orders.amount", "at": "orders.created_at"},
        "orders.id orders.created_at",
    ),
    (
        "the newest n",
        "select id from raw.orders order by created_at desc limit 5",
        {"id": "orders.id"},
        "orders.created_at",
    ),
    (
        "order alone decides nothing",
        "select id from raw.orders order by amount",
        {"id": "orders.id"},
        "",
    ),
]


def named(text: str) -> set[str]:
    return {f"raw.{name}" for name in text.split()}


@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
@pytest.mark.parametrize(
    ("sql", "outputs", "deciding"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_lineage_is_what_a_person_reads_off(
    sql: str, outputs: dict[str, str], deciding: str, dialect: str
) -> None:
    if dialect == "snowflake":
        sql = sql.replace('"waypoint"."raw"."orders"', "waypoint.raw.orders").replace('"id"', "id")
    lineage = trace(sql, TABLES, dialect)
    assert {name: {str(r) for r in refs} for name, refs in lineage.outputs.items()} == {
        name: named(text) for name, text in outputs.items()
    }
    assert {str(ref) for ref in lineage.deciding} == named(deciding)


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        (
            "duckdb",
            "select p.id, cast(i.value as varchar) as item"
            " from raw.orders as p, json_each(p.payload) as i",
        ),
        (
            "snowflake",
            "select p.id, cast(i.value as varchar) as item"
            " from raw.orders as p, lateral flatten(input => try_parse_json(p.payload)) as i",
        ),
    ],
)
def test_an_item_of_an_array_comes_from_the_array(dialect: str, sql: str) -> None:
    lineage = trace(sql, TABLES, dialect)
    assert {str(ref) for ref in lineage.outputs["item"]} == {"raw.orders.payload"}


def test_every_column_that_is_needed_is_among_the_reads() -> None:
    lineage = trace("select id from raw.orders where status = 'paid'", TABLES)
    assert {str(ref) for ref in lineage.reads} == {"raw.orders.id", "raw.orders.status"}


def test_what_is_no_select_is_refused() -> None:
    with pytest.raises(UntraceableQuery):
        trace("select from where", TABLES)

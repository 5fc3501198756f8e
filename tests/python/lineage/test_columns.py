"""Column lineage against cases worked out by hand, on both dialects."""

from __future__ import annotations

import pytest

from waypoint.lineage.columns import UntraceableQuery, trace

TABLES = {
    "raw.orders": ("id", "user_id", "amount", "status", "created_at", "payload"),
    "raw.users": ("id", "email", "country", "created_at"),
    "raw.items": ("id", "order_id", "price", "quantity"),
    "marts.paid": ("user_id", "cents", "loaded_at"),
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
        "the first n by a name of the select",
        "select status, count(*) as n, max(amount) as top from raw.orders group by status"
        " order by n desc, top limit 3",
        {"status": "orders.status", "n": "", "top": "orders.amount"},
        "orders.status orders.amount",
    ),
    (
        "order alone decides nothing",
        "select id from raw.orders order by amount",
        {"id": "orders.id"},
        "",
    ),
    (
        "a CTE read twice",
        "with o as (select id, amount from raw.orders) select a.id, b.amount from o as a"
        " join o as b on a.id = b.id",
        {"id": "orders.id", "amount": "orders.amount"},
        "orders.id",
    ),
    (
        "a CTE that is called like another table's column",
        "with amount as (select price as id from raw.items) select amount.id as x from amount",
        {"x": "items.price"},
        "",
    ),
    (
        "a CTE inside a CTE, with the same name",
        "with o as (with o as (select user_id as k from raw.orders) select k from o)"
        " select k from o",
        {"k": "orders.user_id"},
        "",
    ),
    (
        "a CTE that counts itself up",
        "with recursive n as (select id as k, 0 as depth from raw.orders union all"
        " select k, depth + 1 from n where depth < 5) select k, depth from n",
        {"k": "orders.id", "depth": ""},
        "",
    ),
    (
        "a union in a CTE, stars in both branches",
        "with a as (select id, user_id from raw.orders), b as (select id, order_id from raw.items),"
        " u as (select * from a union all select * from b) select user_id as who from u",
        {"who": "orders.user_id items.order_id"},
        "",
    ),
    (
        "a filter in one branch of a union",
        "select id from raw.orders where status = 'paid' union all select id from raw.users",
        {"id": "orders.id users.id"},
        "orders.status",
    ),
    (
        "intersect",
        "select id from raw.orders intersect select order_id from raw.items",
        {"id": "orders.id items.order_id"},
        "orders.id items.order_id",
    ),
    (
        "stars of both sides",
        "with i as (select price, quantity from raw.items), u as (select email from raw.users)"
        " select * from i cross join u",
        {"price": "items.price", "quantity": "items.quantity", "email": "users.email"},
        "",
    ),
    (
        "a star and more beside it",
        "with o as (select id, amount from raw.orders) select *, amount / 100 as whole from o",
        {"id": "orders.id", "amount": "orders.amount", "whole": "orders.amount"},
        "",
    ),
    (
        "the frame of a window adds nothing",
        "select sum(amount) over (partition by user_id order by created_at rows between"
        " unbounded preceding and current row) as running from raw.orders",
        {"running": "orders.amount orders.user_id orders.created_at"},
        "",
    ),
    (
        "a window over an aggregate",
        "select user_id, rank() over (order by sum(amount) desc) as place from raw.orders"
        " group by user_id",
        {"user_id": "orders.user_id", "place": "orders.amount"},
        "orders.user_id",
    ),
    (
        "first_value",
        "select first_value(status) over (partition by user_id order by id) as first"
        " from raw.orders",
        {"first": "orders.status orders.user_id orders.id"},
        "",
    ),
    (
        "a window in a CTE, its number filtered outside",
        "with n as (select id, row_number() over (partition by user_id order by created_at) as k"
        " from raw.orders) select id from n where k = 1",
        {"id": "orders.id"},
        "orders.user_id orders.created_at",
    ),
    (
        "qualify by a name of the select",
        "select id, row_number() over (partition by user_id order by created_at) as k"
        " from raw.orders qualify k = 1",
        {"id": "orders.id", "k": "orders.user_id orders.created_at"},
        "orders.user_id orders.created_at",
    ),
    (
        "grouped by position",
        "select country, count(*) as n from raw.users group by 1",
        {"country": "users.country", "n": ""},
        "users.country",
    ),
    (
        "grouped by an expression",
        "select date_trunc('day', created_at) as day, max(amount) as top from raw.orders"
        " group by date_trunc('day', created_at)",
        {"day": "orders.created_at", "top": "orders.amount"},
        "orders.created_at",
    ),
    (
        "a conditional sum",
        "select sum(case when status = 'paid' then amount end) as paid from raw.orders",
        {"paid": "orders.status orders.amount"},
        "",
    ),
    (
        "a percentile",
        "select percentile_cont(0.95) within group (order by amount) as p from raw.orders",
        {"p": "orders.amount"},
        "",
    ),
    (
        "a list in an order",
        "select listagg(status, ',') within group (order by created_at) as path from raw.orders",
        {"path": "orders.status orders.created_at"},
        "",
    ),
    (
        "not in",
        "select id from raw.orders where id not in (select order_id from raw.items)",
        {"id": "orders.id"},
        "orders.id items.order_id",
    ),
    (
        "a subquery in a case",
        "select case when amount > (select avg(price) from raw.items) then 1 else 0 end as dear"
        " from raw.orders",
        {"dear": "orders.amount items.price"},
        "",
    ),
    (
        "a subquery of a CTE",
        "with top as (select max(price) as p from raw.items) select id from raw.orders"
        " where amount > (select p from top)",
        {"id": "orders.id"},
        "orders.amount items.price",
    ),
    (
        "a full join, the key from either side",
        "select coalesce(o.user_id, u.id) as who from raw.orders as o"
        " full outer join raw.users as u on u.id = o.user_id",
        {"who": "orders.user_id users.id"},
        "orders.user_id users.id",
    ),
    (
        "a join by a range",
        "select i.id, o.status from raw.items as i join raw.orders as o"
        " on i.order_id = o.id and i.price between 1 and o.amount",
        {"id": "items.id", "status": "orders.status"},
        "items.order_id items.price orders.id orders.amount",
    ),
    (
        "a table without an alias, named in full",
        "select raw.orders.id, orders.amount from raw.orders",
        {"id": "orders.id", "amount": "orders.amount"},
        "",
    ),
    (
        "upper case",
        "SELECT ID, Amount AS Cents FROM RAW.ORDERS WHERE Status = 'paid'",
        {"id": "orders.id", "cents": "orders.amount"},
        "orders.status",
    ),
    (
        "an incremental model's new rows, by its own newest",
        "select id, amount from raw.orders where created_at > "
        "(select coalesce(max(loaded_at), cast('1900-01-01' as timestamp)) from marts.paid)",
        {"id": "orders.id", "amount": "orders.amount"},
        "orders.created_at marts.paid.loaded_at",
    ),
    (
        "an incremental model's touched keys, made again whole",
        "with touched as (select distinct user_id from raw.orders where created_at > "
        "(select max(loaded_at) from marts.paid)) select o.user_id, sum(o.amount) as cents"
        " from raw.orders as o where o.user_id in (select user_id from touched) group by o.user_id",
        {"user_id": "orders.user_id", "cents": "orders.amount"},
        "orders.user_id orders.created_at marts.paid.loaded_at",
    ),
    (
        "an incremental model that keeps what it had",
        "with old as (select user_id, cents from marts.paid), new as (select user_id,"
        " sum(amount) as cents from raw.orders group by user_id) select n.user_id,"
        " n.cents + coalesce(o.cents, 0) as cents from new as n left join old as o"
        " on o.user_id = n.user_id",
        {
            "user_id": "orders.user_id",
            "cents": "orders.amount marts.paid.cents",
        },
        "orders.user_id marts.paid.user_id",
    ),
]


def named(text: str) -> set[str]:
    """Full names of columns: `orders.id` is one of raw."""
    return {name if name.count(".") == 2 else f"raw.{name}" for name in text.split()}


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

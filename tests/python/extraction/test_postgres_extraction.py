"""What a database says lands once, exactly, and nothing of it is lost."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from extraction.world import Shop, Warehouse, column

from ingestion.extraction import Outcome
from ingestion.extractors.postgres import TablesNotExtracted, extract
from waypoint.errors import UnusableInput

KEY = column("id", "bigint", primaryKey=True, required=True)
UPDATED = column("updated_at", "timestamp", required=True)
TABLES = {"users": "app_users"}


@pytest.fixture
def users(shop: Shop, warehouse: Warehouse) -> Shop:
    """Three users, an hour apart."""
    warehouse.contract("app_users", [KEY, column("name", "varchar"), UPDATED])
    shop.execute(
        "create table users"
        " (id bigint primary key, name text, updated_at timestamptz not null default now())"
    )
    shop.execute(
        "insert into users values (1, 'Ada', '2026-01-31 08:00+00'),"
        " (2, 'Bob', '2026-01-31 09:00+00'), (3, 'Cem', '2026-01-31 10:00+00')"
    )
    return shop


def hours(time: str, day: int = 31) -> datetime:
    return datetime.fromisoformat(f"2026-01-{day} {time}")


def landed_users(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.rows("app_users", "id, name, _deleted", "_batch, id")


# what lands


def test_a_table_lands_whole_at_first(users: Shop, warehouse: Warehouse) -> None:
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert outcome == Outcome("shop", "app_users", "shop-000001", read=3, landed=3)
    assert warehouse.rows("app_users") == [
        (1, "Ada", hours("08:00"), False, "shop", "shop-000001"),
        (2, "Bob", hours("09:00"), False, "shop", "shop-000001"),
        (3, "Cem", hours("10:00"), False, "shop", "shop-000001"),
    ]
    (footer,) = warehouse.footers("app_users")
    assert (footer.read, footer.rows, footer.rejected, footer.unchanged) == (3, 3, 0, 0)
    assert footer.position["value"] == "2026-01-31T10:00:00"


def test_where_nothing_changed_no_file_is_written(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert outcome == Outcome("shop", "app_users", None, read=1, unchanged=1)
    assert warehouse.files("app_users") == ["shop-000001"]


def test_an_empty_table_lands_nothing_and_what_comes_later(
    shop: Shop, warehouse: Warehouse
) -> None:
    warehouse.contract("app_users", [KEY, UPDATED])
    shop.execute("create table users (id bigint primary key, updated_at timestamptz)")
    (outcome,) = warehouse.extract(shop.source(TABLES))
    assert outcome == Outcome("shop", "app_users", None)
    shop.execute("insert into users values (1, '2020-01-01')")
    (outcome,) = warehouse.extract(shop.source(TABLES))
    assert outcome.landed == 1


def test_only_new_and_changed_rows_land_later(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("update users set name = 'Bobby', updated_at = '2026-01-31 11:00' where id = 2")
    users.execute("insert into users values (4, 'Dee', '2026-01-31 11:01')")
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.read, outcome.landed, outcome.unchanged) == (3, 2, 1)
    assert landed_users(warehouse)[3:] == [(2, "Bobby", False), (4, "Dee", False)]


def test_rows_before_the_overlap_are_not_read_again(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("update users set name = 'unseen' where id = 1")  # without a new updated_at
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.read, outcome.landed) == (1, 0)


def test_a_transaction_that_commits_late_is_not_missed(users: Shop, warehouse: Warehouse) -> None:
    with users.connect() as slow:
        slow.execute("insert into users values (4, 'Late', '2026-01-31 09:55+00')")
        warehouse.extract(users.source(TABLES))  # up to 10:00, without it
        assert (4, "Late", False) not in landed_users(warehouse)
        slow.commit()
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.landed, outcome.unchanged) == (1, 1)
    assert landed_users(warehouse)[-1] == (4, "Late", False)


def test_a_changed_row_within_one_time_stamp_lands(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("update users set name = 'Cemre' where id = 3")  # in the same microsecond
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert outcome.landed == 1
    assert landed_users(warehouse)[-1] == (3, "Cemre", False)


def test_a_value_that_changes_back_lands_again(users: Shop, warehouse: Warehouse) -> None:
    for name in ("Cem", "Cemre", "Cem"):
        users.execute(f"update users set name = '{name}' where id = 3")
        warehouse.extract(users.source(TABLES))
    assert [row for row in landed_users(warehouse) if row[0] == 3] == [
        (3, "Cem", False),
        (3, "Cemre", False),
        (3, "Cem", False),
    ]
    assert warehouse.extract(users.source(TABLES))[0].landed == 0


def test_a_row_from_the_future_does_not_hide_the_others(users: Shop, warehouse: Warehouse) -> None:
    users.execute("insert into users values (9, 'Clock', '2099-01-01'), (8, 'Never', 'infinity')")
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.landed, outcome.rejected) == (4, 1)
    users.execute("insert into users values (4, 'Dee', '2026-01-31 10:30')")
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.landed, outcome.unchanged, outcome.rejected) == (1, 3, 0)


def test_the_project_clock_may_be_ahead_of_the_database(users: Shop, warehouse: Warehouse) -> None:
    users.execute("insert into users values (9, 'Played', '2099-01-01')")
    warehouse.now = datetime(2099, 1, 2)
    warehouse.extract(users.source(TABLES))
    assert warehouse.footers("app_users")[0].position["value"] == "2099-01-01T00:00:00"


def test_rows_without_a_cursor_value_are_looked_at_each_time(
    shop: Shop, warehouse: Warehouse
) -> None:
    columns = [KEY, column("name", "varchar"), column("updated_at", "timestamp")]
    warehouse.contract("app_users", columns)
    shop.execute("create table users (id bigint primary key, name text, updated_at timestamptz)")
    shop.execute("insert into users values (1, 'Ada', null), (2, 'Bob', '2026-01-31 10:00')")
    warehouse.extract(shop.source(TABLES))
    shop.execute("insert into users values (3, 'Cem', '2026-01-31 11:00')")
    warehouse.extract(shop.source(TABLES))
    shop.execute("update users set name = 'Adam' where id = 1")
    (outcome,) = warehouse.extract(shop.source(TABLES))
    assert (outcome.landed, outcome.unchanged) == (1, 1)


def test_a_growing_number_can_be_the_cursor(shop: Shop, warehouse: Warehouse) -> None:
    warehouse.contract("visits", [KEY, column("page", "varchar")])
    shop.execute("create table visits (id integer primary key, page text)")
    shop.execute("insert into visits select i, 'p' || i from generate_series(1, 100) i")
    source = shop.source({"visits": {"table": "visits", "cursor": "id", "overlap": 10}})
    assert warehouse.extract(source)[0].landed == 100
    shop.execute("insert into visits select i, 'p' || i from generate_series(101, 103) i")
    (outcome,) = warehouse.extract(source)
    assert (outcome.read, outcome.landed, outcome.unchanged) == (14, 3, 11)


def test_a_date_can_be_the_cursor(shop: Shop, warehouse: Warehouse) -> None:
    warehouse.contract("visits", [KEY, column("day", "date", required=True)])
    shop.execute("create table visits (id integer primary key, day date not null)")
    shop.execute("insert into visits values (1, '2026-01-29'), (2, '2026-01-30')")
    source = shop.source({"visits": "visits"}, cursor="day", overlap="1 d")
    warehouse.extract(source)
    shop.execute("insert into visits values (3, '2026-01-29'), (4, '2026-01-30')")
    (outcome,) = warehouse.extract(source)
    assert (outcome.landed, outcome.unchanged) == (2, 2)


def test_without_a_cursor_the_table_is_compared_whole(users: Shop, warehouse: Warehouse) -> None:
    source = users.source(TABLES, cursor=None)
    warehouse.extract(source)
    users.execute("update users set name = 'Adam' where id = 1")
    users.execute("delete from users where id = 2")
    (outcome,) = warehouse.extract(source)
    assert (outcome.read, outcome.landed, outcome.unchanged) == (3, 2, 1)
    assert landed_users(warehouse)[3:] == [(1, "Adam", False), (2, "Bob", True)]


def test_only_the_tables_asked_for_are_extracted(users: Shop, warehouse: Warehouse) -> None:
    warehouse.contract("app_other", [KEY, UPDATED])
    users.execute("create table other (id bigint primary key, updated_at timestamptz)")
    source = users.source({**TABLES, "other": "app_other"})
    assert [o.table for o in warehouse.extract(source, tables=["app_other"])] == ["app_other"]
    assert [o.table for o in warehouse.extract(source)] == ["app_users", "app_other"]


def test_all_tables_are_read_as_of_one_moment(users: Shop, warehouse: Warehouse) -> None:
    warehouse.contract("app_orders", [KEY, column("user_id", "bigint"), UPDATED])
    users.execute(
        "create table orders (id bigint primary key, user_id bigint,"
        " updated_at timestamptz not null)"
    )
    source = users.source({**TABLES, "orders": "app_orders"})
    run = extract(source, warehouse.context())
    assert next(run).table == "app_users"
    # committed after users was read: an order of a user that has not landed
    users.execute("insert into users values (4, 'Dee', '2026-01-31 11:00')")
    users.execute("insert into orders values (1, 4, '2026-01-31 11:00')")
    assert [(outcome.table, outcome.landed) for outcome in run] == [("app_orders", 0)]
    landed = {outcome.table: outcome.landed for outcome in warehouse.extract(source)}
    assert landed == {"app_users": 1, "app_orders": 1}


# full refresh


def test_a_full_refresh_lands_what_changed_unseen_and_what_has_gone(
    users: Shop, warehouse: Warehouse
) -> None:
    source = users.source(TABLES)
    warehouse.extract(source)
    users.execute("update users set name = 'Adam' where id = 1")
    users.execute("delete from users where id = 2")
    assert warehouse.extract(source)[0].landed == 0  # incremental does not see it
    (outcome,) = warehouse.extract(source, full_refresh=True)
    assert (outcome.read, outcome.landed, outcome.unchanged) == (3, 2, 1)
    assert landed_users(warehouse)[3:] == [(1, "Adam", False), (2, "Bob", True)]
    (outcome,) = warehouse.extract(source, full_refresh=True)
    assert (outcome.batch, outcome.read, outcome.landed, outcome.unchanged) == (None, 2, 0, 2)


def test_a_row_that_comes_back_lands_again(users: Shop, warehouse: Warehouse) -> None:
    source = users.source(TABLES)
    warehouse.extract(source)
    users.execute("delete from users where id = 3")
    warehouse.extract(source, full_refresh=True)
    # with the very values that it had, within the overlap
    users.execute("insert into users values (3, 'Cem', '2026-01-31 10:00+00')")
    assert warehouse.extract(source)[0].landed == 1
    assert landed_users(warehouse)[3:] == [(3, "Cem", True), (3, "Cem", False)]
    assert warehouse.extract(source, full_refresh=True)[0].landed == 0
    users.execute("delete from users where id = 3")
    assert warehouse.extract(source, full_refresh=True)[0].landed == 1


def test_a_full_refresh_at_first_is_a_first_extraction(users: Shop, warehouse: Warehouse) -> None:
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.landed, warehouse.files("app_users")) == (3, ["shop-000001"])
    assert warehouse.extract(users.source(TABLES))[0].read == 1  # it goes on from there


def test_an_emptied_table_is_all_gone(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("truncate users")
    assert warehouse.extract(users.source(TABLES))[0].landed == 0
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.read, outcome.landed) == (3, 3)
    assert [deleted for *_, deleted in landed_users(warehouse)[3:]] == [True, True, True]
    users.execute("insert into users values (7, 'New', '2026-01-31 11:30')")
    assert warehouse.extract(users.source(TABLES))[0].landed == 1


def test_a_composite_key_tells_rows_apart(shop: Shop, warehouse: Warehouse) -> None:
    warehouse.contract(
        "lines",
        [
            column("order_id", "bigint", primaryKey=True, primaryKeyPosition=1, required=True),
            column("line", "bigint", primaryKey=True, primaryKeyPosition=2, required=True),
            UPDATED,
        ],
    )
    shop.execute("create table lines (order_id int, line int, updated_at timestamp not null)")
    shop.execute(
        "insert into lines select i, j, '2026-01-31'"
        " from generate_series(1, 3) i, generate_series(1, 2) j"
    )
    source = shop.source({"lines": "lines"})
    warehouse.extract(source)
    shop.execute("delete from lines where order_id = 2 and line = 1")
    assert warehouse.extract(source, full_refresh=True)[0].landed == 1
    assert warehouse.rows("lines", "order_id, line", "_batch, 1, 2")[-1] == (2, 1)


def test_a_table_that_tells_no_deletions_still_refreshes(users: Shop, warehouse: Warehouse) -> None:
    warehouse.contract("app_users", [KEY, column("name", "varchar"), UPDATED], deleted=False)
    warehouse.extract(users.source(TABLES))
    users.execute("update users set name = 'Adam' where id = 1")
    users.execute("delete from users where id = 2")
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.landed, outcome.unchanged) == (1, 1)


# values


def test_values_of_all_types_land_exactly(shop: Shop, warehouse: Warehouse) -> None:
    uid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    most = "9999999999999999.99"
    free = "1234567890123456789.0123456789"
    wanted = {
        # name: type at the source, type of the contract, SQL of the value, what lands
        "tiny": ("smallint", "bigint", "-32768", -32768),
        "big": ("bigint", "bigint", "9223372036854775807", 9223372036854775807),
        "money": ("numeric(18,2)", "decimal(18,2)", most, Decimal(most)),
        "free": ("numeric", "decimal(38,10)", free, Decimal(free)),
        "ratio": ("double precision", "double", "0.1", 0.1),
        "flag": ("boolean", "boolean", "true", True),
        "day": ("date", "date", "'2024-02-29'", date(2024, 2, 29)),
        "zoned": ("timestamptz", "timestamp", "'2026-01-31 01:30+02'", hours("23:30", 30)),
        "plain": ("timestamp(0)", "timestamp", "'2026-01-31 01:30:00.4'", hours("01:30")),
        "text": ("text", "varchar", r"""E'Zoë 🚀 \\x00 \n\'"\\'""", "Zoë 🚀 \\x00 \n'\"\\"),
        "word": ("varchar(20)", "varchar", "'NULL'", "NULL"),
        "empty": ("text", "varchar", "''", ""),
        "none": ("text", "varchar", "null", None),
        "code": ("char(3)", "varchar", "'ab'", "ab"),
        "uid": ("uuid", "varchar", f"'{uid}'", uid),
        "doc": ("jsonb", "varchar", """'{"b": [1.50], "a": 1}'""", '{"a": 1, "b": [1.50]}'),
        "raw_doc": ("json", "varchar", """'  {"b":1.10}'""", '{"b":1.10}'),
        "tags": ("text[]", "varchar", "array['x', 'y \"', null]", r'["x","y \"",null]'),
        "mood": ("mood", "varchar", "'fine'", "fine"),
        "address": ("inet", "varchar", "'10.0.0.1'", "10.0.0.1/32"),
        "short": ("short_text", "varchar", "'abc'", "abc"),
    }
    shop.execute("create type mood as enum ('fine', 'bad')")
    shop.execute("create domain short_text as varchar(5)")
    shop.execute(
        "create table things (id bigint primary key, updated_at timestamptz not null, "
        + ", ".join(f'"{name}" {kind}' for name, (kind, *_) in wanted.items())
        + ")"
    )
    values = ", ".join(value for _, _, value, _ in wanted.values())
    shop.execute(f"insert into things values (1, '2026-01-31', {values})")
    columns = [column(name, kind) for name, (_, kind, _, _) in wanted.items()]
    warehouse.contract("things", [KEY, UPDATED, *columns])
    (outcome,) = warehouse.extract(shop.source({"things": "things"}))
    assert outcome.drift == ()
    (row,) = warehouse.rows("things", ", ".join(f'"{name}"' for name in wanted))
    assert dict(zip(wanted, row, strict=True)) == {n: v for n, (*_, v) in wanted.items()}
    # and what was read again is recognised
    assert warehouse.extract(shop.source({"things": "things"}))[0].unchanged == 1
    assert warehouse.extract(shop.source({"things": "things"}), full_refresh=True)[0].unchanged == 1


def test_values_that_no_warehouse_holds_are_rejected_not_bent(
    shop: Shop, warehouse: Warehouse
) -> None:
    warehouse.contract(
        "odd",
        [KEY, column("price", "decimal(12,2)"), column("at", "timestamp"), column("day", "date"),
         UPDATED],
    )  # fmt: skip
    shop.execute(
        "create table odd (id bigint primary key, price numeric(12,2), at timestamp, day date,"
        " updated_at timestamptz not null default '2026-01-31')"
    )
    shop.execute(
        "insert into odd values (1, 1.10, '2026-01-01', '2026-01-01'), (2, 'NaN', null, null),"
        " (3, null, 'infinity', null), (4, null, '0044-03-15 BC', null),"
        " (5, null, '294276-12-31 23:59:59', null), (6, null, null, '-infinity'),"
        " (7, null, null, '10000-01-01'), (8, 99.99, '9999-12-31 23:59:59.999999', '0001-01-01')"
    )
    (outcome,) = warehouse.extract(shop.source({"odd": "odd"}))
    assert (outcome.read, outcome.landed, outcome.rejected) == (8, 2, 6)
    assert warehouse.rows("odd", "id, price", "id") == [(1, Decimal("1.10")), (8, Decimal("99.99"))]
    rejected = warehouse.rows("quarantine", "cast(payload->>'id' as int), field, value", "1")
    assert rejected == [
        (2, "price", "NaN"),
        (3, "at", "infinity"),
        (4, "at", "0044-03-15 00:00:00 BC"),
        (5, "at", "294276-12-31 23:59:59"),
        (6, "day", "-infinity"),
        (7, "day", "10000-01-01"),
    ]


# quarantine


def test_rows_that_break_the_contract_are_quarantined_once(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.contract(
        "app_users",
        [KEY, column("name", "varchar", logicalTypeOptions={"pattern": "[A-Z][a-z]*"}), UPDATED],
    )
    users.execute("insert into users values (4, 'dee', '2026-01-31 10:01')")
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.read, outcome.landed, outcome.rejected) == (4, 3, 1)
    ((table, batch, name, value, payload),) = warehouse.rows(
        "quarantine", "table_name, batch, field, value, payload"
    )
    assert (table, batch, name, value) == ("app_users", "shop-000001", "name", "dee")
    assert json.loads(payload) == {"id": 4, "name": "dee", "updated_at": "2026-01-31 10:01:00"}
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.batch, outcome.rejected, outcome.unchanged) == (None, 0, 2)
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.batch, outcome.rejected, outcome.unchanged) == (None, 0, 4)


def test_a_rejected_row_lands_once_the_contract_takes_it(users: Shop, warehouse: Warehouse) -> None:
    strict = column("name", "varchar", logicalTypeOptions={"pattern": "[A-B][a-z]*"})
    warehouse.contract("app_users", [KEY, strict, UPDATED])
    warehouse.extract(users.source(TABLES))
    warehouse.contract("app_users", [KEY, column("name", "varchar"), UPDATED])
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.landed, outcome.unchanged) == (1, 2)
    assert landed_users(warehouse)[-1] == (3, "Cem", False)


def test_a_batch_of_rejects_only_still_counts(users: Shop, warehouse: Warehouse) -> None:
    warehouse.contract(
        "app_users", [KEY, column("name", "varchar", logicalTypeOptions={"pattern": "x"}), UPDATED]
    )
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.read, outcome.landed, outcome.rejected) == (3, 0, 3)
    assert warehouse.footers("app_users")[0].position["value"] == "2026-01-31T10:00:00"
    assert warehouse.extract(users.source(TABLES))[0].batch is None


# drift


def test_a_new_column_is_reported_and_not_landed(users: Shop, warehouse: Warehouse) -> None:
    users.execute("alter table users add nickname text default 'x'")
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.landed, len(outcome.drift)) == (3, 1)
    assert "nickname" in outcome.drift[0] and "not landed" in outcome.drift[0]
    assert warehouse.footers("app_users")[0].drift == outcome.drift


def test_a_missing_optional_column_lands_empty_and_is_reported(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("alter table users drop name")
    users.execute("insert into users values (4, '2026-01-31 11:00')")
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert "'name'" in outcome.drift[0]
    assert (4, None, False) in landed_users(warehouse)


def test_a_missing_required_column_fails_its_table_only(users: Shop, warehouse: Warehouse) -> None:
    warehouse.contract("app_bad", [KEY, column("price", "bigint", required=True), UPDATED])
    users.execute("create table bad (id bigint primary key, updated_at timestamptz)")
    users.execute("insert into bad values (1, now())")
    outcomes = []
    with pytest.raises(TablesNotExtracted, match=r"public\.bad has no column 'price'"):
        source = users.source({"bad": "app_bad", **TABLES})
        for outcome in extract(source, warehouse.context()):
            outcomes.append(outcome)
    assert [(o.table, o.landed) for o in outcomes] == [("app_users", 3)]
    assert warehouse.files("app_bad") == []


def test_a_changed_type_is_cast_where_values_fit(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("alter table users alter id type text")
    users.execute(
        "insert into users values ('4', 'Dee', '2026-01-31 11:00'),"
        " ('5b', 'Eve', '2026-01-31 11:00')"
    )
    (outcome,) = warehouse.extract(users.source(TABLES))
    assert (outcome.landed, outcome.rejected, outcome.unchanged) == (1, 1, 1)
    assert outcome.drift[0].startswith("column 'id' is text at the source, bigint in the contract")
    assert warehouse.rows("quarantine", "field, value") == [("id", "5b")]


@pytest.mark.parametrize(
    ("kind", "values", "wanted", "landed", "rejected"),
    [
        ("numeric(20,4)", ["1.2500", "1.2345"], "decimal(18,2)", [Decimal("1.25")], ["1.2345"]),
        ("bigint", ["7", "3000000000"], "integer", [7], ["3000000000"]),
        ("double precision", ["5", "5.5"], "bigint", [5], ["5.5"]),
        ("integer", ["12"], "varchar", ["12"], []),
        ("text", ["'2026-01-31'", "'soon'"], "date", [date(2026, 1, 31)], ["soon"]),
        ("date", ["'2026-01-31'"], "timestamp", [datetime(2026, 1, 31)], []),
        ("text", ["'true'", "'maybe'"], "boolean", [True], ["maybe"]),
        ("integer", ["3"], "double", [3.0], []),
    ],
)
def test_types_the_contract_does_not_expect(
    shop: Shop,
    warehouse: Warehouse,
    kind: str,
    values: list[str],
    wanted: str,
    landed: list[object],
    rejected: list[str],
) -> None:
    warehouse.contract("things", [KEY, column("value", wanted), UPDATED])
    shop.execute(f"create table things (id bigint primary key, value {kind}, updated_at timestamp)")
    for number, value in enumerate(values):
        shop.execute(f"insert into things values ({number}, {value}, '2026-01-31')")
    (outcome,) = warehouse.extract(shop.source({"things": "things"}))
    assert len(outcome.drift) == 1 and "'value'" in outcome.drift[0]
    assert [value for (value,) in warehouse.rows("things", "value", "id")] == landed
    assert [value for (value,) in warehouse.rows("quarantine", "value")] == rejected


def test_a_column_that_the_contract_gains_lands_with_the_next_full_refresh(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.contract("app_users", [KEY, UPDATED])
    warehouse.extract(users.source(TABLES))
    warehouse.contract("app_users", [KEY, column("name", "varchar"), UPDATED])
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.landed, outcome.drift) == (3, ())
    assert warehouse.extract(users.source(TABLES), full_refresh=True)[0].landed == 0


def test_unreadable_keys_do_not_look_like_deletions(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("alter table users alter id type text using 'U' || id")
    (outcome,) = warehouse.extract(users.source(TABLES), full_refresh=True)
    assert (outcome.landed, outcome.rejected) == (0, 3)
    assert any("have gone" in drift for drift in outcome.drift)


# several tables and sources


def test_a_missing_table_fails_alone_and_names_a_likely_one(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.contract("app_bad", [KEY, UPDATED])
    with pytest.raises(TablesNotExtracted) as caught:
        warehouse.extract(users.source({"user": "app_bad", **TABLES}))
    assert "no table public.user" in str(caught.value)
    assert "did you mean users?" in caught.value.hint
    assert warehouse.files("app_users") == ["shop-000001"]


def test_names_in_need_of_quotes_are_read(shop: Shop, warehouse: Warehouse) -> None:
    warehouse.contract(
        "odd", [KEY, column('Full "Name"', "varchar"), column("select", "bigint"), UPDATED]
    )
    shop.execute('create schema "My Shop"')
    shop.execute(
        'create table "My Shop"."Odd \'Table" (id int primary key, "Full ""Name""" text,'
        ' "select" int, updated_at timestamptz not null)'
    )
    shop.execute("insert into \"My Shop\".\"Odd 'Table\" values (1, 'x', 2, '2026-01-31')")
    source = shop.source({"Odd 'Table": "odd"}, schema="My Shop")
    assert warehouse.extract(source)[0].landed == 1
    assert warehouse.extract(source)[0].unchanged == 1


def test_views_are_extracted_too(users: Shop, warehouse: Warehouse) -> None:
    users.execute("create view people as select * from users where id > 1")
    assert warehouse.extract(users.source({"people": "app_users"}))[0].landed == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cursr": "id"}, "unknown setting 'cursr'"),
        ({"tables": {}}, "declares no tables"),
        ({"tables": {"users": "nowhere"}}, "raw.nowhere, which has no contract"),
        ({"tables": {"users": {"table": "app_users", "kye": 1}}}, "unknown setting 'kye'"),
        ({"tables": {"users": "app_users", "people": "app_users"}}, "two tables land in app_users"),
        ({"dsn": ""}, "has no dsn"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_lands(
    users: Shop, warehouse: Warehouse, change: dict[str, object], words: str
) -> None:
    settings = {"tables": TABLES, **change}
    with pytest.raises(UnusableInput, match=words):
        warehouse.extract(users.source(**settings))
    assert not warehouse.area.root.exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cursor": "changed_at"}, "no column 'changed_at', its cursor"),
        ({"cursor": "name"}, "'name' is text, and only times"),
        ({"overlap": "soon"}, "'soon' is not a duration"),
        ({"cursor": "id", "overlap": "10 minutes"}, "its overlap is one too"),
    ],
)
def test_a_cursor_that_does_not_work_fails_its_table(
    users: Shop, warehouse: Warehouse, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(TablesNotExtracted, match=words):
        warehouse.extract(users.source(TABLES, **settings))


def test_another_cursor_starts_over_without_landing_twice(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.extract(users.source(TABLES))
    (outcome,) = warehouse.extract(users.source(TABLES, cursor="id", overlap=1))
    assert (outcome.read, outcome.landed, outcome.unchanged) == (3, 0, 3)


def test_many_small_extractions_add_up(users: Shop, warehouse: Warehouse) -> None:
    source = users.source(TABLES)
    start = datetime(2026, 1, 31, 10)
    for step in range(8):
        at = start + timedelta(minutes=7 * step)
        users.execute(f"insert into users values ({10 + step}, 'n', '{at}+00')")
        users.execute(f"update users set name = 'v{step}', updated_at = '{at}+00' where id = 1")
        warehouse.extract(source)
    assert len(warehouse.files("app_users")) == 8
    ids = [user for user, *_ in landed_users(warehouse)]
    assert (ids.count(1), ids.count(2), ids.count(10), len(ids)) == (8, 1, 1, 18)
    (outcome,) = warehouse.extract(source, full_refresh=True)
    assert (outcome.landed, outcome.unchanged) == (0, 11)
    footers = warehouse.footers("app_users")
    assert all(f.read == f.rows + f.rejected + f.unchanged for f in footers)

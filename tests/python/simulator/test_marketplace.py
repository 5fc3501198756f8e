"""What is played hangs together: the same orders, people and amounts wherever they are told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from simulator.simulated_world import OPENED, World

from waypoint.simulator.bulk import write_messages


@pytest.fixture(scope="module")
def charges(world: World) -> dict[str, Any]:
    """All charges by id."""
    return {charge["id"]: charge for charge in map(json.loads, world.charges())}


def _values(world: World, topic: str, *fields: str) -> list[tuple[Any, ...]]:
    """Fields (dotted paths) of each message of a topic that is a JSON object."""
    picked = ", ".join(f"value ->> '$.{name}'" for name in fields)
    return world.messages(
        f"select {picked} from messages "
        f"where topic = '{topic}' and json_valid(value) and value[1] = '{{'"
    )


def test_every_topic_that_lands_is_played(world: World) -> None:
    landing = {
        contract.name for contract in world.project.contracts.topics if "landsIn" in contract.custom
    }
    assert landing == {topic for (topic,) in world.messages("select distinct topic from messages")}


def test_an_orders_total_is_the_sum_of_its_items(world: World) -> None:
    compared = world.rows(
        "select count(*), count(*) filter (where total_amount_cents = items) from orders left join "
        "(select order_id, sum(quantity * unit_price_cents) as items from order_items group by 1) "
        "as summed on order_id = orders.id"
    )
    assert compared[0][0] == compared[0][1] > 20


def test_a_charge_is_made_for_what_was_bought(world: World, charges: dict[str, Any]) -> None:
    bought = {
        (kind, str(id_)): (amount, currency.lower())
        for kind in ("order", "booking")
        for id_, amount, currency in world.rows(
            f"select id, total_amount_cents, currency from {kind}s"
        )
    }
    assert charges
    for charge in charges.values():
        ((reference, id_),) = charge["metadata"].items()
        kind = reference.removesuffix("_id")
        assert bought[kind, id_] == (charge["amount"], charge["currency"])
        assert 0 <= charge["amount_refunded"] <= charge["amount"]
        assert charge["refunded"] == (0 < charge["amount_refunded"] == charge["amount"])
        assert charge["paid"] == (charge["status"] == "succeeded")
        assert charge["paid"] or not charge["amount_refunded"]


def test_a_payment_says_what_its_charge_says(world: World, charges: dict[str, Any]) -> None:
    payments = world.rows("select charge_id, amount_cents, lower(status) from payments")
    assert {charge_id for charge_id, *_ in payments} == set(charges)
    for charge_id, amount, status in payments:
        charge = charges[charge_id]
        assert amount == charge["amount"]
        given_back = {"partially_refunded": 1, "refunded": 2}.get(status, 0)
        refunded = charge["amount_refunded"]
        assert given_back == (2 if charge["refunded"] else 1 if refunded else 0)
        if not given_back:
            assert status == charge["status"]


def test_the_last_change_of_a_row_is_the_row(world: World) -> None:
    """The change topic, in both shapes, ends where the database is."""
    newest = world.messages(
        """
        with changes as (
            select
                coalesce(value ->> '$.table_name', 'public.' || (value ->> '$.source.table'))
                    as table_name,
                key,
                coalesce(value -> '$.after_values', value -> '$.after')::varchar as after_values,
                -- not the offset: a change may be delivered again after newer ones
                coalesce(
                    (value ->> '$.timestamp')::timestamp,
                    make_timestamp((value ->> '$.source.ts_ms')::bigint * 1000)
                ) as changed_at
            from messages
            where topic = 'topic_cdc_changes' and value is not null
        )
        select table_name, after_values
        from changes
        qualify row_number() over (partition by table_name, key order by changed_at desc) = 1
        """
    )
    captured: dict[str, dict[int, Any]] = {}
    for table, after in newest:
        row = json.loads(after or "null")
        if row:
            captured.setdefault(table, {})[row["id"]] = row
    for table, compared in {
        "users": "email, city, segment, location_consent",
        "products": "price_cents, stock, category",
        "orders": "status, total_amount_cents",
        "order_items": "quantity, unit_price_cents",
        "bookings": "status, place_id, guests",
        "payments": "status, amount_cents",
    }.items():
        names = compared.split(", ")
        there = {row[0]: row[1:] for row in world.rows(f"select id, {compared} from {table}")}
        told = {
            id_: tuple(row[name] for name in names)
            for id_, row in captured[f"public.{table}"].items()
        }
        assert there.keys() == told.keys()
        assert there == told


def test_apps_report_the_bookings_and_payments_that_were_made(world: World) -> None:
    bookings = {
        str(id_): (str(user), total)
        for id_, user, total in world.rows("select id, user_id, total_amount_cents from bookings")
    }
    gone = len(world.messages("select key from messages where value is null")) > 0
    sessions: dict[str, set[str]] = {}
    reported = _values(
        world, "topic_app_events", "event_type", "user_id", "session_id", "properties.booking_id"
    )
    seen = set()
    for event_type, user, session, booking in reported:
        if booking and (booking in bookings or not gone):
            assert bookings[booking][0] == user
            sessions.setdefault(booking, set()).add(session)
            seen.add(event_type)
    assert {"booking_created", "payment_completed"} <= seen
    assert all(len(found) == 1 for found in sessions.values())


def test_interactions_name_the_recommendation_that_showed_the_place(world: World) -> None:
    shown = {
        recommendation: [item["place_id"] for item in json.loads(items)]
        for recommendation, items in _values(
            world, "recommendation-logs", "recommendation_id", "items"
        )
    }
    followed = [
        (shown[recommendation], int(position), place)
        for recommendation, position, place in _values(
            world,
            "user-interactions",
            "data.context.recommendation_id",
            "data.context.position_in_results",
            "data.place_id",
        )
        if recommendation in shown
    ]
    assert followed
    assert all(places[position - 1] == place for places, position, place in followed)


def test_places_that_are_booked_are_known(world: World) -> None:
    known = {place for (place,) in _values(world, "place-updates", "place_id")}
    booked = {place for (place,) in world.rows("select place_id from bookings")}
    assert booked <= known


def test_the_full_part_has_the_documented_rate(tmp_path: Path) -> None:
    """At the usual scale; only one topic is asked, which takes no database."""
    world = World.made_in(tmp_path)
    topic, messages = "topic_app_events", 8_000
    write_messages(world.project, topic, messages, tmp_path / "bulk", as_of=OPENED, seed=3)
    ((first, last),) = duckdb.execute(
        f"select min(timestamp), max(timestamp) from '{tmp_path}/bulk/{topic}/*.parquet'"
    ).fetchall()
    assert 4_000 <= messages / ((last - first) / 3_600_000) <= 10_000


@pytest.mark.parametrize(
    ("injected", "condition"),
    [
        ("late", "timestamp - epoch_ms((value ->> '$.timestamp')::timestamp) > 60000"),
        ("an unknown field", "json_exists(value, '$.experiment')"),
    ],
)
def test_app_events_are_injected_with(world: World, injected: str, condition: str) -> None:
    found = world.messages(
        "select count(*) from messages where topic = 'topic_app_events' "
        f"and case when json_valid(value) and value[1] = '{{' then {condition} end"
    )
    assert found[0][0] > 0, injected


def test_some_messages_come_twice_and_some_are_no_messages(world: World) -> None:
    ((twice, poison),) = world.messages(
        """
        select
            count(*) - count(distinct value),
            count(*) filter (not json_valid(value) or value[1] <> '{')
        from messages
        where topic = 'topic_clickstream'
        """
    )
    assert twice > 0
    assert poison > 0


def test_a_tombstone_follows_each_delete(world: World) -> None:
    ((tombstones, deletes),) = world.messages(
        """
        select
            count(distinct key) filter (value is null),
            count(distinct key) filter (
                coalesce(value ->> '$.operation', value ->> '$.op') in ('DELETE', 'd')
            )
        from messages
        where topic = 'topic_cdc_changes'
        """
    )
    assert tombstones == deletes > 0


@pytest.mark.parametrize(
    ("domain", "topic", "field", "dirt"),
    [
        ("behaviour", "topic_app_events", "app_type", "Mobile"),
        ("operations", "topic_app_logs", "level", "warning"),
        ("market", "market-data", "volume", "-5"),
        ("travel", "place-updates", "change", "renamed"),
    ],
)
def test_a_dirty_day_is_dirty(
    dirty_world: World, domain: str, topic: str, field: str, dirt: str
) -> None:
    assert dirt in {value for (value,) in _values(dirty_world, topic, field)}, domain


@pytest.fixture(scope="module")
def dirty_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which the last day is dirty for every domain."""
    days = {
        f"dirty_day_{domain}": 4
        for domain in (
            "commerce",
            "travel",
            "behaviour",
            "recommendations",
            "market",
            "finance",
            "content",
            "operations",
        )
    }
    world = World.made_in(tmp_path_factory.mktemp("dirty"), dirty_share=0.5, **days)
    world.play()
    return world

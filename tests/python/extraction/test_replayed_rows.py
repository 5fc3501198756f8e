"""Rejected rows of databases and APIs, replayed among what their sources have said since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from extraction.world import Shop, Warehouse, column

from ingestion.extraction import Source
from ingestion.quarantine import Wanted
from ingestion.replay import Replayed, replay
from waypoint.simulator.stripe_api import ChargeStore, serving

KEY = column("id", "bigint", primaryKey=True, required=True)
UPDATED = column("updated_at", "timestamp", required=True)
TABLES = {"users": "app_users"}
COLUMNS = "id, name, stars, born, joined, notes, updated_at, _deleted, _source"


def contract(warehouse: Warehouse, most_stars: int) -> None:
    warehouse.contract(
        "app_users",
        [
            KEY,
            column("name", "varchar"),
            column("stars", "decimal(20,2)", logicalTypeOptions={"maximum": most_stars}),
            column("born", "date"),
            column("joined", "timestamp"),
            {"name": "notes", "logicalType": "object", "physicalType": "varchar"},
            UPDATED,
        ],
    )


@pytest.fixture
def users(shop: Shop, warehouse: Warehouse) -> Shop:
    """Three users under a contract that one of them does not keep."""
    contract(warehouse, 5)
    shop.execute(
        "create table users (id bigint primary key, name text, stars numeric(20,2), born date,"
        " joined timestamptz, notes jsonb, updated_at timestamptz not null)"
    )
    shop.execute(
        "insert into users values"
        " (1, 'Ada', 5, '1990-01-02', null, null, '2026-01-31 08:00+00'),"
        """ (2, 'B"ö,b', 123456789012345678.25, '1991-02-03', '2026-01-01 10:00:00.123456+02',"""
        """  '{"a": [1, "x"], "b": null}', '2026-01-31 09:00+00'),"""
        " (3, 'Cem', 1.5, null, null, null, '2026-01-31 10:00+00')"
    )
    return shop


def replayed(warehouse: Warehouse) -> list[Replayed]:
    context = warehouse.context()
    return list(replay(context.area, context.contracts, context.state, Wanted()))


def test_a_database_row_lands_as_if_it_had_landed_at_once(
    users: Shop, warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse.extract(users.source(TABLES))
    contract(warehouse, 10**18 - 1)
    (outcome,) = replayed(warehouse)
    other = Warehouse(tmp_path / "other")
    contract(other, 10**18 - 1)
    other.extract(users.source(TABLES))

    assert (outcome.landed, outcome.batch) == (1, "shop-000002")
    assert warehouse.rows("app_users", COLUMNS) == other.rows("app_users", COLUMNS)
    assert replayed(warehouse) == []


def test_the_source_is_read_on_from_where_it_was(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    contract(warehouse, 10**18 - 1)
    replayed(warehouse)
    users.execute("insert into users values (4, 'Dora', 1, null, null, null, '2026-01-31 11:00')")
    (outcome,) = warehouse.extract(users.source(TABLES))
    (again,) = warehouse.extract(users.source(TABLES), full_refresh=True)

    assert (outcome.read, outcome.landed) == (2, 1)
    assert (again.read, again.landed, again.unchanged) == (4, 0, 4)


def test_an_old_version_does_not_undo_what_has_landed_since(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("update users set stars = 4, updated_at = '2026-01-31 11:00+00' where id = 2")
    warehouse.extract(users.source(TABLES))
    contract(warehouse, 10**18 - 1)
    (outcome,) = replayed(warehouse)

    assert (outcome.landed, outcome.superseded) == (0, 1)
    assert [str(stars) for (stars,) in warehouse.rows("app_users", "stars", "id")] == [
        "5.00",
        "4.00",
        "1.50",
    ]
    assert replayed(warehouse) == []


def stars_in_order(warehouse: Warehouse) -> list[str]:
    """Of the user with rejected versions, as they landed."""
    order = "_batch, id"
    rows = warehouse.rows("app_users", "id, cast(stars as varchar)", order)
    return [stars for user, stars in rows if user == 2]


def test_of_several_rejected_versions_the_newest_lands_last(
    users: Shop, warehouse: Warehouse
) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("update users set stars = 77, updated_at = '2026-01-31 11:00+00' where id = 2")
    warehouse.extract(users.source(TABLES))
    contract(warehouse, 10**18 - 1)
    outcomes = replayed(warehouse)

    assert [outcome.landed for outcome in outcomes] == [1, 1]
    assert stars_in_order(warehouse)[-1] == "77.00"
    assert replayed(warehouse) == []


def test_a_replay_in_vain_makes_an_old_version_no_newer(users: Shop, warehouse: Warehouse) -> None:
    warehouse.extract(users.source(TABLES))
    users.execute("update users set stars = 4, updated_at = '2026-01-31 11:00+00' where id = 2")
    warehouse.extract(users.source(TABLES))
    contract(warehouse, 6)  # another reason than before, which lands anew in quarantine
    (in_vain,) = replayed(warehouse)
    contract(warehouse, 10**18 - 1)
    (outcome,) = replayed(warehouse)

    assert (in_vain.landed, in_vain.batch) == (0, "shop-000003")
    assert (outcome.landed, outcome.superseded) == (0, 1)
    assert stars_in_order(warehouse) == ["4.00"]


def test_a_record_of_an_api_lands_with_what_the_contract_has_learned(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    columns: list[dict[str, Any]] = [
        column("id", "varchar", primaryKey=True, required=True),
        column("amount", "bigint", logicalTypeOptions={"maximum": 10}),
        {"name": "metadata", "logicalType": "object", "physicalType": "varchar"},
        column("_payload", "varchar", required=True),
    ]
    warehouse.contract("charges", columns, deleted=False)
    store = ChargeStore(tmp_path / "charges.sqlite")
    record = {"id": "ch_1", "created": 1, "amount": 99, "metadata": {"a": [1]}, "currency": "eur"}
    store.upsert([record])
    with serving(store, "key") as api:
        entry = {
            "path": "/v1/charges",
            "table": "charges",
            "pagination": {"style": "cursor", "parameter": "starting_after", "items": "data",
                           "more": "has_more"},
        }  # fmt: skip
        source = Source(
            "stripe", "rest", {"base_url": api.url, "token": "key", "resources": [entry]}
        )
        warehouse.extract(source)
        columns[1] = column("amount", "bigint")
        warehouse.contract("charges", [*columns, column("currency", "varchar")], deleted=False)
        (outcome,) = replayed(warehouse)
        (again,) = warehouse.extract(source)

    assert outcome.landed == 1
    ((amount, metadata, currency, payload),) = warehouse.rows(
        "charges", "amount, metadata, currency, _payload"
    )
    assert (amount, json.loads(metadata), currency) == (99, {"a": [1]}, "eur")
    assert json.loads(payload) == record
    assert (again.landed, again.unchanged) == (0, 1)

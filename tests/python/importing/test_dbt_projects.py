"""A dbt project's own words become contracts, from its manifest or from its files alone."""

from __future__ import annotations

import json

import duckdb
import pytest
import yaml

PROPERTIES = """\
version: 2

# who reads it
exposures:
  - name: board
    type: dashboard
    owner: {name: Ada}
    depends_on: [ref('orders')]

models:
  # remarks about orders go with them
  - name: orders
    description: Orders of the shop.
    config: {tags: [daily], materialized: table, meta: {owner: shop-data}}
    columns:
      - name: order_id
        data_type: bigint
        tests: [unique, not_null]
      - name: customer_id
        description: '{{ doc("customer") }}'
        data_type: bigint
        data_tests:
          - relationships: {arguments: {to: ref('customers'), field: customer_id}}
          - not_null: {config: {severity: warn}}
      - name: status
        data_type: varchar
        tests:
          - accepted_values: {values: [new, paid]}
          - not_null: {where: "order_id > 10"}
          - shop.looks_nice: {how: very}
      - name: note

  - name: customers
    columns:
      - {name: customer_id, data_type: bigint, tests: [unique, not_null]}

sources:
  - name: till
    schema: till_data
    tables:
      - name: slips
        description: As the till prints them.
        columns:
          - {name: slip, data_type: bigint, tests: [not_null, unique]}
"""

DBT_PROJECT = """\
name: shop
version: 1.0.0
profile: shop
models:
  +materialized: table
"""


@pytest.fixture
def shop(desk):
    desk.put("dbt_project.yml", DBT_PROJECT)
    desk.put(
        "profiles.yml",
        "shop:\n  target: duckdb\n  outputs:\n    duckdb: {type: duckdb, path: shop.duckdb}\n",
    )
    desk.put(
        "models/orders.sql",
        "select cast(1 as bigint) as order_id, cast(1 as bigint) as customer_id,"
        " cast('new' as varchar) as status, cast('' as varchar) as note\n",
    )
    desk.put(
        "models/customers.sql", "select slip as customer_id from {{ source('till', 'slips') }}\n"
    )
    desk.put("models/shop.yml", PROPERTIES)
    return desk


def contract(desk, name):
    return yaml.safe_load((desk.root / "contracts" / f"{name}.yaml").read_text())


def columns(document):
    return {column["name"]: column for column in document["schema"][0]["properties"]}


def drafted(desk, *options):
    ended = desk.waypoint("contracts", "import", "dbt", *options)
    assert ended.code == 0, ended.err
    return ended


def test_without_a_manifest_its_files_are_read(shop):
    drafted(shop, "--schema", "main")
    document = contract(shop, "main/orders")
    found = columns(document)
    assert document["tags"] == ["daily"]
    assert document["team"]["name"] == "shop-data"
    assert found["order_id"]["primaryKey"] is True
    assert found["customer_id"]["relationships"] == [{"to": "customers.customer_id"}]
    assert "required" not in found["customer_id"]
    assert found["status"]["quality"][0]["arguments"]["validValues"] == ["new", "paid"]
    (rule,) = document["schema"][0]["quality"]
    assert (rule["query"], rule["severity"]) == (
        "select count(*) from {object} where customer_id is null",
        "warning",
    )


def test_nothing_that_dbt_knew_is_lost_quietly(shop):
    drafted(shop, "--schema", "main")
    (todos,) = (p["value"] for p in contract(shop, "main/orders")["customProperties"])
    told = " ".join(todos)
    assert "not_null on status where order_id > 10" in told
    assert 'shop.looks_nice on status {"how": "very"}' in told
    assert "config materialized: table" in told
    assert "type note is is not known" in told


def test_dbts_yml_keeps_what_is_no_table(shop):
    ended = drafted(shop, "--schema", "main")
    assert "wrote models/shop.yml" in ended.out
    assert (shop.root / "models/shop.yml").read_text() == PROPERTIES.partition("models:")[0]


def test_dbts_yml_can_be_left_alone(shop):
    drafted(shop, "--schema", "main", "--keep-properties")
    assert (shop.root / "models/shop.yml").read_text() == PROPERTIES


def test_a_dry_run_leaves_it_alone_too(shop):
    ended = drafted(shop, "--schema", "main", "--dry-run")
    assert "would write models/shop.yml" in ended.out
    assert (shop.root / "models/shop.yml").read_text() == PROPERTIES
    assert not (shop.root / "contracts").exists()


def test_only_what_is_asked_for_is_taken(shop):
    drafted(shop, "customers", "--schema", "main")
    left = yaml.safe_load((shop.root / "models/shop.yml").read_text())
    assert [model["name"] for model in left["models"]] == ["orders"]
    assert left["sources"][0]["tables"][0]["name"] == "slips"
    assert not (shop.root / "contracts/main/orders.yaml").exists()


def test_a_file_called_like_its_model_makes_room_for_the_derived_one(shop):
    (shop.root / "models/shop.yml").rename(shop.root / "models/orders.yml")
    drafted(shop, "--schema", "main")
    shop.waypoint("contracts", "render")
    kept = yaml.safe_load((shop.root / "models/orders__kept.yml").read_text())
    assert list(kept) == ["version", "exposures"]
    assert "order_id" in (shop.root / "models/orders.yml").read_text()


def test_types_come_from_the_built_tables(shop):
    with duckdb.connect(str(shop.root / "shop.duckdb")) as connection:
        connection.execute(
            "create schema built; create table built.orders (order_id bigint, customer_id bigint,"
            " status varchar, note varchar, total hugeint)"
        )
    drafted(shop, "orders")
    found = columns(contract(shop, "built/orders"))
    assert list(found) == ["order_id", "customer_id", "status", "note", "total"]
    assert found["total"]["physicalType"] == "decimal(38,0)"


def test_or_from_dbts_catalog(shop):
    catalog = {
        "sources": {},
        "nodes": {
            "model.shop.orders": {
                "metadata": {"schema": "MAIN", "name": "ORDERS"},
                "columns": {
                    "STATUS": {"name": "STATUS", "type": "TEXT", "index": 2},
                    "ORDER_ID": {"name": "ORDER_ID", "type": "NUMBER(38,0)", "index": 1},
                },
            }
        },
    }
    shop.put("catalog.json", json.dumps(catalog))
    manifest = {
        "metadata": {"project_name": "shop"},
        "sources": {},
        "nodes": {
            "model.shop.orders": {
                "unique_id": "model.shop.orders",
                "resource_type": "model",
                "package_name": "shop",
                "name": "orders",
                "schema": "main",
                "columns": {},
            }
        },
    }
    shop.put("manifest.json", json.dumps(manifest))
    drafted(shop, "--catalog", "catalog.json", "--manifest", "manifest.json")
    found = columns(contract(shop, "main/orders"))
    assert {name: column["physicalType"] for name, column in found.items()} == {
        "order_id": "decimal(38,0)",
        "status": "varchar",
    }


def test_what_can_have_no_contract_is_left_out_with_its_reason(shop):
    node = {"resource_type": "model", "package_name": "shop", "columns": {}}
    nodes = {
        "orders": {"name": "orders", "schema": "main"},
        "short": {"name": "short", "schema": "main", "config": {"materialized": "ephemeral"}},
        "seen": {"name": "seen", "schema": "raw"},
        "theirs": {"name": "theirs", "schema": "main", "package_name": "a_package"},
    }
    document = {
        "metadata": {"project_name": "shop"},
        "sources": {},
        "nodes": {
            f"model.shop.{name}": node | entry | {"unique_id": f"model.shop.{name}"}
            for name, entry in nodes.items()
        },
    }
    shop.put("target/manifest.json", json.dumps(document))
    ended = drafted(shop)
    assert [p.name for p in shop.root.rglob("contracts/*/*.yaml")] == ["orders.yaml"]
    assert "short was left out: it is ephemeral" in ended.out
    assert "seen was left out: the folder contracts/raw" in ended.out
    assert "theirs" not in ended.out


@pytest.mark.timeout(120)
def test_a_source_that_others_load_is_rendered_as_a_source(shop):
    with duckdb.connect(str(shop.root / "shop.duckdb")) as connection:
        connection.execute(
            "create schema till_data; create table till_data.slips as"
            " select cast(1 as bigint) as slip"
        )
    drafted(shop, "--schema", "main")
    assert contract(shop, "till_data/slips")["customProperties"][0] == {
        "property": "dbtSource",
        "value": "till",
    }
    rendered = shop.waypoint("contracts", "render")
    assert rendered.code == 0, rendered.err
    (source,) = yaml.safe_load((shop.root / "models/till__sources.yml").read_text())["sources"]
    assert (source["name"], source["schema"]) == ("till", "till_data")
    refused = shop.waypoint("build")
    assert refused.code == 2
    assert "WAYPOINT_STATE" in refused.err

    profile = shop.root / "profiles.yml"
    path = "{{ env_var('WAYPOINT_STATE', 'var') }}/warehouse/waypoint.duckdb"
    profile.write_text(profile.read_text().replace("shop.duckdb", f'"{path}"'))
    warehouse = shop.root / "var" / "warehouse" / "waypoint.duckdb"
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    (shop.root / "shop.duckdb").rename(warehouse)
    built = shop.waypoint("build")
    assert built.code == 0, built.out + built.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "in which schema"),
        (("--schema", "main", "ordres"), "did you mean orders?"),
        (("--manifest", "profiles.yml"), "not a manifest"),
        (("--manifest", "none.json"), "cannot be read"),
        (("--schema", "main", "--warehouse", "none.duckdb"), "no such file"),
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_written(shop, arguments, said):
    ended = shop.waypoint("contracts", "import", "dbt", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert not (shop.root / "contracts").exists()
    assert (shop.root / "models/shop.yml").read_text() == PROPERTIES

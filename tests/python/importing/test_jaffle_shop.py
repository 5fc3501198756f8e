"""A dbt project that is not ours: imported, rendered, built and guarded, with no change of code."""

from __future__ import annotations

import shutil

import pytest
import yaml
from importing import jaffle_shop

pytestmark = pytest.mark.skipif(
    not jaffle_shop.SEEDS.is_dir(), reason="the jaffle shop's seeds are not in ../shared/data"
)

TABLES = {
    *("raw_customers", "raw_orders", "raw_payments"),
    *("stg_customers", "stg_orders", "stg_payments", "customers", "orders"),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory, make_command_line):
    """The shop, built once by dbt as it is, and its contracts drafted."""
    shop = make_command_line(jaffle_shop.copied_to(tmp_path_factory.mktemp("shop") / "jaffle"))
    built = shop.waypoint("build")
    assert built.code == 0, built.out + built.err
    drafted = shop.waypoint("contracts", "import", "dbt", "--owner", "shop", "--domain", "shop")
    assert drafted.code == 0, drafted.err
    return shop, drafted


@pytest.fixture(scope="module")
def taken_over(imported, tmp_path_factory, make_command_line):
    """A copy with the drafts finished, the files derived, and all of it built and committed."""
    root = tmp_path_factory.mktemp("taken") / "jaffle"
    shutil.copytree(imported[0].root, root)
    shop = make_command_line(root)
    jaffle_shop.finish_drafts(root)
    for command in (("contracts", "lint"), ("contracts", "render"), ("build", "--json")):
        ended = shop.waypoint(*command)
        assert ended.code == 0, f"{command}: {ended.out}{ended.err}"
    jaffle_shop.commit_all(root)
    return shop, ended.json


def contract(shop, table):
    return yaml.safe_load((shop.root / "contracts" / "jaffle" / f"{table}.yaml").read_text())


def column(document, name):
    (found,) = (c for c in document["schema"][0]["properties"] if c["name"] == name)
    return found


def test_every_table_gets_a_contract_with_what_dbt_knew_of_it(imported):
    shop, _ = imported
    assert {p.stem for p in (shop.root / "contracts" / "jaffle").iterdir()} == TABLES

    orders = contract(shop, "orders")
    assert orders["status"] == "draft"
    assert column(orders, "order_id") == {
        "name": "order_id",
        "logicalType": "integer",
        "physicalType": "integer",
        "primaryKey": True,
        "required": True,
        "description": "This is a unique identifier for an order",
    }
    assert column(orders, "customer_id")["relationships"] == [{"to": "customers.customer_id"}]
    (quality,) = column(orders, "status")["quality"]
    assert quality["arguments"]["validValues"] == [
        *("placed", "shipped", "completed", "return_pending", "returned")
    ]
    assert column(contract(shop, "customers"), "first_order")["physicalType"] == "date"
    assert "total_order_amount" in str(contract(shop, "customers")["customProperties"])


def test_what_became_a_contract_is_no_longer_described_in_dbts_yml(imported):
    shop, drafted = imported
    assert "removed models/schema.yml" in drafted.out
    assert not list((shop.root / "models").rglob("*.yml"))


def test_drafts_are_refused_until_they_are_finished(imported):
    shop, _ = imported
    linted = shop.waypoint("contracts", "lint", "--json")
    assert linted.code == 1
    assert {
        finding["file"].split("/")[-1].split(".")[0] for finding in linted.json["findings"]
    } == TABLES


def test_importing_again_overwrites_nothing(imported):
    shop, _ = imported
    before = (shop.root / "contracts/jaffle/orders.yaml").read_bytes()
    again = shop.waypoint("contracts", "import", "dbt", "orders")
    assert again.code == 2
    assert "--force" in again.err
    assert (shop.root / "contracts/jaffle/orders.yaml").read_bytes() == before


def test_the_finished_contracts_are_enforced_and_tested_in_the_build(taken_over):
    _, built = taken_over
    assert built["succeeded"]
    assert built["counts"]["model"] == 5
    assert built["counts"]["test"] >= 8
    assert built["broken_rules"] == []


def test_rendering_again_changes_nothing(taken_over):
    shop, _ = taken_over
    ended = shop.waypoint("contracts", "render", "--check")
    assert ended.code == 0, ended.err


def test_a_macro_that_was_edited_is_found(taken_over):
    shop, _ = taken_over
    path = shop.root / "macros" / "waypoint" / "contract_rules.sql"
    text = path.read_text()
    path.write_text(text + "{# mine #}\n")
    ended = shop.waypoint("contracts", "render", "--check")
    path.write_text(text)
    assert ended.code == 1
    assert "macros/waypoint/contract_rules.sql" in ended.err


def test_the_gate_stops_a_breaking_change_and_names_who_reads_the_column(taken_over):
    shop, _ = taken_over
    path = shop.root / "contracts" / "jaffle" / "stg_orders.yaml"
    text = path.read_text()
    document = yaml.safe_load(text)
    properties = document["schema"][0]["properties"]
    document["schema"][0]["properties"] = [c for c in properties if c["name"] != "order_date"]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    ended = shop.waypoint("contracts", "check", "--base", "HEAD")
    path.write_text(text)

    assert ended.code == 1, ended.err
    assert "column order_date is dropped" in ended.out
    assert "jaffle.orders" in ended.out
    assert "jaffle.customers" in ended.out


@pytest.mark.long
def test_no_damage_to_its_tables_goes_unnoticed(taken_over):
    shop, _ = taken_over
    ended = shop.waypoint("contracts", "mutate", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["mutants"] > 150
    assert ended.json["survivors"] == []


@pytest.mark.long
def test_a_seed_that_breaks_a_rule_fails_the_build_by_the_rules_name(
    taken_over, tmp_path, make_command_line
):
    root = tmp_path / "jaffle"
    shutil.copytree(taken_over[0].root, root)
    seed = root / "seeds" / "raw_orders.csv"
    seed.write_text(seed.read_text().replace("returned", "eaten", 1))
    ended = make_command_line(root).waypoint("build")
    assert ended.code == 1
    assert "jaffle.raw_orders: status_is_allowed is broken once" in ended.out + ended.err

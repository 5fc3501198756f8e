"""The jaffle shop as a person would take it over: built, imported, its drafts finished."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.importing.house_yaml import house_yaml

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "jaffle_shop"
SEEDS = HERE.parents[3] / "shared" / "data" / "commerce" / "jaffle_shop_classic"

#: The rules and ranges that a person adds to the drafts.
DECISIONS = yaml.safe_load((HERE / "jaffle_decisions.yml").read_text())

MONEY = "decimal(18,2)"

#: What the models have to cast once money is no longer a double.
CASTS = {
    "models/staging/stg_payments.sql": {"amount / 100 as": f"cast(amount / 100.0 as {MONEY}) as"},
    "models/customers.sql": {"sum(amount) as": f"cast(sum(amount) as {MONEY}) as"},
    "models/orders.sql": {
        "sum(amount) as": f"cast(sum(amount) as {MONEY}) as",
        "sum(case when payment_method = '{{ payment_method }}' then amount else 0 end)": (
            "cast(sum(case when payment_method = '{{ payment_method }}' then amount else 0 end)"
            f" as {MONEY})"
        ),
    },
}


def copied_to(root: Path) -> Path:
    """The project with its seeds, without contracts."""
    shutil.copytree(PROJECT, root)
    shutil.copytree(SEEDS, root / "seeds")
    return root


def finish_drafts(root: Path) -> None:
    """Decide everything that is open: meanings, personal data, money as decimals."""
    for path in (root / "contracts").glob("*/*.yaml"):
        document = yaml.safe_load(path.read_text())
        document["status"] = "active"
        properties = document.pop("customProperties", [])
        kept = [entry for entry in properties if entry["property"] != "todo"]
        if kept:
            document["customProperties"] = kept
        for column in document["schema"][0]["properties"]:
            if column.get("classification", "").startswith("TODO"):
                column["classification"] = "pii"
            if "amount" in column["name"] and column["physicalType"] == "double":
                column["physicalType"] = MONEY
            if column["name"] == "customer_lifetime_value":
                column["physicalType"] = MONEY
        _add_decisions(document["schema"][0], DECISIONS[path.stem])
        path.write_text(house_yaml(_decided(document)))
    for name, casts in CASTS.items():
        text = (root / name).read_text()
        for before, after in casts.items():
            assert before in text
            text = text.replace(before, after)
        (root / name).write_text(text)


def _add_decisions(table: dict[str, Any], decided: dict[str, Any]) -> None:
    for column in table["properties"]:
        more = decided["columns"].get(column["name"], {})
        if more.get("key"):
            column |= {"primaryKey": True, "required": True}
        if more.get("required"):
            column["required"] = True
        bounds = {name: more[name] for name in ("minimum", "maximum") if name in more}
        if bounds:
            column["logicalTypeOptions"] = bounds
        if "references" in more:
            column["relationships"] = [{"to": more["references"]}]
        if "values" in more:
            arguments = {"validValues": more["values"]}
            column["quality"] = [{"metric": "invalidValues", "arguments": arguments, "mustBe": 0}]
    table["quality"] = [
        {
            "name": name,
            "description": f"The shop's books are wrong otherwise: {name.replace('_', ' ')}.",
            "type": "sql",
            "query": query,
            "mustBe": 0,
            "severity": "error",
        }
        for name, query in decided["rules"].items()
    ]


def _decided(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decided(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_decided(inner) for inner in value]
    if isinstance(value, str) and value.startswith("TODO: "):
        return f"As the shop's own documents say it: {value.removeprefix('TODO: ')}."
    return value


def commit_all(root: Path) -> None:
    """Put the project under git, as the gate needs it."""
    (root / ".gitignore").write_text("target/\nvar/\nlogs/\n")
    git = ["git", "-C", str(root), "-c", "user.name=Ada", "-c", "user.email=ada@jaffle.example"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "start"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)

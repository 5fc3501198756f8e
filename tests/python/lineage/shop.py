"""A shop's manifest: a source, what is cleaned and shown of it, and a dashboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def node(kind: str, name: str, columns: str, parents: str = "", sql: str = "") -> dict[str, Any]:
    """A node of a manifest; `name` is schema.table, parents are unique ids."""
    schema, _, table = name.partition(".")
    return {
        "resource_type": kind,
        "unique_id": f"{kind}.shop.{table}",
        "package_name": "shop",
        "schema": schema,
        "name": table,
        "alias": table,
        "identifier": table,
        "original_file_path": f"models/{table}.sql",
        "columns": {c: {"name": c, "data_type": "varchar"} for c in columns.split()},
        "config": {"meta": {"owner": f"{schema}-team"}},
        "depends_on": {"nodes": parents.split()},
        "compiled_code": sql,
    }


def exposure(name: str, label: str, parents: str, columns: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "name": name,
        "unique_id": f"exposure.shop.{name}",
        "label": label,
        "type": "dashboard",
        "owner": {"name": "board", "email": "board@example.com"},
        "depends_on": {"nodes": parents.split()},
        "config": {"meta": {"columns": columns}},
    }


NODES = [
    node(
        "model",
        "clean.orders",
        "id cents status",
        "source.shop.sales",
        "select id, amount as cents, state as status from raw.sales where is_test = false",
    ),
    node(
        "model",
        "shown.days",
        "day cents",
        "model.shop.orders source.shop.days",
        "select d.day, sum(o.cents) as cents from raw.days as d"
        " join clean.orders as o on o.id = d.sale group by d.day",
    ),
    node(
        "model",
        "shown.how_many",
        "n",
        "model.shop.orders",
        "select count(*) as n from clean.orders",
    ),
]
SOURCES = [
    node("source", "raw.sales", "id amount state is_test note"),
    node("source", "raw.days", "day sale"),
]
EXPOSURES = [
    exposure("money", "Money by Day", "model.shop.days", {"shown.days": ["cents"]}),
    exposure("counter", "Counter", "model.shop.how_many", {}),
]


def written(folder: Path, nodes: list[dict[str, Any]], sources: list[dict[str, Any]]) -> Path:
    manifest = {
        "metadata": {"adapter_type": "duckdb", "project_name": "shop"},
        "nodes": {n["unique_id"]: n for n in nodes},
        "sources": {n["unique_id"]: n for n in sources},
        "exposures": {e["unique_id"]: e for e in EXPOSURES},
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path

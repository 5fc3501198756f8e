"""Deriving dbt's yml files: sources with freshness, and each model's columns, types and tests.

For each table one file: the source yml for `raw`, and beside each model, seed and snapshot a
`<name>.yml` with its description, enforced columns and the test of its contract. Versions of a
model share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.model import RAW, Column, Contract
from waypoint.contracts.nodes import Node, dbt_paths
from waypoint.contracts.rules import rules_after_landing, table_rules
from waypoint.errors import UnusableInput
from waypoint.project import Project


def files(project: Project, nodes: Mapping[str, Node]) -> dict[Path, str]:
    """The dbt files of the tables that something builds, by path."""
    found = {}
    sources: dict[str, list[Contract]] = {}
    for contract in project.contracts.tables:
        if contract.dbt_source:
            sources.setdefault(contract.dbt_source, []).append(contract)
    for name, tables in sources.items():
        found[sources_path(project, name)] = _text(_sources_document(name, tables))
    versions: dict[Path, list[Contract]] = {}
    for contract in project.contracts.tables:
        node = nodes.get(contract.name)
        if contract.dbt_source or node is None:
            continue
        if contract.versioned_as and node.kind == "models":
            path = node.path.with_name(f"{contract.family}.yml")
            versions.setdefault(path, []).append(contract)
        else:
            found[node.path.with_suffix(".yml")] = _text(_node_document(node, contract))
    for path, contracts in versions.items():
        _refuse_a_version_without_number(project, contracts[0])
        found[path] = _text(_versions_document(contracts))
    return found


def _refuse_a_version_without_number(project: Project, versioned: Contract) -> None:
    for contract in project.contracts.versions(versioned.family_name):
        if contract.versioned_as is None:
            here = contract.path.relative_to(project.root)
            numbered = f"{contract.family}-v{contract.major}.yaml"
            raise UnusableInput(
                f"{here}, line 1: {versioned.path.name} stands beside it, so it needs a number too",
                hint=f"rename it {numbered}, and its model {contract.family}_v{contract.major}.sql",
            )


def sources_path(project: Project, source: str = RAW) -> Path:
    """Where the sources' yml stands: at the top of the models, being what they all start from."""
    return project.root / dbt_paths(project)["model-paths"][0] / f"{source}__sources.yml"


def _sources_document(source: str, contracts: list[Contract]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": source, "schema": contracts[0].schema}
    if source == RAW:
        entry["description"] = "What the sources said, unmodified, plus load metadata."
    entry["tables"] = [_source_table(contract) for contract in contracts]
    return {"version": 2, "sources": [entry]}


def _source_table(contract: Contract) -> dict[str, Any]:
    config: dict[str, Any] = {"meta": _meta(contract)}
    if contract.freshness:
        config["loaded_at_field"] = contract.freshness.element
        config["freshness"] = {
            "warn_after": _minutes(contract.freshness.warn_after.total_seconds()),
            "error_after": _minutes(contract.freshness.error_after.total_seconds()),
        }
    entry = {
        "name": contract.name,
        "description": contract.description,
        "config": config,
        "columns": [_column(column) for column in contract.columns],
    }
    tests = _tests(contract, rules_after_landing(contract))
    return entry | {"data_tests": tests} if tests else entry


def _versions_document(contracts: list[Contract]) -> dict[str, Any]:
    """The versions of one model, as dbt knows them.

    Unpinned references and the view of the family's name stay with the oldest version: who reads
    them is moved on by its removal, on the day that was announced, and not by the new one's coming.
    """
    oldest, *_ = contracts = sorted(contracts, key=lambda contract: contract.major)
    entry: dict[str, Any] = {
        "name": oldest.family,
        "description": oldest.description,
        "latest_version": oldest.major,
        "config": {"post_hook": "{{ create_stable_view() }}"},
        "versions": [_version(contract) for contract in contracts],
    }
    return {"version": 2, "models": [entry]}


def _version(contract: Contract) -> dict[str, Any]:
    entry: dict[str, Any] = {"v": contract.major, "description": contract.description}
    if contract.end_of_life:
        entry["deprecation_date"] = contract.end_of_life
    entry["config"] = _config(contract) | {"contract": {"enforced": True}}
    entry["columns"] = [_column(column) for column in contract.columns]
    tests = _tests(contract, table_rules(contract))
    if tests:
        entry["data_tests"] = tests
    return entry


def _node_document(node: Node, contract: Contract) -> dict[str, Any]:
    config = _config(contract)
    if node.kind == "models":
        config["contract"] = {"enforced": True}
    if node.kind == "seeds":
        config["column_types"] = {c.name: c.physical_type for c in contract.columns}
    entry: dict[str, Any] = {"name": contract.name, "description": contract.description}
    if node.kind == "models" and contract.end_of_life:
        entry["deprecation_date"] = contract.end_of_life
    entry["config"] = config
    entry["columns"] = [_column(column) for column in contract.columns]
    tests = _tests(contract, table_rules(contract))
    if tests:
        entry["data_tests"] = tests
    return {"version": 2, node.kind: [entry]}


def _config(contract: Contract) -> dict[str, Any]:
    config: dict[str, Any] = {"meta": _meta(contract)}
    if contract.tags:
        config["tags"] = list(contract.tags)
    return config


def _meta(contract: Contract) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "owner": contract.owner,
        "grain": contract.grain,
        "contract_version": contract.version,
    }
    return {name: value for name, value in meta.items() if value}


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "data_type": column.physical_type,
        "description": column.description,
    }
    if column.classification:
        entry["config"] = {"meta": {"classification": column.classification}}
    return entry


def _tests(contract: Contract, checked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One test: all rules of a table, those that only warn among them, in one scan of it."""
    if not checked:
        return []
    test: dict[str, Any] = {
        "name": f"{contract.name}__contract",
        "arguments": {"rules": [_rule(rule) for rule in checked]},
    }
    if all(rule["severity"] == "warning" for rule in checked):
        test["config"] = {"severity": "warn"}
    return [{"contract_rules": test}]


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as the test takes it; an error unless it says that it only warns."""
    said = {name: value for name, value in rule.items() if name != "severity"}
    return said | ({"warns": True} if rule["severity"] == "warning" else {})


def _minutes(seconds: float) -> dict[str, Any]:
    return {"count": round(seconds / 60), "period": "minute"}


class _Dumper(yaml.SafeDumper):
    """Block style, indented lists, keys in the order given."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(document: dict[str, Any]) -> str:
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return f"# {MARK}\n{body}"

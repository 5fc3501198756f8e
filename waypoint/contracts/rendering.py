"""Deriving dbt's files from the contracts: byte-stable, and nothing typed twice.

For each table one file: the source yml for `raw`, and beside each model, seed and snapshot a
`<name>.yml` with its description, enforced columns and the test of its contract. Versions of a
model share one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.model import RAW, Column, Contract
from waypoint.contracts.rules import table_rules
from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project

MARK = "# Derived from the contracts by `waypoint contracts render`: edit the contract, not this."


class ContractWithoutTable(UnusableInput):
    """A contract describes a table that no model, seed or snapshot builds."""


class DerivedFilesStale(WaypointError):
    """A derived file is not what the contracts say; the message names it and the mend."""


@dataclass(frozen=True)
class Node:
    """What builds a contract's table: a model, seed or snapshot, and the file it stands in."""

    kind: str  # "models", "seeds" or "snapshots": dbt's words in a yml file
    path: Path


def render(project: Project, check: bool = False) -> list[Path]:
    """Write every derived file, or with `check` only compare; returns the files that differed.

    Files that were derived from a contract which is gone are removed.

    Raises:
        ContractWithoutTable: a contract's table is built by nothing; the others are written.
        DerivedFilesStale: with `check`, some file is not what the contracts say.
    """
    nodes = find_nodes(project)
    expected = derived_files(project, nodes)
    changed = []
    for path, text in expected.items():
        if not path.exists() or path.read_text() != text:
            changed.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for path in _orphans(project, expected):
        changed.append(path)
        if not check:
            path.unlink()
    if check and changed:
        names = ", ".join(str(p.relative_to(project.root)) for p in changed)
        raise DerivedFilesStale(
            f"not what the contracts say: {names}",
            hint="run `waypoint contracts render` and commit what it writes",
        )
    _refuse_contracts_without_table(project, nodes)
    return changed


def derived_files(project: Project, nodes: dict[str, Node]) -> dict[Path, str]:
    """Every derived file's path and text, for the tables that something builds."""
    files = {}
    sources = project.contracts.in_schema(RAW)
    if sources:
        files[sources_path(project)] = _text(_sources_document(sources))
    versions: dict[Path, list[Contract]] = {}
    for contract in project.contracts.tables:
        node = nodes.get(contract.name)
        if contract.schema == RAW or node is None:
            continue
        if contract.versioned_as and node.kind == "models":
            path = node.path.with_name(f"{contract.family}.yml")
            versions.setdefault(path, []).append(contract)
        else:
            files[node.path.with_suffix(".yml")] = _text(_node_document(node, contract))
    for path, contracts in versions.items():
        _refuse_a_version_without_number(project, contracts[0])
        files[path] = _text(_versions_document(contracts))
    return files


def _refuse_a_version_without_number(project: Project, versioned: Contract) -> None:
    for contract in project.contracts.versions(versioned.family_name):
        if contract.versioned_as is None:
            here = contract.path.relative_to(project.root)
            numbered = f"{contract.family}-v{contract.major}.yaml"
            raise UnusableInput(
                f"{here}, line 1: {versioned.path.name} stands beside it, so it needs a number too",
                hint=f"rename it {numbered}, and its model {contract.family}_v{contract.major}.sql",
            )


def _refuse_contracts_without_table(project: Project, nodes: dict[str, Node]) -> None:
    missing = [
        contract
        for contract in project.contracts.tables
        if contract.schema != RAW and contract.name not in nodes
    ]
    if missing:
        names = ", ".join(str(c.path.relative_to(project.root)) for c in missing)
        raise ContractWithoutTable(
            f"no model, seed or snapshot builds the table of: {names}",
            hint="add <table>.sql to the models, or take the contract away",
        )


def sources_path(project: Project) -> Path:
    """Where the sources' yml stands: at the top of the models, being what they all start from."""
    return project.root / _paths(project)["model-paths"][0] / "raw__sources.yml"


def find_nodes(project: Project) -> dict[str, Node]:
    """The project's models, seeds and snapshots by name."""
    kinds = {
        "model-paths": ("models", "*.sql"),
        "snapshot-paths": ("snapshots", "*.sql"),
        "seed-paths": ("seeds", "*.csv"),
    }
    return {
        path.stem: Node(kind, path)
        for setting, (kind, pattern) in kinds.items()
        for folder in _paths(project)[setting]
        for path in sorted((project.root / folder).rglob(pattern))
    }


def _paths(project: Project) -> dict[str, list[str]]:
    defaults = {
        "model-paths": ["models"],
        "snapshot-paths": ["snapshots"],
        "seed-paths": ["seeds"],
    }
    settings = yaml.safe_load((project.root / "dbt_project.yml").read_text())
    return {name: settings.get(name, default) for name, default in defaults.items()}


def _orphans(project: Project, expected: dict[Path, str]) -> list[Path]:
    folders = [folder for paths in _paths(project).values() for folder in paths]
    return sorted(
        path
        for folder in folders
        for path in (project.root / folder).rglob("*.yml")
        if path not in expected and path.read_text().startswith(MARK)
    )


def _sources_document(contracts: Iterable[Contract]) -> dict[str, Any]:
    return {
        "version": 2,
        "sources": [
            {
                "name": RAW,
                "schema": RAW,
                "description": "What the sources said, unmodified, plus load metadata.",
                "tables": [_source_table(contract) for contract in contracts],
            }
        ],
    }


def _source_table(contract: Contract) -> dict[str, Any]:
    config: dict[str, Any] = {"meta": _meta(contract)}
    if contract.freshness:
        config["loaded_at_field"] = contract.freshness.element
        config["freshness"] = {
            "warn_after": _minutes(contract.freshness.warn_after.total_seconds()),
            "error_after": _minutes(contract.freshness.error_after.total_seconds()),
        }
    return {
        "name": contract.name,
        "description": contract.description,
        "config": config,
        "columns": [_column(column) for column in contract.columns],
    }


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
    tests = _tests(contract)
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
    tests = _tests(contract)
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


def _tests(contract: Contract) -> list[dict[str, Any]]:
    """One test a severity: all rules of a table are counted in one scan of it."""
    tests = []
    for severity, suffix in (("error", "contract"), ("warning", "contract_warnings")):
        rules = [rule for rule in table_rules(contract) if rule["severity"] == severity]
        if not rules:
            continue
        test: dict[str, Any] = {
            "name": f"{contract.name}__{suffix}",
            "arguments": {
                "rules": [{k: v for k, v in rule.items() if k != "severity"} for rule in rules]
            },
        }
        if severity == "warning":
            test["config"] = {"severity": "warn"}
        tests.append({"contract_rules": test})
    return tests


def _minutes(seconds: float) -> dict[str, Any]:
    return {"count": round(seconds / 60), "period": "minute"}


class _Dumper(yaml.SafeDumper):
    """Block style, indented lists, keys in the order given."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(document: dict[str, Any]) -> str:
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return f"{MARK}\n{body}"

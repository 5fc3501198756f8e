"""The tables of a dbt project as its manifest, or its files alone, describe them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.nodes import dbt_paths, find_nodes
from waypoint.errors import UnusableInput
from waypoint.project import Project

_KINDS = {"model": "models", "seed": "seeds", "snapshot": "snapshots"}


@dataclass(frozen=True)
class DbtTest:
    """A data test of a table, or of one of its columns."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    column: str | None = None
    warns: bool = False
    where: str | None = None


@dataclass
class DbtTable:
    """A model, seed, snapshot or source. `columns` are (description, data type) by name."""

    kind: str  # models, seeds, snapshots or sources: dbt's words in a yml file
    name: str
    schema: str | None = None
    unique_id: str = ""
    source_name: str = ""
    description: str = ""
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)
    tests: list[DbtTest] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    owner: str = ""
    unsupported: str = ""  # why there can be no contract for it


def tables_of_manifest(path: Path) -> list[DbtTable]:
    """The project's own tables.

    Raises:
        UnusableInput: not a manifest of dbt.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        project = manifest["metadata"]["project_name"]
        nodes: Mapping[str, Any] = manifest["nodes"]
        sources: Mapping[str, Any] = manifest["sources"]
        found = {
            key: _of_node(node)
            for key, node in {**nodes, **sources}.items()
            if node["package_name"] == project and node["resource_type"] in (*_KINDS, "source")
        }
        for node in nodes.values():
            if node["resource_type"] == "test" and node.get("test_metadata"):
                table = found.get(_tested(node))
                if table is not None:
                    table.tests.append(_test_of_node(node))
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{path}: not a manifest of dbt ({type(error).__name__}: {error})"
        raise UnusableInput(what, hint="run `dbt parse`, which writes it") from None
    return list(found.values())


def _of_node(node: Mapping[str, Any]) -> DbtTable:
    config = node.get("config") or {}
    meta = {**(node.get("meta") or {}), **(config.get("meta") or {})}
    table = DbtTable(
        kind=_KINDS.get(node["resource_type"], "sources"),
        name=node.get("identifier") or node["name"],
        schema=node["schema"],
        unique_id=node["unique_id"],
        source_name=node.get("source_name", ""),
        description=_words(node.get("description")),
        columns={
            name: (_words(column.get("description")), column.get("data_type") or "")
            for name, column in (node.get("columns") or {}).items()
        },
        tags=sorted(node.get("tags") or ()),
        owner=str(meta.get("owner") or ""),
    )
    table.unsupported = _unsupported(config, node)
    return table


def _unsupported(config: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    if config.get("materialized") == "ephemeral":
        return "it is ephemeral, so there is no table"
    if node.get("language", "sql") != "sql":
        return "it is written in Python"
    if node.get("version") is not None:
        return "it has versions, which have contracts of their own (docs/contract-changes.md)"
    if node.get("alias") not in (None, node["name"]):
        return f"its table has another name, {node['alias']}"
    return ""


def _tested(node: Mapping[str, Any]) -> str:
    attached = node.get("attached_node")
    needs = node["depends_on"]["nodes"]
    return str(attached or (needs[-1] if needs else ""))


def _test_of_node(node: Mapping[str, Any]) -> DbtTest:
    about, config = node["test_metadata"], node.get("config") or {}
    name = f"{about['namespace']}.{about['name']}" if about.get("namespace") else about["name"]
    ignored = ("column_name", "model")
    return DbtTest(
        name=name,
        arguments={k: v for k, v in (about.get("kwargs") or {}).items() if k not in ignored},
        column=node.get("column_name") or (about.get("kwargs") or {}).get("column_name"),
        warns=str(config.get("severity", "error")).lower() == "warn",
        where=config.get("where"),
    )


def tables_of_files(project: Project) -> list[DbtTable]:
    """The project's tables by its SQL, CSV and yml files alone; schemas are not known from these.

    Raises:
        UnusableInput: a yml file cannot be read.
    """
    tables = {
        (node.kind, name): DbtTable(node.kind, name) for name, node in find_nodes(project).items()
    }
    for _, document in property_files(project):
        for kind in _KINDS.values():
            for entry in _list(document.get(kind)):
                table = tables.get((kind, str(entry.get("name"))))
                if table is not None:
                    _describe(table, entry)
        for source in _list(document.get("sources")):
            for entry in _list(source.get("tables")):
                table = DbtTable(
                    "sources",
                    str(entry.get("identifier") or entry.get("name")),
                    schema=str(source.get("schema") or source.get("name")),
                    source_name=str(source.get("name")),
                )
                _describe(table, entry)
                tables["sources", f"{table.source_name}.{table.name}"] = table
    return list(tables.values())


def property_files(project: Project) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The yml files beside models, seeds and snapshots, and what they hold.

    Raises:
        UnusableInput: one is not readable as YAML.
    """
    folders = dict.fromkeys(name for names in dbt_paths(project).values() for name in names)
    for folder in folders:
        found = [*(project.root / folder).rglob("*.yml"), *(project.root / folder).rglob("*.yaml")]
        for path in sorted(found):
            try:
                document = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                said = " ".join(str(error).split())
                raise UnusableInput(f"{path}: not readable as YAML: {said}") from None
            if isinstance(document, Mapping):
                yield path, document


def _describe(table: DbtTable, entry: Mapping[str, Any]) -> None:
    config = entry.get("config") or {}
    meta = {**(entry.get("meta") or {}), **(config.get("meta") or {})}
    table.description = _words(entry.get("description"))
    table.owner = str(meta.get("owner") or "")
    tags = config.get("tags") or entry.get("tags") or []
    table.tags = sorted([tags] if isinstance(tags, str) else tags)
    if entry.get("versions"):
        table.unsupported = "it has versions, which have contracts of their own"
    table.tests += [_test(test, None) for test in _tests(entry)]
    for column in _list(entry.get("columns")):
        name = str(column.get("name"))
        table.columns[name] = (_words(column.get("description")), column.get("data_type") or "")
        table.tests += [_test(test, name) for test in _tests(column)]


def _tests(entry: Mapping[str, Any]) -> list[Any]:
    return [*(entry.get("tests") or []), *(entry.get("data_tests") or [])]


def _test(test: Any, column: str | None) -> DbtTest:
    if not isinstance(test, Mapping):
        return DbtTest(str(test), column=column)
    name, given = next((k, v) for k, v in test.items() if k not in ("name", "config"))
    body = dict(given or {})
    config = {**(body.pop("config", None) or {}), **(test.get("config") or {})}
    arguments = body.pop("arguments", None) or {}
    settings = {key: body.pop(key) for key in ("severity", "where", "name") if key in body}
    return DbtTest(
        name=str(name),
        arguments={**body, **arguments},
        column=column,
        warns=str((settings | config).get("severity", "error")).lower() == "warn",
        where=(settings | config).get("where"),
    )


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value or [] if isinstance(item, Mapping)]


def _words(text: Any) -> str:
    """A description in one line; none where it only points to a block of documentation."""
    said = " ".join(str(text or "").split())
    return "" if re.search(r"\{\{.*\}\}", said) else said

"""The models' SQL as the next incremental build would run it.

dbt compiles it against an empty database that has the published copy's tables and none of their
rows: that is what makes a model incremental. It is compiled anew when a model, a macro or the
published tables' columns have changed, and kept otherwise.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ingestion.engine import quoted
from waypoint.dbt_running import DbtFailed, compile_project, target_dir
from waypoint.project import Project

#: What compiled SQL calls the embedded warehouse: the stem of its file.
CATALOG = "waypoint"

_TARGET_PATH = "DBT_TARGET_PATH"
_PATHS = ("model-paths", "macro-paths", "seed-paths", "snapshot-paths")
_DEFAULT_PATHS = ("models", "macros", "seeds", "snapshots")
_READ = (".sql", ".yml", ".yaml", ".csv")


@dataclass(frozen=True)
class Node:
    """A relation that models are made of. `sql` is None where dbt does not build it by a query."""

    name: str
    schema: str
    kind: str  # model, seed, snapshot or source
    materialized: str = ""
    sql: str | None = None
    key: tuple[str, ...] = ()  # the columns by which new rows replace old ones; none: they add up
    hooks: tuple[str, ...] = ()  # statements on `{this}` after the new rows are in
    unusable: str = ""  # why the hooks cannot be run outside of dbt
    parents: tuple[str, ...] = ()  # by id

    @property
    def relation(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


class Nodes(dict[str, Node]):
    """All nodes by dbt's id."""

    def needed_by(self, wanted: Sequence[str]) -> list[str]:
        """The nodes that some are made of and themselves, each after its parents."""
        found: dict[str, None] = {}

        def visit(node: str) -> None:
            if node in found or node not in self:
                return
            for parent in self[node].parents:
                visit(parent)
            found[node] = None

        for one in wanted:
            visit(one)
        return list(found)


def compiled(project: Project, published: duckdb.DuckDBPyConnection, catalog: str) -> Nodes:
    """The project's nodes; `published` has the published copy attached as `catalog`.

    Raises:
        DbtFailed: the project does not compile.
    """
    folder = project.state / "realtime"
    folder.mkdir(parents=True, exist_ok=True)
    tables = _tables(published, catalog)
    stamp = _fingerprint(project, tables)
    kept = folder / "compiled.json"
    with _alone(folder / "compile.lock"):
        found = _kept(kept, stamp)
        if found is None:
            found = _compile(replace(project, state=folder), tables)
            _keep(kept, stamp, found)
    return found


def _tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, dict[str, str]]:
    """Columns and types of the published tables, by their names as SQL has them."""
    tables: dict[str, dict[str, str]] = {}
    rows = connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns()"
        " join duckdb_tables() using (database_name, schema_name, table_name)"
        " where database_name = ? order by schema_name, table_name, column_index",
        [catalog],
    ).fetchall()
    for schema, table, column, kind in rows:
        tables.setdefault(f"{quoted(schema)}.{quoted(table)}", {})[column] = kind
    return tables


def _fingerprint(project: Project, tables: Mapping[str, Mapping[str, str]]) -> str:
    settings = project.root / "dbt_project.yml"
    said = yaml.safe_load(settings.read_text(encoding="utf-8"))
    files = [settings, project.root / "profiles.yml"]
    for name, default in zip(_PATHS, _DEFAULT_PATHS, strict=True):
        for folder in said.get(name, [default]):
            found = (project.root / folder).rglob("*")
            files += sorted(path for path in found if path.suffix in _READ)
    digest = blake2b(json.dumps(tables).encode(), digest_size=16)
    for path in files:
        if path.exists():
            stat = path.stat()
            digest.update(f"{path} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    return digest.hexdigest()


def _kept(path: Path, stamp: str) -> Nodes | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["stamp"] != stamp:
            return None
        return Nodes({name: _node(said) for name, said in document["nodes"].items()})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # not there, or of another release: it is made anew


def _node(said: Mapping[str, Any]) -> Node:
    lists = {name: tuple(said[name]) for name in ("key", "hooks", "parents")}
    return Node(**(dict(said) | lists))


def _keep(path: Path, stamp: str, nodes: Nodes) -> None:
    document = {"stamp": stamp, "nodes": {name: asdict(node) for name, node in nodes.items()}}
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    temporary.write_text(json.dumps(document), encoding="utf-8")
    os.replace(temporary, path)


def _compile(scratch: Project, tables: Mapping[str, Mapping[str, str]]) -> Nodes:
    """Compile with `scratch` as the state, whose warehouse gets the tables, and no rows."""
    scratch.warehouse_file.parent.mkdir(parents=True, exist_ok=True)
    scratch.warehouse_file.unlink(missing_ok=True)
    with duckdb.connect(str(scratch.warehouse_file)) as connection:
        for relation, columns in tables.items():
            connection.execute(f"create schema if not exists {relation.partition('.')[0]}")
            listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
            connection.execute(f"create table {relation} ({listed})")
    with _own_target_path():
        compile_project(scratch)
        manifest = json.loads((target_dir(scratch) / "manifest.json").read_text(encoding="utf-8"))
    return _nodes(manifest)


@contextmanager
def _own_target_path() -> Iterator[None]:
    """Leave alone what stands in the folder that the environment names for dbt's files."""
    named = os.environ.pop(_TARGET_PATH, None)
    try:
        yield
    finally:
        if named is not None:
            os.environ[_TARGET_PATH] = named


def _nodes(manifest: Mapping[str, Any]) -> Nodes:
    nodes = Nodes()
    for name, source in manifest["sources"].items():
        nodes[name] = Node(source["identifier"], source["schema"], "source")
    for name, node in manifest["nodes"].items():
        kind = node["resource_type"]
        if kind not in ("model", "seed", "snapshot"):
            continue
        config = node["config"]
        sql = node.get("compiled_code") if kind == "model" else None
        if kind == "model" and sql is None:
            raise DbtFailed(f"dbt compiled no SQL for {name}")
        key = config.get("unique_key") or ()
        hooks, unusable = _hooks(config, manifest)
        nodes[name] = Node(
            name=node["alias"],
            schema=node["schema"],
            kind=kind,
            materialized=config["materialized"],
            sql=sql,
            key=(key,) if isinstance(key, str) else tuple(key),
            hooks=hooks,
            unusable=unusable,
            parents=tuple(node.get("depends_on", {}).get("nodes", ())),
        )
    return nodes


def _hooks(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """The post-hooks with `{this}` for the table, or why they cannot be run outside of dbt.

    They can where they are plain SQL, or macros that are made of SQL.
    """
    from jinja2 import Environment, StrictUndefined, TemplateError

    rendered = []
    for hook in config["post-hook"]:
        text = hook["sql"]
        called = set(re.findall(r"\w+(?=\()", text))
        macros = [macro for macro in manifest["macros"].values() if macro["name"] in called]
        try:
            template = Environment(undefined=StrictUndefined).from_string(
                "".join(macro["macro_sql"] for macro in macros) + text
            )
            rendered.append(template.render(this="{this}").strip())
        except TemplateError as error:
            return (), f"its post-hook {text}: {error}"
    return tuple(rendered), ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process compiles; the others wait for it and take what it made."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""The project's SQL as dbt compiles it for Snowflake, without a connection.

dbt's own compiler and Snowflake adapter do it. The profile is made up, so no secret is read and
there is nothing to connect to. Where the adapter would ask the account which tables there are,
every one of them is; incremental models are compiled twice, for a full build and for the runs that
follow.
A query that compiling itself would run is kept, to be judged with the rest, and finds no rows.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from waypoint.contracts.model import Contracts
from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.snowflake.statement import Statement

#: The database that compiled queries name.
DATABASE = "WAYPOINT"

_TARGET = "snowflake"
_VARIANTS = {
    "full": ["--full-refresh"],
    "incremental": [
        *("--select", "config.materialized:incremental,resource_type:model"),
        *("--indirect-selection", "empty"),
    ],
}
_SETTINGS = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def compiled(project: Project) -> list[Statement]:
    """Every model, snapshot, test and statement of hooks; incremental models in both states.

    Raises:
        UnusableInput: the packages for Snowflake are missing, or dbt cannot compile the project.
    """
    try:
        with warnings.catch_warnings():  # the connector's, about its own dependencies
            warnings.simplefilter("ignore")
            from dbt.adapters.snowflake.impl import SnowflakeAdapter  # noqa: F401
        from dbt.cli.main import dbtRunner
    except ImportError as error:
        raise UnusableInput(
            f"compiling for Snowflake needs packages that are not installed ({error})",
            hint="make setup",
        ) from None
    with _elsewhere(project) as options:
        # kept beside the state: dbt reads again only what changed
        parsed = _succeeded(dbtRunner().invoke(["parse", *options]), "read")
        manifest = parsed.result
        asked: list[str] = []
        statements: list[Statement] = []
        with _without_connection(asked):
            for variant, more in _VARIANTS.items():
                ran = dbtRunner(manifest).invoke(["compile", *more, *options])
                done = _succeeded(ran, "compile").result.results
                for result in done:  # the next round compiles into the same nodes
                    statements += _statements(result.node, variant, project.contracts)
                if not any(_is_incremental(result.node) for result in done):
                    break
    statements = list({(one.sql, one.name): one for one in reversed(statements)}.values())[::-1]
    statements += [
        Statement("asked while compiling", Path("dbt_project.yml"), sql, variant="incremental")
        for sql in dict.fromkeys(asked)
    ]
    if not statements:
        raise UnusableInput("dbt compiled nothing: the project has no models")
    return statements


def queries_of_models(project: Project) -> tuple[dict[str, str], str]:
    """The query of each model as a full build has it, by `schema.table`, and their database."""
    statements = compiled(project)
    found = {one.table: one.sql for one in statements if one.table and one.variant == "full"}
    return found, DATABASE


def _is_incremental(node: Any) -> bool:
    return bool(node.config.materialized == "incremental")


def _statements(node: Any, variant: str, contracts: Contracts) -> Iterator[Statement]:
    kind, sql = str(node.resource_type), node.compiled_code
    if kind not in ("model", "snapshot", "test", "analysis") or not sql:
        return
    if getattr(node, "language", "sql") != "sql":
        return
    contract = contracts.get(f"{node.schema}.{node.alias}") if kind == "model" else None
    columns = {c.name.lower(): c.physical_type for c in contract.columns} if contract else None
    yield Statement(
        table=f"{node.schema}.{node.alias}".lower() if kind == "model" else None,
        name=str(node.name),
        file=Path(node.original_file_path),
        sql=sql,
        columns=columns,
        variant=variant,
    )


@contextmanager
def _elsewhere(project: Project) -> Iterator[list[str]]:
    """dbt's options: a profile that leads nowhere, and folders that no other command reads."""
    with tempfile.TemporaryDirectory(prefix="waypoint-snowflake-") as folder:
        profile = {
            "type": "snowflake", "account": "nowhere", "user": "nobody", "password": "none",
            "database": DATABASE, "warehouse": "NONE", "role": "NONE", "schema": "staging",
            "threads": 1,
        }  # fmt: skip
        outputs = {"target": _TARGET, "outputs": {_TARGET: profile}}
        name = profile_name(project)
        Path(folder, "profiles.yml").write_text(yaml.safe_dump({name: outputs}), encoding="utf-8")
        kept = project.state / "snowflake"
        options = {
            "--project-dir": project.root,
            "--profiles-dir": folder,
            "--target": _TARGET,
            "--target-path": kept / "target",
            "--log-path": kept / "logs",
            "--log-level": "none",
            "--log-level-file": "none",
            "--threads": "1",
        }
        with patch.dict(os.environ, _SETTINGS):
            yield ["--no-write-json", *(str(part) for pair in options.items() for part in pair)]


def profile_name(project: Project) -> str:
    try:
        text = (project.root / "dbt_project.yml").read_text(encoding="utf-8")
        return str(yaml.safe_load(text)["profile"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UnusableInput(f"{project.root / 'dbt_project.yml'}: {error}") from None


@contextmanager
def _without_connection(asked: list[str]) -> Iterator[None]:
    """dbt's Snowflake adapter with every table there and no connection; `asked` takes queries."""
    import agate  # type: ignore[import-untyped]
    from dbt.adapters.contracts.connection import AdapterResponse
    from dbt.adapters.snowflake.connections import SnowflakeConnectionManager
    from dbt.adapters.snowflake.impl import SnowflakeAdapter

    def get_relation(adapter: Any, database: str, schema: str, identifier: str) -> Any:
        return adapter.Relation.create(
            database=database, schema=schema, identifier=identifier, type="table"
        )

    def execute(_adapter: Any, sql: str, *_: Any, **__: Any) -> Any:
        asked.append(sql)
        return AdapterResponse("none"), agate.Table([])

    def refused(*_: Any, **__: Any) -> Any:
        raise WaypointError("compiling for Snowflake opens no connection")

    with (
        patch.object(SnowflakeAdapter, "get_relation", get_relation),
        patch.object(SnowflakeAdapter, "list_relations_without_caching", lambda *_: []),
        patch.object(SnowflakeAdapter, "list_schemas", lambda *_: []),
        patch.object(SnowflakeAdapter, "execute", execute),
        patch.object(SnowflakeConnectionManager, "open", classmethod(refused)),
    ):
        yield


def _succeeded(result: Any, what: str) -> Any:
    if result.success:
        return result
    failed = [r for r in getattr(result.result, "results", ()) if str(r.status) == "error"]
    said = [f"{r.node.original_file_path}: {r.message}" for r in failed]
    text = " ".join("; ".join(said or [str(result.exception)]).split())
    raise UnusableInput(
        f"dbt cannot {what} the project for Snowflake: {text}",
        hint="dbt parse --target snowflake says where",
    )

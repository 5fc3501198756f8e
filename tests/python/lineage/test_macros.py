"""Column lineage through the project's own macros, as each dialect renders them.

A case is a model's body; the incremental form of it reads the model's own table, `marts.kept`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment

from waypoint.lineage.columns import trace

MACROS = Path(__file__).resolve().parents[3] / "macros"
FOLDERS = ("arithmetic", "incremental", "json", "text", "time", "windows")
TABLES = {
    "raw.events": (
        "id",
        "user_id",
        "happened",
        "page",
        "payload",
        "updated_at",
        "_loaded_at",
        "_batch",
    ),
    "raw.clock": ("as_of",),
    "marts.kept": ("id", "updated_at", "loaded_at"),
}

# name, model, its columns and what they are made of, what decides its rows in a full build,
# and what does so, too, in an incremental run
CASES: list[tuple[str, str, dict[str, str], str, str]] = [
    (
        "new rows",
        "select id from raw.events where {{ is_new() }}",
        {"id": "id"},
        "",
        "_loaded_at kept.loaded_at",
    ),
    (
        "new rows, once each",
        "with e as (select id, page from raw.events) select id, page from e"
        " where {{ is_unseen('e', ['id']) }}",
        {"id": "id", "page": "page"},
        "",
        "id kept.id",
    ),
    (
        "the newest version that does not replace a newer one",
        "with v as (select id, page, updated_at from raw.events {{ newest_version('id') }})"
        " select id, page from v where {{ is_not_outdated('v', 'id') }}",
        {"id": "id", "page": "page"},
        "id updated_at _loaded_at _batch",
        "kept.id kept.updated_at",
    ),
    (
        "touched keys",
        "with touched as (select distinct user_id from raw.events where {{ is_new() }})"
        " select user_id, count(*) as n from raw.events where {{ is_touched('user_id') }}"
        " group by user_id",
        {"user_id": "user_id", "n": ""},
        "user_id",
        "_loaded_at kept.loaded_at",
    ),
    (
        "touched windows",
        "with e as (select id, updated_at as at, _loaded_at as loaded_at from raw.events)"
        " select {{ window_start('at', 5) }} as window_at, count(*) as n from e"
        " where {{ in_touched_window('e', 'at', 5) }} group by {{ window_start('at', 5) }}",
        {"window_at": "updated_at", "n": ""},
        "updated_at",
        "_loaded_at kept.loaded_at",
    ),
    (
        "text of a document",
        "select {{ json_text('payload', 'place.id') }} as place from raw.events",
        {"place": "payload"},
        "",
        "",
    ),
    (
        "items of an array",
        "select id, {{ json_text('item', 'sku') }} as sku"
        " from {{ json_array_items('raw.events', 'payload') }} as items",
        {"id": "id", "sku": "payload"},
        "payload",
        "",
    ),
    (
        "times",
        "select {{ epoch_millis('happened') }} as at, {{ utc_timestamp('page') }} as written_at,"
        " {{ millis_between('updated_at', '_loaded_at') }} as late from raw.events",
        {"at": "happened", "written_at": "page", "late": "updated_at _loaded_at"},
        "",
        "",
    ),
    (
        "the clock",
        "select id from raw.events where updated_at < {{ as_of() }}",
        {"id": "id"},
        "updated_at clock.as_of",
        "",
    ),
    (
        "arithmetic and text",
        "select {{ safe_divide('id', 'user_id') }} as rate, {{ page_path('page') }} as path"
        " from raw.events",
        {"rate": "id user_id", "path": "page"},
        "",
        "",
    ),
    (
        "the last that is known",
        "select {{ last_known('page', 'user_id', 'updated_at') }} as page from raw.events",
        {"page": "page user_id updated_at"},
        "",
        "",
    ),
]


@cache
def macros(dialect: str, incremental: bool) -> tuple[Environment, dict[str, Any]]:
    """The project's macros, and what dbt itself gives them, as names for a model to use."""
    files = sorted(path for folder in FOLDERS for path in (MACROS / folder).glob("*.sql"))
    environment = Environment(extensions=["jinja2.ext.do"])
    names: dict[str, Any] = {
        "adapter": SimpleNamespace(
            dispatch=lambda name: names.get(f"{dialect}__{name}") or names[f"default__{name}"]
        ),
        "is_incremental": lambda: incremental,
        "this": "marts.kept",
        "var": lambda _name, default=None: default,
        "source": lambda schema, table: f"{schema}.{table}",
        "ref": lambda table: f"staging.{table}",
        "return": lambda value: value,
        "modules": SimpleNamespace(re=re),
        "dbt": SimpleNamespace(dateadd=lambda part, n, column: f"dateadd({part}, {n}, {column})"),
    }
    module = environment.from_string("".join(p.read_text() for p in files)).make_module(names)
    names.update({name: getattr(module, name) for name in dir(module) if name[0] != "_"})
    return environment, names


def rendered(sql: str, dialect: str, incremental: bool) -> str:
    """A model as dbt renders it."""
    environment, names = macros(dialect, incremental)
    return environment.from_string(sql).render(names)


def named(text: str) -> set[str]:
    short = {"kept": "marts.kept", "clock": "raw.clock"}
    return {
        f"{short[table]}.{column}" if table else f"raw.events.{column}"
        for table, _, column in (name.rpartition(".") for name in text.split())
    }


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
@pytest.mark.parametrize(
    ("sql", "outputs", "deciding", "more"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_lineage_goes_through_macros(
    sql: str, outputs: dict[str, str], deciding: str, more: str, dialect: str, incremental: bool
) -> None:
    lineage = trace(rendered(sql, dialect, incremental), TABLES, dialect)
    assert {name: {str(r) for r in refs} for name, refs in lineage.outputs.items()} == {
        name: named(text) for name, text in outputs.items()
    }
    expected = named(deciding) | (named(more) if incremental else set())
    assert {str(ref) for ref in lineage.deciding} == expected


@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select count(*) as n from raw.events", {"raw.events"}),
        ("with e as (select 1 as one from raw.events) select count(*) from e", {"raw.events"}),
        ("with e as (select 1 as one from raw.events) select as_of from raw.clock", {"raw.clock"}),
        (
            "select id from raw.events where exists (select 1 from raw.clock)",
            {"raw.events", "raw.clock"},
        ),
        (
            "select id from raw.events union all select 1 from raw.clock",
            {"raw.events", "raw.clock"},
        ),
    ],
)
def test_tables_whose_rows_are_read_are_known_even_where_no_column_is(
    sql: str, tables: set[str], dialect: str
) -> None:
    assert trace(sql, TABLES, dialect).tables == tables

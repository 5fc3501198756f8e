"""Paths into JSON as each warehouse has them, rendered as dbt renders them."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from jinja2 import Environment

FILE = Path(__file__).resolve().parents[3] / "macros/json/json_text.sql"


def rendered(warehouse: str, path: str) -> str:
    template = f"{FILE.read_text()}{{{{ {warehouse}__json_text('payload', '{path}') }}}}"
    return Environment().from_string(template).render(modules=SimpleNamespace(re=re)).strip()


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("location", "location"),
        ("location.lat", "location.lat"),
        ("_id.$oid", '_id["$oid"]'),
        ("$date", '["$date"]'),
        ("x.user-id.n", 'x["user-id"].n'),
    ],
)
def test_steps_that_are_no_plain_words_are_quoted_on_snowflake(path: str, written: str) -> None:
    assert rendered("snowflake", path) == (
        f"cast(get_path(try_parse_json(payload), '{written}') as varchar)"
    )


@pytest.mark.parametrize("path", ["_id.$oid", "x.user-id.n", "location.lat"])
def test_the_same_path_is_found_on_duckdb(path: str) -> None:
    payload = '{"_id": {"$oid": "7"}, "x": {"user-id": {"n": 7}}, "location": {"lat": 7}}'
    row = duckdb.execute(f"select {rendered('duckdb', path)} from (select ? as payload)", [payload])
    assert row.fetchone() == ("7",)

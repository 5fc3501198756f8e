"""Imported by the process that the tests' commands are forked from; see `forking`.

Commands find imported what they need, and dbt with its classes' readers and schemas made, which it
makes as it first needs them: half of what its start costs. What a command's dbt reads, it reads
itself. Threads do not come along into a fork, so what would wait for its threads there must have
none here; the numeric libraries' and the allocator's know of forks.
"""
# ruff: noqa: E402, F401

from __future__ import annotations

import __main__

# a program without a file is a person at a prompt to DuckDB, who is shown how far a query is
__main__.__file__ = __file__
import duckdb

del __main__.__file__

import gc
import tempfile
from importlib import import_module
from pathlib import Path

import agate
import dbt.adapters.duckdb
import pandas
import pyarrow.parquet
import sqlglot.dialects
from dbt.cli.main import dbtRunner

import ingestion.loading
import ingestion.pull
import waypoint.building
import waypoint.pages
import waypoint.publishing
import waypoint.status
from waypoint.cli.app import COMMANDS

_PROJECT = {
    "dbt_project.yml": "{name: nothing, profile: nothing, version: '1.0', config-version: 2}",
    "profiles.yml": "nothing: {target: it, outputs: {it: {type: duckdb, path: ':memory:'}}}",
    "models/one.sql": "select number from {{ source('raw', 'numbers') }}",
    "models/one.yml": (
        "{models: [{name: one, columns: [{name: number, data_tests: [not_null]}]}],"
        " sources: [{name: raw, tables: [{name: numbers}]}]}"
    ),
}


def _let_dbt_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in _PROJECT.items():
            file = Path(folder, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        for _ in range(2):  # the second time by what it remembers
            read = dbtRunner().invoke(
                [
                    *("--quiet", "--no-send-anonymous-usage-stats", "--log-level-file", "none"),
                    *("--log-path", folder, "--no-static-parser"),  # which has threads
                    *("parse", "--project-dir", folder, "--profiles-dir", folder),
                ]
            )
            assert read.success, read.exception


for _place in COMMANDS.values():
    import_module(_place.partition(":")[0])
_let_dbt_read()
duckdb.close()  # the connection that importing it opens
gc.collect()
gc.freeze()  # all this stays; to look through it again and again costs commands a tenth

"""Searching by value: every file, and every column of every table, for texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

#: What belongs to sources and servers, not to the warehouse that was asked to forget.
NOT_OURS = ("postgres", "services")


def found(state: Path, texts: Iterable[str]) -> list[str]:
    """Where below `state` one of `texts` stands: in bytes of files, or in columns of tables."""
    texts = list(texts)
    return [
        f"{path.relative_to(state)}: {where}"
        for path in sorted(state.rglob("*"))
        if path.is_file() and path.relative_to(state).parts[0] not in NOT_OURS
        for where in _in_file(path, texts)
    ]


def _in_file(path: Path, texts: list[str]) -> Iterator[str]:
    content = path.read_bytes()
    yield from (f"bytes of {text!r}" for text in texts if text.encode() in content)
    if path.suffix == ".parquet":
        with duckdb.connect() as connection:
            yield from _in_relation(connection, f"read_parquet('{path}')", texts)
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall()
            for schema, table in tables:
                name = f'"{schema}"."{table}"'
                yield from (f"{name} {at}" for at in _in_relation(connection, name, texts))


def _in_relation(
    connection: duckdb.DuckDBPyConnection, relation: str, texts: list[str]
) -> Iterator[str]:
    for column, *_ in connection.execute(f"describe from {relation}").fetchall():
        for text in texts:
            query = (
                f'select count(*) from {relation} where contains(cast("{column}" as varchar), ?)'
            )
            ((rows,),) = connection.execute(query, [text]).fetchall()
            if rows:
                yield f"{column}: {rows} rows with {text!r}"

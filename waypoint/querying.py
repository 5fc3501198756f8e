"""Asking the published copy: read-only, in batches, so that a large answer needs little memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.warehouse import first_line, published

if TYPE_CHECKING:
    import duckdb

_BATCH = 10_000


@dataclass(frozen=True)
class Answer:
    """A query's columns, and its rows in batches as they are read."""

    columns: tuple[str, ...]
    batches: Iterator[list[tuple[Any, ...]]]


@contextmanager
def asked(project: Project, sql: str, limit: int | None = None) -> Iterator[Answer]:
    """The answer to one SQL statement on the published copy; at most `limit` rows of it.

    Raises:
        NothingPublished: there is no published copy yet.
        UnusableInput: the statement is wrong, or would change something.
    """
    with published(project) as connection, asked_of(connection, sql, limit) as answer:
        yield answer


@contextmanager
def asked_of(
    connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None = None
) -> Iterator[Answer]:
    """The answer to one SQL statement on a connection; at most `limit` rows of it.

    Raises:
        UnusableInput: the statement is wrong, or would change something.
    """
    import duckdb

    try:
        result = connection.execute(sql)
        columns = tuple(column[0] for column in result.description or ())
        yield Answer(columns, _batches(result.fetchmany, limit))
    except duckdb.Error as error:
        raise UnusableInput(first_line(str(error))) from None


def _batches(
    fetch: Callable[[int], list[tuple[Any, ...]]], limit: int | None
) -> Iterator[list[tuple[Any, ...]]]:
    left = limit
    while left is None or left > 0:
        rows = fetch(_BATCH if left is None else min(_BATCH, left))
        if not rows:
            return
        yield rows
        left = None if left is None else left - len(rows)


def write_json(answer: Answer, out: IO[str], plain: Callable[[Any], Any]) -> None:
    """The answer as a JSON array of objects, one on a line; `plain` gives other values a form."""
    separator = "[\n"
    for rows in answer.batches:
        for row in rows:
            named = dict(zip(answer.columns, row, strict=True))
            out.write(separator + json.dumps(named, ensure_ascii=False, default=plain))
            separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def write_csv(answer: Answer, out: IO[str]) -> None:
    """The answer as CSV with a header; nulls are empty."""
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.columns)
    for rows in answer.batches:
        writer.writerows(rows)


def text(value: Any) -> str:
    """A value for a table that people read; nulls are shown as a dash."""
    return "-" if value is None else str(value)


def first(answer: Answer, limit: int) -> tuple[list[Sequence[Any]], bool]:
    """The first `limit` rows, and whether there are more."""
    rows: list[Sequence[Any]] = []
    for batch in answer.batches:
        rows.extend(batch)
        if len(rows) > limit:
            return rows[:limit], True
    return rows, False

"""What came of a rehearsal, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from waypoint.snowflake.rehearsal.comparing import Compared
from waypoint.snowflake.rehearsal.rehearsing import Rehearsal, Rehearsed


def as_data(result: Rehearsal, given: str) -> dict[str, Any]:
    """The whole result."""
    return {
        "input": given,
        "equal": result.succeeded,
        "rows_loaded": result.rows,
        "models": _tables(result.models.values()),
        "realtime": _tables(result.realtime.values()),
        "tests": {"alike": result.tests_alike, "different": result.tests},
        "seconds": result.seconds,
    }


def _tables(tables: Iterable[Rehearsed]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "kind": one.kind,
            "equal": one.equal,
            "runs": {run: _run(compared) for run, compared in one.runs.items()},
        }
        for one in sorted(tables, key=lambda one: one.name)
    ]


def _run(compared: Compared) -> dict[str, Any]:
    return {
        "equal": compared.equal,
        "rows": compared.rows,
        "rows_on_snowflake": compared.rows_there,
        "missing": compared.missing,
        "strange": compared.strange,
        "rounded": compared.rounded,
        "columns": dict(compared.columns),
        "examples": list(compared.examples),
        "problem": compared.problem,
    }


def lines(result: Rehearsal) -> Iterator[str]:
    """What differs, and how much was compared."""
    different = [one for one in result.models.values() if not one.equal]
    for one in [*different, *(one for one in result.realtime.values() if not one.equal)]:
        yield from _told(one)
    yield from (f"✗ {test}" for test in result.tests)
    rows = sum(compared.rows for one in result.models.values() for compared in one.runs.values())
    rounded = sum(c.rounded for one in result.models.values() for c in one.runs.values())
    tests = sum(result.tests_alike.values())
    told = f"{len(result.models) - len(different)} of {len(result.models)} tables equal"
    if result.realtime:
        told += f" and {sum(one.equal for one in result.realtime.values())} real-time ones"
    yield (
        f"{told} in both runs, {rows:,} rows compared ({rounded:,} but for the last digits of a"
        f" float); {tests} tests ended alike, {len(result.tests)} otherwise"
    )


def _told(one: Rehearsed) -> Iterator[str]:
    for run, compared in one.runs.items():
        if compared.equal:
            continue
        said = compared.problem or (
            f"{compared.missing:,} rows on DuckDB alone and {compared.strange:,} on Snowflake alone"
            f", of {compared.rows:,} and {compared.rows_there:,}"
        )
        columns = ", ".join(f"{name} ({count:,})" for name, count in compared.columns.items())
        yield f"✗ {one.name} ({one.kind}), {run} run: {said}{f'; in {columns}' if columns else ''}"
        yield from (f"    {example}" for example in compared.examples)

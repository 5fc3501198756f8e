"""What the static gate looks at, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Statement:
    """One query as dbt compiles it for Snowflake.

    `columns` are the names and types that the contract of its result promises; None where it has
    none (tests). `variant` says in which state of the warehouse it was compiled: "full" or
    "incremental".
    """

    name: str
    file: Path
    sql: str
    columns: Mapping[str, str] | None = None
    variant: str = "full"
    table: str | None = None  # `schema.name` of what a model builds


@dataclass(frozen=True)
class Finding:
    """Something that Snowflake would refuse, or read otherwise than DuckDB does.

    `line` is one of `file` where the compiled line stands there as it is; else None, and
    `compiled` has the compiled text of the line.
    """

    file: Path
    line: int | None
    rule: str
    problem: str
    mend: str
    name: str
    variant: str = "full"
    compiled: str = ""


@dataclass(frozen=True)
class Remark:
    """A finding before it is placed: `at` is a line of the compiled text, from 1; None for all."""

    rule: str
    problem: str
    mend: str
    at: int | None = None

"""How commands speak: answers on stdout, progress and remarks on stderr, JSON on request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

#: How wide lines may be where no terminal says otherwise: a pipe or a log takes all.
_UNBOUNDED = 240


def answer() -> Console:
    """Where a command's answer goes: stdout, without reflowing what a pipe receives."""
    return _console(sys.stdout.isatty(), stderr=False, quiet=False)


def remarks(quiet: bool = False) -> Console:
    """Where everything else goes: stderr; nowhere with -q."""
    return _console(sys.stderr.isatty(), stderr=True, quiet=quiet)


def _console(watched: bool, stderr: bool, quiet: bool) -> Console:
    width = None if watched or os.environ.get("COLUMNS") else _UNBOUNDED
    return Console(stderr=stderr, quiet=quiet, highlight=False, soft_wrap=not watched, width=width)


def print_json(document: Any) -> None:
    """The answer as JSON on stdout: exact decimals as text, times in ISO 8601 (UTC, no zone)."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=plain))


def plain(value: Any) -> Any:
    """A value that JSON knows, for one that it does not.

    Raises:
        TypeError: a kind of value that has no obvious form in JSON.
    """
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A live display of tasks with bars on stderr; silent with -q or where nobody watches."""
    console = remarks(quiet)
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as display:
        yield display

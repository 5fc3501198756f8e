"""What every extractor takes and gives, whatever kind of source it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ingestion.landing import LandingArea
from waypoint.contracts.model import Contracts


@dataclass(frozen=True)
class Source:
    """One entry of `ingestion/sources.yml`, with `${VARIABLES}` filled in from the environment.

    `settings` is what stands under the entry; what it may hold depends on `kind`. `connected` is
    false where a variable that the entry needs is not set: the source is then left out. `schedule`
    says when a scheduler reads it: a cron expression or `@hourly`, `@daily` ..; None: on request.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    connected: bool = True
    missing: tuple[str, ...] = ()  # the variables that are not set
    schedule: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one batch: `read` = `landed` + `rejected` + `unchanged`, always.

    `unchanged` rows were read again (an overlap, a repeated file) and had landed before.
    """

    source: str
    table: str
    batch: str | None  # None where nothing new was landed
    read: int = 0
    landed: int = 0
    rejected: int = 0
    unchanged: int = 0
    drift: tuple[str, ...] = ()  # in people's words: what the source has that the contract has not


@dataclass(frozen=True)
class Context:
    """What an extractor works with."""

    contracts: Contracts
    area: LandingArea
    state: Path  # a folder of the project's state for files that extractors keep
    now: datetime  # the clock (UTC, no zone): as_of where one is stored
    full_refresh: bool = False
    tables: frozenset[str] | None = None  # only these raw tables, where given
    report: Callable[[str, int], None] = field(default=lambda _what, _rows: None)  # progress


class Extractor(Protocol):
    """Reads one source and lands what is new in it; an outcome for each batch, as it happens."""

    def __call__(self, source: Source, context: Context) -> Iterator[Outcome]: ...

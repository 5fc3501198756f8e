"""How old the raw tables are, against the promise of their contracts, by the project's clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ingestion.sources import declared_sources
from waypoint.clock import now
from waypoint.connecting import is_simulated
from waypoint.contracts.model import RAW, Contract
from waypoint.project import Project
from waypoint.status import FRESH, LATE, WARN, freshness_level
from waypoint.warehouse import EMBEDDED, reading

#: Nothing was ever loaded into the table, and what feeds it is not connected here.
NOT_CONNECTED = "not connected"


@dataclass(frozen=True)
class Freshness:
    """How one raw table keeps its promise. `newest` is ISO 8601 (UTC), ages are in seconds."""

    table: str  # raw.<name>
    level: str  # fresh, warn, late or not connected
    newest: str | None
    age_seconds: float | None
    warn_after_seconds: float
    late_after_seconds: float

    @property
    def stale(self) -> bool:
        return self.level == LATE

    @property
    def said(self) -> str:
        """The state of the table in one sentence."""
        if self.level == NOT_CONNECTED:
            return f"{self.table} is empty, and no source that feeds it is connected"
        warns, fails = _hours(self.warn_after_seconds), _hours(self.late_after_seconds)
        promise = f"its contract warns after {warns} and fails after {fails}"
        if self.age_seconds is None:
            return f"{self.table} is empty; {promise}"
        age = _hours(self.age_seconds)
        return f"{self.table} was last loaded at {self.newest} UTC, {age} ago; {promise}"

    def document(self) -> dict[str, Any]:
        return asdict(self)


def measure(project: Project, tables: Iterable[str] | None = None) -> dict[str, Freshness]:
    """The freshness of the raw tables whose contracts promise one, by name (`raw.<table>`).

    `tables` limits it to some. Ages are by the project's clock: the real time, or the stored time
    of a played period.

    Raises:
        UnusableInput: contracts or sources cannot be read.
        Unavailable: the warehouse is held by another process.
    """
    wanted = None if tables is None else set(tables)
    promised = [
        contract
        for contract in project.contracts.in_schema(RAW)
        if contract.freshness and (wanted is None or contract.full_name in wanted)
    ]
    as_of, newest = now(project), _newest(project, promised)
    found = {c.full_name: _freshness(c, newest.get(c.full_name), as_of) for c in promised}
    empty = [name for name, fresh in found.items() if fresh.newest is None]
    if empty:
        fed = fed_tables(project)
        for name in empty:
            if name not in fed:
                found[name] = _relevelled(found[name], NOT_CONNECTED)
    return found


def fed_tables(project: Project) -> frozenset[str]:
    """The raw tables that a connected source feeds; all that any feeds, where they are simulated.

    What an entry feeds that cannot be understood is not known.

    Raises:
        UnusableInput: sources.yml cannot be read.
    """
    everything = is_simulated(project, despite_broken=True)
    return frozenset(
        f"{RAW}.{table}"
        for source in declared_sources(project).sources
        if everything or source.connected
        for table in tables_of(project, source.kind, source.settings)
    )


def tables_of(project: Project, kind: str, settings: Mapping[str, Any]) -> list[str]:
    """The raw tables (without schema) that a source of sources.yml feeds."""
    if kind == "postgres":
        named = (settings.get("tables") or {}).values()
        return [str(t.get("table") if isinstance(t, dict) else t) for t in named]
    if kind == "rest":
        return [str(resource["table"]) for resource in settings.get("resources") or ()]
    if kind == "dumps":
        landed = (topic.custom.get("landsIn") for topic in project.contracts.topics)
        return list(dict.fromkeys(str(table) for table in landed if table))
    return [str(settings["table"])] if settings.get("table") else []


def _freshness(contract: Contract, newest: datetime | None, as_of: datetime) -> Freshness:
    promise = contract.freshness
    assert promise is not None
    age = (as_of - newest).total_seconds() if newest else None
    return Freshness(
        table=contract.full_name,
        level=freshness_level(promise, age),
        newest=newest.isoformat(sep=" ", timespec="seconds") if newest else None,
        age_seconds=age,
        warn_after_seconds=promise.warn_after.total_seconds(),
        late_after_seconds=promise.error_after.total_seconds(),
    )


def _relevelled(freshness: Freshness, level: str) -> Freshness:
    return Freshness(**{**asdict(freshness), "level": level})


def _newest(project: Project, contracts: list[Contract]) -> dict[str, datetime]:
    if project.target == EMBEDDED:
        return dict(_newest_embedded(project, contracts))
    from waypoint.orchestration.dbt_freshness import newest_by_dbt

    return newest_by_dbt(project, contracts)


def _newest_embedded(project: Project, contracts: list[Contract]) -> Iterator[tuple[str, datetime]]:
    if not project.warehouse_file.exists():
        return
    with reading(project.warehouse_file) as connection:
        there = connection.execute(
            "select table_name from information_schema.tables where table_schema = ?", [RAW]
        ).fetchall()
        names = {name for (name,) in there}
        for contract in contracts:
            if contract.name not in names or contract.freshness is None:
                continue
            column = contract.freshness.element
            row = connection.execute(
                f'select cast(max("{column}") as timestamp) from "{RAW}"."{contract.name}"'
            ).fetchone()
            if row and row[0] is not None:
                yield contract.full_name, row[0]


def _hours(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h".replace(".0 h", " h")


__all__ = ["FRESH", "LATE", "NOT_CONNECTED", "WARN", "Freshness", "fed_tables", "measure"]

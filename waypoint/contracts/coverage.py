"""Whether every table and topic has a contract, and every contract a table or topic.

Compared with the contracts, both ways: dbt's manifest (what is to be built), the warehouse's
information schema (what is there), and what is sent and read (sources, topics).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waypoint.contracts.model import RAW, TOPICS, Contract, Contracts
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: What dbt builds a table or view for; the rest of a manifest's nodes are tests and the like.
_BUILT = ("model", "seed", "snapshot")
#: Columns that say where a raw table's rows come from: any source, and a topic.
_FROM_A_SOURCE, _FROM_A_TOPIC = "_source", "_offset"
#: The kind of source that reads exports of topics.
_DUMPS = "dumps"
#: The custom properties that name the raw table a topic lands in, and the table it is sent from.
_LANDS_IN = "landsIn"


@dataclass(frozen=True, order=True)
class Gap:
    """A table or topic without a contract, or a contract without one."""

    name: str  # <schema>.<table> or topics.<topic>
    problem: str
    mend: str


@dataclass(frozen=True)
class Coverage:
    """What was compared: how many tables or topics each side has, and what does not agree."""

    contracts: int
    sides: Mapping[str, int] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


def coverage(project: Project, manifest: Path, warehouse: Path) -> Coverage:
    """Compare a project's contracts with everything that should be under contract.

    Raises:
        UnusableInput: no manifest or warehouse there, or a file that cannot be read.
        Unavailable: the warehouse is locked.
    """
    contracts = project.contracts
    planned, there = dbt_tables(manifest), warehouse_tables(warehouse)
    sent, read = topics_sent(project), tables_read(project)
    gaps = [
        *_against_dbt(contracts, planned),
        *_against_the_warehouse(contracts, there),
        *_against_what_is_sent(contracts, sent),
        *_against_what_is_read(contracts, read),
    ]
    sides = {"dbt": len(planned), "warehouse": len(there), "topics sent": len(sent)}
    return Coverage(len(contracts), sides, tuple(sorted(set(gaps))))


def dbt_tables(manifest: Path) -> dict[str, str]:
    """The sources, models, seeds and snapshots of a manifest: `schema.table` and its kind.

    Raises:
        UnusableInput: there is no manifest there, or it is none.
    """
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
        built = {
            _name(node["schema"], node["alias"]): node["resource_type"]
            for node in document["nodes"].values()
            if node["resource_type"] in _BUILT and node["config"].get("materialized") != "ephemeral"
        }
        sources = {
            _name(node["schema"], node["identifier"]): "source"
            for node in document["sources"].values()
        }
    except FileNotFoundError:
        raise UnusableInput(
            f"{manifest}: there is no manifest", hint="run `waypoint build` first"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableInput(f"{manifest}: is no manifest of dbt's: {error}") from None
    return built | sources


def warehouse_tables(warehouse: Path) -> set[str]:
    """Every table and view of all schemas of a DuckDB warehouse, as `schema.table`.

    Raises:
        UnusableInput: there is no warehouse there.
        Unavailable: it is locked.
    """
    from waypoint.warehouse import reading

    if not warehouse.exists():
        raise UnusableInput(
            f"{warehouse}: there is no warehouse", hint="run `waypoint build` first"
        )
    with reading(warehouse) as connection:
        found = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_catalog = current_database()"
            " and table_schema not in ('information_schema', 'pg_catalog')"
        ).fetchall()
    return {_name(schema, table) for schema, table in found}


def topics_sent(project: Project) -> dict[str, str]:
    """The topics that somebody sends to, and who: the scenario, and exports that lie about."""
    from ingestion.sources import read_sources
    from waypoint.simulator.scenario import FILE, read_scenario

    sent: dict[str, str] = {}
    if (project.scenario_dir / FILE).exists():
        topics = read_scenario(project).topics
        sent |= dict.fromkeys(topics.topics if topics else (), "the scenario plays it")
    if project.sources_file.exists():
        for source in read_sources(project):
            folder = Path(str(source.settings.get("folder", "")))
            if source.kind == _DUMPS and source.connected and folder.is_dir():
                exported = (path.name for path in sorted(folder.iterdir()) if path.is_dir())
                sent |= dict.fromkeys(exported, f"{folder} holds exports of it")
    return sent


def tables_read(project: Project) -> dict[str, str] | None:
    """The raw tables that `ingestion/sources.yml` fills, and by which source; None without one."""
    from ingestion.sources import read_sources

    if not project.sources_file.exists():
        return None
    read: dict[str, str] = {}
    for source in read_sources(project):
        if source.kind == _DUMPS:
            landing = (topic.custom.get(_LANDS_IN) for topic in project.contracts.topics)
            read |= {str(table): source.name for table in landing if table}
        else:
            read |= dict.fromkeys(_tables_of(source.settings), source.name)
    return read


def _tables_of(settings: Any) -> Iterator[str]:
    """The raw tables that a source's settings name, as `table`, or as values of `tables`."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key == "table" and isinstance(value, str):
                yield value
            elif key == "tables" and isinstance(value, Mapping):
                yield from (str(table) for table in value.values())
            else:
                yield from _tables_of(value)
    elif isinstance(settings, list):
        for item in settings:
            yield from _tables_of(item)


def _against_dbt(contracts: Contracts, planned: Mapping[str, str]) -> Iterator[Gap]:
    under_contract = {_name(c.schema, c.name): c for c in contracts.tables}
    for name in planned.keys() - under_contract.keys():
        yield _missing(name, f"dbt knows the {planned[name]} {name}, and no contract describes it")
    for name in under_contract.keys() - planned.keys():
        problem = f"{name} has a contract, and dbt does not know it"
        yield Gap(
            name, problem, "run `waypoint contracts render` and build, or remove the contract"
        )


def _against_the_warehouse(contracts: Contracts, there: set[str]) -> Iterator[Gap]:
    wanted = {_name(c.schema, c.name) for c in contracts.tables}
    # the name without a number, which leads to one of the versions
    wanted |= {_name(c.schema, c.family) for c in contracts.tables}
    for name in there - wanted:
        yield _missing(name, f"the warehouse holds {name}, and no contract describes it")
    for name in wanted - there:
        yield Gap(name, f"{name} has a contract, and the warehouse does not hold it", "build it")


def _against_what_is_sent(contracts: Contracts, sent: Mapping[str, str]) -> Iterator[Gap]:
    for name, who in sent.items():
        if not any(_is_called(topic, name) for topic in contracts.topics):
            yield _missing(f"{TOPICS}.{name}", f"{who}, and no contract describes the topic {name}")
    if sent:
        for topic in contracts.topics:
            if _LANDS_IN in topic.custom and topic.name not in sent:
                problem = f"the topic {topic.name} has a contract, and nobody sends to it"
                mend = "send to it in scenario/, or remove the contract"
                yield Gap(topic.full_name, problem, mend)


def _against_what_is_read(contracts: Contracts, read: Mapping[str, str] | None) -> Iterator[Gap]:
    raw = {contract.name: contract for contract in contracts.in_schema(RAW)}
    lands = {str(t.custom[_LANDS_IN]) for t in contracts.topics if _LANDS_IN in t.custom}
    for name in sorted(lands - raw.keys()):
        yield _missing(f"{RAW}.{name}", f"a topic lands in {RAW}.{name}, which has no contract")
    for name, contract in raw.items():
        columns = {column.name for column in contract.columns}
        if _FROM_A_TOPIC in columns and name not in lands:
            problem = (
                f"{RAW}.{name} has the offsets of a topic, and no topic's contract lands in it"
            )
            yield Gap(contract.full_name, problem, f"write the topic's contract, with {_LANDS_IN}")
        elif _FROM_A_SOURCE in columns and read is not None and name not in read:
            problem = f"{RAW}.{name} has a contract, and no source fills it"
            mend = "name the table in ingestion/sources.yml, or remove the contract"
            yield Gap(contract.full_name, problem, mend)
    for name in sorted((read or {}).keys() - raw.keys() - lands):
        source = (read or {})[name]
        yield _missing(
            f"{RAW}.{name}", f"the source {source} fills {RAW}.{name}, without a contract"
        )


def _is_called(topic: Contract, name: str) -> bool:
    """A topic's name can be a pattern: `{topic}.dlq`."""
    pieces: Iterable[str] = re.split(r"\{\w+\}", topic.name)
    return re.fullmatch(".+".join(map(re.escape, pieces)), name) is not None


def _missing(name: str, problem: str) -> Gap:
    return Gap(name, problem, f"write contracts/{name.replace('.', '/', 1)}.yaml, or take it away")


def _name(schema: str, table: str) -> str:
    return f"{schema}.{table}".lower()

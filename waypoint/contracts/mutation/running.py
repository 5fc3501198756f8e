"""A whole run: compile the project's checks, damage table after table, gather the scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from waypoint.clock import now
from waypoint.contracts.model import RAW, Contract, Contracts
from waypoint.contracts.mutation.checks import compiled
from waypoint.contracts.mutation.engine import Mutation
from waypoint.contracts.mutation.model import MutationReport, Score
from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import STATE_VARIABLE, Project
from waypoint.warehouse import EMBEDDED


class NotCompiled(WaypointError):
    """dbt could not compile the project, so nothing is known of its checks."""


def mutate(
    project: Project,
    select: Sequence[str] = (),
    manifest: Path | None = None,
    watch: Callable[[Score, int, int], None] = lambda _score, _done, _total: None,
) -> MutationReport:
    """Damage the tables of the project's built warehouse and see which damage is noticed.

    Args:
        project: with a built warehouse of the embedded kind, which is only read.
        select: contracts by full name, or schemas; all where it is empty.
        manifest: a compiled one (of a full refresh); compiled anew unless given.
        watch: told of each contract's score, and how many of how many are done.

    Raises:
        UnusableInput: no such contract, no warehouse, or one on a server.
        NotCompiled: dbt cannot compile the project.
    """
    contracts = _selected(project, select)
    if project.target != EMBEDDED:
        raise UnusableInput(
            f"the target {project.target} is not a file that could be damaged in a copy",
            hint=f"build the project with --target {EMBEDDED} and mutate that",
        )
    if not project.warehouse_file.exists():
        raise UnusableInput(
            f"nothing is built yet: {project.warehouse_file} is not there",
            hint="run `waypoint run` first",
        )
    with tempfile.TemporaryDirectory(prefix="waypoint-mutate-") as folder:
        scratch = Path(folder)
        described = _read(manifest) if manifest else _compile(project, scratch)
        scores = []
        with Mutation(
            project.warehouse_file,
            compiled(described),
            entities(project.contracts),
            now(project),
            scratch,
        ) as mutation:
            for contract in contracts:
                scores.append(mutation.score(contract))
                watch(scores[-1], len(scores), len(contracts))
    left_out = [] if select else [_topic(topic) for topic in project.contracts.topics]
    return MutationReport([*scores, *left_out])


def _topic(topic: Contract) -> Score:
    """A topic has no rows of its own: what it promises is asked of the table that it lands in."""
    table = topic.custom.get("landsIn")
    why = f"its messages are those of {RAW}.{table}" if table else "its messages land in no table"
    return Score(topic.full_name, 0, 0, 0, 0, 0, (), left_out=why)


def entities(contracts: Contracts) -> dict[str, frozenset[str]]:
    """The tables that a column is the sole key of, by the column's name."""
    found: dict[str, set[str]] = {}
    for contract in contracts.tables:
        if len(contract.key) == 1:
            found.setdefault(contract.key[0], set()).add(contract.full_name)
    return {name: frozenset(tables) for name, tables in found.items()}


def _selected(project: Project, select: Iterable[str]) -> list[Contract]:
    tables = project.contracts.tables
    chosen: dict[str, Contract] = {}
    for name in select:
        found = [c for c in tables if name in (c.full_name, c.schema)]
        if not found:
            known = tables[0].full_name if tables else "staging.orders"
            raise UnusableInput(
                f"{name}: there is no contract of that name",
                hint=f"name a table as schema.table, e.g. {known}",
            )
        chosen |= {contract.full_name: contract for contract in found}
    return list(chosen.values()) or tables


def _compile(project: Project, scratch: Path) -> dict[str, Any]:
    """dbt's manifest with every query compiled as for a full refresh, beside an empty warehouse."""
    state, target = scratch / "state", scratch / "target"
    warehouse = state / project.warehouse_file.relative_to(project.state)
    warehouse.parent.mkdir(parents=True)
    environment = dict(os.environ)
    environment["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    environment[STATE_VARIABLE] = str(state)
    environment.pop("DBT_TARGET_PATH", None)
    if (project.root / "profiles.yml").exists():
        environment["DBT_PROFILES_DIR"] = str(project.root)
    command = [sys.executable, "-m", "waypoint.dbt_process", str(os.getpid()), "--quiet"]
    options = ["--target-path", str(target), "--log-path", str(scratch / "logs")]
    ended = subprocess.run(
        [*command, "compile", "--full-refresh", *options, "--target", project.target],
        cwd=project.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        said = (ended.stdout + ended.stderr).strip()
        raise NotCompiled(f"dbt could not compile the project:\n{said}")
    return _read(target / "manifest.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{path}: no manifest of dbt: {error}") from None
    return read

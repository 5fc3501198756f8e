"""A rehearsal: the project built twice on Snowflake, or its stand-in, and on DuckDB, and compared.

Both warehouses load the same files at the same times: the first build starts from nothing, the
second is an incremental run over a second load.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ingestion.loading import TICK, raw_tables, raw_warehouse
from ingestion.loading.snowflake import SnowflakeWarehouse, name
from waypoint.build_results import UNIT_TEST
from waypoint.dbt_running import FAILED_STATUSES, Progress, run_dbt, target_dir
from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.snowflake.compiling import profile_name
from waypoint.snowflake.rehearsal.comparing import Compared, comparing
from waypoint.snowflake.rehearsal.inputs import Load
from waypoint.snowflake.rehearsal.realtime import make, queries_of_first_build, real_time_tables
from waypoint.snowflake.rehearsal.standin import Account
from waypoint.snowflake.setup.statements import Dynamic

_TABLES = ("model", "seed", "snapshot")
RUNS = ("first", "incremental")

Say = Callable[[str], None]
Begin = Callable[[Path], AbstractContextManager[Account]]


@dataclass
class Rehearsed:
    """One table that both built: how each run's results stand to each other."""

    name: str
    kind: str
    runs: dict[str, Compared] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        return all(compared.equal for compared in self.runs.values())


@dataclass
class Rehearsal:
    """What came of it. `tests` are those that ended otherwise on Snowflake than on DuckDB."""

    models: dict[str, Rehearsed] = field(default_factory=dict)
    tests_alike: dict[str, int] = field(default_factory=dict)  # by run
    tests: list[str] = field(default_factory=list)
    realtime: dict[str, Rehearsed] = field(default_factory=dict)  # by model
    rows: list[int] = field(default_factory=list)  # loaded, by load
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        tables = [*self.models.values(), *self.realtime.values()]
        return bool(self.models) and not self.tests and all(one.equal for one in tables)


def rehearse(
    project: Project,
    loads: Iterator[Load],
    folder: Path,
    account: Account,
    *,
    models: Sequence[str] = (),
    with_unit_tests: bool = False,
    say: Say = lambda _text: None,
) -> Rehearsal:
    """Load and build each of `loads` on both warehouses and compare every table that came of it.

    Args:
        folder: for what is made meanwhile; DuckDB's warehouse is below it.
        account: an empty database of Snowflake, or of its stand-in.
        models: names of models, seeds and snapshots; with what they are made of. None: all.

    Raises:
        UnusableInput: packages are missing, or no such model.
        WaypointError: a build ended without results, or a load was refused.
    """
    here = Project(project.root, folder / "duckdb")
    there = Project(project.root, folder / "snowflake", target="snowflake")
    profiles = _write_profile(project, account, folder)
    selected = [option for one in models for option in ("--select", f"+{one}")]
    options = [*selected, *([] if with_unit_tests else ["--exclude-resource-type", UNIT_TEST])]
    result = Rehearsal()
    with _connected(account) as connection:
        import snowflake.connector as connector

        warehouse = SnowflakeWarehouse(connection, connector.errors.Error)
        for run, load in zip(RUNS, loads, strict=True):
            say(f"{run} run: load")
            with _timed(result, f"{run}: load on DuckDB"), raw_warehouse(here) as raw:
                raw.prepare(raw_tables(project.contracts))
                newest = raw.newest_load()
                loaded_at = load.clock if newest is None else max(load.clock, newest + TICK)
                loaded = raw.load(list(load.files), loaded_at, load.clock)
            with _timed(result, f"{run}: load on Snowflake"):
                warehouse.prepare(raw_tables(project.contracts))
                warehouse.load(list(load.files), loaded_at, load.clock)
            result.rows.append(sum(loaded.rows.values()))
            statuses = []
            for one, where, more in (
                (here, "DuckDB", []),
                (there, "Snowflake", ["--profiles-dir", str(profiles)]),
            ):
                with _timed(result, f"{run}: build on {where}"):
                    run_dbt(one, ["build", *options, *more], _following(say, f"{run} run: {where}"))
                statuses.append(_statuses(one))
            with _timed(result, f"{run}: compare"):
                say(f"{run} run: compare")
                _compare(project, here, connection, run, statuses, result)
            if run == RUNS[0]:  # later ones are no queries over everything, which these are
                queries = queries_of_first_build(there)
                tables = real_time_tables(project, queries, account.profile["database"])
                with _timed(result, f"{run}: real-time tables"):
                    _compare_real_time(project, here, connection, run, tables, result)
    if not result.models:
        raise UnusableInput(f"dbt built nothing of {', '.join(models) or 'the project'}")
    return result


def _compare(
    project: Project,
    here: Project,
    connection: Any,
    run: str,
    statuses: Sequence[Mapping[str, Mapping[str, str]]],
    result: Rehearsal,
) -> None:
    ours, theirs = statuses
    with comparing(here.warehouse_file) as comparison:
        for unique_id in sorted({*ours, *theirs}):
            one, other = (s.get(unique_id, _NOT_THERE) for s in (ours, theirs))
            kind = unique_id.partition(".")[0]
            if kind not in _TABLES:
                if one["status"] == other["status"]:
                    result.tests_alike[run] = result.tests_alike.get(run, 0) + 1
                else:
                    said = " ".join((other["message"] or one["message"]).split())
                    result.tests.append(
                        f"{run} run, {one['name'] or other['name']}: {one['status']} on DuckDB,"
                        f" {other['status']} on Snowflake ({said[:500]})"
                    )
                continue
            table = one["table"] or other["table"]
            rehearsed = result.models.setdefault(table, Rehearsed(table, kind))
            if one["status"] != "success" or other["status"] != "success":
                said = " ".join((other["message"] or one["message"]).split())
                rehearsed.runs[run] = Compared(
                    0,
                    0,
                    problem=f"{one['status']} on DuckDB, {other['status']} on Snowflake: {said}",
                )
                continue
            fetched = _fetched(connection, table)
            rehearsed.runs[run] = comparison.compare(table, fetched, _key(project, table))


def _compare_real_time(
    project: Project,
    here: Project,
    connection: Any,
    run: str,
    tables: tuple[Dynamic, ...],
    result: Rehearsal,
) -> None:
    make(connection, tables)
    with comparing(here.warehouse_file) as comparison:
        for one in tables:
            rehearsed = result.realtime.setdefault(one.model, Rehearsed(one.model, "real-time"))
            fetched = _fetched(connection, one.table.partition(".")[2])
            rehearsed.runs[run] = comparison.compare(one.model, fetched, _key(project, one.model))


def _key(project: Project, table: str) -> list[str]:
    contract = project.contracts.get(table)
    columns = contract.columns if contract else ()
    return [column.name for column in columns if column.primary_key_position is not None]


_NOT_THERE = {"status": "not built", "message": "", "name": "", "table": ""}


def _fetched(connection: Any, table: str) -> Any:
    schema, _, relation = table.partition(".")
    with connection.cursor() as cursor:
        cursor.execute(f"select * from {name(schema)}.{name(relation)}")
        return cursor.fetch_arrow_all(force_return_table=True)


def _statuses(project: Project) -> dict[str, dict[str, str]]:
    """By dbt's id of a node: how it ended, what was said, its name and its table."""
    folder = target_dir(project)
    results = json.loads((folder / "run_results.json").read_text(encoding="utf-8"))["results"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    known = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    found = {}
    for one in results:
        node = known.get(one["unique_id"], {})
        if one["unique_id"].partition(".")[0] in ("operation", "exposure") and (
            one["status"] not in FAILED_STATUSES
        ):
            continue
        found[one["unique_id"]] = {
            "status": str(one["status"]),
            "message": one.get("message") or "",
            "name": str(node.get("name", one["unique_id"])),
            "table": f"{node.get('schema')}.{node.get('alias') or node.get('name')}",
        }
    return found


def _write_profile(project: Project, account: Account, folder: Path) -> Path:
    """A profiles.yml of the account, for the target `snowflake`; gives its folder."""
    profiles = folder / "profiles"
    profiles.mkdir(parents=True, exist_ok=True)
    outputs = {"target": "snowflake", "outputs": {"snowflake": account.profile}}
    path = profiles / "profiles.yml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump({profile_name(project): outputs}), encoding="utf-8")
    return profiles


@contextmanager
def _connected(account: Account) -> Iterator[Any]:
    import snowflake.connector as connector

    try:
        connection = connector.connect(**account.connector)
    except connector.errors.Error as error:
        raise WaypointError(f"the account cannot be reached: {error}") from None
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _timed(result: Rehearsal, what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    result.seconds[what] = round(time.monotonic() - start, 1)


def _following(say: Say, what: str) -> Callable[[Progress], None]:
    def follow(progress: Progress) -> None:
        say(f"{what}: {progress.done} of {progress.total}, {progress.node}")

    return follow


def emptied(folder: Path) -> Path:
    """The folder, without what an earlier rehearsal left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

"""Extraction of one table from PostgreSQL into DuckDB: Waypoint against the bare scan and dlt.

    python bench/extraction.py --rows 1000000 --json

All contenders read the same table of 11 columns from the same embedded server over TCP into a new
DuckDB file, each in a process of its own, in turns. The best round counts, by the CPU time of that
process; imports and the server's own work are left out. What stands in the tables afterwards is
compared. Waypoint lands Parquet files, checks each row against a contract with rules on most
columns, loads them and records what it did; the others only copy.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOAL_TO_BARE = 2.5  # at most
GOAL_TO_DLT = 0.25  # at most

TABLE = "orders"
CREATE = f"""
create table {TABLE} (
    id bigint primary key,
    user_id bigint not null,
    status text not null,
    currency text not null,
    total numeric(12,2) not null,
    quantity integer not null,
    note text,
    city text,
    paid boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
)"""
FILL = f"""
insert into {TABLE}
select
    i,
    i % 50000,
    (array['placed', 'paid', 'shipped', 'delivered', 'cancelled'])[1 + i % 5],
    (array['EUR', 'USD', 'GBP'])[1 + i % 3],
    (i * 7919 % 10000000) / 100.0,
    1 + i % 7,
    case when i % 4 = 0 then null else 'deliver to the neighbour, number ' || i end,
    'City ' || i % 3000,
    i % 3 > 0,
    timestamptz '2026-01-01' + i * interval '1 second',
    timestamptz '2026-01-01' + (i + i % 3600) * interval '1 second'
from generate_series(1::bigint, {{rows}}) i"""

STATUSES = ["placed", "paid", "shipped", "delivered", "cancelled"]
PROPERTIES: list[dict[str, Any]] = [
    {"name": "id", "physicalType": "bigint", "primaryKey": True},
    {"name": "user_id", "physicalType": "bigint", "required": True},
    {
        "name": "status",
        "physicalType": "varchar",
        "required": True,
        "quality": [
            {"metric": "invalidValues", "arguments": {"validValues": STATUSES}, "mustBe": 0}
        ],
    },
    {
        "name": "currency",
        "physicalType": "varchar",
        "required": True,
        "logicalTypeOptions": {"pattern": "^[A-Z]{3}$"},
    },
    {
        "name": "total",
        "physicalType": "decimal(12,2)",
        "required": True,
        "logicalTypeOptions": {"minimum": 0},
    },
    {
        "name": "quantity",
        "physicalType": "integer",
        "required": True,
        "logicalTypeOptions": {"minimum": 1},
    },
    {"name": "note", "physicalType": "varchar"},
    {"name": "city", "physicalType": "varchar"},
    {"name": "paid", "physicalType": "boolean", "required": True},
    {"name": "created_at", "physicalType": "timestamp", "required": True},
    {"name": "updated_at", "physicalType": "timestamp", "required": True},
    {"name": "_deleted", "physicalType": "boolean", "required": True},
    {"name": "_source", "physicalType": "varchar", "required": True},
    {"name": "_batch", "physicalType": "varchar", "required": True},
    {"name": "_loaded_at", "physicalType": "timestamp", "required": True},
]
LOGICAL = {
    "bigint": "integer",
    "integer": "integer",
    "varchar": "string",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "decimal(12,2)": "number",
}

# the contenders: each prepares (imports) and returns what is measured, which returns the DuckDB
# file and the table that it has filled

Measured = Callable[[], tuple[Path, str]]


def bare_scan(dsn: str, folder: Path) -> Measured:
    """`create table as select * from` the attached database: what is possible at best."""
    import duckdb

    from ingestion.postgres_snapshot import extension_path

    def run() -> tuple[Path, str]:
        file = folder / "bare.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute(f"load '{extension_path()}'")
            connection.execute(f"attach '{dsn}' as source (type postgres, read_only)")
            connection.execute(f"create table {TABLE} as select * from source.public.{TABLE}")
        return file, TABLE

    return run


def waypoint(dsn: str, folder: Path) -> Measured:
    """Extract, land, check and load, with the bookkeeping of a real run."""
    from datetime import UTC, datetime

    import yaml

    from ingestion.extraction import Context, Source
    from ingestion.extractors.postgres import extract
    from ingestion.landing import LandingArea
    from ingestion.loading import load_landed
    from waypoint.project import Project

    contract = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"raw.{TABLE}",
        "name": "Orders",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {
                "name": TABLE,
                "properties": [
                    {"logicalType": LOGICAL[p["physicalType"]], **p} for p in PROPERTIES
                ],
            }
        ],
    }
    path = folder / "contracts" / "raw" / f"{TABLE}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(contract))
    project = Project(root=folder, state=folder / "var")
    settings = {"dsn": dsn, "cursor": "updated_at", "tables": {TABLE: TABLE}}
    context = Context(
        contracts=project.contracts,
        area=LandingArea(project.landing_dir),
        state=project.state,
        now=datetime.now(UTC).replace(tzinfo=None),
        full_refresh="--refresh" in sys.argv,
    )

    def run() -> tuple[Path, str]:
        for outcome in extract(Source("shop", "postgres", settings), context):
            assert outcome.rejected == 0, outcome
        load_landed(project)
        return project.warehouse_file, f"raw.{TABLE}"

    return run


def _dlt(backend: str, dsn: str, folder: Path) -> Measured:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    import dlt
    from dlt.sources.sql_database import sql_table

    file = folder / "dlt.duckdb"
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name="raw",
        pipelines_dir=str(folder / "pipelines"),
    )

    def run() -> tuple[Path, str]:
        pipeline.run(sql_table(credentials=dsn, table=TABLE, schema="public", backend=backend))
        return file, f"raw.{TABLE}"

    return run


def dlt_connectorx(dsn: str, folder: Path) -> Measured:
    """dlt with its fastest backend."""
    return _dlt("connectorx", dsn, folder)


def dlt_pyarrow(dsn: str, folder: Path) -> Measured:
    """dlt with the backend that keeps numeric types without further settings."""
    return _dlt("pyarrow", dsn, folder)


CONTENDERS: dict[str, Callable[[str, Path], Measured]] = {
    "bare_scan": bare_scan,
    "waypoint": waypoint,
    "dlt_connectorx": dlt_connectorx,
    "dlt_pyarrow": dlt_pyarrow,
}


def measure(name: str, dsn: str, folder: Path) -> dict[str, Any]:
    """Run one contender here: CPU and wall seconds, peak memory in MB, what it copied."""
    import duckdb

    run = CONTENDERS[name](dsn, folder)
    with duckdb.connect() as connection:
        connection.execute("select ?", [1])  # DuckDB imports pandas with the first parameter
    cpu, wall = _cpu(), time.perf_counter()
    file, table = run()
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with duckdb.connect(str(file), read_only=True) as connection:
        query = f"select count(*), cast(sum(total) as decimal(20, 2)), count(note) from {table}"
        rows, total, notes = connection.execute(query).fetchall()[0]
    return {
        "cpu_s": cpu,
        "wall_s": wall,
        "peak_mb": peak,
        "copied": [rows, str(total), notes],
    }


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


# the comparison


def compare(rows: int, rounds: int, names: list[str], state: Path) -> dict[str, Any]:
    """Fill a database, let the contenders copy it in turns, and put the best rounds together."""
    import psycopg

    from waypoint.services.postgres import running

    best: dict[str, dict[str, Any]] = {}
    settings = {"listen_addresses": "127.0.0.1", "port": str(_free_port())}
    with running(state / "postgres", settings) as server:
        server.database("bench")
        dsn = f"postgresql://postgres@127.0.0.1:{server.port}/bench"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(CREATE)  # type: ignore[arg-type]
            connection.execute(FILL.format(rows=rows))  # type: ignore[arg-type]
            connection.execute(f"create index on {TABLE} (updated_at)")  # type: ignore[arg-type]
            connection.execute(f"vacuum analyze {TABLE}")  # type: ignore[arg-type]
        for turn in range(rounds):
            for name in names:
                if turn and name == "dlt_pyarrow":
                    continue  # half a minute a round, and not the one that counts
                folder = state / f"{name}-{turn}"
                folder.mkdir(parents=True)
                found = _in_own_process(name, dsn, folder)
                if name not in best or found["cpu_s"] < best[name]["cpu_s"]:
                    best[name] = found
                if name == "waypoint":
                    again = {"again": [], "full_refresh": ["--refresh"]}
                    for what, arguments in again.items():
                        found = _in_own_process(name, dsn, folder, *arguments)
                        called = f"waypoint_{what}"
                        if called not in best or found["cpu_s"] < best[called]["cpu_s"]:
                            best[called] = found
    copied = {name: found.pop("copied") for name, found in best.items()}
    assert len({tuple(values) for values in copied.values()}) == 1, copied
    cpu = {name: found["cpu_s"] for name, found in best.items()}
    fastest = min((cpu[name] for name in cpu if name.startswith("dlt")), default=None)
    ratios = {"waypoint_to_bare_scan": cpu["waypoint"] / cpu["bare_scan"]}
    goals = {"waypoint_to_bare_scan": GOAL_TO_BARE}
    if fastest is not None:
        ratios["waypoint_to_fastest_dlt"] = cpu["waypoint"] / fastest
        goals["waypoint_to_fastest_dlt"] = GOAL_TO_DLT
    return {
        "rows": rows,
        "columns": 11,
        "rounds": rounds,
        "contenders": best,
        "cpu_ratios": ratios,
        "goals": goals,
        "met": all(ratios[name] <= goal for name, goal in goals.items()),
    }


def _in_own_process(name: str, dsn: str, folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", name, "--dsn", dsn, "--state", str(folder)]
    ended = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{name} ended with {ended.returncode}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['rows']:,} rows x {result['columns']} columns, best of {result['rounds']} rounds",
        f"{'':24}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}",
    ]
    for name, found in result["contenders"].items():
        figures = f"{found['cpu_s']:8.2f}{found['wall_s']:8.2f}{found['peak_mb']:9.0f}"
        lines.append(f"{name.replace('_', ' '):24}{figures}")
    for name, ratio in result["cpu_ratios"].items():
        goal = result["goals"][name]
        met = "met" if ratio <= goal else "missed"
        lines.append(f"CPU, {name.replace('_', ' ')}: {ratio:.2f} (goal {goal:g} at most: {met})")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare ways to extract a PostgreSQL table.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--without-dlt", action="store_true", help="leave dlt out")
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help=argparse.SUPPRESS)
    parser.add_argument("--refresh", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.dsn, given.state)))
        return
    names = [n for n in CONTENDERS if not (given.without_dlt and n.startswith("dlt"))]
    with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as folder:
        result = compare(given.rows, given.rounds, names, Path(folder))
    print(json.dumps(result, indent=2) if given.json else _table(result))


if __name__ == "__main__":
    main()

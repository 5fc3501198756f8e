"""Building the whole project: against the same SQL run bare, and after one more day of data.

    python bench/building.py --history 1 30 --json

For each length of history a warehouse is filled by the simulator (`--history 30` holds about ten
million raw rows), built in full, and built again after one more day, the same day at each length.
Of the longest the full build is compared with the same statements (the compiled SQL of every model
and every test, but for the snapshots') run one after the other in one bare DuckDB process on the
same raw tables. CPU seconds are those of a whole process with its children, as the kernel accounts
for them; peak memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import yaml

ROOT = Path(__file__).parents[1]
AS_OF = "2026-03-01T00:00:00"
#: What a project consists of, as far as it is built here.
PARTS = (
    "contracts",
    "dbt_project",
    "ingestion",
    "macros",
    "models",
    "scenario",
    "seeds",
    "tests/data",
    "dbt_project.yml",
    "profiles.yml",
)
GOAL_TO_BARE = 1.5  # CPU of the full build to that of the bare SQL, at most
GOAL_LONG_TO_SHORT = 1.3  # CPU of a day's build at the longest history to the shortest, at most
GOAL_MEMORY = 2048  # MiB, at most


@dataclass(frozen=True)
class Measured:
    """One command: CPU seconds and peak MiB of it and its children, and how long it took."""

    cpu: float
    wall: float
    peak_mib: int


def measure(command: list[str], folder: Path, environment: dict[str, str]) -> Measured:
    """Run a command to its end and say what it took.

    Raises:
        SystemExit: the command failed; what it printed is shown.
    """
    with tempfile.TemporaryFile() as printed:
        start = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        if os.waitstatus_to_exitcode(status) != 0:
            printed.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{printed.read().decode()[-4000:]}")
    measured = Measured(
        cpu=round(used.ru_utime + used.ru_stime, 1),
        wall=round(wall, 1),
        peak_mib=used.ru_maxrss // 1024,
    )
    print(f"{' '.join(command[1:])[-60:]}: {measured}", file=sys.stderr)
    return measured


class Bench:
    """A copy of the project with a history of its own length, in a folder of its own."""

    def __init__(self, folder: Path, history: float) -> None:
        self.folder = folder
        for part in PARTS:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy(source, target)
        scenario_file = folder / "scenario/scenario.yml"
        scenario = yaml.safe_load(scenario_file.read_text())
        # a last day that is like every other, so that the day after it is the same at each length
        scenario["settings"]["history_share"] *= history
        scenario_file.write_text(yaml.safe_dump(scenario, sort_keys=False))
        self.environment = {
            **os.environ,
            "WAYPOINT_STATE": str(folder / "var"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        self.warehouse = folder / "var/warehouse/waypoint.duckdb"

    def waypoint(self, *words: str) -> Measured:
        command = [sys.executable, "-m", "waypoint.cli.app", "-q", *words]
        return measure(command, self.folder, self.environment)

    def fetch(self, *simulate: str) -> dict[str, Measured]:
        return {
            "simulate": self.waypoint("simulate", *simulate),
            "extract": self.waypoint("extract"),
            "land": self.waypoint("land"),
            "load": self.waypoint("load"),
        }

    def raw_rows(self) -> int:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            tables = connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'raw'"
            ).fetchall()
            # not a bare count(*): a scan is what the models do
            return sum(
                connection.execute(f"select count(_loaded_at) from raw.{table}").fetchone()[0]  # type: ignore[index]
                for (table,) in tables
                if table not in ("load_history", "clock")
            )

    def bare(self, unbuilt: Path) -> Measured:
        """The full build's statements, run one after the other on the raw tables in `unbuilt`."""
        statements = self.folder / "statements.json"
        statements.write_text(json.dumps(compiled_statements(self.folder / "target")))
        command = [sys.executable, str(Path(__file__).with_name("bare_statements.py"))]
        return measure([*command, str(unbuilt), str(statements)], self.folder, self.environment)


def compiled_statements(target: Path) -> list[str]:
    """Every statement of the last build, in its order: what is built, then what is tested."""
    manifest = json.loads((target / "manifest.json").read_text())
    results = json.loads((target / "run_results.json").read_text())["results"]
    results.sort(key=lambda r: r["timing"][-1]["started_at"] if r["timing"] else "")
    statements = []
    for result in results:
        node = manifest["nodes"].get(result["unique_id"])
        if node is None:
            continue
        # what dbt adds to a snapshot is no query of ours: left out, and so is what reads it
        if node["resource_type"] == "snapshot" or any(
            parent.startswith("snapshot.") for parent in node["depends_on"].get("nodes", ())
        ):
            continue
        relation, sql = node.get("relation_name"), result.get("compiled_code")
        if node["resource_type"] == "seed":
            path = Path(node["root_path"] or ".") / node["original_file_path"]
            types = json.dumps(node["config"]["column_types"]).replace('"', "'")
            statements.append(
                f"create or replace table {relation} as"
                f" select * from read_csv('{path}', header = true, types = {types})"
            )
        elif node["resource_type"] == "model":
            kind = "view" if node["config"]["materialized"] == "view" else "table"
            statements.append(f"create or replace {kind} {relation} as {sql}")
        elif node["resource_type"] == "test":
            statements.append(f"select count(*) from ({sql}) as failures")
    return statements


def bench(history: float, folder: Path, compare: bool) -> dict[str, object]:
    """One length of history: filled, built, built again after a day; bare too where asked."""
    project = Bench(folder, history)
    steps = project.fetch("--as-of", AS_OF)
    rows = project.raw_rows()
    unbuilt = folder / "bare/waypoint.duckdb"
    if compare:
        unbuilt.parent.mkdir()
        shutil.copy(project.warehouse, unbuilt)
    steps["build"] = project.waypoint("build")
    result: dict[str, object] = {"history": history, "raw_rows": rows}
    if compare:
        result["bare"] = asdict(project.bare(unbuilt))
        unbuilt.unlink()
    result["first"] = {name: asdict(step) for name, step in steps.items()}
    day = project.fetch("--advance", "1d")
    day["build"] = project.waypoint("build")
    result["rows_of_the_day"] = project.raw_rows() - rows
    result["next_day"] = {name: asdict(step) for name, step in day.items()}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=float, nargs="+", default=[1, 30])
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    lengths = sorted(options.history)
    results = []
    for history in lengths:
        with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as folder:
            results.append(bench(history, Path(folder), compare=history == lengths[-1]))
    report(results, options.json)


def report(results: list[dict[str, object]], as_json: bool) -> None:
    """Print the figures, the ratios and whether the goals are met."""
    shortest, longest = results[0], results[-1]
    full, bare = longest["first"]["build"], longest["bare"]  # type: ignore[index]
    ratios = {
        "full_build_to_bare_sql": round(full["cpu"] / bare["cpu"], 2),  # type: ignore[index]
        "days_build_longest_to_shortest": round(
            longest["next_day"]["build"]["cpu"] / shortest["next_day"]["build"]["cpu"],  # type: ignore[index]
            2,
        ),
        "peak_mib": max(s["peak_mib"] for s in longest["first"].values()),  # type: ignore[attr-defined]
    }
    if as_json:
        print(json.dumps({"results": results, "ratios": ratios}, indent=2))
        return
    for result in results:
        print(f"history x{result['history']:g}: {result['raw_rows']:,} raw rows")
        for phase in ("first", "next_day"):
            for name, step in result[phase].items():  # type: ignore[attr-defined]
                print(f"  {phase} {name}: {step['cpu']} CPU s, {step['peak_mib']} MiB")
    print(f"bare SQL: {bare['cpu']} CPU s, {bare['peak_mib']} MiB")  # type: ignore[index]
    goals = (GOAL_TO_BARE, GOAL_LONG_TO_SHORT, GOAL_MEMORY)
    for (name, figure), goal in zip(ratios.items(), goals, strict=True):
        print(f"{name}: {figure} (goal: at most {goal})")


if __name__ == "__main__":
    main()

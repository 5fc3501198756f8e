"""The pull-request gate on the whole repository, given compiled manifests of both sides.

    python bench/gate.py --json

In a clone of the repository, contracts are changed: none, one, one raw column that much is built
from, and a column of every contract at once. Each check is a process of its own, as in a pipeline.
The figures are the medians of some runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
GOAL = 5.0  # seconds, at most


def run(folder: Path, *command: str, expected: tuple[int, ...] = (0,)) -> str:
    """Run a command to its end; returns what it printed.

    Raises:
        SystemExit: it ended otherwise than expected.
    """
    environment = os.environ | {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "WAYPOINT_STATE": str(folder / "var"),
    }
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode not in expected:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.stdout


def first_column(document: dict[str, Any]) -> None:
    """Rename a column that is not the key, or else describe the first otherwise."""
    columns = document["schema"][0]["properties"]
    free = [column for column in columns if not column.get("primaryKey")]
    if free:
        free[0]["name"] = f"{free[0]['name']}_renamed"
    else:
        columns[0]["description"] = "Something else."


def edit(folder: Path, names: list[str], change: Callable[[dict[str, Any]], None]) -> None:
    """Change some contracts, named by their paths below contracts/."""
    for name in names:
        path = folder / "contracts" / name
        document = yaml.safe_load(path.read_text())
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))


def drop_a_column(document: dict[str, Any]) -> None:
    columns = document["schema"][0]["properties"]
    columns.remove(next(c for c in columns if c["name"] == "created_at"))


def bench(folder: Path, runs: int) -> list[dict[str, Any]]:
    """Seconds of each check, and what it found."""
    run(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
    (folder / "var" / "warehouse").mkdir(parents=True)
    run(folder, sys.executable, "-c", "from dbt.cli.main import cli; cli()", "compile", "--quiet")
    manifest = folder / "target" / "manifest.json"
    base_manifest = folder / "target" / "base.json"
    base_manifest.write_bytes(manifest.read_bytes())
    everything = sorted(
        path.relative_to(folder / "contracts").as_posix()
        for path in (folder / "contracts").glob("*/*.yaml")
    )
    changes: list[tuple[str, list[str], Callable[[dict[str, Any]], None]]] = [
        ("nothing changed", [], first_column),
        (
            "one mart changed",
            [name for name in everything if "revenue_by_day" in name],
            first_column,
        ),
        ("a raw column dropped", ["raw/app_orders.yaml"], drop_a_column),
        ("every contract changed", everything, first_column),
    ]
    results = []
    for name, contracts, change in changes:
        edit(folder, contracts, change)
        seconds, printed = [], ""
        for _ in range(runs):
            start = time.monotonic()
            printed = run(
                folder,
                *(sys.executable, "-m", "waypoint.cli.app", "contracts", "check", "--base", "HEAD"),
                *("--base-manifest", str(base_manifest), "--json"),
                expected=(0, 1),
            )
            seconds.append(time.monotonic() - start)
        report = json.loads(printed)
        results.append(
            {
                "change": name,
                "seconds": round(statistics.median(seconds), 2),
                "contracts": report["contracts"],
                "changed": report["changed"],
                "breaking": report["breaking"],
                "consumers": sum(len(found["consumers"]) for found in report["findings"]),
            }
        )
        run(folder, "git", "checkout", "--quiet", ".")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as folder:
        results = bench(Path(folder) / "clone", options.runs)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for result in results:
        print(
            f"{result['change']}: {result['seconds']} s ({result['changed']} of"
            f" {result['contracts']} contracts, {result['breaking']} breaking changes,"
            f" {result['consumers']} consumers)"
        )
    worst = max(result["seconds"] for result in results)
    print(f"at most {worst} s (goal: at most {GOAL:g})")


if __name__ == "__main__":
    main()

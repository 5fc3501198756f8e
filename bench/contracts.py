"""What checking the contracts costs: at landing, after a build, in the gate, beside another tool.

    python bench/contracts.py --history 1 --json

A warehouse is filled by the simulator, landed with and without the checks of each row, and built.
Then, on that warehouse:

- the tests of all contracts, as dbt runs them (its start and its reading of the project taken off),
  and the same statements bare in one DuckDB process, against the build in full;
- `datacontract test` of the built tables, in one process, against the statements that can fail a
  build, bare: the coverage that comes nearest to its own. It checks columns and types, too, which
  our builds enforce, and not that references exist;
- the suites of Great Expectations, for what they cost;
- the gate on a clone of the repository (bench/gate.py).

CPU seconds are those of whole processes with their children, as the kernel accounts for them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import gate
from building import AS_OF, ROOT, Bench, Measured, measure

SCHEMAS = ("staging", "marts", "ml_features")
GOAL_OF_BUILD = 0.10  # CPU of the contracts' tests to that of the build, at most
GOAL_OTHER = 10  # CPU of `datacontract test` to that of our tests, at least

#: `waypoint` where landing types the rows and checks none of them.
_UNCHECKED = """
import sys
from dataclasses import replace
import ingestion.batches as batches
from waypoint.cli.app import main
checked = batches.validation
batches.validation = lambda *given, **named: replace(checked(*given, **named), checks=())
main(sys.argv[1:])
"""


def landing(project: Bench, rounds: int) -> dict[str, Any]:
    """Landing all files with the checks of each row and without, the best of some rounds."""
    waypoint = [sys.executable, "-m", "waypoint.cli.app", "-q", "land"]
    ways = {"checked": waypoint, "unchecked": [sys.executable, "-c", _UNCHECKED, "-q", "land"]}
    area = project.folder / "var/landing"
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name in ("unchecked", "checked"):  # what stays is what was checked
            shutil.rmtree(area, ignore_errors=True)
            took = measure(ways[name], project.folder, project.environment).cpu
            best[name] = min(took, best.get(name, took))
    with duckdb.connect() as connection:
        (rows,) = connection.execute(
            f"select sum(num_rows) from parquet_file_metadata('{area}/*/*.parquet')"
        ).fetchall()[0]
    return {
        "rows": rows,
        **{f"{name}_cpu": cpu for name, cpu in best.items()},
        "ratio": round(best["checked"] / best["unchecked"], 2),
        "microseconds_a_row": round((best["checked"] - best["unchecked"]) / rows * 1e6, 2),
    }


def tests(project: Bench) -> dict[str, Any]:
    """The tests of all contracts on the built warehouse: by dbt, and bare."""
    by_dbt = project.waypoint("build", "--", "--select", "test_name:contract_rules")
    results = json.loads((project.folder / "target/run_results.json").read_text())["results"]
    tested = [result for result in results if result["unique_id"].startswith("test.")]
    idle = project.waypoint("build", "--", "--resource-type", "exposure")
    return {
        "tests": len(tested),
        "by_dbt": asdict(by_dbt),
        "dbt_idle": asdict(idle),
        "bare": asdict(bare(project, tested)),
        "cpu": round(by_dbt.cpu - idle.cpu, 1),
    }


def bare(project: Bench, tested: list[dict[str, Any]]) -> Measured:
    """The compiled statements of some tests, one after the other in one DuckDB process."""
    listed = project.folder / "tests.json"
    listed.write_text(json.dumps([f"select count(*) from ({t['compiled_code']})" for t in tested]))
    runner = str(Path(__file__).with_name("bare_statements.py"))
    command = [sys.executable, runner, str(project.warehouse), str(listed)]
    return measure(command, project.folder, project.environment)


def other_tool(project: Bench) -> dict[str, Any]:
    """`datacontract test` of every built table in one process, and what it covers of our rules."""
    answer = project.folder / "other.json"
    command = [sys.executable, __file__, "--other-tool", str(project.folder), str(answer)]
    took = measure(command, project.folder, project.environment | {"PYTHONPATH": str(ROOT)})
    return asdict(took) | json.loads(answer.read_text())


def test_by_other_tool(folder: Path, answer: Path) -> None:
    """What the process of `other_tool` does."""
    sys.path.insert(0, str(ROOT / "tests/python"))
    from quality.oracle import prepared, verdict

    from waypoint.contracts.reading import read_contracts
    from waypoint.contracts.rules import table_rules

    copies = folder / "copies"
    copies.mkdir()
    ours: set[str] = set()
    theirs: set[str] = set()
    broken: set[str] = set()
    contracts = read_contracts(folder / "contracts")
    for contract in (c for c in contracts.tables if c.schema in SCHEMAS):
        for rule in table_rules(contract):
            name = f"{contract.full_name}.{rule['name']}"
            ours.add(name)
        copy = prepared(contract, folder / "var/warehouse/waypoint.duckdb", copies)
        found = verdict(contract, copy)
        theirs |= {f"{contract.full_name}.{rule}" for rule in found.checked}
        broken |= {f"{contract.full_name}.{rule}" for rule in found.broken}
    answer.write_text(
        json.dumps(
            {
                "our_rules": len(ours),
                "rules_of_both": len(ours & theirs),
                "rules_that_it_finds_broken": sorted(broken),
            }
        )
    )


def bench(folder: Path, history: float, rounds: int) -> dict[str, Any]:
    """Everything, in a project of its own in `folder`."""
    project = Bench(folder, history)
    project.waypoint("simulate", "--as-of", AS_OF)
    result: dict[str, Any] = {"history": history, "landing": landing(project, rounds)}
    project.waypoint("extract")
    project.waypoint("load")
    result["raw_rows"] = project.raw_rows()
    build: Measured = project.waypoint("build")
    result["build"] = asdict(build)
    result["tests"] = tests(project)
    result["datacontract"] = other_tool(project)
    result["great_expectations"] = asdict(project.waypoint("quality", "run", "--all", "--built"))
    ours, theirs = result["tests"]["cpu"], result["datacontract"]["cpu"]
    bare_tests = result["tests"]["bare"]["cpu"]
    result["ratios"] = {
        "tests_to_build": round(ours / build.cpu, 3),
        "bare_tests_to_build": round(bare_tests / build.cpu, 3),
        "datacontract_to_tests": round(theirs / ours, 1),
        "datacontract_to_bare_tests": round(theirs / bare_tests, 1),
    }
    return result


def report(result: dict[str, Any]) -> None:
    """The figures, for people."""
    landed, tested, ratios = result["landing"], result["tests"], result["ratios"]
    other, checks = result["datacontract"], result["gate"]
    print(
        f"{result['raw_rows']:,} raw rows\n"
        f"landing {landed['rows']:,} rows: {landed['checked_cpu']} CPU s checked,"
        f" {landed['unchecked_cpu']} unchecked: x{landed['ratio']},"
        f" {landed['microseconds_a_row']} us a row\n"
        f"build: {result['build']['cpu']} CPU s; tests of {tested['tests']} contracts:"
        f" {tested['cpu']} ({tested['bare']['cpu']} bare):"
        f" {ratios['tests_to_build']:.1%} of the build (goal: at most {GOAL_OF_BUILD:.0%}),"
        f" {ratios['bare_tests_to_build']:.1%} bare\n"
        f"datacontract test: {other['cpu']} CPU s, {other['rules_of_both']} of"
        f" {other['our_rules']} rules: x{ratios['datacontract_to_tests']} of all our tests;"
        f" x{ratios['datacontract_to_bare_tests']} of their statements, bare"
        f" (goal: at least {GOAL_OTHER})\n"
        f"Great Expectations, all tables: {result['great_expectations']['cpu']} CPU s\n"
        f"the gate: at most {max(check['seconds'] for check in checks)} s"
        f" (goal: at most {gate.GOAL:g})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="of landing, and of the gate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--other-tool", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.other_tool:
        test_by_other_tool(*options.other_tool)
        return
    with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as folder:
        result = bench(Path(folder) / "project", options.history, options.rounds)
        result["gate"] = gate.bench(Path(folder) / "clone", options.rounds)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        report(result)


if __name__ == "__main__":
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    main()

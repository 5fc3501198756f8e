"""What the static gate takes on the whole project: alone, and as `waypoint snowflake check`.

    python bench/static_gate.py --json

"gate" is the gate itself: all statements, as dbt compiled them, parsed, resolved, typed and
judged, none of them known from before. The others are the whole command in a process of its own,
dbt's reading and compiling included: "first" starts with nothing that was kept; "again" compiles
with what the first left, dbt's reading of the project and which statements were sound, as after a
change; "unchanged" finds that there was none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from building import measure

from waypoint.project import Project
from waypoint.snowflake.compiling import compiled
from waypoint.snowflake.gate import judge

ROOT = Path(__file__).parents[1]
GOAL = 10.0  # seconds of the gate itself, at most


def gate_alone(state: str) -> dict[str, float]:
    """Seconds that judging every statement takes; CPU is that of all processes."""
    project = Project(ROOT, Path(state))
    statements = compiled(project)
    before, start = os.times(), time.monotonic()
    found = judge(project.contracts, statements, project.root)
    after, end = os.times(), time.monotonic()
    if found:
        raise SystemExit(f"{len(found)} findings: waypoint snowflake check")
    cpu = sum(after[:4]) - sum(before[:4])
    return {"wall": round(end - start, 1), "cpu": round(cpu, 1), "statements": len(statements)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "waypoint.cli.app", "snowflake", "check"]
    with tempfile.TemporaryDirectory() as state:
        environment = os.environ | {"WAYPOINT_STATE": state}
        took = {}
        for name in ("first", "again", "unchanged"):
            if name == "again":
                Path(state, "snowflake", "unchanged.json").unlink()
            took[name] = asdict(measure(command, ROOT, environment))
        took["gate"] = gate_alone(state)
    load = os.getloadavg()[0]
    if arguments.json:
        print(json.dumps(took | {"goal_wall": GOAL, "load": round(load, 1)}, indent=2))
        return
    for name, figures in took.items():
        goal = f" (goal {GOAL:.0f} s)" if name == "gate" else ""
        print(f"{name}: {figures['wall']} s wall, {figures['cpu']} s CPU{goal}")
    print(f"the machine's load in the end: {load:.1f}")


if __name__ == "__main__":
    main()

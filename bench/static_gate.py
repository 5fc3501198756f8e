"""What `waypoint snowflake check` takes on the whole project, in a process of its own.

    python bench/static_gate.py --json

"first" starts with nothing that was kept; "again" compiles with what the first left, dbt's reading
of the project and which statements were sound, as after a change; "unchanged" finds that there was
none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from building import measure

ROOT = Path(__file__).parents[1]
GOAL = 10.0  # seconds, at most


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
    if arguments.json:
        print(json.dumps(took | {"goal_wall": GOAL}, indent=2))
        return
    for name, figures in took.items():
        print(f"{name}: {figures['wall']} s wall, {figures['cpu']} s CPU (goal {GOAL:.0f} s)")


if __name__ == "__main__":
    main()

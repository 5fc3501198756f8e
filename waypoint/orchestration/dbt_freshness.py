"""The newest load of each raw table, asked by `dbt source freshness`: for warehouses but DuckDB."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from waypoint.contracts.model import Contract
from waypoint.errors import Unavailable
from waypoint.project import Project


def newest_by_dbt(project: Project, contracts: Iterable[Contract]) -> dict[str, datetime]:
    """The newest load time (UTC, no zone) by table; tables without rows are left out.

    Raises:
        Unavailable: dbt did not answer: the warehouse cannot be reached, or refuses.
    """
    wanted = {contract.full_name for contract in contracts}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "sources.json"
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "dbt.cli.main", "source", "freshness"),
                *("--target", project.target, "--output", str(answer)),
                *("--target-path", folder, "--log-path", folder),
            ],
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if not answer.exists():  # a stale source, too, ends dbt with 1
            said = ended.stdout.strip().splitlines()[-5:]
            raise Unavailable("dbt could not measure the sources:\n" + "\n".join(said))
        results = json.loads(answer.read_text(encoding="utf-8"))["results"]
    found = {}
    for result in results:
        table = ".".join(result["unique_id"].split(".")[-2:])
        if table in wanted and result.get("max_loaded_at"):
            loaded = datetime.fromisoformat(result["max_loaded_at"])
            found[table] = loaded.astimezone(UTC).replace(tzinfo=None)
    return found

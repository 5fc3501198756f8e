"""sqlfluff over all models as they are compiled, in the dialects of both warehouses.

    .venv/bin/python .ci/lint_sql.py                  every model (minutes)
    .venv/bin/python .ci/lint_sql.py --base main      the models that changed since `main`

Compiled, because what a macro writes is SQL too, and because each warehouse gets SQL of its own.
`.sqlfluff` says which rules hold. Exit codes: 0 nothing found, 1 findings or SQL that sqlfluff
cannot parse, 2 the project does not compile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.project import Project
from waypoint.snowflake.compiling import compiled


def changed_models(project: Project, base: str) -> set[str]:
    """The names of the models whose SQL differs from what it was at `base`."""
    said = subprocess.run(
        ["git", "diff", "--name-only", "--diff-filter=d", f"{base}...HEAD", "--", "models"],
        cwd=project.root,
        check=True,
        capture_output=True,
        text=True,
    )
    return {Path(line).stem for line in said.stdout.splitlines() if line.endswith(".sql")}


def compile_for_duckdb(project: Project, folder: Path) -> None:
    """Write each model's SQL for an empty DuckDB to `<folder>/duckdb/<model>.sql`."""
    state = folder / "state"
    (state / "warehouse").mkdir(parents=True)
    command = ["-q", "compile", "--select", "resource_type:model"]
    options = ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    subprocess.run(
        [Path(sys.executable).with_name("dbt"), *command, *options],
        cwd=project.root,
        env={**os.environ, "WAYPOINT_STATE": str(state), "WAYPOINT_TARGET": "duckdb"},
        check=True,
    )
    written = folder / "duckdb"
    written.mkdir()
    for path in (folder / "target/compiled").glob("*/models/**/*.sql"):
        if path.parent.suffix != ".yml":  # below the folder of a .yml stand tests
            (written / path.name).write_text(path.read_text())


def compile_for_snowflake(project: Project, folder: Path) -> None:
    """Write each model's SQL for Snowflake to `<folder>/snowflake/<model>.sql`."""
    written = folder / "snowflake"
    written.mkdir()
    for statement in compiled(project):
        if statement.file.parts[0] == "models" and statement.file.suffix == ".sql":
            name = statement.file.stem + ("" if statement.variant == "full" else "+incremental")
            (written / f"{name}.sql").write_text(statement.sql + "\n")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--base", help="judge only the models changed since this git ref")
    base = arguments.parse_args().base
    project = Project.find()
    only = changed_models(project, base) if base else None
    if only is not None and not only:
        print(f"no model changed since {base}")
        return 0
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            compile_for_duckdb(project, folder)
            compile_for_snowflake(project, folder)
        except (WaypointError, subprocess.CalledProcessError) as error:
            print(f"the project does not compile: {error}", file=sys.stderr)
            return 2
        for dialect in ("duckdb", "snowflake"):
            files = [
                path.name
                for path in sorted((folder / dialect).iterdir())
                if only is None or path.stem.split("+")[0] in only
            ]
            print(f"{dialect}: {len(files)} queries", flush=True)
            options = ["--dialect", dialect, "--config", str(project.root / ".sqlfluff")]
            options += ["--processes", "0", "--disable-progress-bar"]
            ended = subprocess.run(
                [Path(sys.executable).with_name("sqlfluff"), "lint", *options, *files],
                cwd=folder / dialect,
            )
            worst = max(worst, ended.returncode)
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())

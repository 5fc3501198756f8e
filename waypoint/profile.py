"""Whether dbt's profile writes where Waypoint looks: the warehouse in the project's state."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from waypoint.errors import UnusableInput
from waypoint.project import STATE_VARIABLE, Project
from waypoint.warehouse import EMBEDDED

#: What a profile's `path` has to be, so that the state can be moved and copied.
PATH = "{{ env_var('WAYPOINT_STATE', 'var') }}/warehouse/waypoint.duckdb"

_VARIABLE = re.compile(
    r"""\{\{\s*env_var\(\s*['"](\w+)['"]\s*(?:,\s*['"]([^'"]*)['"]\s*)?\)\s*\}\}"""
)


def refuse_another_warehouse(project: Project) -> None:
    """Keep dbt from building into a file that no other command would read.

    A profile that stands elsewhere than in the project, or whose path cannot be told without dbt,
    is let through.

    Raises:
        UnusableInput: the project's `profiles.yml` says another file.
    """
    if project.target != EMBEDDED:
        return
    path = embedded_path(project)
    if path is not None and path.resolve() != project.warehouse_file.resolve():
        raise UnusableInput(
            f"{project.root / 'profiles.yml'}: the output {project.target} is {path}, and"
            f" Waypoint's commands read {project.warehouse_file}",
            hint=f'write path: "{PATH}"',
        )


def embedded_path(project: Project) -> Path | None:
    """The DuckDB file of the profile's output for this target; None where that cannot be told."""
    output = _output(project)
    if output.get("type") != "duckdb" or not output.get("path"):
        return None
    environment = os.environ | {STATE_VARIABLE: str(project.state)}
    text = _VARIABLE.sub(
        lambda found: environment.get(found[1]) or found[2] or "", str(output["path"])
    )
    return None if "{" in text else project.root / text


def _output(project: Project) -> dict[str, Any]:
    try:
        settings = yaml.safe_load((project.root / "dbt_project.yml").read_text(encoding="utf-8"))
        profiles = yaml.safe_load((project.root / "profiles.yml").read_text(encoding="utf-8"))
        return dict(profiles[settings["profile"]]["outputs"][project.target])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, UnicodeDecodeError):
        return {}  # dbt says what is wrong with them

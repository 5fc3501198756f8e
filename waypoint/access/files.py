"""The files that say who may see what: reviewed like code, and stale as soon as a contract changes.

They stand in `dbt_project/access/`: the matrix down to the column (CSV), table by table for people
(Markdown), and the statements that make it so on Snowflake.
"""

from __future__ import annotations

from pathlib import Path

from waypoint.access.matrix import as_csv, as_markdown, matrix
from waypoint.access.snowflake import plan
from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.roles import read_roles
from waypoint.project import Project


def folder(project: Project) -> Path:
    """Where the files stand."""
    return project.roles_file.parent / "access"


def matrix_file(project: Project) -> Path:
    return folder(project) / "matrix.csv"


def files(project: Project) -> dict[Path, str]:
    """The files by path; none where the project has no policy of roles.

    Raises:
        InvalidContract, UnusableInput: the policy or a contract cannot be understood.
    """
    roles = read_roles(project)
    if roles is None:
        return {}
    return {
        matrix_file(project): as_csv(matrix(project.contracts, roles)),
        folder(project) / "matrix.md": f"<!-- {MARK} -->\n\n# Who may see what\n\n"
        + as_markdown(project.contracts, roles),
        folder(project) / "snowflake.sql": f"-- {MARK}\n" + plan(project).text,
    }

"""The macros that derived dbt files need, for a project that does not have them: copies of ours.

A dbt package would have to be installed, and every call into it be written with its name; copies
below `<macros>/waypoint/` need neither, work offline, and are kept as they should be by `render`.
"""

from __future__ import annotations

from pathlib import Path

import yaml

import waypoint
from waypoint.contracts.derived.mark import MARK
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: The folder, within the first of the project's macro paths, that the copies stand in.
FOLDER = "waypoint"

_OURS = Path(waypoint.__file__).parent.parent / "macros" / "contracts"
_NEEDED = ("contract_rules.sql", "matches_pattern.sql")
_TEST = "{% test contract_rules("


def files(project: Project) -> dict[Path, str]:
    """The macros by path; none where the project has the test of contracts in its own macros.

    Raises:
        UnusableInput: Waypoint was installed without them.
    """
    folder = macros_folder(project)
    built = any(contract.dbt_source is None for contract in project.contracts.tables)
    if not built or _has_its_own(project, folder):
        return {}
    try:
        texts = {name: (_OURS / name).read_text(encoding="utf-8") for name in _NEEDED}
    except FileNotFoundError as error:
        raise UnusableInput(
            f"{error.filename} is not there: Waypoint was installed without its macros",
            hint="install it from its repository (make setup)",
        ) from None
    return {folder / name: f"{{# {MARK} #}}\n{text}" for name, text in texts.items()}


def macros_folder(project: Project) -> Path:
    """Where the copies stand."""
    return project.root / _macro_paths(project)[0] / FOLDER


def _macro_paths(project: Project) -> list[str]:
    settings = yaml.safe_load((project.root / "dbt_project.yml").read_text(encoding="utf-8"))
    return list(settings.get("macro-paths") or ["macros"])


def _has_its_own(project: Project, folder: Path) -> bool:
    return any(
        _TEST in path.read_text(encoding="utf-8")
        for name in _macro_paths(project)
        for path in (project.root / name).rglob("*.sql")
        if path.parent != folder
    )

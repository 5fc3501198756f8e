"""The manifest that lineage is read from: the one named, the project's own, or a fresh one."""

from __future__ import annotations

from pathlib import Path

from waypoint.dbt_running import compile_project, target_dir
from waypoint.errors import UnusableInput
from waypoint.lineage.graph import LineageGraph
from waypoint.lineage.memory import TraceMemory
from waypoint.locking import changing_state
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED

MEMORY = "lineage_traced.json"


def graph_of(project: Project) -> LineageGraph:
    """The graph of the project's manifest.

    Raises:
        UnusableInput, Unavailable, DbtFailed: there is no manifest, and none can be made.
    """
    return graph_in(manifest_of(project).parent)


def graph_in(target: Path) -> LineageGraph:
    """The graph of the manifest in dbt's target folder; what is traced is remembered beside it.

    Raises:
        UnusableInput: there is no manifest in it.
    """
    memory = TraceMemory(target / MEMORY)
    return LineageGraph.read(target / "manifest.json", lenient=True, memory=memory)


def manifest_of(project: Project) -> Path:
    """The project's manifest; where there is none, dbt compiles the project first.

    Raises:
        UnusableInput: there is none, and dbt would have to connect to a server to make it.
        Unavailable: another command holds the project's state.
        DbtFailed: the project does not compile.
    """
    path = target_dir(project) / "manifest.json"
    if path.is_file():
        return path
    if project.target != EMBEDDED:
        raise UnusableInput(
            f"{path}: there is no manifest",
            hint=f"`dbt compile --target {project.target}` makes one; it needs the connection",
        )
    with changing_state(project, "dbt compile"):
        compile_project(project)
    return path


def changed_since_compiled(project: Project) -> Path | None:
    """A model or macro that was changed after the manifest was made, if there is one."""
    made = (target_dir(project) / "manifest.json").stat().st_mtime
    for folder in ("models", "macros", "seeds", "dbt_project"):
        for path in sorted((project.root / folder).rglob("*")):
            if path.suffix in (".sql", ".yml", ".yaml") and path.stat().st_mtime > made:
                return path
    return None

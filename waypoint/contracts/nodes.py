"""What builds the tables: models, seeds and snapshots of a dbt project, from its files alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from waypoint.project import Project


@dataclass(frozen=True)
class Node:
    """What builds a contract's table: a model, seed or snapshot, and the file it stands in."""

    kind: str  # "models", "seeds" or "snapshots": dbt's words in a yml file
    path: Path


def find_nodes(project: Project, also: Iterable[Path] = ()) -> dict[str, Node]:
    """The project's models, seeds and snapshots by name.

    `also` are files that count as there although they are still to be written.
    """
    kinds = {
        "model-paths": ("models", "*.sql"),
        "snapshot-paths": ("snapshots", "*.sql"),
        "seed-paths": ("seeds", "*.csv"),
    }
    paths = dbt_paths(project)
    nodes: dict[str, Node] = {}
    for setting, (kind, pattern) in kinds.items():
        for name in paths[setting]:
            folder = project.root / name
            there = set(folder.rglob(pattern))
            there |= {p for p in also if p.is_relative_to(folder) and p.match(pattern)}
            nodes |= {path.stem: Node(kind, path) for path in sorted(there)}
    return nodes


def dbt_paths(project: Project) -> dict[str, list[str]]:
    """The folders of dbt_project.yml that hold models, snapshots and seeds, by setting."""
    defaults = {
        "model-paths": ["models"],
        "snapshot-paths": ["snapshots"],
        "seed-paths": ["seeds"],
    }
    settings = yaml.safe_load((project.root / "dbt_project.yml").read_text())
    return {name: settings.get(name, default) for name, default in defaults.items()}

"""Whether anything changed since the whole project was found sound: then nothing is compiled.

What dbt compiles follows from the project's files, the environment variables that they name, and
the versions of dbt and its adapter; what is said of it from the contracts and the gate itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import yaml

from waypoint.project import Project

_HERE = Path(__file__).parent
_VERSIONED = ("dbt-core", "dbt-adapters", "dbt-snowflake", "sqlglot")
_COMPILED = (".sql", ".yml", ".yaml", ".csv")
#: Folders that dbt reads, unless dbt_project.yml says otherwise.
_FOLDERS = {
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "seed-paths": ["seeds"],
    "test-paths": ["tests"],
    "snapshot-paths": ["snapshots"],
    "analysis-paths": ["analyses"],
}
_VARIABLE = re.compile(rb"env_var\(\s*['\"](\w+)")


class LastSound:
    """The digest of a project that was sound, and how many statements it had, in a file."""

    def __init__(self, project: Project) -> None:
        self._file = project.state / "snowflake" / "unchanged.json"
        self._digest = _digest(project)

    def statements(self) -> int | None:
        """How many statements were sound; None where anything changed since."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return int(kept["statements"]) if kept["digest"] == self._digest else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, statements: int) -> None:
        """Remember that all of the project's statements are sound."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        written = self._file.with_suffix(".tmp")
        written.write_text(json.dumps({"digest": self._digest, "statements": statements}))
        written.replace(self._file)

    def forget(self) -> None:
        """Something was found."""
        self._file.unlink(missing_ok=True)


def _digest(project: Project) -> str:
    digest = hashlib.sha256()
    named: set[bytes] = set()
    for path in sorted(_files(project)):
        content = path.read_bytes()
        named.update(_VARIABLE.findall(content))
        digest.update(f"{path.relative_to(project.root)}\0{len(content)}\0".encode())
        digest.update(content)
    for path in sorted(_HERE.glob("*.*")):
        digest.update(path.read_bytes())
    for variable in sorted(name.decode() for name in named):
        digest.update(f"{variable}={os.environ.get(variable)!r}\0".encode())
    digest.update(" ".join(f"{package} {version(package)}" for package in _VERSIONED).encode())
    return digest.hexdigest()


def _files(project: Project) -> Iterator[Path]:
    settings = yaml.safe_load((project.root / "dbt_project.yml").read_text(encoding="utf-8"))
    said = settings if isinstance(settings, dict) else {}
    folders = {
        folder for key, default in _FOLDERS.items() for folder in said.get(key, default) or ()
    }
    for top in {*(project.root / folder for folder in folders), project.contracts_dir}:
        for folder, _, names in os.walk(top, followlinks=True):
            yield from (Path(folder, name) for name in names if name.endswith(_COMPILED))
    for name in ("dbt_project.yml", "packages.yml", "dependencies.yml", "package-lock.yml"):
        if (project.root / name).is_file():
            yield project.root / name

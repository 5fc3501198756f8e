"""Writing what is derived from the contracts: byte-stable, and nothing typed twice.

Each kind of file has a module in `waypoint/contracts/derived/`; here they are written, compared
with what is there, and removed when their contract is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from waypoint.access import files as access_files
from waypoint.contracts.derived import (
    avro,
    dbt_macros,
    dbt_properties,
    expectations,
    json_schema,
    observability,
)
from waypoint.contracts.derived.mark import MARK
from waypoint.contracts.nodes import Node, dbt_paths, find_nodes
from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project

#: What derives files from the contracts alone: a function from the project to text by path.
DERIVERS: tuple[Callable[[Project], dict[Path, str]], ...] = (
    json_schema.files,
    avro.files,
    expectations.files,
    observability.files,
    dbt_macros.files,
    access_files.files,
)
#: Folders outside dbt's that hold derived files.
DERIVED_FOLDERS = ("schemas", "expectations")


class ContractWithoutTable(UnusableInput):
    """A contract describes a table that no model, seed or snapshot builds."""


class DerivedFilesStale(WaypointError):
    """A derived file is not what the contracts say; the message names it and the mend."""


def render(project: Project, check: bool = False) -> list[Path]:
    """Write every derived file, or with `check` only compare; returns the files that differed.

    Files that were derived from a contract which is gone are removed.

    Raises:
        ContractWithoutTable: a contract's table is built by nothing; the others are written.
        DerivedFilesStale: with `check`, some file is not what the contracts say.
    """
    expected = derived_files(project)
    changed = []
    for path, text in expected.items():
        if not path.exists() or path.read_text() != text:
            changed.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for path in _orphans(project, expected):
        changed.append(path)
        if not check:
            path.unlink()
    if check and changed:
        names = ", ".join(str(p.relative_to(project.root)) for p in changed)
        raise DerivedFilesStale(
            f"not what the contracts say: {names}",
            hint="run `waypoint contracts render` and commit what it writes",
        )
    _refuse_contracts_without_table(project, find_nodes(project, expected))
    return changed


def derived_files(project: Project) -> dict[Path, str]:
    """Every derived file's text by path; dbt's yml also for the models that are derived."""
    expected: dict[Path, str] = {}
    for derive in DERIVERS:
        expected |= derive(project)
    return expected | dbt_properties.files(project, find_nodes(project, expected))


def _refuse_contracts_without_table(project: Project, nodes: Mapping[str, Node]) -> None:
    missing = [
        contract
        for contract in project.contracts.tables
        if contract.dbt_source is None and contract.name not in nodes
    ]
    if missing:
        names = ", ".join(str(c.path.relative_to(project.root)) for c in missing)
        raise ContractWithoutTable(
            f"no model, seed or snapshot builds the table of: {names}",
            hint="add <table>.sql to the models, or take the contract away",
        )


def _orphans(project: Project, expected: Mapping[Path, str]) -> list[Path]:
    folders = [folder for paths in dbt_paths(project).values() for folder in paths]
    return sorted(
        path
        for folder in (*folders, *DERIVED_FOLDERS, str(dbt_macros.macros_folder(project)))
        for path in (project.root / folder).rglob("*")
        if path not in expected and path.is_file() and _is_derived(path)
    )


def _is_derived(path: Path) -> bool:
    """Whether it says so near its beginning, in whichever way its format has for remarks."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(1000)

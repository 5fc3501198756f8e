"""Linting contract files: everything that is wrong with them, told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waypoint.contracts.documents import InvalidContract, read_document
from waypoint.contracts.linting import columns, personal, queries, terms
from waypoint.contracts.linting.finding import ContractFile, Finding
from waypoint.contracts.linting.standard import against_the_standard
from waypoint.contracts.model import TOPICS
from waypoint.contracts.reading import contract_of
from waypoint.contracts.roles import RolePolicy, read_roles
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: The rule of a file that is not even one mapping in YAML.
UNREADABLE = "unreadable"
_MEND = "see contracts/README.md or the standard's field list"


@dataclass(frozen=True)
class Linted:
    """What lint looked at and what it found, in the order of files and lines."""

    files: int
    findings: tuple[Finding, ...]

    @property
    def unreadable(self) -> bool:
        """Whether some file could not be looked into at all."""
        return any(finding.rule == UNREADABLE for finding in self.findings)


def lint(project: Project, paths: Sequence[Path] = ()) -> Linted:
    """Look at the contracts in `paths` (files or folders), or at all of the project.

    Relationships and rules may name tables of the whole project, whatever the paths.

    Raises:
        UnusableInput: a path that is not there or holds no contract, a policy of roles that cannot
            be read, or the standard's schemas are not installed.
    """
    chosen = _chosen(project, paths)
    policy = read_roles(project)
    files: dict[Path, ContractFile] = {}
    findings: list[Finding] = []
    everything = {path.resolve(): path for path in _contract_files(project.contracts_dir)}
    for path in {**everything, **{path.resolve(): path for path in chosen}}.values():
        try:
            files[path.resolve()] = ContractFile(path, read_document(path))
        except InvalidContract as error:
            if path in chosen:
                findings.append(_unreadable(path, error))
    tables = {f"{file.folder}.{file.table_name}": file.types for file in files.values()}
    for path in chosen:
        if (file := files.get(path.resolve())) is not None:
            findings.extend(_findings(file, tables, policy))
    findings.extend(_twins([file for file in files.values() if file.path in chosen]))
    if not paths:
        findings.extend(_strays(project.contracts_dir))
    return Linted(len(chosen), tuple(sorted(set(findings))))


def _findings(
    file: ContractFile,
    tables: Mapping[str, Mapping[str, str]],
    policy: Mapping[str, RolePolicy] | None,
) -> Iterator[Finding]:
    found = [
        *against_the_standard(file),
        *terms.identity(file),
        *terms.unfinished(file),
        *terms.promises(file),
        *terms.properties(file),
        *terms.topic(file, tables),
        *terms.roles(file, policy),
        *columns.columns(file),
        *personal.personal_data(file),
        *queries.references(file, tables),
        *queries.rules(file, tables),
    ]
    yield from found
    try:
        contract_of(file.path, file.document)
    except InvalidContract as error:
        if all(one.line != error.line for one in found):  # not told already, in better words
            yield Finding(file.path, error.line, "reading", error.problem, error.hint or _MEND)


def _unreadable(path: Path, error: InvalidContract) -> Finding:
    return Finding(path, error.line, UNREADABLE, error.problem, error.hint or _MEND)


def _twins(files: Sequence[ContractFile]) -> Iterator[Finding]:
    first: dict[str, ContractFile] = {}
    for file in sorted(files, key=lambda file: file.path):
        name = f"{file.folder}.{file.table_name}".lower()
        twin = first.setdefault(name, file)
        if twin is not file:
            problem = f"{name} is described twice, here and in {twin.path.name}"
            yield file.finding(file.table, "name", "duplicate table", problem, "keep one of them")


def _strays(folder: Path) -> Iterator[Finding]:
    """What lies about in contracts/ and is read by nothing."""
    read = set(_contract_files(folder))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in read and path.name != "README.md":
            problem = "nothing reads this file"
            mend = f"a contract is <schema>/<table>.yaml, a topic's {TOPICS}/<topic>.yaml"
            yield Finding(path, 1, "stray file", problem, mend)


def _chosen(project: Project, paths: Sequence[Path]) -> list[Path]:
    if not paths and not project.contracts_dir.is_dir():
        raise UnusableInput(
            f"no folder {project.contracts_dir}", hint="name the contracts, or make the folder"
        )
    chosen: list[Path] = []
    for path in paths or (project.contracts_dir,):
        if path.is_dir():
            found = sorted(path.rglob("*.yaml")) if paths else _contract_files(path)
            if not found:
                raise UnusableInput(f"no contract in {path}", hint="they are called <table>.yaml")
            chosen.extend(found)
        elif path.exists():
            chosen.append(path)
        else:
            raise UnusableInput(f"no file or folder {path}", hint="look at the path")
    return list(dict.fromkeys(chosen))


def _contract_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.yaml"))

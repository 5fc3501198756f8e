"""The policy of roles: who may read and write which schemas, and who grants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypoint.contracts.documents import Entry, Misread, invalid, read_document
from waypoint.project import Project


@dataclass(frozen=True)
class RolePolicy:
    """What a role may have: folders of `contracts/`; `named`: only tables that name the role."""

    name: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    named: bool = False

    def access(self, schema: str) -> str | None:
        """The most that the role may have in a schema: `write` (which includes reading), `read`."""
        if schema in self.write:
            return "write"
        return "read" if schema in self.read else None


def read_roles(project: Project) -> Mapping[str, RolePolicy] | None:
    """The project's roles by name; None where it has no policy.

    Raises:
        InvalidContract: the file is malformed; it is named with the line.
    """
    if not project.roles_file.exists():
        return None
    document = read_document(project.roles_file)
    policies = {}
    for name, said in document.items():
        if not isinstance(said, Entry):
            problem = Misread(
                document.line_of(name), f"{name} is not a mapping", "write read: [..]"
            )
            raise invalid(project.roles_file, problem)
        for key in said:
            if key not in ("description", "read", "write", "approvers", "named"):
                problem = Misread(said.line_of(key), f"{key!r} is not known", "see the file's head")
                raise invalid(project.roles_file, problem)
        lists = {}
        for key in ("read", "write", "approvers"):
            value = said.get(key, [])
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                problem = Misread(
                    said.line_of(key), f"{key!r} is not a list", f"write {key}: [...]"
                )
                raise invalid(project.roles_file, problem)
            lists[key] = tuple(value)
        policies[str(name)] = RolePolicy(str(name), named=said.get("named") is True, **lists)
    return policies

"""The policy of roles: who may read and write which schemas, and who grants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypoint.contracts.documents import Entry, Misread, invalid, read_document
from waypoint.project import Project

_LISTS = ("read", "write", "approvers")
_FLAGS = ("named", "privacy", "copy")


@dataclass(frozen=True)
class RolePolicy:
    """What a role may have: folders of `contracts/`; `named`: only tables that name the role.

    `privacy`: the privacy team lets it see personal data as it is. `copy`: a published copy is cut
    for it, with what it may see and nothing else.
    """

    name: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    named: bool = False
    privacy: bool = False
    copy: bool = False

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
            if key not in ("description", *_LISTS, *_FLAGS):
                problem = Misread(said.line_of(key), f"{key!r} is not known", "see the file's head")
                raise invalid(project.roles_file, problem)
        lists = {}
        for key in _LISTS:
            value = said.get(key, [])
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                problem = Misread(
                    said.line_of(key), f"{key!r} is not a list", f"write {key}: [...]"
                )
                raise invalid(project.roles_file, problem)
            lists[key] = tuple(value)
        policies[str(name)] = RolePolicy(
            str(name),
            read=lists["read"],
            write=lists["write"],
            approvers=lists["approvers"],
            named=said.get("named") is True,
            privacy=said.get("privacy") is True,
            copy=said.get("copy") is True,
        )
    return policies

"""What lint finds, and how it looks into a contract file that may be of any shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from waypoint.contracts.documents import Entry
from waypoint.contracts.model import TOPICS


@dataclass(frozen=True, order=True)
class Finding:
    """Something to mend: the rule that is broken, where, and what to do about it."""

    path: Path
    line: int
    rule: str
    problem: str
    mend: str


@dataclass(frozen=True)
class ContractFile:
    """A contract as it stands in its file; nothing is known of its shape but that it is YAML."""

    path: Path
    document: Entry

    @property
    def folder(self) -> str:
        return self.path.parent.name

    @property
    def is_topic(self) -> bool:
        return self.folder == TOPICS

    @property
    def family(self) -> str:
        """The table's name that the file's name says, without the version's `-v2`."""
        stem, mark, major = self.path.stem.rpartition("-v")
        return stem if mark and stem and major.isdigit() else self.path.stem

    @cached_property
    def table(self) -> Entry:
        """The first object of `schema`; an empty one, with the line of `schema`, where none is."""
        found = maps(self.document, "schema")
        return found[0] if found else Entry(self.document.line_of("schema"))

    @property
    def table_name(self) -> str:
        """What the table is called in the warehouse."""
        return words(self.table, "physicalName") or words(self.table, "name") or self.path.stem

    @cached_property
    def columns(self) -> list[Entry]:
        return maps(self.table, "properties")

    @cached_property
    def types(self) -> dict[str, str]:
        """The columns' types in the warehouse by name."""
        return {words(c, "name"): words(c, "physicalType") for c in self.columns}

    def finding(self, entry: Entry, key: str, rule: str, problem: str, mend: str) -> Finding:
        """About the value at `key` of an entry, or about the whole of it where it has none."""
        return Finding(self.path, entry.line_of(key), rule, problem, mend)


def maps(parent: Mapping[Any, Any], key: str) -> list[Entry]:
    """The mappings in the list under `key`; what is something else is the schema's to refuse."""
    found = parent.get(key)
    return [item for item in found if isinstance(item, Entry)] if isinstance(found, list) else []


def inner(parent: Mapping[Any, Any], key: str) -> Entry:
    """The mapping under `key`, empty where there is none."""
    found = parent.get(key)
    if isinstance(found, Entry):
        return found
    return Entry(parent.line_of(key) if isinstance(parent, Entry) else 1)


def words(parent: Mapping[Any, Any], key: str) -> str:
    """The text under `key` on one line, empty where there is none."""
    found = parent.get(key)
    return " ".join(found.split()) if isinstance(found, str) else ""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def custom(entry: Mapping[Any, Any], name: str) -> Entry | None:
    """The custom property called `name`."""
    for found in maps(entry, "customProperties"):
        if found.get("property") == name:
            return found
    return None


def with_inner_columns(
    columns: list[Entry], parents: tuple[Entry, ...] = ()
) -> Iterator[tuple[Entry, tuple[Entry, ...]]]:
    """Each column and each field inside of one, and what it stands in, outermost first."""
    for column in columns:
        yield column, parents
        fields = maps(column, "properties") or maps(inner(column, "items"), "properties")
        yield from with_inner_columns(fields, (*parents, column))

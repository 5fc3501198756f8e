"""Taking out of dbt's yml files what stands in contracts from now on, and leaving the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import yaml

#: What an import takes over of a table's entry; the rest is for a person.
_TAKEN = {"name", "description", "columns", "tests", "data_tests", "tags", "meta", "docs"}
_TAKEN_CONFIG = {"tags", "meta", "contract"}
_TAKEN_OF_A_COLUMN = {"name", "description", "data_type", "tests", "data_tests"}


def not_taken_over(entry: Mapping[str, Any]) -> list[str]:
    """What a table's entry says that no contract does, in words."""
    left = {k: v for k, v in entry.items() if k not in _TAKEN | {"config"}}
    config = entry.get("config") or {}
    left |= {f"config {k}": v for k, v in config.items() if k not in _TAKEN_CONFIG}
    for column in entry.get("columns") or []:
        said = {k: v for k, v in column.items() if k not in _TAKEN_OF_A_COLUMN}
        left |= {f"{column.get('name')}: {k}": v for k, v in said.items()}
    return [f"{name}: {value}" for name, value in left.items()]


def without_tables(text: str, taken: Collection[tuple[str, str]]) -> str | None:
    """A yml file without the entries of `taken`, as (kind, name); None where nothing is left."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return text
    lines = text.split("\n")
    gone: set[int] = set()
    remaining = 0
    for place, (key, value) in enumerate(root.value):
        if not isinstance(value, yaml.SequenceNode):
            remaining += key.value != "version"
            continue
        after = root.value[place + 1][0].start_mark.line if place + 1 < len(root.value) else None
        starts = [item.start_mark.line for item in value.value]
        ends = [*starts[1:], _end(lines, after)]
        removed = [(key.value, _name(item)) in taken for item in value.value]
        for start, end, is_taken in zip(starts, ends, removed, strict=True):
            if is_taken:
                gone.update(range(start, end))
        if removed and all(removed):
            gone.update(range(key.start_mark.line, _end(lines, after)))
        else:
            remaining += 1
    if not remaining:
        return None
    return "\n".join(line for number, line in enumerate(lines) if number not in gone)


def _end(lines: list[str], after: int | None) -> int:
    """Where a block ends: remarks right before what follows belong to that."""
    if after is None:
        return len(lines) - (1 if lines and not lines[-1] else 0)
    while after > 0 and lines[after - 1].lstrip().startswith("#"):
        after -= 1
    return after


def _name(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "name":
                return str(value.value)
    return ""

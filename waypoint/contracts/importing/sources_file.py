"""Adding a table to `ingestion/sources.yml` without touching what a person wrote there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from waypoint.errors import UnusableInput


def with_table(
    path: Path, source: str, table: str, raw_table: str, *, whole: bool, new: dict[str, str] | None
) -> str | None:
    """The file's text with `table` of `source` landing in `raw_table`; None if it does already.

    `whole`: the table has no cursor column and is read whole each time. `new` are the settings of
    a source that the file does not have yet.

    Raises:
        UnusableInput: the table lands elsewhere, or the source's entry is not written in block
            style, so that a line cannot be added to it.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    entry = f"{{table: {raw_table}, cursor: null}}" if whole else raw_table
    root = yaml.compose(text, Loader=yaml.SafeLoader) if text.strip() else None
    found = _child(root, source)
    if found is None:
        assert new is not None
        lines = [f"{source}:", *(f"  {name}: {value}" for name, value in new.items())]
        lines += ["  tables:", f"    {table}: {raw_table}"]
        before = text.rstrip("\n") + "\n\n" if text.strip() else ""
        return before + "\n".join(lines) + "\n"
    tables = _child(found, "tables")
    if not isinstance(tables, yaml.MappingNode) or tables.flow_style or not tables.value:
        raise UnusableInput(
            f"{path}, {source}: its tables are not written one a line, so none can be added",
            hint=f"add it yourself: tables: {{{table}: {entry}}}",
        )
    there = _child(tables, table)
    if there is not None:
        lands_in = _plain(there)
        lands_in = lands_in.get("table") if isinstance(lands_in, dict) else lands_in
        if lands_in == raw_table:
            return None
        raise UnusableInput(
            f"{path}, {source}: {table} lands in {lands_in} already",
            hint=f"pass --as {lands_in}, or change it there",
        )
    lines = text.split("\n")
    last = tables.value[-1][1]
    # the end of a block is where the next token begins: step back over blank lines and remarks
    line = last.end_mark.line + (1 if last.end_mark.column else 0)
    while line > 0 and not re.match(r"\s*[^\s#]", lines[line - 1]):
        line -= 1
    indent = " " * tables.value[0][0].start_mark.column
    return "\n".join([*lines[:line], f"{indent}{table}: {entry}", *lines[line:]])


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _plain(node: yaml.Node) -> Any:
    return yaml.safe_load(yaml.serialize(node))

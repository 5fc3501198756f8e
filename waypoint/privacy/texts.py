"""A person's values taken out of what else the project keeps: logs, pages, records, results."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path

from waypoint.privacy.landed import FileErased
from waypoint.privacy.person import Person
from waypoint.privacy.statements import ERASED
from waypoint.project import Project

#: Folders of the state that are dealt with elsewhere, or are a source's or a server's own.
_ELSEWHERE = ("landing", "warehouse", "archive", "postgres", "simulator", "services", "spill")
_PRIVATE = "privacy"
_NO_TEXT = (".duckdb", ".wal", ".parquet", ".sqlite", ".db", ".gz", ".zip")


def erase_texts(project: Project, person: Person, dry_run: bool) -> Iterator[FileErased]:
    """Replace the person's values in every text file below the project's state."""
    forms = _forms(person)
    if not forms:
        return
    for path in _text_files(project.state):
        try:
            text = path.read_bytes()
        except OSError:
            continue  # a log that was taken away meanwhile
        found = sum(text.count(form) for form in forms)
        if not found:
            continue
        if not dry_run:
            for form in forms:
                text = text.replace(form, ERASED.encode())
            temporary = path.with_name(f".{path.name}.tmp{os.getpid()}")
            temporary.write_bytes(text)
            os.replace(temporary, path)
        name = path.relative_to(project.state)
        yield FileErased(name.parts[0], name.as_posix(), 0, found)


def _forms(person: Person) -> list[bytes]:
    """The person's values as files may write them."""
    forms = [form for value in person.values for form in (value, html.escape(value))]
    return [form.encode() for form in dict.fromkeys(forms)]


def _text_files(state: Path) -> Iterator[Path]:
    for entry in sorted(state.iterdir()) if state.is_dir() else ():
        if entry.name in (*_ELSEWHERE, _PRIVATE):
            continue
        for path in [entry] if entry.is_file() else sorted(entry.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.suffix not in _NO_TEXT:
                yield path

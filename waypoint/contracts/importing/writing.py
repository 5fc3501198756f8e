"""Putting drafts into a project: never over what a person wrote, unless that is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from waypoint.contracts.importing.draft import Draft, open_questions
from waypoint.contracts.importing.house_yaml import house_yaml
from waypoint.errors import UnusableInput
from waypoint.project import Project

#: What becomes the name of a file, and is written in SQL without quotes.
_NAME = re.compile(r"\w[\w-]*")


@dataclass
class Imported:
    """What an import wrote (or would write), what it left alone, and what a person decides next."""

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)  # there before, and not overwritten
    removed: list[Path] = field(default_factory=list)
    todos: dict[Path, list[tuple[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    dry_run: bool = False


def contract_path(project: Project, draft: Draft) -> Path:
    return project.contracts_dir / draft.schema / f"{draft.name}.yaml"


def contract_files(project: Project, drafts: Sequence[Draft]) -> dict[Path, str]:
    """The drafts' files.

    Raises:
        UnusableInput: two drafts are about the same table.
    """
    files: dict[Path, str] = {}
    for draft in drafts:
        for name in (draft.schema, draft.name):
            if not _NAME.fullmatch(name):
                what = f"{name!r} cannot be the name of a schema or table here"
                raise UnusableInput(what, hint="letters, digits and _; --as gives it another name")
        path = contract_path(project, draft)
        if path in files:
            raise UnusableInput(f"{draft.full_name} is there twice", hint="keep one of them")
        files[path] = house_yaml(draft.document())
    return files


def write(files: Mapping[Path, str], *, force: bool, dry_run: bool) -> Imported:
    """Write the files that are not there yet; with `force` the others, too.

    Raises:
        UnusableInput: all of them are there; nothing was written.
    """
    imported = Imported(dry_run=dry_run)
    for path, text in files.items():
        if path.exists() and not force:
            imported.kept.append(path)
            continue
        if not dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        imported.written.append(path)
        if path.suffix == ".yaml":
            imported.todos[path] = list(open_questions(yaml.safe_load(text)))
    if files and not imported.written:
        names = ", ".join(path.name for path in imported.kept)
        raise UnusableInput(
            f"already there: {names}; nothing was written",
            hint="pass --force to write them anew, over what stands in them",
        )
    return imported

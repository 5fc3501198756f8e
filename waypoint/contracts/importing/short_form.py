"""The short form of a contract: what somebody notes down first, in a few lines of YAML.

model: stg_loans
description: Books that left the desk.
columns:
  - {name: loan_id, type: bigint, tests: [not_null, unique]}
  - {name: days, type: integer, tests: [positive]}
freshness:
  warn_after: 2 hours
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.importing.draft import Draft, DraftColumn, DraftFreshness, DraftRule
from waypoint.contracts.importing.types import CONTRACT_TYPES, contract_type
from waypoint.contracts.reading import duration
from waypoint.errors import UnusableInput

_FIELDS = ("model", "schema", "description", "owner", "domain", "grain", "columns", "freshness")
_COLUMN_FIELDS = ("name", "type", "description", "tests", "pii", "references")
_TESTS = (
    "not_null, unique, primary_key, positive, non_negative, {accepted_values: [a, b]},"
    " {between: [0, 1]}, {pattern: '[a-z]+'} or {relationships: table.column}"
)


def drafts_of(path: Path, schema: str | None) -> list[Draft]:
    """The drafts of a short form: one document, several (`---`), or a list.

    `schema` is where tables go that do not say it; without it, `stg_*` go to staging and others
    to marts.

    Raises:
        UnusableInput: not readable, or something in it is not the short form's.
    """
    return [_draft(path, entry, schema) for entry in _entries(path)]


def _entries(path: Path) -> list[Mapping[str, Any]]:
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise UnusableInput(f"{path}: not readable as YAML: {said}") from None
    entries: list[Any] = []
    for document in documents:
        entries += document if isinstance(document, list) else [document]
    entries = [entry for entry in entries if entry is not None]
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise UnusableInput(
            f"{path}: holds no models", hint="write `model: <name>`, `columns: ...`"
        )
    return entries


def _draft(path: Path, entry: Mapping[str, Any], schema: str | None) -> Draft:
    name = entry.get("model")
    if not isinstance(name, str) or not name:
        raise UnusableInput(f"{path}: a model without a name", hint="write `model: <name>`")
    here = f"{path}, {name}"
    _known(here, entry, _FIELDS)
    columns = entry.get("columns")
    if not isinstance(columns, list) or not columns:
        raise UnusableInput(f"{here}: has no columns", hint="write `columns:` and `- name: ...`")
    draft = Draft(
        schema=str(entry.get("schema") or schema or _schema_of(name)),
        name=name,
        columns=[],
        description=_text(entry.get("description")),
        owner=_text(entry.get("owner")),
        domain=_text(entry.get("domain")),
        grain=_text(entry.get("grain")),
    )
    for column in columns:
        _add_column(here, draft, column)
    _choose_key(draft)
    draft.freshness = _freshness(here, draft, entry.get("freshness"))
    return draft


def _schema_of(model: str) -> str:
    return "staging" if model.startswith(("stg_", "base_", "ref_")) else "marts"


def _add_column(here: str, draft: Draft, entry: Any) -> None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise UnusableInput(f"{here}: a column without a name: {entry!r}", hint="write `- name: x`")
    name = entry["name"]
    where = f"{here}, column {name}"
    _known(where, entry, _COLUMN_FIELDS)
    if draft.column(name) is not None:
        raise UnusableInput(f"{where}: is there twice", hint="keep one of them")
    declared = _text(entry.get("type"))
    if not declared:
        types = ", ".join(sorted(CONTRACT_TYPES))
        raise UnusableInput(f"{where}: has no type", hint=f"one of {types} or decimal(p,s)")
    kind = contract_type(declared)
    column = DraftColumn(
        name=name,
        physical_type=kind.physical,
        logical_type=kind.logical,
        description=_text(entry.get("description")),
        classification="pii" if entry.get("pii") else None,
        references=_text(entry.get("references")) or None,
    )
    if not kind.exact:
        draft.todos.append(f"{name} was {declared}; is {kind.physical} right?")
    draft.columns.append(column)
    tests = entry.get("tests") or []
    for test in tests if isinstance(tests, list) else [tests]:
        _apply_test(where, draft, column, test)


def _apply_test(where: str, draft: Draft, column: DraftColumn, test: Any) -> None:
    name, argument = (
        next(iter(test.items())) if isinstance(test, Mapping) and test else (test, None)
    )
    match name:
        case "not_null" | "required":
            column.required = True
        case "unique":
            column.unique = True
        case "primary_key":
            column.key_position = len(draft.key) + 1
        case "positive":
            _require_number(where, column, name)
            if column.logical == "integer":
                column.minimum = 1
            else:
                rule = f"{column.name}_is_positive"
                query = f"select count(*) from {{object}} where {column.name} <= 0"
                draft.rules.append(DraftRule(rule, query))
        case "non_negative":
            _require_number(where, column, name)
            column.minimum = 0
        case "between" if isinstance(argument, list) and len(argument) == 2 and _plain(argument):
            column.minimum, column.maximum = argument
        case "pattern" if isinstance(argument, str):
            column.pattern = argument
        case "accepted_values" if _plain(argument):
            column.valid_values = argument
        case "relationships" if isinstance(argument, str) and "." in argument:
            column.references = argument
        case _:
            raise UnusableInput(f"{where}: test {test!r} is not known", hint=f"known: {_TESTS}")


def _require_number(where: str, column: DraftColumn, test: str) -> None:
    if column.logical not in ("integer", "number"):
        what = f"{where}: test {test} is for numbers, and the column is {column.physical_type}"
        raise UnusableInput(what, hint="take the test away, or correct the type")


def _choose_key(draft: Draft) -> None:
    """A single required and unique column is what names a row, unless a key is said."""
    candidates = [c for c in draft.columns if c.required and c.unique]
    if not draft.key and candidates:
        candidates[0].key_position = 1


def _freshness(here: str, draft: Draft, entry: Any) -> DraftFreshness | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping) or not {"warn_after", "error_after"} & set(entry):
        hint = "write `freshness: {warn_after: 2 hours, error_after: 4 hours}`"
        raise UnusableInput(f"{here}: freshness says no time", hint=hint)
    _known(f"{here}, freshness", entry, ("warn_after", "error_after", "column"))
    try:
        ages = {name: duration(_text(entry[name])) for name in entry if name != "column"}
    except ValueError as problem:
        raise UnusableInput(f"{here}: freshness: {problem}") from None
    warn = _text(entry.get("warn_after")) or None
    error = _text(entry.get("error_after"))
    if not error:
        hours = ages["warn_after"].total_seconds() * 2 / 3600
        error = f"{hours:g} h"
        draft.todos.append(f"freshness fails after {error}, twice the warning; is that right?")
    column = _text(entry.get("column")) or "loaded_at"
    if draft.column(column) is None:
        hint = "write `freshness: {column: <timestamp>, ...}`, or add the column"
        raise UnusableInput(f"{here}: freshness is by {column!r}, which is no column", hint=hint)
    return DraftFreshness(column, _spaced(error), _spaced(warn) if warn else None)


def _spaced(text: str) -> str:
    """`2h` as `2 h`."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    return f"{digits.strip()} {text[len(digits) :].strip()}"


def _known(where: str, entry: Mapping[str, Any], fields: tuple[str, ...]) -> None:
    for name in entry:
        if name not in fields:
            raise UnusableInput(
                f"{where}: {name!r} is not known", hint=f"known: {', '.join(fields)}"
            )


def _text(value: Any) -> str:
    if isinstance(value, Mapping | list):
        raise UnusableInput(
            "a list or mapping stands where a text belongs", hint="put the text in quotes"
        )
    return "" if value is None else " ".join(str(value).split())


def _plain(values: Any) -> bool:
    """Whether it is a list of single values."""
    return isinstance(values, list) and all(
        isinstance(value, str | int | float | bool) for value in values
    )

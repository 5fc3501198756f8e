"""A contract against the JSON schema of the version of the standard that it says it is written in.

The schemas come with datacontract-cli. What they leave open is closed here: a misspelt key would
otherwise be a promise that nobody reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft201909Validator, ValidationError

from waypoint.contracts.documents import Entry
from waypoint.contracts.linting.finding import ContractFile, Finding
from waypoint.errors import UnusableInput

RULE = "standard"
#: The schema that holds for each version: a patch release's is good for those before it.
_SCHEMAS = {
    "v3.0.0": "odcs-3.0.2.schema.json",
    "v3.0.1": "odcs-3.0.2.schema.json",
    "v3.0.2": "odcs-3.0.2.schema.json",
    "v3.1.0": "odcs-3.1.0.schema.json",
    "v3.2.0": "odcs-3.2.0.schema.json",
}
_CLOSING = frozenset({"additionalProperties", "unevaluatedProperties"})
_CHOICES = frozenset({"anyOf", "oneOf"})
_MOST = 100  # findings of one file; more help nobody


def against_the_standard(file: ContractFile) -> Iterator[Finding]:
    """What the standard's schema refuses, each with its line.

    Raises:
        UnusableInput: the schemas are not installed.
    """
    document = file.document
    version = document.get("apiVersion")
    if not isinstance(version, str) or version not in _SCHEMAS:
        problem = (
            f"apiVersion {version!r} is no version that can be checked"
            if "apiVersion" in document
            else "'apiVersion' is missing"
        )
        mend = f"write apiVersion: v3.1.0 (known: {', '.join(_SCHEMAS)})"
        yield file.finding(document, "apiVersion", RULE, problem, mend)
        version = "v3.1.0"
    validator = _validator(version)
    seen: set[tuple[int, str]] = set()
    unexplained: Finding | None = None
    for error in validator.iter_errors(_plain(document)):
        if list(error.absolute_path) == ["apiVersion"]:
            continue
        finding = _finding(file, _most_telling(error), validator.schema)
        if finding is None:
            unexplained = unexplained or _bare(file, error)
        elif (finding.line, finding.problem) not in seen:
            seen.add((finding.line, finding.problem))
            yield finding
        if len(seen) >= _MOST:
            return
    if unexplained and not seen:
        yield unexplained


@cache
def _validator(version: str) -> Draft201909Validator:
    spec = find_spec("datacontract")
    if spec is None or not spec.submodule_search_locations:
        raise UnusableInput(
            "the standard's schemas are not installed: they come with datacontract-cli",
            hint="run `make setup`",
        )
    folder = Path(spec.submodule_search_locations[0]) / "schemas"
    schema = json.loads((folder / _SCHEMAS[version]).read_text())
    schema["properties"]["description"]["additionalProperties"] = False
    return Draft201909Validator(schema)


def _plain(value: Any) -> Any:
    """The document as JSON would have it: days as text, keys as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _most_telling(error: ValidationError) -> ValidationError:
    """Where a value fits none of several shapes: what keeps it from the nearest one."""
    while error.validator in _CHOICES and error.context:
        branches: dict[Any, list[ValidationError]] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        # nearest: the shape in which the first thing wrong lies deepest, with the least wrong
        nearest = max(
            branches.values(),
            key=lambda errors: (min(len(e.absolute_path) for e in errors), -len(errors)),
        )
        if len(branches) > 1 and all(
            e.validator == "type" and e.absolute_path == error.absolute_path
            for errors in branches.values()
            for e in errors
        ):
            return error  # of none of the kinds that it could be
        error = nearest[0]
    return error


def _finding(file: ContractFile, error: ValidationError, schema: Any) -> Finding | None:
    place = list(error.absolute_path)
    where = _where(place)
    if error.validator in _CLOSING:
        return _unknown_key(file, error, place, schema)
    line = line_at(file.document, place)
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return Finding(
            file.path, line, RULE, f"{where}{missing!r} is missing", f"add `{missing}: ...` here"
        )
    value = json.dumps(error.instance, default=str, ensure_ascii=False)
    value = value if len(value) <= 60 else value[:57] + "..."
    if error.validator == "enum":
        problem = f"{where}{value} is not one of the words for it"
        allowed = [str(word) for word in cast(list[Any], error.validator_value)]
        close = get_close_matches(str(error.instance), allowed, 1)
        mend = f"write {close[0]}" if close else f"write one of {', '.join(allowed)}"
    elif error.validator == "type":
        kinds = error.validator_value
        kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
        problem = f"{where}{value} is not of the kind {kind}"
        mend = "put it in quotes" if kind == "string" and _is_scalar(error) else f"write: {kind}"
    elif error.validator == "pattern":
        problem = f"{where}{value} does not match {error.validator_value}"
        mend = "write it as the standard has it"
    else:
        problem = f"{where}{value} does not fit the standard ({error.validator})"
        mend = "see the standard's field list, linked in contracts/README.md"
    return Finding(file.path, line, RULE, problem, mend)


def _bare(file: ContractFile, error: ValidationError) -> Finding:
    line = line_at(file.document, list(error.absolute_path))
    return Finding(file.path, line, RULE, error.message[:200], "see the standard's field list")


def _is_scalar(error: ValidationError) -> bool:
    return isinstance(error.instance, int | float | bool)


def _unknown_key(
    file: ContractFile, error: ValidationError, place: list[Any], schema: Any
) -> Finding | None:
    """None where every key is known and the schema only lost count because of another mistake."""
    known = _properties(error.schema, schema)
    unknown = [key for key in cast(dict[str, Any], error.instance) if key not in known]
    if not unknown:
        return None
    key = unknown[0]
    close = get_close_matches(key, sorted(known), 1)
    return Finding(
        file.path,
        line_at(file.document, [*place, key]),
        RULE,
        f"{_where(place)}{key!r} is no key of the standard here",
        f"write {close[0]}" if close else f"known here: {', '.join(sorted(known)[:25])}",
    )


def _properties(part: Any, schema: Any) -> set[str]:
    """The keys that a part of a schema knows, with those of the parts that it is made of."""
    if not isinstance(part, dict):
        return set()
    known = set(part.get("properties", ()))
    if "$ref" in part:
        known |= _properties(_resolved(part["$ref"], schema), schema)
    for word in ("allOf", "anyOf", "oneOf"):
        for one in part.get(word, ()):
            known |= _properties(one, schema)
    for word in ("if", "then", "else"):
        known |= _properties(part.get(word), schema)
    return known


def _resolved(reference: str, schema: Any) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        schema = schema[step]
    return schema


def line_at(document: Any, place: list[Any]) -> int:
    """The line of the value at a path of keys and indexes, or of what is nearest around it."""
    line, value = 1, document
    for step in place:
        if isinstance(value, Entry):
            keys = {str(key): key for key in value}
            key = keys.get(str(step), step)
            line, value = value.line_of(key), value.get(key)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            line = value.line if isinstance(value, Entry) else line
    return line


def _where(place: list[Any]) -> str:
    """`schema[0].properties[2].` as people read it: the last names of the way there."""
    names = [str(step) for step in place if not isinstance(step, int)]
    return f"{'.'.join(names[-2:])}: " if names else ""

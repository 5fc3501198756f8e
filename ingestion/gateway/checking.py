"""Whether an event keeps its topic's contract, and if not, which field breaks it and why.

The derived JSON Schema decides, and after it what such a schema cannot tell and the loader would
refuse: whole numbers written as `1e17`, days that no calendar has, fields that stand twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import orjson

from ingestion.gateway.answers import Problem, Refused
from ingestion.gateway.endpoints import Endpoint
from waypoint.contracts.derived.json_schema import schema

#: Up to here a whole number that is written as `5.0` is the number that it says.
_EXACT = 2**53
#: Objects and lists within each other, as the writer of JSON has it.
DEEPEST = 254
_MOST_PROBLEMS = 20
_SHOWN = 80

_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class Checker:
    """The checks of one endpoint."""

    def __init__(self, endpoint: Endpoint, max_event: int) -> None:
        columns = endpoint.topic.columns
        self._types = endpoint.types
        self._allowed = frozenset(endpoint.types.allowed) if endpoint.types else frozenset()
        self._key = endpoint.key
        self._max_event = max_event
        self._schema = jsonschema_rs.Draft202012Validator(
            schema(endpoint.topic), validate_formats=True
        )
        self._whole = [one.name for one in columns if one.logical_type == "integer"]
        self._moments = [one.name for one in columns if one.logical_type == "timestamp"]
        self._names = [orjson.dumps(one.name) for one in columns]

    def key(self, text: bytes) -> bytes:
        """The key of the message that `text`, one event as it was sent, becomes.

        Raises:
            Refused: 400 it is no JSON, 413 too long, 422 it breaks the contract.
        """
        if len(text) > self._max_event:
            raise Refused.because(413, f"the event is longer than {self._max_event:,} bytes")
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Refused.because(400, f"is no JSON: {error}") from None
        if not self._schema.is_valid(event):
            raise Refused(422, tuple(self._problems(event)))
        self._check_finer(event)
        if self._types is not None and event[self._types.field] not in self._allowed:
            allowed = ", ".join(self._types.allowed)
            reason = f"{_shown(event[self._types.field])} is not taken here, but {allowed} are"
            raise Refused.because(422, reason, of=self._types.field)
        self._check_text(text, event)
        key = event[self._key]
        # 5.0 is the same as 5, and goes the same way
        return str(int(key) if key.__class__ is float and key.is_integer() else key).encode()

    def _check_finer(self, event: Mapping[str, Any]) -> None:
        """What the schema cannot tell."""
        for name in self._whole:
            value: Any = event.get(name)
            if value.__class__ is float and not -_EXACT <= value <= _EXACT:
                reason = f"{_shown(value)} is not written as a whole number"
                raise Refused.because(422, reason, of=name)
        for name in self._moments:
            value = event.get(name)
            if value is not None and not _is_moment(value):
                raise Refused.because(422, f"{_shown(value)} is no time that there is", of=name)

    def _check_text(self, text: bytes, event: Any) -> None:
        """What is lost when the text is read: fields that stand twice, of which readers differ in
        the one that they take, and objects and lists nested more deeply than readers follow."""
        try:
            if orjson.dumps(event) == text:
                return
        except orjson.JSONEncodeError:
            raise Refused.because(400, f"is nested more than {DEEPEST} levels deep") from None
        if b"\\u" in text or any(text.count(name) > 1 for name in self._names):
            twice = _repeated(text)
            if twice is not None:
                raise Refused.because(422, "stands there twice", of=twice)

    def _problems(self, event: Any) -> Iterator[Problem]:
        """What breaks the schema: the first problem of each field, and not of ever so many."""
        told: set[str] = set()
        for error in self._schema.iter_errors(event):
            for problem in _told(error):
                if problem.field not in told:
                    yield problem
                told.add(problem.field)
                if len(told) == _MOST_PROBLEMS:
                    return


def _repeated(text: bytes) -> str | None:
    found: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            names = [name for name, _ in pairs]
            found.append(next(name for name in names if names.count(name) > 1))
        return seen

    json.loads(text, object_pairs_hook=members)
    return found[0] if found else None


def _told(error: Any) -> Iterator[Problem]:
    """What a schema's error means to a person."""
    path = ".".join(map(str, error.instance_path))
    about = error.kind.as_dict()
    match error.kind.name:
        case "required":
            yield Problem(_joined(path, about["property"]), "is missing")
        case "additionalProperties":
            for name in about["unexpected"]:
                yield Problem(_joined(path, name[:_SHOWN]), "is no field of the contract")
        case "type":
            types = about["types"]
            wanted = " or ".join(_KINDS.get(kind, kind) for kind in sorted(types, key=_null_last))
            yield Problem(path, f"{_shown(error.instance)} is not {wanted}")
        case "enum":
            options = ", ".join(str(one) for one in about["options"] if one is not None)
            yield Problem(path, f"{_shown(error.instance)} is not one of {options}")
        case "pattern":
            shown = _shown(error.instance)
            yield Problem(path, f"{shown} does not match the pattern {about['pattern']}")
        case "format":
            yield Problem(path, f"{_shown(error.instance)} is no {about['format']}")
        case "minimum" | "exclusiveMinimum":
            yield Problem(path, f"{_shown(error.instance)} is below {about['limit']}")
        case "maximum" | "exclusiveMaximum":
            yield Problem(path, f"{_shown(error.instance)} is above {about['limit']}")
        case other:
            yield Problem(path, f"breaks the contract ({other})")


def _null_last(kind: str) -> tuple[bool, str]:
    return kind == "null", kind


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # a number beyond 64 bits
        text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_moment(text: str) -> bool:
    """Whether a text that looks like a time is one."""
    try:
        moment = datetime.fromisoformat(text)
        if not 1 < moment.year < 9999:
            moment.astimezone(UTC)  # not beyond the calendar's ends in UTC either
    except (ValueError, OverflowError):
        return False
    return True

"""Turning a record of somebody's answer into fields of ours: rules that are written in YAML.

A rule is a text, the path of a value in the record (`current.temperature`, `tags.0.name`), a list
of paths, of which the first that is there counts, or a mapping with one of

    path: a.b                  # or [a.b, c]
    constant: 5
    template: "osm/{type}/{id}"  # nothing where one of its parts is not there
    sum: [a, b]                # of those that are there
    fields: {name: rule, ...}  # an object

and, in this order, what is done with the value:

    lookup: {0: clear, 1: cloudy}   # another value for it; `otherwise` for the rest
    match: {museum: museum, "hotel|inn": hotel}  # by the first expression that is found in it
    as: number                 # or integer, text (HTML taken off), lower, upper, time (UTC)
    unit: milliseconds         # of a number that is a time, else seconds
    form: "%Y%m%d"             # of a time that is not in ISO 8601, nor as in mails
    scale: 0.2778              # times this
    plus: -273.15              # plus this
    round: 2                   # decimals

Paths that begin with `$` lead to what stands around the record: `$each.city` (what was asked for),
`$page.base` (the answer), `$now` (when it was fetched, UTC), `$name` and `$format` (the source's).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any

_SOURCES = ("path", "constant", "template", "sum", "fields")
_CHANGES = ("lookup", "match", "otherwise", "as", "unit", "form", "scale", "plus", "round")
_TIME = "time"
_UNITS = {"seconds": 1, "milliseconds": 1000, "microseconds": 1_000_000}
_HOLE = re.compile(r"\{([^{}]+)\}")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


class InvalidRule(ValueError):
    """A rule that cannot be understood."""


class Unfit(ValueError):
    """A value that is not what the rule says it is."""

    def __init__(self, field: str, value: Any, problem: str) -> None:
        super().__init__(f"{field}: {str(value)[:200]!r} {problem}")
        self.field = field
        self.value = value
        self.problem = problem


@dataclass(frozen=True)
class Scope:
    """A record, and what stands around it by name (without the `$`)."""

    record: Any
    around: Mapping[str, Any] = field(default_factory=dict)

    def at(self, path: str) -> Any:
        """The value at `path`, None where there is none."""
        found: Any = self.record
        steps = path.split(".") if path else []
        if path.startswith("$"):
            found = self.around.get(steps.pop(0)[1:])
        for step in steps:
            if isinstance(found, Mapping):
                found = found.get(step)
            elif isinstance(found, list) and re.fullmatch(r"-?\d{1,9}", step):
                place = int(step)
                found = found[place] if -len(found) <= place < len(found) else None
            else:
                return None
        return found


@dataclass(frozen=True)
class Rule:
    """Where a value comes from and what is done with it."""

    paths: tuple[str, ...] = ()
    constant: Any = None
    template: str | None = None
    sum: tuple[str, ...] = ()
    fields: Mapping[str, Rule] | None = None
    lookup: Mapping[str, Any] | None = None
    match: tuple[tuple[re.Pattern[str], Any], ...] = ()
    otherwise: Any = None
    kind: str | None = None
    unit: str = "seconds"
    form: str | None = None
    scale: float | None = None
    plus: float | None = None
    round: int | None = None

    def value(self, scope: Scope, name: str) -> Any:
        """The value that the rule gives for a record; None where there is nothing.

        Raises:
            Unfit: what is there is not of the kind that the rule says; `name` is the field's.
        """
        found = self._found(scope, name)
        if found is None:
            return None
        if self.lookup is not None:
            found = self.lookup.get(_plain(found), self.otherwise)
        elif self.match:
            text = _plain(found)
            hits = (given for pattern, given in self.match if pattern.search(text))
            found = next(hits, self.otherwise)
        if found is None:
            return None
        if self.kind is not None:
            found = self._of_its_kind(found, name)
        if self.scale is not None or self.plus is not None or self.round is not None:
            found = _number(found, name)
            found = found * (1 if self.scale is None else self.scale) + (self.plus or 0)
            found = found if self.round is None else round(found, self.round)
        return _clean(found)

    def _of_its_kind(self, found: Any, name: str) -> Any:
        if self.kind != _TIME:
            return _KINDS[str(self.kind)](found, name)
        time = _written_time(found, self.form) if self.form else moment(found, self.unit)
        if time is None:
            raise Unfit(name, found, "is not a time")
        return time.isoformat(timespec="milliseconds") + "Z"

    def _found(self, scope: Scope, name: str) -> Any:
        if self.fields is not None:
            return fields(self.fields, scope, f"{name}.")
        if self.template is not None:
            holes = {hole: scope.at(hole) for hole in _HOLE.findall(self.template)}
            if any(value is None for value in holes.values()):
                return None
            return _HOLE.sub(lambda match: _plain(holes[match[1]]), self.template)
        if self.sum:
            terms = [value for path in self.sum if (value := scope.at(path)) is not None]
            return sum(_number(term, name) for term in terms) if terms else None
        for path in self.paths:
            value = scope.at(path)
            if value is not None and value != "":
                return value
        return self.constant


def fields(rules: Mapping[str, Rule], scope: Scope, prefix: str = "") -> dict[str, Any]:
    """The fields that `rules` give for a record; those without a value are left out.

    Raises:
        Unfit: see `Rule.value`.
    """
    found = {name: rule.value(scope, f"{prefix}{name}") for name, rule in rules.items()}
    return {name: value for name, value in found.items() if value is not None}


def read_rule(written: Any) -> Rule:
    """The rule that was written.

    Raises:
        InvalidRule: it cannot be understood.
    """
    if isinstance(written, str | list):
        return Rule(paths=_paths(written, "path"))
    if not isinstance(written, Mapping):
        raise InvalidRule(f"{written!r} is no rule: write a path, or {{path: ..., as: ...}}")
    unknown = [key for key in written if key not in (*_SOURCES, *_CHANGES)]
    if unknown:
        raise InvalidRule(
            f"{unknown[0]!r} is not known in a rule (but {', '.join((*_SOURCES, *_CHANGES))} are)"
        )
    sources = [key for key in _SOURCES if key in written and key != "constant"]
    if len(sources) > 1 or not (sources or "constant" in written):
        raise InvalidRule(f"says not one of {', '.join(_SOURCES)}")
    kind = written.get("as")
    if kind is not None and kind not in (*_KINDS, _TIME):
        raise InvalidRule(f"as: {kind!r} is none of {', '.join((*_KINDS, _TIME))}")
    unit = written.get("unit", "seconds")
    if unit not in _UNITS:
        raise InvalidRule(f"unit: {unit!r} is none of {', '.join(_UNITS)}")
    within = written.get("fields")
    return Rule(
        paths=_paths(written.get("path"), "path"),
        constant=written.get("constant"),
        template=_text(written.get("template"), "template"),
        sum=_paths(written.get("sum"), "sum"),
        fields=None if within is None else read_rules(within),
        lookup=_lookup(written.get("lookup")),
        match=_match(written.get("match")),
        otherwise=written.get("otherwise"),
        kind=kind,
        unit=unit,
        form=_text(written.get("form"), "form"),
        scale=_given_number(written, "scale"),
        plus=_given_number(written, "plus"),
        round=None if written.get("round") is None else int(_given_number(written, "round") or 0),
    )


def read_rules(written: Any) -> dict[str, Rule]:
    """The rules of an object's fields.

    Raises:
        InvalidRule: they cannot be understood; the message names the field.
    """
    if not isinstance(written, Mapping) or not written:
        raise InvalidRule(f"{written!r} is no mapping of fields to rules")
    found = {}
    for name, rule in written.items():
        try:
            found[str(name)] = read_rule(rule)
        except InvalidRule as error:
            raise InvalidRule(f"{name}: {error}") from None
    return found


def moment(value: Any, unit: str = "seconds") -> datetime | None:
    """A time in ISO 8601, as mails and feeds write it, or as a number since 1970; UTC, no zone.

    A time without a zone is taken for UTC. None where it is no time.
    """
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            found = datetime.fromtimestamp(value / _UNITS[unit], UTC)
        else:
            text = str(value).strip()
            try:
                found = datetime.fromisoformat(text)
            except ValueError:
                found = parsedate_to_datetime(text)
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def plain_text(html: str) -> str:
    """The text of a piece of HTML: without tags, entities resolved, blanks put together."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    return " ".join("".join(parser.pieces).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag in ("p", "br", "div", "li", "tr"):
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("p", "div", "li", "tr"):
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def _number(value: Any, name: str) -> float | int:
    if isinstance(value, bool):
        raise Unfit(name, value, "is not a number")
    if isinstance(value, str):
        try:
            value = int(value) if re.fullmatch(r"[+-]?\d{1,18}", value.strip()) else float(value)
        except ValueError:
            raise Unfit(name, value, "is not a number") from None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise Unfit(name, value, "is not a number")
    return value


def _integer(value: Any, name: str) -> int:
    number = _number(value, name)
    if number != int(number):
        raise Unfit(name, value, "is not a whole number")
    return int(number)


def _written_time(value: Any, form: str) -> datetime | None:
    try:
        found = datetime.strptime(_plain(value), form)
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


_KINDS: dict[str, Callable[[Any, str], Any]] = {
    "number": _number,
    "integer": _integer,
    "text": lambda value, _name: plain_text(_plain(value)) or None,
    "lower": lambda value, _name: _plain(value).lower(),
    "upper": lambda value, _name: _plain(value).upper(),
}


def _plain(value: Any) -> str:
    """A value as text; a whole number without a point, whichever way it was written."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _clean(value: Any) -> Any:
    """Without what no text of the warehouse can hold."""
    return _NOT_TEXT.sub("\ufffd", value) if isinstance(value, str) else value


def _paths(written: Any, what: str) -> tuple[str, ...]:
    if written is None:
        return ()
    listed = written if isinstance(written, list) else [written]
    if not listed or not all(isinstance(path, str) for path in listed):
        raise InvalidRule(f"{what}: {written!r} is no path, nor a list of paths")
    return tuple(listed)


def _text(written: Any, what: str) -> str | None:
    if written is not None and not isinstance(written, str):
        raise InvalidRule(f"{what}: {written!r} is no text")
    return written


def _lookup(written: Any) -> dict[str, Any] | None:
    if written is None:
        return None
    if not isinstance(written, Mapping):
        raise InvalidRule(f"lookup: {written!r} is no mapping")
    return {_plain(key): value for key, value in written.items()}


def _match(written: Any) -> tuple[tuple[re.Pattern[str], Any], ...]:
    if written is None:
        return ()
    if not isinstance(written, Mapping):
        raise InvalidRule(f"match: {written!r} is no mapping")
    try:
        return tuple((re.compile(str(text)), given) for text, given in written.items())
    except re.error as error:
        raise InvalidRule(f"match: {error.pattern!r} is no regular expression: {error}") from None


def _given_number(written: Mapping[str, Any], name: str) -> float | None:
    value = written.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InvalidRule(f"{name}: {value!r} is no number")
    return value

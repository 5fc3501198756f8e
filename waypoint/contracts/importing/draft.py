"""A contract that nobody has finished: what is known of a table, and TODO where a person decides.

A draft is written from structure alone, never from data: a rule that was read off the rows cannot
be broken by them, and so says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from waypoint.contracts.importing.house_yaml import OneLine

TODO = "TODO"

#: Words of column names that hint at personal data; a person decides.
_PERSONAL = frozenset(
    {
        *("name", "firstname", "lastname", "surname", "username", "holder", "person", "gender"),
        *("email", "mail", "phone", "mobile", "fax", "ip", "location"),
        *("address", "street", "city", "zip", "postcode", "birth", "birthday", "birthdate", "dob"),
        *("card", "iban", "passport", "ssn", "tax"),
    }
)

_LOGICAL_TYPES = {
    "varchar": "string",
    "bigint": "integer",
    "integer": "integer",
    "double": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}


def todo(what: str) -> str:
    """The words for something that a person must still decide; lint refuses them."""
    return f"{TODO}: {what}"


@dataclass
class DraftColumn:
    """What is known of a column."""

    name: str
    physical_type: str
    logical_type: str = ""  # that of the physical type, unless the column is an object or array
    description: str = ""
    required: bool = False
    unique: bool = False
    key_position: int | None = None
    valid_values: list[Any] | None = None
    minimum: float | int | str | None = None
    maximum: float | int | str | None = None
    pattern: str | None = None
    references: str | None = None  # table.column
    classification: str | None = None
    declared: str = ""  # the type in the database's own words
    warnings: list[DraftRule] = field(default_factory=list)

    @property
    def logical(self) -> str:
        return self.logical_type or _LOGICAL_TYPES[self.physical_type.partition("(")[0]]

    @property
    def is_metadata(self) -> bool:
        return self.name.startswith("_")

    @property
    def may_be_personal(self) -> bool:
        """Whether its name sounds like personal data: a hint for a person, no decision."""
        words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower())
        closed = self.valid_values is not None or self.logical not in ("string", "date", "object")
        return not closed and not self.is_metadata and bool(_PERSONAL.intersection(words))


@dataclass
class DraftRule:
    """A rule over the table: a query that counts what breaks it."""

    name: str
    query: str
    description: str = ""
    severity: str = "error"


@dataclass
class DraftFreshness:
    """How old the newest value of the column `element` may be: `error` fails, `warn` warns."""

    element: str
    error: str  # e.g. "4 h"
    warn: str | None = None


@dataclass
class Draft:
    """What is known of a table."""

    schema: str
    name: str
    columns: list[DraftColumn]
    title: str = ""
    description: str = ""
    owner: str = ""
    domain: str = ""
    grain: str = ""
    rules: list[DraftRule] = field(default_factory=list)
    freshness: DraftFreshness | None = None
    tags: list[str] = field(default_factory=list)
    custom: Mapping[str, Any] = field(default_factory=dict)
    todos: list[str] = field(default_factory=list)  # what has no field of its own

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def key(self) -> list[str]:
        keyed = [c for c in self.columns if c.key_position is not None]
        return [c.name for c in sorted(keyed, key=lambda c: c.key_position or 0)]

    def column(self, name: str) -> DraftColumn | None:
        return next((column for column in self.columns if column.name == name), None)

    def document(self) -> dict[str, Any]:
        """The contract as the standard writes it, in the order of the contracts that are there."""
        table: dict[str, Any] = {
            "name": self.name,
            "physicalType": "table",
            "description": self.description or todo("what the table holds"),
            "dataGranularityDescription": self.grain or self._unknown_grain(),
            "properties": [self._property(column) for column in self.columns],
        }
        rules = [*self.rules, *(rule for column in self.columns for rule in column.warnings)]
        if rules:
            table["quality"] = [_quality(rule) for rule in rules]
        document: dict[str, Any] = {
            "apiVersion": "v3.1.0",
            "kind": "DataContract",
            "id": self.full_name,
            "name": self.title or _title(self.name),
            "version": "1.0.0",
            "status": "draft",
            "domain": self.domain or todo("which part of the business it belongs to"),
        }
        if self.tags:
            document["tags"] = OneLine(self.tags)
        document |= {
            "description": {"purpose": self.description or todo("what the table is for")},
            "team": {"name": self.owner or todo("which team answers for it")},
            "schema": [table],
        }
        custom = dict(self.custom)
        if self.freshness:
            value, unit = _amount(self.freshness.error)
            element = f"{self.name}.{self.freshness.element}"
            sla = {"property": "freshness", "value": value, "unit": unit, "element": element}
            document["slaProperties"] = [sla]
            if self.freshness.warn:
                custom["freshnessWarnAfter"] = self.freshness.warn
        if self.todos:
            custom["todo"] = [todo(what) for what in self.todos]
        if custom:
            document["customProperties"] = [
                {"property": name, "value": value} for name, value in custom.items()
            ]
        return document

    def _unknown_grain(self) -> str:
        if self.key:
            return todo(f"one row per what? The key is {', '.join(self.key)}")
        return todo("one row per what? Mark the columns that say it with primaryKey: true")

    def _property(self, column: DraftColumn) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": column.name,
            "logicalType": column.logical,
            "physicalType": column.physical_type,
        }
        if column.key_position is not None:
            entry["primaryKey"] = True
            if len(self.key) > 1:
                entry["primaryKeyPosition"] = column.key_position
        if column.required or column.key_position is not None:
            entry["required"] = True
        if column.unique and self.key != [column.name]:
            entry["unique"] = True
        if column.classification:
            entry["classification"] = column.classification
        elif column.may_be_personal:
            entry["classification"] = todo("pii, or take this line away")
        entry["description"] = column.description or _unknown_meaning(column)
        options = {
            "minimum": column.minimum,
            "maximum": column.maximum,
            "pattern": column.pattern,
        }
        stated = {name: value for name, value in options.items() if value is not None}
        if stated:
            entry["logicalTypeOptions"] = stated
        if column.references:
            entry["relationships"] = [{"to": column.references}]
        if column.valid_values is not None:
            entry["quality"] = [
                {
                    "metric": "invalidValues",
                    "arguments": {"validValues": OneLine(column.valid_values)},
                    "mustBe": 0,
                }
            ]
        return entry


def open_questions(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Everything in a document that is still TODO, and where it stands."""
    if isinstance(value, str):
        if value.startswith(TODO):
            yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from open_questions(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            name = inner.get("name") or inner.get("property") if isinstance(inner, Mapping) else ""
            yield from open_questions(inner, f"{where}[{name or place}]")


def _quality(rule: DraftRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "description": rule.description or todo("why it matters"),
        "type": "sql",
        "query": rule.query,
        "mustBe": 0,
        "severity": rule.severity,
    }


def _unknown_meaning(column: DraftColumn) -> str:
    if column.name == "loaded_at":  # our own word, in every staging model and mart
        return "When the row was loaded into the warehouse (UTC)."
    if column.logical in ("integer", "number") and not _is_id(column.name):
        return todo(f"what {column.name} counts or measures, and in which unit")
    if column.logical == "timestamp":
        return todo(f"what happened at {column.name} (UTC)")
    return todo(f"what {column.name} says")


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith("_id")


def _title(name: str) -> str:
    words = re.sub(r"^(stg|fct|dim|raw|int)_", "", name).replace("_", " ").strip() or name
    return words[:1].upper() + words[1:]


def _amount(text: str) -> tuple[int | float, str]:
    value, _, unit = text.strip().partition(" ")
    number = float(value)
    return (int(number) if number.is_integer() else number), unit.strip()

"""Reading contract files: YAML in the Open Data Contract Standard into `Contract` values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.model import RAW, TOPICS, Column, Contract, Contracts, Freshness, Rule
from waypoint.errors import UnusableInput

#: SPEC of staging and marts: warn after 2 h, fail after 4 h, by load time, unless the contract
#: says otherwise. Raw tables and topics state their own.
DEFAULT_WARN = timedelta(hours=2)
DEFAULT_ERROR = timedelta(hours=4)
DEFAULT_FRESHNESS_ELEMENT = "loaded_at"

_UNITS = {
    **dict.fromkeys(("s", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}

_ROW_RULE = re.compile(r"\s*select\s+count\(\*\)\s+from\s+\{object\}\s+where\s+(.*)", re.I | re.S)

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class InvalidContract(UnusableInput):
    """A contract file that cannot be read; the message names the file, the place and the mend."""


def duration(text: str | int | float, unit: str | None = None) -> timedelta:
    """`duration("2 h")`, `duration("10 minutes")` or `duration(2, "h")` as a timedelta.

    Raises:
        ValueError: no number or an unknown unit.
    """
    if unit is None:
        match = re.fullmatch(r"\s*([\d.]+)\s*([a-zA-Z]+)\s*", str(text))
        if not match:
            raise ValueError(f"{text!r} is not a duration (expected e.g. '2 h' or '10 minutes')")
        text, unit = match.groups()
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r} (expected one of {', '.join(_UNITS)})")
    return float(text) * _UNITS[unit]


def read_contracts(folder: Path) -> Contracts:
    """All contracts below `folder`, one file each in `<schema>/<name>.yaml`.

    Raises:
        InvalidContract: a file is malformed, or two files describe the same table.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted(folder.glob("*/*.yaml")):
        contract = read_contract(path)
        if contract.full_name in contracts:
            raise InvalidContract(
                f"{path}: {contract.full_name} is described twice",
                hint=f"keep one of it and {contracts[contract.full_name].path}",
            )
        contracts[contract.full_name] = contract
    return Contracts(list(contracts.values()))


def read_contract(path: Path) -> Contract:
    """The contract in one file; its folder is its schema.

    Raises:
        InvalidContract: not YAML, or a part that Waypoint needs is missing or of another shape.
    """
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidContract(f"{path}: not readable as YAML: {error}") from None
    try:
        return _contract(path, document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidContract(
            f"{path}: {what}", hint="see contracts/README or the standard's field list"
        ) from None


def _contract(path: Path, document: Mapping[str, Any]) -> Contract:
    table = document["schema"][0]
    schema = path.parent.name
    custom = _custom(document) | _custom(table)
    name = table.get("physicalName") or table["name"]
    columns = tuple(_column(p) for p in table["properties"])
    return Contract(
        path=path,
        schema=schema,
        name=name,
        version=str(document["version"]),
        status=document["status"],
        owner=(document.get("team") or {}).get("name", ""),
        domain=document.get("domain", ""),
        description=_text(table.get("description") or _purpose(document)),
        grain=_text(table.get("dataGranularityDescription", "")),
        columns=columns,
        rules=tuple(_rule(q) for q in table.get("quality", ()) if q.get("type") == "sql"),
        freshness=_freshness(document, schema, custom, columns),
        retention=_retention(document),
        tags=tuple(document.get("tags", ())),
        custom=custom,
    )


def _column(entry: Mapping[str, Any]) -> Column:
    options = entry.get("logicalTypeOptions", {})
    key = bool(entry.get("primaryKey"))
    relations = entry.get("relationships", ())
    return Column(
        name=entry["name"],
        logical_type=entry["logicalType"],
        physical_type=entry.get("physicalType", ""),
        description=_text(entry.get("description", "")),
        required=bool(entry.get("required")) or key,
        unique=bool(entry.get("unique")),
        primary_key_position=entry.get("primaryKeyPosition", 1) if key else None,
        classification=entry.get("classification"),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        pattern=options.get("pattern"),
        valid_values=_valid_values(entry),
        references=relations[0]["to"] if relations else None,
        rules=tuple(_rule(q) for q in entry.get("quality", ()) if q.get("type") == "sql"),
        columns=_nested(entry),
        custom=_custom(entry),
    )


def _nested(entry: Mapping[str, Any]) -> tuple[Column, ...]:
    """The fields of an object, or of the objects in an array."""
    inner = entry.get("properties") or entry.get("items", {}).get("properties", ())
    return tuple(_column(p) for p in inner)


def _valid_values(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    for check in entry.get("quality", ()):
        if check.get("metric") == "invalidValues" and "validValues" in check.get("arguments", {}):
            values = check["arguments"]["validValues"]
            for value in values:
                if isinstance(value, bool) and entry["logicalType"] == "string":
                    raise ValueError(
                        f"{entry['name']}: validValues holds {value}, which is how YAML reads an "
                        "unquoted yes, no, on or off; put it in quotes"
                    )
            return tuple(str(value) for value in values)
    return None


def _rule(check: Mapping[str, Any]) -> Rule:
    query = " ".join(check["query"].split())
    row_rule = _ROW_RULE.fullmatch(query)
    return Rule(
        name=check["name"],
        description=_text(check.get("description", "")),
        query=query,
        severity=check.get("severity", "error"),
        condition=row_rule.group(1) if row_rule else None,
    )


def _freshness(
    document: Mapping[str, Any],
    schema: str,
    custom: Mapping[str, Any],
    columns: tuple[Column, ...],
) -> Freshness | None:
    for sla in document.get("slaProperties", ()):
        if sla["property"] == "freshness":
            error_after = duration(sla["value"], sla["unit"])
            warn = custom.get("freshnessWarnAfter")
            return Freshness(
                element=sla["element"].rsplit(".", 1)[-1],
                warn_after=duration(warn) if warn else error_after / 2,
                error_after=error_after,
            )
    if schema in (RAW, TOPICS) or all(c.name != DEFAULT_FRESHNESS_ELEMENT for c in columns):
        return None
    return Freshness(DEFAULT_FRESHNESS_ELEMENT, DEFAULT_WARN, DEFAULT_ERROR)


def _retention(document: Mapping[str, Any]) -> timedelta | None:
    for sla in document.get("slaProperties", ()):
        if sla["property"] == "retention" and sla["value"] not in (None, -1):
            return duration(sla["value"], sla["unit"])
    return None


def _custom(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {p["property"]: p["value"] for p in entry.get("customProperties", ())}


def _purpose(document: Mapping[str, Any]) -> str:
    return str((document.get("description") or {}).get("purpose", ""))


def _text(value: str) -> str:
    return " ".join(str(value).split())

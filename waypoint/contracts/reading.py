"""Reading contract files: YAML in the Open Data Contract Standard into `Contract` values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from waypoint.contracts.documents import (
    Entry,
    InvalidContract,
    Misread,
    entries,
    invalid,
    mapping,
    read_document,
    reading,
)
from waypoint.contracts.model import (
    RAW,
    TOPICS,
    Column,
    Contract,
    Contracts,
    Freshness,
    Role,
    Rule,
)

__all__ = [
    "InvalidContract",
    "contract_of",
    "contracts_of",
    "duration",
    "read_contract",
    "read_contracts",
]

#: The promise of staging and marts: warn after 2 h, fail after 4 h, by load time, unless a contract
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
_SEMVER = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
_VERSIONED_FILE = re.compile(r"(?P<family>.+)-v(?P<major>\d+)")


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
    try:
        return float(text) * _UNITS[unit]
    except OverflowError:
        raise ValueError(f"{text} {unit} is longer than any time") from None


def read_contracts(folder: Path) -> Contracts:
    """All contracts below `folder`, one file each in `<schema>/<name>.yaml`.

    A version that stands beside others is in `<schema>/<name>-v<major>.yaml`.

    Raises:
        InvalidContract: a file is malformed, or two files describe the same table.
    """
    return contracts_of(read_contract(path) for path in sorted(folder.glob("*/*.yaml")))


def contracts_of(read: Iterable[Contract]) -> Contracts:
    """Contracts that were read one by one, as one set.

    Raises:
        InvalidContract: two files describe the same table.
    """
    contracts: dict[str, Contract] = {}
    for contract in read:
        twin = contracts.setdefault(contract.full_name, contract)
        if twin is not contract:
            raise InvalidContract(
                f"{contract.path}, line 1: {contract.full_name} is described twice",
                hint=f"keep one of it and {twin.path}",
            )
    return Contracts(list(contracts.values()))


def read_contract(path: Path) -> Contract:
    """The contract in one file; its folder is its schema.

    Raises:
        InvalidContract: not YAML, or a part that Waypoint needs is missing or of another shape.
    """
    return contract_of(path, read_document(path))


def contract_of(path: Path, document: Entry) -> Contract:
    """The contract that a document says; `path` is where it stands, or stood.

    Raises:
        InvalidContract: a part that Waypoint needs is missing or of another shape.
    """
    try:
        with reading(document):
            return _contract(path, document)
    except Misread as error:
        hint = error.hint or "see contracts/README.md or the standard's field list"
        raise invalid(path, Misread(error.line, str(error), hint)) from None


def _contract(path: Path, document: Entry) -> Contract:
    # a contract may be about its terms alone, without a table yet
    table = next(iter(entries(document, "schema")), Entry(document.line_of("schema")))
    schema = path.parent.name
    custom = _custom(document) | _custom(table)
    version = _version(document)
    columns = _columns(table, "properties")
    slas = {sla["property"]: sla for sla in entries(document, "slaProperties")}
    with reading(table):
        name, versioned_as = _name(path, table or document, version)
        rules = _rules(table)
    return Contract(
        path=path,
        schema=schema,
        name=name,
        version=version,
        status=str(document["status"]),
        owner=mapping(document, "team").get("name", ""),
        domain=document.get("domain", ""),
        description=_text(table.get("description") or _purpose(document)),
        grain=_text(table.get("dataGranularityDescription", "")),
        columns=columns,
        rules=rules,
        freshness=_freshness(slas.get("freshness"), schema, custom, columns),
        retention=_retention(slas.get("retention")),
        retention_element=_element(slas.get("retention")),
        tags=tuple(document.get("tags") or ()),
        custom=custom,
        roles=tuple(_role(entry) for entry in entries(document, "roles")),
        versioned_as=versioned_as,
        end_of_life=_end_of_life(slas.get("endOfLife")),
    )


def _version(document: Entry) -> str:
    version = str(document["version"])
    if not _SEMVER.fullmatch(version):
        line = document.line_of("version")
        raise Misread(line, f"version {version!r} is not of the form 1.2.3", "write version: 1.0.0")
    return version


def _name(path: Path, table: Entry, version: str) -> tuple[str, str | None]:
    """The table's name, and the family's where the file is one of several versions."""
    file = _VERSIONED_FILE.fullmatch(path.stem)
    if file is None:
        return table.get("physicalName") or table.get("name") or path.stem, None
    family, major = file["family"], file["major"]
    if version.split(".")[0] != major:
        raise Misread(
            table.line,
            f"the file's name says version {major} and the contract says {version}",
            f"version {major}.x.y stands in {family}-v{major}.yaml",
        )
    name = f"{family}-v{major}" if path.parent.name == TOPICS else f"{family}_v{major}"
    said = table.get("physicalName")
    if said != name:
        line = table.line_of("physicalName")
        raise Misread(line, f"physicalName is {said!r}", f"version {major} is built as {name!r}")
    return name, family


def _columns(parent: Mapping[str, Any], key: str) -> tuple[Column, ...]:
    columns: dict[str, Column] = {}
    for entry in entries(parent, key):
        with reading(entry):
            column = _column(entry)
        if column.name in columns:
            line = entry.line_of("name")
            raise Misread(line, f"column {column.name!r} is described twice", "keep one of them")
        columns[column.name] = column
    return tuple(columns.values())


def _column(entry: Entry) -> Column:
    options = mapping(entry, "logicalTypeOptions")
    key = bool(entry.get("primaryKey"))
    relations = entries(entry, "relationships")
    minimum, maximum = options.get("minimum"), options.get("maximum")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise Misread(
            entry.line_of("logicalTypeOptions"),
            f"{entry['name']}: the minimum {minimum} is above the maximum {maximum}: no value fits",
            "correct one of them",
        )
    if not isinstance(entry["name"], str):
        what = f"a column is called {entry['name']!r}, which is no text"
        raise Misread(entry.line_of("name"), what, "put the name in quotes")
    return Column(
        name=entry["name"],
        logical_type=entry["logicalType"],
        physical_type=entry.get("physicalType", ""),
        description=_text(entry.get("description", "")),
        required=bool(entry.get("required")) or key,
        unique=bool(entry.get("unique")),
        primary_key_position=entry.get("primaryKeyPosition", 1) if key else None,
        classification=entry.get("classification"),
        minimum=minimum,
        maximum=maximum,
        pattern=options.get("pattern"),
        valid_values=_valid_values(entry),
        references=relations[0]["to"] if relations else None,
        rules=_rules(entry),
        columns=_nested(entry),
        custom=_custom(entry),
    )


def _nested(entry: Entry) -> tuple[Column, ...]:
    """The fields of an object, or of the objects in an array."""
    if entry.get("properties"):
        return _columns(entry, "properties")
    return _columns(mapping(entry, "items"), "properties")


def _valid_values(entry: Entry) -> tuple[str, ...] | None:
    for check in entries(entry, "quality"):
        arguments = mapping(check, "arguments")
        if check.get("metric") == "invalidValues" and "validValues" in arguments:
            values = arguments["validValues"]
            if not isinstance(values, Sequence) or isinstance(values, str):
                raise Misread(check.line, f"{entry['name']}: validValues is not a list")
            for value in values:
                if isinstance(value, bool) and entry["logicalType"] == "string":
                    raise Misread(
                        check.line,
                        f"{entry['name']}: validValues holds {value}, which is how YAML reads an "
                        "unquoted yes, no, on or off; put it in quotes",
                    )
            return tuple(str(value) for value in values)
    return None


def _rules(parent: Entry) -> tuple[Rule, ...]:
    """The rules written in SQL; other kinds of checks are read where they are used."""
    rules: list[Rule] = []
    for check in entries(parent, "quality"):
        if check.get("type") == "sql":
            with reading(check):
                rules.append(_rule(check, f"rule_{len(rules) + 1}"))
    return tuple(rules)


def _rule(check: Mapping[str, Any], unnamed: str) -> Rule:
    query = " ".join(check["query"].split())
    row_rule = _ROW_RULE.fullmatch(query)
    return Rule(
        name=check.get("name") or unnamed,
        description=_text(check.get("description", "")),
        query=query,
        severity=check.get("severity", "error"),
        condition=row_rule.group(1) if row_rule else None,
    )


def _freshness(
    sla: Entry | None,
    schema: str,
    custom: Mapping[str, Any],
    columns: tuple[Column, ...],
) -> Freshness | None:
    warn = custom.get("freshnessWarnAfter")
    if sla is not None:
        with reading(sla):
            error_after = duration(sla["value"], sla["unit"])
            warn_after = duration(warn) if warn else error_after / 2
            if warn_after > error_after:
                raise Misread(
                    sla.line,
                    f"freshness warns after {warn_after} and fails earlier, after {error_after}",
                    "a warning comes first: lower freshnessWarnAfter or raise the value",
                )
            return Freshness(sla["element"].rsplit(".", 1)[-1], warn_after, error_after)
    if schema in (RAW, TOPICS) or all(c.name != DEFAULT_FRESHNESS_ELEMENT for c in columns):
        return None
    warn_after = duration(warn) if warn else DEFAULT_WARN
    return Freshness(DEFAULT_FRESHNESS_ELEMENT, min(warn_after, DEFAULT_ERROR), DEFAULT_ERROR)


def _retention(sla: Entry | None) -> timedelta | None:
    if sla is None or sla["value"] in (None, -1):
        return None
    with reading(sla):
        return duration(sla["value"], sla["unit"])


def _element(sla: Entry | None) -> str | None:
    """The column that a promise is about, without its table."""
    element = sla.get("element") if sla is not None else None
    return element.rsplit(".", 1)[-1] if isinstance(element, str) else None


def _end_of_life(sla: Entry | None) -> date | None:
    if sla is None or sla["value"] is None:
        return None
    value = sla["value"]
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError:
        line = sla.line_of("value")
        what = f"endOfLife: {value!r} is not a date"
        raise Misread(line, what, "write e.g. 2026-03-31") from None


def _role(entry: Entry) -> Role:
    with reading(entry):
        approvers = (entry.get("firstLevelApprovers"), entry.get("secondLevelApprovers"))
        return Role(
            name=entry["role"],
            access=entry.get("access", "read"),
            approvers=tuple(approver for approver in approvers if approver),
        )


def _custom(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {p["property"]: p["value"] for p in entries(entry, "customProperties")}


def _purpose(document: Entry) -> str:
    description = document.get("description")
    return str(description.get("purpose", "")) if isinstance(description, Mapping) else ""


def _text(value: str) -> str:
    return " ".join(str(value).split())

"""Personal data in what has landed: by the names of columns and fields, and by what they hold.

Every raw table's newest files are looked into, each text column as it is and, where it holds JSON,
field by field. What is found has to be settled in the contract: `classification: pii` (or another
protected one) on the column, or a custom property `notPersonal` that says why it is none. A field
within a document is settled by the topic's contract, by the column that it stands in, or by that
column's `notPersonalFields: {path: reason}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ingestion.bookkeeping import CLOCK, LOAD_HISTORY
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.landing import LandingArea
from waypoint.contracts.linting.personal import CLASSIFICATIONS, WAIVER, looks_personal
from waypoint.contracts.model import RAW, Column, Contract
from waypoint.contracts.person_keys import people
from waypoint.project import Project

#: The custom property of a column with documents: why fields in them are not personal, by path.
FIELDS_WAIVER = "notPersonalFields"
#: How many values of a column are looked at; the longest part of each, in characters.
LOOKED_AT = 5_000
_LONGEST = 20_000
#: From this share of values on a kind that can occur by chance (a number like a phone's) is told.
_OFTEN = 0.02
_NOT_OURS = (LOAD_HISTORY, CLOCK)
_PROTECTED = CLASSIFICATIONS[2:]
_NEWEST = 3  # files of a table


@dataclass(frozen=True)
class Finding:
    """Values of a column (or a field in its JSON) that look personal and are not settled.

    `kind` says as what: a name of a column, or e-mail, phone, card, ip, coordinates, name; `share`
    of the values that were looked at (1 where the name tells). Values themselves are never told.
    """

    table: str
    column: str
    field: str | None
    kind: str
    share: float

    def __str__(self) -> str:
        where = f"{self.table}.{self.column}" + (f", field {self.field}" if self.field else "")
        if self.kind == "name of the field":
            return f"{where}: is called like personal data"
        return f"{where}: {self.share:.1%} of the values hold {self.kind}"


_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?<![\w.+-])\+\d(?:[ ()./-]{0,2}\d){7,14}(?![\w.])")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")
_IP = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"
)
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}(?![\w:])")
_PAIR = re.compile(r"(?<![\w.])-?\d{1,2}\.\d{4,}\s*[,;/ ]\s*-?\d{1,3}\.\d{4,}(?![\w.])")
_LATITUDE, _LONGITUDE = ("lat", "latitude"), ("lng", "lon", "long", "longitude")


def is_card(text: str) -> bool:
    """Whether a text holds a number of a payment card: 13 to 19 digits that add up (Luhn)."""
    return any(_adds_up(re.sub(r"\D", "", found)) for found in _CARD.findall(text))


def _adds_up(digits: str) -> bool:
    if len(set(digits)) == 1 or digits[0] not in "3456":
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


#: What values can be told by, and whether a single one is enough.
_KINDS: Mapping[str, tuple[Callable[[str], bool], bool]] = {
    "e-mail addresses": (lambda text: _EMAIL.search(text) is not None, True),
    "phone numbers": (lambda text: _PHONE.search(text) is not None, False),
    "card numbers": (is_card, False),
    "IP addresses": (lambda t: bool(_IP.search(t) or _IPV6.search(t)), False),
    "coordinates": (lambda text: _PAIR.search(text) is not None, False),
}
_NAMES = "names of people"


def scan(project: Project) -> list[Finding]:
    """What looks personal in the landed data and is neither classified nor waived."""
    return list(_scan(project))


def _scan(project: Project) -> Iterator[Finding]:
    area = LandingArea(project.landing_dir)
    with open_engine(project.state / "spill") as engine:
        known = _known_names(project, area, engine)
        for table in area.tables():
            contract = project.contracts.get(f"{RAW}.{table}")
            files = area.files(table)[-_NEWEST:]
            if contract is None or table in _NOT_OURS or not files:
                continue
            topics = [t for t in project.contracts.topics if t.custom.get("landsIn") == table]
            listed = ", ".join(map(text_literal, files))
            source = f"read_parquet([{listed}], union_by_name = true)"
            described = engine.execute(f"describe from {source}").fetchall()
            for name, kind, *_ in described:
                column = next((c for c in contract.columns if c.name == name), None)
                if column is None or name in ("_source", "_batch", "_file"):
                    continue
                values: list[str] = []
                if kind == "VARCHAR":
                    column_text = quoted(name)
                    rows = engine.execute(
                        f"select distinct left({column_text}, {_LONGEST}) from {source}"
                        f" where {column_text} is not null limit {LOOKED_AT}"
                    ).fetchall()
                    values = [value for (value,) in rows]
                yield from _of_column(contract, topics, column, values, known)


def _of_column(
    contract: Contract,
    topics: Iterable[Contract],
    column: Column,
    values: list[str],
    known: frozenset[str],
) -> Iterator[Finding]:
    if _settled(column):
        return
    if looks_personal(column.name) and column.logical_type != "boolean":
        yield Finding(contract.name, column.name, None, "name of the field", 1.0)
    documents = [(value, _document(value)) for value in values]
    plain = [value for value, document in documents if document is None]
    for kind, share in _kinds(plain, known):
        yield Finding(contract.name, column.name, None, kind, share)
    fields: dict[str, list[str]] = {}
    for _, document in documents:
        if document is not None:
            for path, value in _leaves(document, ""):
                fields.setdefault(path, []).append(value)
    for path, inside in sorted(fields.items()):
        if not _field_settled(contract, topics, column, path):
            last = path.rpartition(".")[2]
            if looks_personal(last) and not all(v in ("True", "False") for v in inside):
                yield Finding(contract.name, column.name, path, "name of the field", 1.0)
            for kind, share in _kinds(inside, known):
                yield Finding(contract.name, column.name, path, kind, share)


def _kinds(values: list[str], known: frozenset[str]) -> Iterator[tuple[str, float]]:
    if not values:
        return
    for kind, (tells, once) in _KINDS.items():
        share = sum(map(tells, values)) / len(values)
        if share > (0 if once else _OFTEN):
            yield kind, share
    share = sum(value.casefold() in known for value in values) / len(values)
    if share > 0:
        yield _NAMES, share


def _settled(column: Column) -> bool:
    return column.classification in _PROTECTED or bool(column.custom.get(WAIVER))


def _field_settled(
    contract: Contract, topics: Iterable[Contract], column: Column, path: str
) -> bool:
    """Whether a contract says what a field holds: the topic's by its path, else the table's.

    A whole payload repeats the columns beside it; there, columns settle its fields.
    """
    parts = [part for part in path.split(".") if part != "[]"]
    if not column.is_metadata:
        parts = [column.name, *parts]
    for one in (*topics, contract):
        columns: tuple[Column, ...] = one.columns
        for part in parts:
            found = next((c for c in columns if c.name == part), None)
            if found is None:
                break
            if _settled(found):
                return True
            columns = found.columns
        top = next((c for c in one.columns if c.name == parts[0]), None)
        waived = top.custom.get(FIELDS_WAIVER) if top is not None else None
        if isinstance(waived, Mapping) and waived.get(".".join(parts[1:])):
            return True
    return False


def _document(text: str) -> object | None:
    if not text.startswith(("{", "[")):
        return None
    try:
        document: object = json.loads(text)
    except ValueError:
        return None
    return document


def _leaves(document: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(document, list):
        for value in document:
            yield from _leaves(value, f"{path}.[]" if path else "[]")
    elif document is not None and document != "":
        yield path, str(document)


def _known_names(project: Project, area: LandingArea, engine: object) -> frozenset[str]:
    """Names and other values of the people who are known, to be recognised elsewhere."""
    import duckdb

    assert isinstance(engine, duckdb.DuckDBPyConnection)
    known = people(project.contracts)
    files = area.files(known.contract.name) if known else []
    if known is None or not files:
        return frozenset()
    listed = ", ".join(map(text_literal, files))
    found: set[str] = set()
    for name in known.personal:
        rows = engine.execute(
            f"select distinct {quoted(name)} from read_parquet([{listed}], union_by_name = true)"
            f" where {quoted(name)} is not null"
        ).fetchall()
        found |= {value.casefold() for (value,) in rows if " " in value.strip() or "@" in value}
    return frozenset(found)

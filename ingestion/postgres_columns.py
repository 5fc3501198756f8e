"""How a table of a PostgreSQL database is read: its columns held against a raw contract's.

Columns come in PostgreSQL's binary format where that is exact, and as text where it is not or may
not be: text is typed and checked at landing, value by value. DuckDB's reader turns NUMERIC 'NaN'
into 0 and wraps dates beyond its range, both silently; so the data are asked first (`Reading.odd`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from waypoint.contracts.model import Column, Contract

_CATALOG = """
select
    a.attname as name,
    format_type(a.atttypid, a.atttypmod) as declared,
    -- a domain is read as what it is made of
    case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod)
        else format_type(a.atttypid, a.atttypmod) end as type,
    coalesce(b.typcategory, t.typcategory)::text as category,
    a.attnotnull or t.typnotnull as not_null
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_type b on t.typtype = 'd' and b.oid = t.typbasetype
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

_PRIMARY_KEY = """
select a.attname
from pg_catalog.pg_index i
cross join lateral unnest(i.indkey) with ordinality as k (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = %s and i.indisprimary
order by k.place
"""

_RELATION = """
select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""

_RELATIONS = """
select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v', 'm', 'f') order by 1
"""


@dataclass(frozen=True)
class SourceColumn:
    """A column as the database declares it; `type` looks through domains."""

    name: str
    declared: str
    type: str
    category: str  # pg_type.typcategory: N numbers, D dates and times, A arrays ...
    not_null: bool


@dataclass(frozen=True)
class SourceTable:
    """A table or view of the source; `key` is its primary key, empty where it has none."""

    schema: str
    name: str
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def relation(self) -> str:
        """The table's name as SQL."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    def column(self, name: str) -> SourceColumn | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Reading:
    """How one column is read, in SQL of the source.

    `odd` is a condition that holds for values that `exact` would not bring over; where a row meets
    it, and where there is no `exact`, the column is read as `text`.
    """

    column: Column
    text: str
    exact: str | None = None
    odd: str | None = None
    drift: str | None = None


@dataclass(frozen=True)
class Plan:
    """How a source table is read for a contract, and what of it is not as the contract says."""

    readings: tuple[Reading, ...]
    missing: tuple[str, ...]  # required by the contract, not at the source
    drift: tuple[str, ...]


def read_table(connection: psycopg.Connection[Any], schema: str, table: str) -> SourceTable | None:
    """What the database's catalogue says of a table; None where there is none of that name."""
    found = connection.execute(_RELATION, (schema, table)).fetchone()
    if found is None:
        return None
    with connection.cursor(row_factory=dict_row) as cursor:
        columns = cursor.execute(_CATALOG, (found[0],)).fetchall()
    key = connection.execute(_PRIMARY_KEY, (found[0],)).fetchall()
    return SourceTable(
        schema,
        table,
        tuple(SourceColumn(**column) for column in columns),
        tuple(str(name) for (name,) in key),
    )


def table_names(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """The tables and views of a schema."""
    return [str(name) for (name,) in connection.execute(_RELATIONS, (schema,)).fetchall()]


def identifier(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def kind(source: SourceColumn) -> str:
    """The first word of a type: `timestamp` of `timestamp(3) without time zone`."""
    return re.split(r"[ (]", source.type, maxsplit=1)[0]


def moment(source: SourceColumn) -> str:
    """A column as SQL, in UTC where it has a time zone."""
    name = identifier(source.name)
    zoned = kind(source) == "timestamp" and source.type.endswith(" with time zone")
    return f"({name} at time zone 'UTC')" if zoned else name


def plan(table: SourceTable, contract: Contract) -> Plan:
    """How `table` is read for `contract`."""
    readings: list[Reading] = []
    missing: list[str] = []
    drift: list[str] = []
    for wanted in contract.source_columns:
        source = table.column(wanted.name)
        if source is not None:
            reading = _reading(wanted, source)
            readings.append(reading)
            if reading.drift:
                drift.append(reading.drift)
        elif wanted.required:
            missing.append(wanted.name)
        else:
            drift.append(
                f"{table.full_name} has no column {wanted.name!r}, which the contract knows;"
                " it lands empty"
            )
    known = {column.name for column in contract.source_columns}
    drift += [
        f"{table.full_name} has a column {column.name!r} ({column.declared}) that the contract"
        " does not know; it is not landed"
        for column in table.columns
        if column.name not in known
    ]
    return Plan(tuple(readings), tuple(missing), tuple(drift))


# how a column is read, by the contract's type


def _reading(wanted: Column, source: SourceColumn) -> Reading:
    name, _, arguments = wanted.physical_type.lower().replace(" ", "").partition("(")
    reader = _READERS.get(name, _text)
    return reader(wanted, source, arguments.rstrip(")"))


def _text(wanted: Column, source: SourceColumn, _arguments: str) -> Reading:
    name = identifier(source.name)
    if source.category in ("A", "C") or source.type in ("json", "jsonb"):
        # arrays and rows as JSON, which the warehouses can take apart
        text = f"to_json({name})::text" if source.category in "AC" else f"btrim({name}::text)"
        return Reading(wanted, text)
    text = f"{moment(source)}::text"
    plain = source.category not in "NB" and kind(source) not in ("timestamp", "date")
    return Reading(wanted, text, drift=None if plain else _changed(wanted, source))


def _integer(wanted: Column, source: SourceColumn, _arguments: str) -> Reading:
    name = identifier(source.name)
    widths = {"smallint": 2, "integer": 4, "bigint": 8}
    width = widths.get(source.type)
    if width is None:
        return Reading(wanted, f"{name}::text", drift=_changed(wanted, source))
    fits = width <= widths.get(wanted.physical_type.lower(), 8)
    # an integer that does not fit is found when it is cast at landing
    return Reading(wanted, f"{name}::text", name, drift=None if fits else _changed(wanted, source))


def _decimal(wanted: Column, source: SourceColumn, arguments: str) -> Reading:
    name = identifier(source.name)
    precision, scale = (int(n) for n in f"{arguments},0".split(",")[:2])
    if source.type == "numeric":
        return Reading(wanted, f"{name}::text")
    declared = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", source.type)
    if declared is None:
        text = f"{name}::numeric::text" if source.type == "money" else f"{name}::text"
        return Reading(wanted, text, drift=_changed(wanted, source))
    source_precision, source_scale = int(declared[1]), int(declared[2])
    if not (0 <= source_scale <= scale and source_precision - source_scale <= precision - scale):
        return Reading(wanted, f"{name}::text", drift=_changed(wanted, source))
    return Reading(wanted, f"{name}::text", name, odd=f"{name} = 'NaN'")


def _double(wanted: Column, source: SourceColumn, _arguments: str) -> Reading:
    name = identifier(source.name)
    if source.type in ("real", "double precision"):
        return Reading(wanted, f"{name}::text", name)
    return Reading(wanted, f"{name}::text", drift=_changed(wanted, source))


def _boolean(wanted: Column, source: SourceColumn, _arguments: str) -> Reading:
    name = identifier(source.name)
    if source.type == "boolean":
        return Reading(wanted, f"{name}::text", name)
    return Reading(wanted, f"{name}::text", drift=_changed(wanted, source))


def _date(wanted: Column, source: SourceColumn, _arguments: str) -> Reading:
    name = identifier(source.name)
    if source.type == "date":
        return Reading(wanted, f"{name}::text", name, odd=_beyond_calendars(name))
    return Reading(wanted, f"{name}::text", drift=_changed(wanted, source))


def _timestamp(wanted: Column, source: SourceColumn, _arguments: str) -> Reading:
    name = identifier(source.name)
    odd = _beyond_calendars(name)
    if kind(source) == "timestamp":
        return Reading(wanted, f"{moment(source)}::text", moment(source), odd)
    if kind(source) == "date":
        drift = _changed(wanted, source)
        return Reading(wanted, f"{name}::text", f"{name}::timestamp", odd, drift)
    return Reading(wanted, f"{name}::text", drift=_changed(wanted, source))


_READERS: dict[str, Callable[[Column, SourceColumn, str], Reading]] = {
    "varchar": _text,
    "bigint": _integer,
    "integer": _integer,
    "decimal": _decimal,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}


def _beyond_calendars(name: str) -> str:
    """Infinity, years before Christ and after 9999: not every warehouse holds them."""
    return f"not ({name} >= '0001-01-01' and {name} < '10000-01-01')"


def _changed(wanted: Column, source: SourceColumn) -> str:
    return (
        f"column {source.name!r} is {source.declared} at the source, {wanted.physical_type} in the"
        " contract; values that fit are cast"
    )

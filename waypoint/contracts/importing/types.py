"""Which of the contract's types, valid on both warehouses, stands for a type of a database."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The types that a contract knows, besides decimal(p,s).
CONTRACT_TYPES = frozenset(
    {"varchar", "bigint", "integer", "double", "boolean", "date", "timestamp"}
)
_DECIMAL = re.compile(r"(?:decimal|numeric|number)\((\d+)(?:,\s*(\d+))?\)")
_WIDEST = 38
_SCALE_UNKNOWN = "decimal(38,9)"

_SAME = {
    **dict.fromkeys(("int", "int4", "int32", "serial", "integer", "mediumint"), "integer"),
    **dict.fromkeys(("bigint", "int8", "int64", "long", "bigserial"), "bigint"),
    **dict.fromkeys(("double", "double precision", "float8"), "double"),
    **dict.fromkeys(("bool", "boolean", "logical"), "boolean"),
    **dict.fromkeys(("varchar", "text", "string", "character varying"), "varchar"),
    **dict.fromkeys(("timestamp", "datetime", "timestamp without time zone"), "timestamp"),
    "date": "date",
}
#: Types with no equal on both warehouses: the nearest one.
_NEAREST = {
    **dict.fromkeys(("smallint", "tinyint", "int2", "utinyint", "usmallint"), "integer"),
    "uinteger": "bigint",
    **dict.fromkeys(("hugeint", "uhugeint", "ubigint"), "decimal(38,0)"),
    **dict.fromkeys(("real", "float", "float4"), "double"),
    "money": "decimal(19,2)",
    **dict.fromkeys(("timestamp with time zone", "timestamptz", "timestamp_ns"), "timestamp"),
    **dict.fromkeys(("timestamp_ms", "timestamp_s", "timestamp_ntz"), "timestamp"),
}


@dataclass(frozen=True)
class ContractType:
    """A contract's type for a column; `exact` where the database's own is just that."""

    physical: str
    logical: str = ""  # object or array, where the text holds JSON
    exact: bool = True


def contract_type(declared: str) -> ContractType:
    """The contract's type for `declared`, as PostgreSQL, DuckDB or Snowflake write it.

    Whatever has no equal becomes the nearest that loses nothing; lists and records become JSON
    text, and anything else text.
    """
    name = " ".join(declared.lower().split())
    decimal = _DECIMAL.fullmatch(name)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2] or 0)
        fits = precision <= _WIDEST
        return ContractType(f"decimal({min(precision, _WIDEST)},{scale})", exact=fits)
    if name in ("decimal", "numeric", "number"):
        return ContractType(_SCALE_UNKNOWN, exact=False)
    if name.endswith("[]") or re.search(r"\[\d+\]$", name):
        return ContractType("varchar", "array", exact=False)
    if name.startswith(("struct", "map", "record", "object")) or name in (
        "json",
        "jsonb",
        "variant",
    ):
        return ContractType("varchar", "object", exact=False)
    # varchar(20), timestamp(3) with time zone
    plain = re.sub(r"\s*\(\d+\)", "", name)
    if plain in _SAME:
        return ContractType(_SAME[plain])
    return ContractType(_NEAREST.get(plain, "varchar"), exact=False)

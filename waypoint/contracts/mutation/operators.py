"""The operators: ways in which the rows of any table go wrong, whatever its contract says.

They know a column's name and type, whether it is required, and the values that are there; they
know no rule. What each stands for, and what counts as damage at all, stands in docs/mutation.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from waypoint.contracts.model import Column
from waypoint.contracts.mutation.model import Damage

#: Which rows "some rows" are: one in twenty, spread evenly, the same ones each time.
SOME = "hash(_n) % 20 = 0"

NUMBERS = ("bigint", "integer", "double", "decimal")

_ID = re.compile(r"(.*_)?id")
_INTEGERS = {"bigint": 9_000_000_000_000_000_000, "integer": 2_147_483_647}


@dataclass(frozen=True)
class Facts:
    """What is in a column now."""

    filled: int  # rows with a value
    some: int  # of them, those among `SOME`
    negative: bool  # whether a number below zero is among the values


def damages_of_rows(columns: list[str]) -> Iterator[Damage]:
    """Damage to whole rows."""
    listed = _listed(columns)
    every = f"select {listed} from {{base}}"
    yield Damage("duplicate", None, "some rows twice", f"{every} union all {every} where {SOME}")
    yield Damage("doubled_rows", None, "every row twice", f"{every} union all {every}")
    yield Damage("dropped_rows", None, "some rows gone", f"{every} where not ({SOME})")


def damages_of_column(
    column: Column, columns: list[str], facts: Facts, entity: bool, landed: bool = False
) -> Iterator[Damage]:
    """Damage to one column.

    Args:
        column: of the contract.
        columns: the table's columns in order.
        facts: what is in it.
        entity: whether its values are ids of rows that stand in a table.
        landed: whether the rows come from outside, and are typed as they land.
    """
    name = column.name
    kind = column.physical_type.lower().replace(" ", "")
    if facts.filled == 0:
        return
    where = f"{_quoted(name)} is not null"
    if facts.some:
        where = f"({where} and {SOME})"

    def some(operator: str, detail: str, value: str) -> Damage:
        changed = f"{where} and {_quoted(name)} is distinct from ({value})"
        return Damage(
            operator,
            name,
            detail,
            _replaced(columns, name, f"case when {where} then {value} else {_quoted(name)} end"),
            changed,
        )

    if column.required:
        yield some("null", "null in some rows", f"cast(null as {kind})")
    else:
        query = _replaced(columns, name, f"cast(null as {kind})")
        yield Damage("null", name, "null in every row", query, f"{_quoted(name)} is not null")
    for detail, value in _out_of_range(name, kind, facts):
        yield some("out_of_range", detail, value)
    if entity:
        orphan = f"{_nowhere(kind)}"
        yield some("orphan", "an id that exists nowhere, in some rows", orphan)
    if not (kind == "varchar" and landed):  # what is landed as text is one, digits or not
        yield _retyped(column, columns, where, kind)


def is_id(name: str) -> bool:
    """Whether a column of this name holds ids."""
    return _ID.fullmatch(name) is not None


def _out_of_range(name: str, kind: str, facts: Facts) -> Iterator[tuple[str, str]]:
    """Values far outside of what the column is about, each with its name."""
    quoted = _quoted(name)
    family = kind.partition("(")[0]
    if family in NUMBERS:
        if not facts.negative:
            yield "negative in some rows", f"cast(-abs({quoted}) - 1 as {kind})"
        if not is_id(name):  # an id has no size; one that is unknown is an orphan
            yield "huge in some rows", f"cast({_largest(kind)} as {kind})"
    elif family in ("timestamp", "date"):
        yield "far in the future in some rows", f"cast('2999-01-01' as {kind})"
        yield "far in the past in some rows", f"cast('1900-01-01' as {kind})"
    elif family == "varchar":
        yield "empty text in some rows", "''"
        yield "garbled text in some rows", "chr(65533) || chr(1) || chr(65533)"


def _largest(kind: str) -> str:
    """The largest value of a number type, which broken programs write for "none"."""
    if kind in _INTEGERS:
        return str(_INTEGERS[kind])
    if kind == "double":
        return "1e300"
    digits, _, scale = kind.partition("(")[2].rstrip(")").partition(",")
    return "9" * (int(digits) - int(scale or 0))


def _nowhere(kind: str) -> str:
    if kind == "varchar":
        return "'nowhere-' || _n"
    far = 7 * 10 ** (14 if kind == "bigint" else 8)  # what an integer holds
    return f"cast({far} + _n as {kind})"


def _retyped(column: Column, columns: list[str], where: str, kind: str) -> Damage:
    """The column with another type: a text among numbers, or numbers in place of texts."""
    name = column.name
    if kind == "varchar":
        query = _replaced(columns, name, "cast(hash(_n) % 1000000 as bigint)")
        return Damage("wrong_type", name, "numbers instead of texts", query, None, "BIGINT")
    value = f"case when {where} then 'n/a' else cast({_quoted(name)} as varchar) end"
    query = _replaced(columns, name, value)
    return Damage("wrong_type", name, "text in some rows", query, None, "VARCHAR")


def _replaced(columns: list[str], name: str, value: str) -> str:
    return f"select {_listed(columns, {name: value})} from {{base}}"


def _listed(columns: list[str], changed: Mapping[str, str] | None = None) -> str:
    replaced = changed or {}
    return ", ".join(
        f"{replaced[c]} as {_quoted(c)}" if c in replaced else _quoted(c) for c in columns
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

"""The matrix of access: what each role sees of each column.

A role has the tables whose contracts name it, as far as the policy of roles goes. Of those it
reads every column; personal data it reads

- as a *token* in the schemas that are made to be read: equal values have equal tokens, so that
  rows can still be counted and joined, and nobody can tell whose they are;
- *masked* elsewhere, and wherever a column cannot hold a token because it is no text;
- as it is only with `privacy: true` in the policy, and never in the schemas made to be read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from waypoint.contracts.model import RAW, Column, Contract, Contracts
from waypoint.contracts.roles import RolePolicy

NONE, READ, MASKED, TOKEN = "none", "read", "masked", "token"

#: The classification of columns that hold personal data.
PERSONAL = "pii"
#: Schemas on the way; every other one is made to be read.
ON_THE_WAY = (RAW, "staging")

_NO_DATA_IS_SEEN = "-"


@dataclass(frozen=True)
class Cell:
    """What a role sees of a column; `access` is none, read, masked or token."""

    role: str
    schema: str
    table: str
    column: str
    access: str
    pii: bool


def matrix(contracts: Contracts, roles: Mapping[str, RolePolicy]) -> list[Cell]:
    """Every role on every column of every table, by role, table and the contract's order."""
    return [
        Cell(role.name, table.schema, table.name, column.name, access, is_personal(column))
        for role in roles.values()
        for table in contracts.tables
        for column, access in columns_seen(role, table)
    ]


def columns_seen(role: RolePolicy, table: Contract) -> Iterator[tuple[Column, str]]:
    """Each column of a table and what the role sees of it."""
    may_read = table_access(role, table) is not None
    for column in table.columns:
        if not may_read:
            yield column, NONE
        elif not is_personal(column):
            yield column, READ
        else:
            yield column, _personal(role, table, column)


def table_access(role: RolePolicy, table: Contract) -> str | None:
    """`read`, `write` (which includes reading), or None: what contract and policy both allow."""
    said = {entry.name: entry.access for entry in table.roles}.get(role.name)
    most = role.access(table.schema)
    if said is None or most is None:
        return None
    return "write" if said == most == "write" else "read"


def is_personal(column: Column) -> bool:
    return column.classification == PERSONAL


def protection(table: Contract, column: Column) -> str:
    """How a personal column is shown to those who may not see it: as a token or masked."""
    text = column.physical_type.lower() == "varchar"
    return TOKEN if text and table.schema not in ON_THE_WAY else MASKED


def _personal(role: RolePolicy, table: Contract, column: Column) -> str:
    if role.privacy and table.schema in ON_THE_WAY:
        return READ
    return protection(table, column)


def as_csv(cells: Iterable[Cell]) -> str:
    """The matrix as CSV, a line for each column and a field for each role."""
    lines: dict[tuple[str, str, str, bool], dict[str, str]] = {}
    for cell in cells:
        line = lines.setdefault((cell.schema, cell.table, cell.column, cell.pii), {})
        line[cell.role] = cell.access
    roles = list(next(iter(lines.values()), {}))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["schema", "table", "column", "pii", *roles])
    for (schema, table, column, pii), seen in lines.items():
        said = "pii" if pii else ""
        writer.writerow([schema, table, column, said, *(seen[role] for role in roles)])
    return written.getvalue()


def as_markdown(contracts: Contracts, roles: Mapping[str, RolePolicy]) -> str:
    """The matrix for people: a line for each table, and what becomes of its personal columns."""
    lines = [
        "| role | has | granted by |",
        "|---|---|---|",
        *(f"| {r.name} | {_has(r)} | {', then '.join(r.approvers)} |" for r in roles.values()),
        "",
        f"| table | personal data | {' | '.join(roles)} |",
        f"|---|---|{'---|' * len(roles)}",
    ]
    for table in contracts.tables:
        personal = ", ".join(c.name for c in table.columns if is_personal(c))
        seen = " | ".join(_of_table(role, table) for role in roles.values())
        lines.append(f"| {table.full_name} | {personal} | {seen} |")
    return "\n".join(lines) + "\n"


def _has(role: RolePolicy) -> str:
    parts = [f"write {', '.join(role.write)}"] if role.write else []
    parts += [f"read {', '.join(role.read)}"] if role.read else []
    named = ", only tables that name it" if role.named else ""
    return "; ".join(parts) + named + (", personal data as it is" if role.privacy else "")


def _of_table(role: RolePolicy, table: Contract) -> str:
    access = table_access(role, table)
    if access is None:
        return _NO_DATA_IS_SEEN
    personal = {seen for column, seen in columns_seen(role, table) if is_personal(column)}
    return ", ".join([access, *sorted(f"personal data {seen}" for seen in personal - {READ})])

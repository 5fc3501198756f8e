"""The code in `waypoint/` and `ingestion/` knows nothing of what the tables are about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.bookkeeping import TABLES
from waypoint.contracts.model import Contract
from waypoint.contracts.reading import read_contracts

REPOSITORY = Path(__file__).resolve().parents[3]

#: Names of columns in contracts that are Waypoint's own words, or everybody's.
GENERIC = {
    "as_of",
    "changed_at",
    "charge_id",  # the word of the API whose local stand-in is in the simulator
    "created_at",
    "event_id",
    "full_name",
    "is_deleted",
    "loaded_at",
    "primary_key",
    "rejected_at",  # dead letters are Waypoint's own
    "row_count",
    "schema_name",
    "table_name",
    "updated_at",
    # so are the messages that tell of closed windows
    "computed_at",
    "window_end",
    "window_key",
    "window_start",
    *(column for columns in TABLES.values() for column in columns),
}


#: Tables about tables: what they say is in Waypoint's own words.
ABOUT_TABLES = "observability"


def identifiers() -> set[str]:
    """Names of tables and topics, and of columns that are more than one plain word."""
    read = read_contracts(REPOSITORY / "contracts").values()
    contracts = [contract for contract in read if contract.domain != ABOUT_TABLES]
    names = {c.name for c in contracts if c.name not in TABLES}
    names |= {column.name for c in contracts for column in _all_columns(c)}
    return {name for name in names if re.search(r"[a-z][_-][a-z]", name)} - GENERIC


def _all_columns(contract: Contract):
    return [column for column in contract.columns if not column.is_metadata]


@pytest.mark.parametrize("folder", ["waypoint", "ingestion"])
def test_no_table_topic_or_column_of_the_business_is_named_in_the_code(folder):
    words = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(identifiers())))})(?![\w-])")

    named = {
        f"{path.relative_to(REPOSITORY)}:{line}": word
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for line, text in _code(path)
        for word in words.findall(text)
    }

    assert named == {}


def _code(path: Path) -> Iterator[tuple[int, str]]:
    """Names and texts in the code with their lines; not comments and docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value
        elif isinstance(node, ast.Name | ast.arg | ast.Attribute | ast.keyword | ast.alias):
            name = getattr(node, "id", None) or getattr(node, "arg", None)
            yield (
                node.lineno,
                name or getattr(node, "attr", None) or getattr(node, "name", "") or "",
            )


def test_the_names_that_are_looked_for_are_those_of_the_contracts():
    assert {"revenue_by_day", "user-interactions", "total_amount_cents"} <= identifiers()

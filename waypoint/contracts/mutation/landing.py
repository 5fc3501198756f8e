"""What landing would say of damaged raw rows: the checks of each row, derived from the contract."""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.validation import validation
from waypoint.contracts.model import Contract


def landing_counts(
    contract: Contract, query: str, types: Mapping[str, str]
) -> tuple[str, list[str]]:
    """A select of how many rows of `query` each check of landing rejects, and the checks' names.

    Args:
        contract: of the raw table.
        query: a select of its columns.
        types: the columns and their types in DuckDB's words, in order.
    """
    checked = validation(contract, query, types)
    counted = ", ".join(
        f"count(*) filter (where coalesce({check.broken}, false))" for check in checked.checks
    )
    names = [check.rule for check in checked.checks]
    return f"select {counted or '0'} from ({checked.typed})", names


def concerns(contract: Contract, name: str, column: str) -> bool:
    """Whether a check of landing by this name is about the column."""
    for rule in contract.rules:
        if rule.name == name:
            return column in (rule.condition or "")
    return name.startswith(f"{column}_")

"""What landing would say of damaged raw rows: the checks of each row, derived from the contract."""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.comparison import PAYLOAD
from ingestion.validation import validation
from ingestion.values import JSON_KINDS
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
    if PAYLOAD in types:  # what cannot be read as a message does not land
        name, unread = f"{PAYLOAD}_is_readable", f"not json_valid({PAYLOAD})"
        counted += f", count(*) filter (where {unread})"
        names.append(name)
    return f"select {counted or '0'} from ({checked.typed})", names


def types_as_read(contract: Contract, types: Mapping[str, str]) -> dict[str, str]:
    """The types that the columns of a raw table have before they land: objects come as JSON."""
    documents = {c.name for c in contract.columns if c.logical_type in JSON_KINDS}
    return {name: "JSON" if name in documents else kind for name, kind in types.items()}


def concerns(contract: Contract, name: str, column: str) -> bool:
    """Whether a check of landing by this name is about the column."""
    for rule in contract.rules:
        if rule.name == name:
            return column in (rule.condition or "")
    return name.startswith(f"{column}_")

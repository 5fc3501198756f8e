"""The table in docs/contract-changes.md is what the three tools really say."""

from __future__ import annotations

import pytest
from gate.change_table import CASES
from gate.comparison import ask_dbt, rows, written_dbt_column, written_rows


def test_the_document_says_what_this_gate_and_datacontract_say() -> None:
    assert set(written_dbt_column()) == {case.name for case in CASES}
    assert written_rows() == rows(written_dbt_column())


@pytest.mark.long
def test_the_document_says_what_dbt_says() -> None:
    assert written_dbt_column() == ask_dbt()

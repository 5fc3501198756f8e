"""What is sent to the topic of windows says of nobody what they did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from waypoint.contracts.model import Column, Contract
from waypoint.contracts.person_keys import PERSON_KEY
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.realtime.publishing import WINDOW, windows_of

ROOT = Path(__file__).parents[3]
SENT = [
    table for table in Project(root=ROOT, state=ROOT).contracts.tables if WINDOW in table.custom
]


@pytest.mark.parametrize("table", SENT, ids=lambda table: str(table.name))
def test_no_table_that_is_sent_has_a_column_of_people(table: Contract) -> None:
    windows = windows_of(table)

    columns = [table.column(name) for name in (*windows.group, *windows.measures)]
    assert columns
    assert not [c.name for c in columns if c.classification or PERSON_KEY in c.custom]


@pytest.mark.parametrize(
    "personal",
    [
        Column("who", "integer", "bigint", custom={PERSON_KEY: "user"}),
        Column("contact", "string", "varchar", classification="pii"),
    ],
    ids=["whose rows they are", "personal data"],
)
def test_one_that_had_such_a_column_is_refused(personal: Column) -> None:
    table = replace(SENT[0], columns=(*SENT[0].columns, personal))

    with pytest.raises(UnusableInput, match=f"{personal.name} say whose rows they are"):
        windows_of(table)

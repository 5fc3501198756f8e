"""Each kind of change: what the gate calls it, whom it breaks, and how it ends."""

from __future__ import annotations

import pytest
from gate.change_table import CASES, Case
from gate.conftest import Repository, finding


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_is_judged(case: Case, repository: Repository) -> None:
    repository.edit(case.contract, case.edit)
    report = repository.check()
    found = finding(report, case.contract)
    change, consumers = next(pair for pair in found.changes if pair[0].kind == case.kind)
    assert {audience.value for audience in change.breaks} == case.breaks
    assert {consumer.name for consumer in consumers} == case.consumers
    assert report.exit_code == case.exit_code


def test_the_table_of_changes_is_long_enough() -> None:
    assert len({case.kind for case in CASES}) >= 25

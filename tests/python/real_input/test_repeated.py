"""Running again over the same input changes nothing."""

from __future__ import annotations

import pytest
from real_input.pipeline import Run

# with every change, the small project in ../second_project does the same
pytestmark = [pytest.mark.real_input, pytest.mark.long, pytest.mark.timeout(900)]


def test_a_second_run_lands_and_loads_nothing(second_run: Run) -> None:
    assert second_run.summary["loaded"] == {}
    assert sum(outcome["landed"] for outcome in second_run.summary["sources"]) == 0


def test_a_second_run_leaves_the_landed_files_as_they_are(run: Run, second_run: Run) -> None:
    assert second_run.landed == run.landed


def test_a_second_run_leaves_every_row_of_every_table_as_it_is(run: Run, second_run: Run) -> None:
    assert second_run.contents() == run.contents()

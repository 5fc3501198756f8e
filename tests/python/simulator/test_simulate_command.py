"""`waypoint simulate`, as a person runs it."""

from __future__ import annotations

import shutil

from conftest import CommandLine
from simulator.simulated_world import REPOSITORY

SCENARIO = """
period: {history: 2 days, full: 1 day}
topics:
  folder: DUMPS
  messages:
    market-data: {query: quotes}
"""
QUOTES = """
select slot_start as arrived_at, 'X' as key, to_json({'slot': slot}) as value
from slots(3600, play.reach(), play.until())
"""


def test_a_period_is_played_repeated_and_gone_on_with(command_line: CommandLine) -> None:
    shutil.copy(REPOSITORY / "dbt_project.yml", command_line.root)
    (command_line.root / "contracts").symlink_to(REPOSITORY / "contracts")
    (command_line.root / "scenario").mkdir()
    (command_line.root / "scenario" / "scenario.yml").write_text(SCENARIO)
    (command_line.root / "scenario" / "quotes.sql").write_text(QUOTES)

    too_early = command_line.waypoint("simulate", "--advance", "1d")
    assert (too_early.code, "nothing was played yet" in too_early.err) == (2, True)
    first = command_line.waypoint("simulate", "--as-of", "2026-01-31T10:00", "--json")
    assert first.json["rows"] == {"market-data": 72}, first.err
    again = command_line.waypoint("simulate", "--json")
    assert again.json["rows"] == {}
    onwards = command_line.waypoint("simulate", "--advance", "6h", "--json")
    assert onwards.json == {
        "since": "2026-01-31T10:00:00",
        "as_of": "2026-01-31T16:00:00",
        "rows": {"market-data": 6},
    }
    half_said = command_line.waypoint("simulate", "--topic", "market-data")
    assert (half_said.code, "belong together" in half_said.err) == (2, True)

"""Real and simulated data never meet in one state."""

from __future__ import annotations

import shutil
from datetime import datetime

from waypoint.errors import Exit
from waypoint.project import Project
from waypoint.simulator.sources import Places
from waypoint.simulator.state import Played, World, write_state


def test_nothing_simulated_is_added_to_real_data(published_tiny_project, tmp_path):
    shutil.copytree(published_tiny_project.root, tmp_path / "copy")
    library = type(published_tiny_project)(tmp_path / "copy")
    (library.root / "scenario").mkdir()
    (library.root / "scenario" / "scenario.yml").write_text("period: {}\n")

    ended = library.waypoint("simulate")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "holds real data" in ended.err
    assert "WAYPOINT_STATE" in ended.err


def test_nothing_real_is_added_to_simulated_data(connected_tiny_project):
    project = Project.find(connected_tiny_project.root)
    day = datetime(2026, 2, 2)
    world = World(seed=1, scale=1.0, start=day, full_from=day, opened=day)
    write_state(Places.of(project).state_file, Played(world=world, as_of=day))

    ended = connected_tiny_project.waypoint("run")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "holds simulated data" in ended.err


def test_without_any_source_the_variables_that_connect_them_are_named(tiny_project):
    ended = tiny_project.waypoint("run")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "LIBRARY_CARD_INDEX" in ended.err
    assert "LIBRARY_LENDING_DESK" in ended.err


def test_what_has_landed_is_built_without_any_source(published_tiny_project, tmp_path):
    shutil.copytree(published_tiny_project.root, tmp_path / "copy")
    library = type(published_tiny_project)(tmp_path / "copy")  # no variable is set

    summary = library.run()

    assert summary["left_out"] == {
        "card_index": ["LIBRARY_CARD_INDEX"],
        "lending_desk": ["LIBRARY_LENDING_DESK"],
    }
    assert {t["name"]: t["rows"] for t in summary["tables"]}["stg_lendings"] == 3

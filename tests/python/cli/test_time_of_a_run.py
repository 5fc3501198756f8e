"""A run's time goes forward only, and a step forward that was killed is taken once."""

from __future__ import annotations

import json
import shutil

import pytest

from waypoint.errors import Exit


@pytest.fixture
def library(published_tiny_project, tmp_path):
    """A copy that was run as of 2026-03-02T12:00:00."""
    shutil.copytree(published_tiny_project.root, tmp_path / "copy")
    return type(published_tiny_project)(tmp_path / "copy", published_tiny_project.environment)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--as-of", "2026-03-03", "--advance", "1d"], "give one of them"),
        (["--as-of", "2026-03-01"], "time only goes forward"),
        (["--as-of", "soon"], "'soon' is not a time"),
        (["--advance", "-1d"], "--advance"),
        (["--seed", "3"], "--seed is for simulated sources"),
    ],
    ids=["both", "backwards", "no time", "negative", "seed"],
)
def test_a_time_that_makes_no_sense_is_refused_before_anything_is_done(library, options, said):
    before = (library.state / "clock.json").read_text()

    ended = library.waypoint("run", *options)

    assert ended.code == Exit.UNUSABLE_INPUT
    assert said in ended.err
    assert (library.state / "clock.json").read_text() == before


@pytest.mark.long
def test_a_step_that_was_killed_ends_where_it_was_to_go(library):
    # as it is after a kill: the step is on record and the clock has been moved already
    (library.state / "advance.json").write_text(json.dumps({"1d": "2026-03-03T12:00:00"}))
    (library.state / "clock.json").write_text(json.dumps({"as_of": "2026-03-03T12:00:00"}))

    again = library.waypoint("run", "--advance", "1d", "--json")
    after = library.waypoint("run", "--advance", "6h", "--json")

    assert again.json["as_of"] == "2026-03-03T12:00:00"
    assert after.json["as_of"] == "2026-03-03T18:00:00"

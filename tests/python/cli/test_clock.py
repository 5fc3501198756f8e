"""The stored time of a project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from waypoint.clock import advanced, clock_file, now, parse_time, read_clock, store_clock
from waypoint.errors import UnusableInput
from waypoint.project import Project


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: anything\n")
    return Project.find(tmp_path)


def test_without_a_stored_time_now_is_now(project):
    assert read_clock(project) is None
    assert abs(now(project) - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=10)


def test_a_stored_time_is_now(project):
    store_clock(project, datetime(2026, 1, 31, 10, 0, 0, 5))

    assert now(project) == datetime(2026, 1, 31, 10, 0, 0, 5)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),
        ("2026-01-31T10:00", datetime(2026, 1, 31, 10)),
        ("2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8)),
    ],
)
def test_times_are_read_as_utc(text, time):
    assert parse_time(text, "--as-of") == time


@pytest.mark.parametrize("text", ["", "yesterday", "31.01.2026", "2026-13-01"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(UnusableInput, match="--as-of"):
        parse_time(text, "--as-of")


def test_the_clock_is_moved_on_by_durations():
    assert advanced(datetime(2026, 1, 31), "1d", "--advance") == datetime(2026, 2, 1)
    assert advanced(datetime(2026, 1, 31), "90 minutes", "--advance") == datetime(
        2026, 1, 31, 1, 30
    )


@pytest.mark.parametrize("by", ["", "soon", "0d", "1 fortnight"])
def test_what_is_no_step_forward_is_refused(by):
    with pytest.raises(UnusableInput, match="--advance"):
        advanced(datetime(2026, 1, 31), by, "--advance")


@pytest.mark.parametrize("text", ["", "{}", '{"as_of": 7}', '{"as_of": "late"}', "[]"])
def test_a_clock_that_cannot_be_read_names_its_file(project, text):
    clock_file(project).parent.mkdir()
    clock_file(project).write_text(text)

    with pytest.raises(UnusableInput, match=r"clock\.json"):
        read_clock(project)

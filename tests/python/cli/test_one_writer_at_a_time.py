"""Two commands that change the same state do not meet, and the warehouse says who holds it."""

from __future__ import annotations

import os

import duckdb

from waypoint.errors import Exit
from waypoint.locking import changing_state
from waypoint.project import Project


def test_a_second_writer_is_told_who_the_first_is(tiny_project):
    project = Project.find(tiny_project.root)

    with changing_state(project, "waypoint run"):
        ended = tiny_project.waypoint("build")

    assert ended.code == Exit.UNAVAILABLE
    assert f"waypoint run (pid {os.getpid()})" in ended.err


def test_the_lock_is_free_when_its_holder_is_gone(tiny_project):
    project = Project.find(tiny_project.root)

    for _ in range(2):
        with changing_state(project, "waypoint build"):
            pass


def test_a_warehouse_held_by_another_program_is_unavailable(tiny_project):
    warehouse = tiny_project.state / "warehouse" / "waypoint.duckdb"
    warehouse.parent.mkdir(parents=True)

    with duckdb.connect(str(warehouse)):
        ended = tiny_project.waypoint("build")

    assert ended.code == Exit.UNAVAILABLE
    assert f"process {os.getpid()}" in ended.err
    assert "Traceback" not in ended.err

"""Readers get whole copies, keep the one that they have open, and never a failed build's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from waypoint import building, dbt_running
from waypoint.building import LastBuild
from waypoint.errors import Exit, Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.publishing import NotPublishable, publish

BUILT = LastBuild(failures=0, partial=False)
#: Runs a program of which no file can grow beyond so many bytes, as if the disk were full.
_LIMITED = (
    "import os, resource, sys; most = int(sys.argv[1]);"
    " resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)); os.execv(sys.argv[2], sys.argv[2:])"
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "dbt_project.yml").write_text("name: anything\n")
    project = Project.find(tmp_path)
    dbt_running.prepare(project)
    _write(project, 1)
    return project


def test_a_copy_has_what_the_warehouse_had(project):
    _remember(project, BUILT)

    published = publish(project)

    assert published.path == project.published_file
    assert published.size == project.published_file.stat().st_size
    assert _rows(project.published_file) == 1


def test_a_view_can_be_read_in_the_copy(project):
    with duckdb.connect(str(project.warehouse_file)) as connection:
        connection.execute("create view seen as select * from waypoint.main.numbers")
    _remember(project, BUILT)

    publish(project)

    with duckdb.connect(str(project.published_file), read_only=True) as connection:
        assert connection.execute("select count(*) from seen").fetchall() == [(1,)]


def test_every_view_can_be_read_whatever_the_copy_is_called(project, tmp_path):
    catalog = project.warehouse_file.stem
    with duckdb.connect(str(project.warehouse_file)) as connection:
        connection.execute(
            f"""
            create schema staging;
            create table staging.places as select 1 as id, '{catalog}.staging.places' as named;
            create view staging.seen as select * from {catalog}.staging.places;
            create view staging.renamed("id AS it", named) as
                with listed as (select * from "{catalog}"."staging"."seen")
                select listed.* from listed
                inner join {catalog}.staging.places on listed.id = {catalog}.staging.places.id;
            create view numbered as
                select {catalog}.id from {catalog}.staging.seen as {catalog};
            comment on view staging.seen is 'it''s seen';
            comment on column staging.seen.id is 'which';
            """
        )
    _remember(project, BUILT)
    publish(project)
    copy = tmp_path / "elsewhere.duckdb"
    shutil.copy(project.published_file, copy)

    with duckdb.connect() as connection:
        connection.execute(f"attach '{copy}' as w (read_only)")
        views = connection.execute(
            "select schema_name || '.' || view_name from duckdb_views() where not internal"
        ).fetchall()
        read = {view: connection.execute(f"from w.{view}").fetchall() for (view,) in views}
        comments = connection.execute(
            "select comment from duckdb_views() where comment is not null"
            " union all select comment from duckdb_columns() where comment is not null"
        ).fetchall()

    row = (1, f"{catalog}.staging.places")
    assert read == {"staging.seen": [row], "staging.renamed": [row], "main.numbered": [(1,)]}
    assert comments == [("it's seen",), ("which",)]


def test_a_reader_keeps_the_copy_that_it_has_open(project):
    _remember(project, BUILT)
    publish(project)

    with duckdb.connect(str(project.published_file), read_only=True) as reader:
        _write(project, 50_000)
        publish(project)

        assert reader.execute("select count(*) from numbers").fetchall() == [(1,)]
    assert _rows(project.published_file) == 50_001


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (None, "not built"),
        (LastBuild(failures=2, partial=False), "failures"),
        (LastBuild(failures=0, partial=True), "in part"),
    ],
    ids=["never built", "failed", "partial"],
)
def test_only_a_whole_build_without_failures_is_published(project, last, reason):
    _remember(project, last)

    with pytest.raises(NotPublishable, match=reason):
        publish(project)

    assert not project.published_file.exists()
    publish(project, force=True)
    assert _rows(project.published_file) == 1


def test_without_a_warehouse_there_is_nothing_to_publish(project):
    project.warehouse_file.unlink()

    with pytest.raises(UnusableInput, match="no warehouse yet"):
        publish(project, force=True)


def test_what_a_killed_publisher_left_is_removed(project):
    leftover = project.published_file.with_name("waypoint.duckdb.tmp99999")
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half a copy")

    publish(project, force=True)

    assert [path.name for path in project.published_file.parent.iterdir()] == ["waypoint.duckdb"]


def test_a_warehouse_that_is_being_written_is_not_copied(project):
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True);"
            "sys.stdin.read()",
            str(project.warehouse_file),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        with pytest.raises(Unavailable, match=f"process {writer.pid}"):
            publish(project, force=True)
    finally:
        writer.communicate("")
    assert not project.published_file.exists()


def test_without_room_readers_keep_the_old_copy(command_line):
    (command_line.root / "dbt_project.yml").write_text("name: anything\n")
    project = Project.find(command_line.root)
    dbt_running.prepare(project)
    _write(project, 1)
    publish(project, force=True)
    before = project.published_file.stat().st_size
    _write(project, 1_000_000)

    ended = subprocess.run(
        [
            sys.executable, "-c", _LIMITED, str(2 * before),
            sys.executable, "-m", "waypoint.cli.app", "publish", "--force",
        ],
        cwd=project.root,
        capture_output=True,
        text=True,
    )  # fmt: skip

    assert ended.returncode == Exit.UNAVAILABLE, ended.stderr
    assert "make room" in ended.stderr
    assert [path.name for path in project.published_file.parent.iterdir()] == ["waypoint.duckdb"]
    assert _rows(project.published_file) == 1


def _write(project: Project, rows: int) -> None:
    with duckdb.connect(str(project.warehouse_file)) as connection:
        connection.execute("create table if not exists numbers (n bigint)")
        connection.execute("insert into numbers select hash(range) // 2 from range(?)", [rows])


def _rows(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        row = connection.execute("select count(*) from numbers").fetchone()
        assert row is not None
        return row[0]


def _remember(project: Project, last: LastBuild | None) -> None:
    if last is None:
        shutil.rmtree(project.state / "build.json", ignore_errors=True)
    else:
        building.remember(project, last)

"""The engine plays whatever a scenario says; this one is of a library."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg
import pytest

from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.simulator.bulk import write_messages
from waypoint.simulator.play import play
from waypoint.simulator.sources import Places, simulated_sources

TINY_PROJECT = Path(__file__).parents[1] / "tiny_project"
NOON = datetime(2026, 3, 2, 12)

SCENARIO = """
period: {history: 2 days, full: 1 day}
settings: {lent_an_hour: 4}
database:
  name: library
  dsn: LIBRARY_DSN
  schema: tables.sql
  tables: {books: books}
topics:
  folder: LIBRARY_LENDING_DESK
  messages:
    lending-slips: {query: slips, format: ndjson.gz}
"""
TABLES = "create table if not exists books (shelfmark text primary key, lent bigint not null);"
LENDINGS = """
select
    hash(slot, number) as slip,
    later(slot_start, 3600 * chance('lent', hash(slot, number))) as lent_at,
    'A ' || whole('book', hash(slot, number), 1, 9) as shelfmark
from slots(3600, play.start(), play.until())
cross join range(setting.lent_an_hour()) as numbers(number)
"""
BOOKS = """
select
    shelfmark,
    count(*)::bigint as lent,
    -- a book that was lent too often falls apart
    count(*) > 40 as _gone
from lendings
where lent_at > play.start() and lent_at <= play.until()
group by shelfmark
having max(lent_at) > play.since()
"""
SLIPS = """
select
    lent_at as arrived_at,
    shelfmark as key,
    to_json({'slip': slip::varchar, 'shelfmark': shelfmark, 'lent': iso(lent_at)}) as value
from lendings
where lent_at > play.reach()
"""


@pytest.fixture
def library(tmp_path: Path) -> Project:
    """The tiny project with a scenario."""
    root = tmp_path / "library"
    shutil.copytree(TINY_PROJECT, root)
    scenario = root / "scenario"
    shutil.rmtree(scenario, ignore_errors=True)
    scenario.mkdir()
    for name, text in {
        "scenario.yml": SCENARIO,
        "tables.sql": TABLES,
        "lendings.sql": LENDINGS,
        "books.sql": BOOKS,
        "slips.sql": SLIPS,
    }.items():
        (scenario / name).write_text(text)
    return Project(root=root, state=tmp_path / "var")


def test_a_scenario_of_another_project_is_played(library: Project) -> None:
    first = play(library, NOON)
    second = play(library, NOON.replace(hour=18))
    slips = first.rows["lending-slips"] + second.rows["lending-slips"]
    with simulated_sources(library) as environment:
        # who reads them next finds them by these
        assert set(environment) == {"LIBRARY_DSN", "LIBRARY_LENDING_DESK"}
        with psycopg.connect(environment["LIBRARY_DSN"]) as connection:
            books = connection.execute("select shelfmark, lent from books").fetchall()
    assert not Places.of(library).charges.exists()
    assert 60 * 4 < slips < 80 * 4
    desk = Path(environment["LIBRARY_LENDING_DESK"])
    lent = duckdb.execute(
        'select key, count(*), max("offset") '
        f"from '{desk}/lending-slips/*.ndjson.gz' group by key"
    ).fetchall()
    assert max(offset for *_, offset in lent) == slips - 1
    assert dict(books) == {key: count for key, count, _ in lent if count <= 40}
    assert len(books) < len(lent), "no book fell apart"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("scenario.yml", SCENARIO.replace("2 days", "long"), "period, history: 'long' is not a"),
        ("scenario.yml", SCENARIO.replace("format:", "kind:"), "lending-slips: 'kind' is not kno"),
        ("scenario.yml", SCENARIO.replace("lending-slips", "letters"), "'letters', which has no"),
        ("scenario.yml", "period: [", "scenario.yml: while parsing"),
    ],
)
def test_a_mistake_in_a_scenario_leaves_nothing_half_played(
    library: Project, file: str, text: str, said: str
) -> None:
    (library.scenario_dir / file).write_text(text)
    with pytest.raises(UnusableInput, match=said):
        play(library, NOON)
    assert not library.state.exists()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("scenario.yml", SCENARIO.replace("query: slips", "query: sips"), "has no query 'sips'"),
        ("slips.sql", SLIPS.replace("slip::", "slap::"), 'slips.sql: Binder Error: .*"slap"'),
        ("slips.sql", SLIPS.replace("where", "wear the"), "slips.sql: "),
        ("lendings.sql", LENDINGS.replace("an_hour", "a_day"), "lendings.sql: .*lent_a_day"),
        ("lendings.sql", "select * from slips", "slips reads lendings reads slips"),
    ],
)
def test_a_mistake_in_a_query_is_said_with_its_file(
    library: Project, tmp_path: Path, file: str, text: str, said: str
) -> None:
    (library.scenario_dir / file).write_text(text)
    with pytest.raises(WaypointError, match=f"(?s){said}"):
        write_messages(library, "lending-slips", 10, tmp_path / "desk", NOON)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("tables.sql", TABLES.replace("primary key", ""), "'books' has no primary key"),
        ("books.sql", BOOKS.replace("as lent", "as times"), "the database library: .*times"),
    ],
)
def test_a_query_that_does_not_fit_its_table_is_said(
    library: Project, file: str, text: str, said: str
) -> None:
    (library.scenario_dir / file).write_text(text)
    with pytest.raises(UnusableInput, match=f"(?s){said}"):
        play(library, NOON)


def test_a_project_without_a_scenario_has_nothing_to_play(library: Project) -> None:
    shutil.rmtree(library.scenario_dir)
    with pytest.raises(UnusableInput, match="nothing to simulate"):
        play(library, NOON)


def test_a_damaged_state_is_said(library: Project) -> None:
    state = Places.of(library).state_file
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"seed": 1}))
    with pytest.raises(UnusableInput, match="does not say what was simulated"):
        play(library, NOON)

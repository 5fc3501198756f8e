"""docs/new-source-table.md is true: each command, statement and decision in it is carried out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import psycopg
import pytest

from waypoint.services.postgres import running

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "new-source-table.md"
DRAFTS = (
    "contracts/raw/catalogue_books.yaml",
    "contracts/staging/stg_books.yaml",
    "contracts/marts/books_by_day.yaml",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line]
    return [shlex.split(line)[1:] for line in lines]


def decisions() -> dict[str, str]:
    table = DOCUMENT.read_text().partition("| in the drafts | decided |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", table, re.M))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """The library's database, as the document makes it; gives its URL."""
    with running(tmp_path_factory.mktemp("postgres")) as server:
        dsn = server.database("catalogue")
        with psycopg.connect(dsn) as connection:
            for statement in blocks("sql"):
                connection.execute(statement)
        yield dsn


def edit(root: Path) -> None:
    """What the document says a person decides."""
    for name in DRAFTS:
        path = root / name
        text = path.read_text()
        for open_question, decided in decisions().items():
            text = text.replace(open_question, decided)
        text = re.sub(r"  - property: todo\n    value:\n(      .*\n)+", "", text)
        path.write_text(text)


def test_from_the_database_to_rows_in_the_mart(tiny_project, catalogue):
    environment = {"LIBRARY_CATALOGUE_DSN": catalogue}
    importing, linting, *others = commands()

    imported = tiny_project.waypoint(*importing, **environment)
    assert imported.code == 0, imported.err
    unfinished = tiny_project.waypoint(*linting)
    assert unfinished.code == 1
    assert "still to decide: what title says" in unfinished.out

    edit(tiny_project.root)
    for command in (linting, *others):
        if command == ["run"]:
            command = ["run", "--as-of", "2026-03-03T00:00:00"]
        ended = tiny_project.waypoint(*command, **environment)
        assert ended.code == 0, f"{command}: {ended.out}{ended.err}"

    (answer,) = blocks("text")
    shown = [line.split() for line in answer.splitlines()[1:]]
    days = tiny_project.waypoint(*others[-1], "--json").json
    assert [[day["created_date"], str(day["books"])] for day in days] == shown
    (title,) = tiny_project.waypoint(
        "query", "select title from staging.stg_books where book_id = 1", "--json"
    ).json
    assert title == {"title": "Pride and Prejudice"}
    # nothing secret, only the variable's name
    assert "${LIBRARY_CATALOGUE_DSN}" in (tiny_project.root / "ingestion/sources.yml").read_text()
    for folder in ("contracts", "ingestion", "models"):
        for path in (tiny_project.root / folder).rglob("*.*"):
            assert catalogue not in path.read_text()


@pytest.mark.long
def test_of_a_key_of_two_columns_the_newest_version_stays(tiny_project, tmp_path):
    with running(tmp_path / "postgres") as server:
        dsn = server.database("shelves")
        environment = {"LIBRARY_SHELVES_DSN": dsn}
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "create table places (shelf text, place int, title text,"
                " updated_at timestamptz not null, primary key (shelf, place))"
            )
            connection.execute(
                "insert into places values ('A', 1, 'old', '2026-03-01'), ('A', 2, 'other',"
                " '2026-03-01')"
            )
            imported = ("contracts", "import", "table", "LIBRARY_SHELVES_DSN", "places")
            for command in ((*imported, "--source", "shelves"), ("contracts", "render")):
                ended = tiny_project.waypoint(*command, **environment)
                assert ended.code == 0, ended.err
            seen = []
            for hour, title, changed in (
                ("2026-03-01T12", "old", "2026-03-01 00:00+00"),
                ("2026-03-02T01", "new", "2026-03-02 00:00+00"),
                ("2026-03-02T02", "late and older", "2026-03-01 23:55+00"),
            ):
                connection.execute(
                    "update places set title = %s, updated_at = %s where place = 1",
                    (title, changed),
                )
                ended = tiny_project.waypoint("run", "--as-of", f"{hour}:00:00", **environment)
                assert ended.code == 0, ended.out + ended.err
                asked = "select title from staging.stg_places order by place"
                seen.append(
                    [r["title"] for r in tiny_project.waypoint("query", asked, "--json").json]
                )
        assert seen == [["old", "other"], ["new", "other"], ["new", "other"]]

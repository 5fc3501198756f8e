"""Erasing a person: nothing of them is left, the others' data is as it was, nothing returns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from conftest import Library
from privacy.search import found
from privacy.values import Values, in_what_is_shown, shown

from ingestion import footers
from ingestion.landing import LandingArea
from waypoint.privacy import erasing
from waypoint.privacy.rebuilding import selection
from waypoint.project import Project

#: A project is built twice, whatever else the machine does meanwhile.
pytestmark = pytest.mark.timeout(900)

NAME, CARD = "Grace Hopperly", "C0003"
#: What is theirs; the slips are known by what is lent to them.
THEIRS = (NAME, CARD, "S4-", "S5-", "S6-")
SLIPS = [
    ("S4-grace", CARD, "B 5", "2026-03-02T10:00:00.000Z", 7),
    ("S5-grace", CARD, "B 6", "2026-03-01T10:00:00.000Z", 7),
    ("S6-grace", CARD, "B 7", "2026-03-01T10:00:00.000Z", 0),  # not for a day: to quarantine
    ("S7", "C0001", f"left here by {NAME}", "2026-03-01T11:00:00.000Z", 7),
]
#: Librarians get a copy of the marts.
ROLES = "librarian: {read: [marts], copy: true, approvers: [the head of the library]}\n"
DAYS = "select lent_date, lendings, members from marts.lendings_by_day order by 1"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library with one member who is going to be erased; its input stands in its state."""
    root = tmp_path_factory.mktemp("erasing") / "library"
    library = Library.copied_to(root).connected()
    library.hand_out_cards("2026-04.csv", f"{CARD},{NAME},2026-02-20")
    library.lend("1.ndjson", *SLIPS, offset=4)
    (root / "dbt_project/roles.yml").write_text(ROLES)
    inbox = root / "var/inbox"
    inbox.mkdir(parents=True)
    shutil.move(str(library.cards), str(inbox / "cards"))
    shutil.move(str(library.desk), str(inbox / "desk"))
    library = Library(
        root,
        {
            "LIBRARY_CARD_INDEX": str(inbox / "cards"),
            "LIBRARY_LENDING_DESK": str(inbox / "desk"),
            "WAYPOINT_STATE": str(root / "var"),
        },
    )
    library.run()
    (root / "var/logs/loader.log").write_text(f"card handed to {NAME}\nanother line\n")
    return library


@pytest.fixture(scope="module")
def erased(before: Library, tmp_path_factory: pytest.TempPathFactory):
    """The library once the member was erased, and the receipt."""
    assert found(before.root / "var", THEIRS)
    exports = tmp_path_factory.mktemp("exports")
    shutil.copytree(before.root / "var/inbox", exports / "inbox")
    ended = before.waypoint("privacy", "erase", "--user", CARD, "--json")
    assert ended.code == 0, ended.out + ended.err
    return before, ended, exports / "inbox"


def days(state: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(state / "published/waypoint.duckdb"), read_only=True) as connection:
        return [(str(day), *counts) for day, *counts in connection.execute(DAYS).fetchall()]


def test_what_librarians_see_names_nobody(before: Library) -> None:
    state, name = before.root / "var", Values(["Björn"])

    assert list(name.in_tables(state / "published/waypoint.duckdb", ["raw"]))
    assert "librarian.duckdb" in {path.name for path in shown(state)}
    assert list(in_what_is_shown(state, name)) == []


def test_nothing_of_the_person_is_in_any_file_or_table(erased) -> None:
    library, _, _ = erased

    assert found(library.root / "var", THEIRS) == []


def test_neither_receipt_nor_what_the_command_says_holds_personal_data(erased) -> None:
    _, ended, _ = erased
    kept = Path(ended.json["path"])

    for text in (ended.out, ended.err, kept.read_text()):
        assert not [value for value in THEIRS if value in text]
    assert kept.stat().st_mode & 0o077 == 0
    assert ended.json["left"] == 0
    assert ended.json["ids"] == {"member": 1, "slip": 2}


def test_what_is_computed_is_as_if_the_person_had_never_been(erased) -> None:
    library, _, _ = erased

    # S1, S2 and S7 on the first day, S3 on the second
    assert days(library.root / "var") == [("2026-03-01", 3, 2), ("2026-03-02", 1, 1)]


def test_footers_still_account_for_every_row_that_was_read(erased) -> None:
    library, _, _ = erased
    area = LandingArea(library.root / "var/landing")

    landed = [batch for table in ("members", "lendings") for batch in footers.history(area, table)]

    assert all(b.read == b.rows + b.rejected + b.unchanged for b in landed)
    assert sum(b.erased for b in landed) == 3  # a card and two slips; the third was rejected
    for batch in landed:
        rows = pq.read_metadata(area.path(batch.table, batch.batch)).num_rows
        assert rows == batch.rows


def test_entries_of_the_quarantine_keep_their_places_and_tell_nothing(erased) -> None:
    library, _, _ = erased

    rows = library.waypoint(
        "query", "select rule, payload, reason, message_offset from raw.quarantine", "--json"
    ).json

    assert {r["message_offset"]: (r["payload"], r["reason"]) for r in rows}[6] == (None, "[erased]")
    assert len(rows) == 2


def test_others_keep_their_rows_without_the_persons_name(erased) -> None:
    library, _, _ = erased

    (row,) = library.waypoint(
        "query",
        "select shelfmark, member_name from staging.stg_lendings where slip = 'S7'",
        "--json",
    ).json

    assert row == {"shelfmark": "left here by [erased]", "member_name": "Ada"}


def test_erasing_again_finds_nothing_and_no_source_brings_the_person_back(erased) -> None:
    library, _, exports = erased
    state = library.root / "var"
    before = days(state)
    desk, cards = state / "inbox/desk/lending-slips", state / "inbox/cards"
    # the same exports once more, one under other offsets, and the card in another file
    shutil.copy(exports / "desk/lending-slips/1.ndjson", desk / "again.ndjson")
    lines = (exports / "desk/lending-slips/1.ndjson").read_text().splitlines()
    moved = [{**json.loads(line), "partition": 1} for line in lines[:3]]
    (desk / "moved.ndjson").write_text("".join(json.dumps(m) + "\n" for m in moved))
    (cards / "late.csv").write_text(f"card,name,joined\n{CARD},{NAME},2026-02-20\n")

    for command in (("land",), ("load",)):
        ended = library.waypoint(*command)
        assert ended.code == 0, ended.err

    with duckdb.connect(str(state / "warehouse/waypoint.duckdb"), read_only=True) as connection:
        (cards_of,) = connection.execute(
            "select (select count(*) from raw.members where card = ?)"
            " + (select count(*) from raw.lendings where card = ?)"
            " + (select count(*) from raw.quarantine where contains(payload, ?))",
            [CARD] * 3,
        ).fetchall()
    assert cards_of == (0,)
    assert days(state) == before
    again = library.waypoint("privacy", "erase", "--user", CARD, "--dry-run", "--json").json
    assert again["tables"] == []


def test_an_erasure_that_was_interrupted_is_finished_by_the_next(
    before: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.copied_to(tmp_path / "library").connected()
    library.hand_out_cards("2026-04.csv", f"{CARD},{NAME},2026-02-20")
    library.lend("1.ndjson", *SLIPS, offset=4)
    for command in (("land",), ("load",)):
        assert library.waypoint(*command).code == 0
    project = Project(library.root, library.root / "var")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(erasing, "erase_tables", killed)
    with pytest.raises(KeyboardInterrupt):
        erasing.erase(project, [CARD])
    monkeypatch.undo()
    kept = project.state / "privacy/erasing.json"
    assert kept.stat().st_mode & 0o077 == 0
    rebuilt: list[str] = []

    def built(project: Project, touched: list[str], _: object) -> tuple[int, tuple[str, ...]]:
        rebuilt.extend(selection(project.contracts, touched))
        return 0, ()

    monkeypatch.setattr(erasing, "rebuild", built)

    receipt = erasing.erase(project, [])

    assert receipt.left == 0
    assert receipt.people and not kept.exists()
    # the files were done by the first, and what is made of them is built by the second
    assert {"source:raw.lendings+", "source:raw.members+"} <= set(rebuilt)
    assert found(project.state / "landing", THEIRS) == []

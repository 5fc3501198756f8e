"""Personal data in landed files: found by name and by content, settled by contracts only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.batches import land_query
from ingestion.engine import open_engine, text_literal
from ingestion.landing import LandingArea
from waypoint.contracts.model import Column, Contract, Contracts
from waypoint.privacy.detecting import is_card, scan
from waypoint.project import Project

TEXT = Column("note", "string", "varchar")
DOCUMENT = Column("extra", "object", "varchar")


class Landed(Project):
    """A project whose contracts are given, with rows of one table landed."""

    contracts: Contracts

    def __init__(self, folder: Path, columns: list[Column], rows: list[tuple[str, ...]]) -> None:
        super().__init__(root=folder, state=folder / "var")
        contract = Contract(
            path=folder / "letters.yaml",
            schema="raw",
            name="letters",
            version="1.0.0",
            status="active",
            owner="",
            domain="",
            description="",
            grain="",
            columns=(*columns, Column("_source", "string", "varchar")),
        )
        self.__dict__["contracts"] = Contracts([contract])
        values = ", ".join(f"({', '.join(map(text_literal, row))})" for row in rows)
        names = ", ".join(column.name for column in columns)
        with open_engine(self.state / "spill") as engine:
            land_query(
                engine,
                f"select * from (values {values}) as given({names})",
                contract=contract,
                source="post",
                batch="1",
                area=LandingArea(self.landing_dir),
            )


def kinds(project: Project) -> list[tuple[str, str | None, str]]:
    return [(found.column, found.field, found.kind) for found in scan(project)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to mei.o'brien+trips@mail.example.org please", "e-mail addresses"),
        ("call me: +49 (30) 1234-5678", "phone numbers"),
        ("paid with 4111 1111 1111 1111", "card numbers"),
        ("came from 192.168.17.4", "IP addresses"),
        ("came from 2001:0db8:0000:0000:0000:ff00:0042:8329", "IP addresses"),
        ("seen at 52.520008, 13.404954", "coordinates"),
    ],
)
def test_content_tells_in_columns_and_in_fields_of_documents(
    tmp_path: Path, text: str, kind: str
) -> None:
    document = json.dumps({"form": {"lines": ["nothing here", text]}})

    project = Landed(tmp_path, [TEXT, DOCUMENT], [(text, document)])

    assert kinds(project) == [("note", None, kind), ("extra", "form.lines.[]", kind)]


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 was sent",  # does not add up
        "version 1.2.3.4.5",
        "2026-11-22 11:00:00 to 2026-11-23",
        "550e8400-e29b-41d4-a716-446655440000",
        "ses_c1e5219ab39dcecf3a26 at 12.5 and 14.25",
        "a score of 0.89391, rank 4",
    ],
)
def test_numbers_that_are_nobodys_are_left_alone(tmp_path: Path, text: str) -> None:
    assert kinds(Landed(tmp_path, [TEXT], [(text,)])) == []


def test_names_tell_where_values_do_not(tmp_path: Path) -> None:
    document = json.dumps({"sender": {"lastName": "x", "box": "y"}})

    project = Landed(tmp_path, [replace(TEXT, name="phone"), DOCUMENT], [("-", document)])

    assert kinds(project) == [
        ("phone", None, "name of the field"),
        ("extra", "sender.lastName", "name of the field"),
    ]


@pytest.mark.parametrize(
    "settled",
    [{"classification": "pii"}, {"custom": {"notPersonal": "letters are made up"}}],
    ids=["classified", "waived"],
)
def test_what_the_contract_settles_is_no_finding(
    tmp_path: Path, settled: dict[str, object]
) -> None:
    column = replace(TEXT, **settled)  # type: ignore[arg-type]

    assert kinds(Landed(tmp_path, [column], [("ada@example.com",)])) == []


def test_one_field_can_be_waived_and_the_others_are_looked_at_still(tmp_path: Path) -> None:
    column = replace(DOCUMENT, custom={"notPersonalFields": {"place.lat": "of a place"}})
    document = json.dumps({"place": {"lat": 52.5}, "by": "ada@example.com"})

    assert kinds(Landed(tmp_path, [column], [(document,)])) == [("extra", "by", "e-mail addresses")]


@pytest.mark.parametrize(
    ("number", "is_one"),
    [
        ("4111111111111111", True),
        ("5500-0000-0000-0004", True),
        ("378282246310005", True),
        ("4111111111111112", False),
        ("0000000000000000", False),
        ("411111", False),
    ],
)
def test_cards_are_told_by_their_check_digit(number: str, is_one: bool) -> None:
    assert is_card(number) is is_one

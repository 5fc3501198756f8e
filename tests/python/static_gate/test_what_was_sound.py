"""A second check looks only at what is not known to be sound."""

from __future__ import annotations

from pathlib import Path

from waypoint.contracts.model import Column, Contract, Contracts
from waypoint.snowflake.memory import Memory
from waypoint.snowflake.statement import Statement


def contracts(type_: str = "bigint") -> Contracts:
    columns = (Column("id", "", type_),)
    return Contracts([Contract(Path(), "raw", "orders", "1.0.0", "", "", "", "", "", columns)])


def statement(sql: str = "select id from raw.orders", type_: str = "bigint") -> Statement:
    return Statement("orders", Path("orders.sql"), sql, {"id": type_})


def test_what_was_sound_is_known_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "sound.json"
    assert not Memory(file, contracts()).is_sound(statement())
    Memory(file, contracts()).keep([statement()])

    assert Memory(file, contracts()).is_sound(statement())
    assert not Memory(file, contracts()).is_sound(statement("select id from raw.order"))
    assert not Memory(file, contracts()).is_sound(statement(type_="varchar"))
    # of the same text, a changed contract makes another statement
    assert not Memory(file, contracts("varchar")).is_sound(statement())


def test_a_file_that_cannot_be_read_is_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "sound.json"
    file.write_text("no JSON")
    assert not Memory(file, contracts()).is_sound(statement())

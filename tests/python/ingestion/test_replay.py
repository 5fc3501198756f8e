"""Rejected rows that keep a mended contract land as if it had always been so, exactly once."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ingestion.landing import LandingAreaFull
from ingestion.quarantine import Wanted, listed, open_rows, summary
from ingestion.replay import Replayed, replay

STRICT = {
    "id": "bigint required",
    "kind": "varchar required in=a|b",
    "amount": "decimal(9,2) min=0",
    "at": "timestamp",
}
MENDED = {
    "id": "bigint required",
    "kind": "varchar in=a|b|c",
    "amount": "decimal(18,4)",
    "at": "timestamp",
}
FILE = {"_file": "varchar", "_line": "bigint"}


def replayed(world: Any, dry_run: bool = False, **wanted: Any) -> list[Replayed]:
    spill = world.project.state / "spill"
    context = world.context
    return list(replay(world.area, context.contracts, spill, Wanted(**wanted), dry_run))


def still_open(world: Any, **wanted: Any) -> list[Any]:
    with open_rows(world.area, world.project.state / "spill", Wanted(**wanted)) as engine:
        return listed(engine, world.context.contracts)


def groups(world: Any) -> list[Any]:
    with open_rows(world.area, world.project.state / "spill", Wanted()) as engine:
        return summary(engine, world.context.contracts)


def csv(*rows: tuple[str, ...]) -> str:
    return "\n".join(",".join(row) for row in (("id", "kind", "amount", "at"), *rows)) + "\n"


def csv_contract(world: Any, columns: dict[str, str]) -> None:
    world.contract("things", columns | FILE)


def topic_contract(world: Any, columns: dict[str, str]) -> None:
    world.topic("clicks", "things", columns)


def dump(drops: Any, name: str, *values: Any, first: int = 0) -> None:
    lines = (
        {"topic": "clicks", "partition": 0, "offset": n, "timestamp": 1769853600123 + n,
         "key": f"k{n}", "value": value}
        for n, value in enumerate(values, start=first)
    )  # fmt: skip
    drops.write(f"clicks/{name}", "".join(json.dumps(line) + "\n" for line in lines))


CELLS = {
    "id": ["1", "27", "x", ""],
    "kind": ["a", "b", "c", "d", ""],
    "amount": ["1", "12.50", "-3", "0.1234", "12345678.5", "n/a", ""],
    "at": ["2026-01-31 10:00:00", "2026-01-31T10:00:00.5Z", "never", ""],
}


@pytest.fixture
def other_world(world: Any, tmp_path: Path) -> Any:
    """One in which the contract has always been the mended one."""
    return type(world)(tmp_path / "other")


def test_files_replayed_under_a_mended_contract_are_as_if_landed_under_it(
    world: Any, other_world: Any, drops: Any
) -> None:
    """With every combination of cells that a row can have."""
    columns = '_line, _source, id, kind, amount, "at", _file'
    drops.write("a.csv", csv(*product(*CELLS.values())))
    csv_contract(world, STRICT)
    world.extract("files", folder=str(drops.folder), table="things")
    rejected = len(still_open(world))
    csv_contract(world, MENDED)
    replayed(world)
    csv_contract(other_world, MENDED)
    other_world.extract("files", folder=str(drops.folder), table="things")

    assert world.landed("things", columns) == other_world.landed("things", columns)
    reasons = {(row.place, row.rule, row.reason) for row in still_open(world)}
    assert reasons == {(row.place, row.rule, row.reason) for row in still_open(other_world)}
    assert 0 < len(still_open(world)) < rejected


def test_messages_replayed_under_a_mended_contract_are_as_if_landed_under_it(
    world: Any, other_world: Any, drops: Any
) -> None:
    columns = (
        '_offset, _partition, _source, id, kind, amount, "at", _kafka_timestamp, _key, _payload'
    )
    fields = {
        "id": [1, "2", None, "x"],
        "kind": ["a", "c", "d", None, {"a": 1}],
        "amount": [1, 2.5, -1, 0.1234, "n/a", None],
        "at": ["2026-01-31T10:00:00Z", "never", None],
    }
    values = [dict(zip(fields, found, strict=True)) for found in product(*fields.values())]
    dump(drops, "a.ndjson", *values, "no object", None, [1])
    topic_contract(world, STRICT)
    world.extract("dumps", folder=str(drops.folder))
    rejected = len(still_open(world))
    topic_contract(world, MENDED)
    replayed(world)
    topic_contract(other_world, MENDED)
    other_world.extract("dumps", folder=str(drops.folder))

    assert world.landed("things", columns) == other_world.landed("things", columns)
    reasons = {(row.place, row.rule, row.reason) for row in still_open(world)}
    assert reasons == {(row.place, row.rule, row.reason) for row in still_open(other_world)}
    assert 0 < len(still_open(world)) < rejected


def rejected_by_strict(world: Any, drops: Any) -> None:
    """Two good rows and three bad ones, of which the mended contract takes two."""
    csv_contract(world, STRICT)
    drops.write(
        "a.csv",
        csv(
            ("1", "a", "1.00", ""),
            ("2", "c", "2.00", ""),
            ("3", "b", "-3.00", ""),
            ("x", "b", "4.00", ""),
            ("5", "b", "5.00", ""),
        ),
    )
    world.extract("files", folder=str(drops.folder), table="things")
    assert len(still_open(world)) == 3


def test_a_second_replay_does_nothing(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    csv_contract(world, MENDED)
    (first,) = replayed(world)
    files = world.files()
    (second,) = replayed(world)

    assert (first.tried, first.landed, dict(first.failing)) == (3, 2, {"id_is_integer": 1})
    assert (second.tried, second.landed, second.batch) == (1, 0, None)
    assert world.files() == files


def test_nothing_is_landed_while_the_contract_is_as_it_was(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    files = world.files()
    (outcome,) = replayed(world)

    assert (outcome.landed, outcome.batch) == (0, None)
    assert world.files() == files


def test_a_dry_run_says_what_would_be_and_does_nothing(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    csv_contract(world, MENDED)
    files = world.files()
    (outcome,) = replayed(world, dry_run=True)

    assert (outcome.landed, outcome.batch) == (2, None)
    assert world.files() == files


def test_only_the_rows_that_are_asked_for_are_replayed(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    csv_contract(world, MENDED)
    (outcome,) = replayed(world, rule="kind_is_allowed")

    assert (outcome.tried, outcome.landed) == (1, 1)
    assert {row.rule for row in still_open(world)} == {"amount_at_least_minimum", "id_is_integer"}
    assert replayed(world, table="others") == []


def test_what_fails_for_another_reason_has_the_new_one(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    csv_contract(
        world, STRICT | {"kind": "varchar required in=a|b|c", "amount": "decimal(9,2) min=3"}
    )
    replayed(world)

    told = {row.place: row.rule for row in still_open(world)}
    assert told == {
        "a.csv, line 3": "amount_at_least_minimum",
        "a.csv, line 4": "amount_at_least_minimum",
        "a.csv, line 5": "id_is_integer",
    }
    assert len(still_open(world)) == 3


def test_a_replay_that_was_cut_off_is_done_by_the_next(
    world: Any, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejected_by_strict(world, drops)
    changed = {"kind": "varchar", "amount": "decimal(9,2) min=-9", "id": "bigint required min=3"}
    csv_contract(world, STRICT | changed)
    rename = os.replace

    def killed_before_the_good_rows(source: Any, target: Any) -> None:
        if "quarantine" not in str(target):
            raise LandingAreaFull("full")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed_before_the_good_rows)
        with pytest.raises(LandingAreaFull):
            replayed(world)
    assert len(still_open(world)) == 3  # what landed in quarantine alone is none of it yet
    csv_contract(world, MENDED)
    replayed(world)
    assert len(still_open(world)) == 1
    assert sorted(row[0] for row in world.landed("things", "id")) == [1, 2, 3, 5]


def test_replayed_rows_load_and_rows_are_accounted_for(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    csv_contract(world, MENDED)
    world.load()
    replayed(world)
    loaded = world.load()

    assert loaded.rows["things"] == 2
    rows = "select id, _file, _line, _batch like 'replay-%' from raw.things where id in (2, 3)"
    assert sorted(world.warehouse(rows)) == [(2, "a.csv", 3, True), (3, "a.csv", 4, True)]


def test_a_file_and_a_dump_dropped_again_after_a_replay_land_nothing(
    world: Any, drops: Any
) -> None:
    topic_contract(world, STRICT)
    dump(drops, "a.ndjson", {"id": 1, "kind": "c"}, {"id": 2, "kind": "a"})
    world.extract("dumps", folder=str(drops.folder))
    topic_contract(world, MENDED)
    (outcome,) = replayed(world)
    dump(drops, "again.ndjson", {"id": 1, "kind": "c"}, {"id": 2, "kind": "a"}, {"id": 3})
    world.extract("dumps", folder=str(drops.folder))

    assert (outcome.topic, outcome.landed) == ("clicks", 1)
    assert [n for (n,) in world.landed("things", "_offset")] == [0, 1, 2]


def test_what_cannot_be_replayed_is_said_and_stays(world: Any, drops: Any) -> None:
    csv_contract(world, STRICT)
    drops.write("a.csv", "id,kind,amount,at\n1,a\n2,b,1,,5\n")
    world.extract("files", folder=str(drops.folder), table="things")
    (outcome,) = replayed(world)

    assert list(outcome.cannot.values()) == [2]
    assert "mend the file" in next(iter(outcome.cannot))
    assert len(still_open(world)) == 2


def test_values_of_personal_fields_are_not_told(world: Any, drops: Any) -> None:
    columns = {"id": "bigint required", "phone": "varchar required like=[0-9]+", "size": "bigint"}
    contract = world.contract("things", columns | FILE)
    personal = tuple(
        replace(c, classification="pii") if c.name == "phone" else c for c in contract.columns
    )
    world.contracts[-1] = replace(contract, columns=personal)
    drops.write("a.csv", "id,phone,size\n1,secret-1,2\n2,77,small\n3,secret-2,small\n4,55\n")
    world.extract("files", folder=str(drops.folder), table="things")

    rows = {row.place: row for row in still_open(world)}
    assert rows["a.csv, line 3"].reason == "size: 'small' is not a whole number"
    assert rows["a.csv, line 2"].reason is None
    assert rows["a.csv, line 4"].reason is None
    assert "secret" not in repr(rows) + repr(groups(world))


def test_rows_are_summed_up_by_table_source_and_rule(world: Any, drops: Any) -> None:
    rejected_by_strict(world, drops)
    drops.write("b.csv", csv(("7", "z", "", "")))
    world.extract("files", folder=str(drops.folder), table="things")

    first, *_ = groups(world)
    assert (first.table, first.source, first.rule, first.rows) == (
        "things", "test", "kind_is_allowed", 2
    )  # fmt: skip
    assert first.place == "a.csv, line 3"
    assert first.id.startswith("things/csv-") and "#" in first.id

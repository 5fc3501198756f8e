"""What names, reaches or locates somebody is nowhere that analysts look; searched for by value."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from privacy import positions, values
from privacy.positions import Positions
from privacy.values import Values, in_what_is_shown, shown
from privacy.whole_project import WholeProject


def test_values_are_found_in_texts_and_told_apart() -> None:
    sought = Values(["ada@example.com", "Ada Lovelace", "+49 30 1234567", "acc_0030"])

    assert len(sought) == 4
    assert sought.within('{"to": "ADA@example.com"}') == {"ada@example.com"}
    assert sought.within("acc_0030 of ada lovelace") == {"acc_0030", "ada lovelace"}
    assert sought.within("ada at example.com, +49 30 7654321, acc_00301") == set()


def test_positions_are_found_in_either_order_and_told_from_other_numbers() -> None:
    sought = Positions([("52.520008", "13.404954")])

    assert sought.within('{"lat": 52.520008, "lng": 13.404954}') == {"52.520008, 13.404954"}
    assert sought.within("POINT(13.4049540 52.520008)") == {"13.4049540, 52.520008"}
    assert sought.within("52.520008 alone, 13.404954") == {"52.520008, 13.404954"}
    assert sought.within("152.520008 13.404954") == set()
    assert sought.within("at 52.520008, and a good deal further on 13.404954") == set()
    assert sought.within("52.520008 13.40495") == set()


def test_both_are_found_in_a_file_and_in_columns(tmp_path: Path) -> None:
    named, located = Values(["ada@example.com"]), Positions([("52.520008", "13.404954")])
    page, copy = tmp_path / "page.html", tmp_path / "copy.duckdb"
    page.write_bytes(b"\xff\x00<p>ada@example.com</p> 52.520008,13.404954")
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "create table seen as select 52.520008::double as lat, 13.404954::double as lng,"
            " 'from ada@example.com' as said"
        )

    assert [str(found) for found in named.in_file(page)] == ["page.html: ada@example.com"]
    assert [found.where for found in located.in_file(page)] == ["page.html"]
    assert [found.where for found in named.in_tables(copy)] == ["main.seen.said"]
    assert [found.where for found in located.in_tables(copy)] == ["main.seen.lat"]


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_what_others_see_of_the_whole_project_tells_of_nobody(whole: WholeProject) -> None:
    warehouse = whole.state / "warehouse/waypoint.duckdb"
    named, located = values.of_people(warehouse), positions.of_people(warehouse)
    assert len(named) > 10_000 and len(located) > 10_000
    files = list(shown(whole.state))
    assert {"analyst.duckdb", "index.html", "dbt.log"} <= {path.name for path in files}

    found = [*in_what_is_shown(whole.state, named), *in_what_is_shown(whole.state, located)]

    size = sum(path.stat().st_size for path in files) / 1e6
    print(
        f"\n{len(named):,} values and {len(located):,} positions searched for in {len(files)}"
        f" files of {size:,.0f} MB and in all marts and features: {len(found)} found"
    )
    assert found == []


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_what_leaks_from_the_whole_project_is_found(whole: WholeProject, tmp_path: Path) -> None:
    warehouse = whole.state / "warehouse/waypoint.duckdb"
    named, located = values.of_people(warehouse), positions.of_people(warehouse)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        ((email, name, position),) = connection.execute(
            "select email, full_name, location from staging.stg_users"
            " join raw.location_events using (user_id) where email is not null"
            " order by event_id limit 1"
        ).fetchall()
    copy = tmp_path / "analyst.duckdb"
    shutil.copy(whole.state / "published/analyst.duckdb", copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "update marts.dim_users set city = 'near ' || ?, segment = ? where user_id ="
            " (select min(user_id) from marts.dim_users)",
            [name, position],
        )
    log = tmp_path / "dbt.log"
    log.write_text(f"12:00 could not read the row of {email.upper()}\n")

    assert {found.where for found in named.in_tables(copy)} == {"marts.dim_users.city"}
    assert {found.where for found in located.in_tables(copy)} == {"marts.dim_users.segment"}
    assert [found.value for found in named.in_file(log)] == [email]

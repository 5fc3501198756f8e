"""What maintenance is on Snowflake: statements in order, of what the contracts say."""

from __future__ import annotations

import shutil

import pytest
import sqlglot

from waypoint.maintenance import maintain
from waypoint.project import Project


@pytest.fixture
def snowflake(kept):
    path = kept.library.root / "contracts/raw/lendings.yaml"
    said = "customProperties:\n  - property: expiredRows\n    value: archive\n"
    path.write_text(path.read_text() + said)
    folder = kept.library.root / "target/snowflake"
    folder.mkdir()
    shutil.copy(kept.library.root / "target/manifest.json", folder)
    return Project(kept.library.root, kept.project.state, "snowflake")


def test_rows_are_archived_before_they_are_deleted_in_one_transaction(snowflake):
    statements = maintain(snowflake, dry_run=True).statements

    about = [s for s in statements if "LENDINGS" in s or s in ("begin", "commit")]
    kinds = [" ".join(s.split()[:2]) for s in about[:5]]
    assert kinds == ["alter table", "begin", "copy into", "delete from", "commit"]
    assert "create stage" in statements[0]
    _, _, copy, delete, _ = about[:5]
    for statement in (copy, delete):
        assert "\"LENT\" < '2026-01-31 12:00:00'::timestamp_ntz" in statement
        assert 'select max("LOADED_AT") from "STAGING"."STG_LENDINGS"' in statement


def test_snowflake_can_read_them(snowflake):
    for statement in maintain(snowflake, dry_run=True).statements:
        if not statement.startswith("copy into"):  # nobody's parser knows all of its options
            assert sqlglot.parse_one(statement, dialect="snowflake")


def test_nothing_is_deleted_that_something_is_made_of_again(snowflake):
    manifest = snowflake.root / "target/snowflake/manifest.json"
    text = manifest.read_text().replace('"full_refresh": false', '"full_refresh": null')
    manifest.write_text(text)

    statements = maintain(snowflake, dry_run=True).statements

    assert not [s for s in statements if s.startswith("delete") and "LENDINGS" in s]
    assert any(
        s.startswith("-- raw.lendings keeps rows older than 30 days: staging.stg_lendings keeps")
        for s in statements
    )

"""What a person sees when a contract is broken, a model does not build, or dbt cannot start."""

from __future__ import annotations

import shutil

import pytest

from waypoint.errors import Exit

COUNTED = ["query", "select count(*) as n from staging.stg_lendings", "--json"]


@pytest.fixture
def library(connected_tiny_project):
    return connected_tiny_project


@pytest.fixture(scope="module")
def failed(published_tiny_project, tmp_path_factory):
    """A published project into which a slip came that breaks a rule, and how that run ended."""
    root = tmp_path_factory.mktemp("failed") / "library"
    shutil.copytree(published_tiny_project.root, root)
    library = type(published_tiny_project)(root, published_tiny_project.environment)
    contract = root / "contracts" / "staging" / "stg_lendings.yaml"
    asked = "description: Shelfmark of the book.\n"
    pattern = "        logicalTypeOptions:\n          pattern: '^[B-Z].*|A 17$'\n"
    contract.write_text(contract.read_text().replace(asked, asked + pattern))
    assert library.waypoint("contracts", "render").code == Exit.OK
    library = library.with_desk(root / "more")
    slip = ("S9", "C0001", "A 1", "2026-03-01T12:00:00.000Z", 7)
    library.lend("1.ndjson", slip, offset=4)
    return library, library.waypoint("run", "--as-of", "2026-03-02T12:00:00")


def test_a_broken_rule_is_named_with_its_table_and_rows(failed):
    _, ended = failed

    assert ended.code == Exit.FOUND_FAILURES
    assert "staging.stg_lendings: shelfmark_matches_pattern is broken once" in ended.out
    assert "nothing was published" in ended.out


def test_readers_keep_what_was_published_before_a_failed_build(failed, published_tiny_project):
    library, _ = failed

    assert library.waypoint(*COUNTED).json == published_tiny_project.waypoint(*COUNTED).json


def test_publishing_after_a_failed_build_needs_force(failed, tmp_path):
    shutil.copytree(failed[0].root, tmp_path / "copy")
    library = type(failed[0])(tmp_path / "copy", failed[0].environment)

    refused = library.waypoint("publish")
    forced = library.waypoint("publish", "--force", "--json")

    assert refused.code == Exit.FOUND_FAILURES
    assert "--force" in refused.err
    assert forced.code == Exit.OK
    assert library.waypoint(*COUNTED).json == [{"n": 4}]


def test_a_model_that_does_not_build_is_named_with_the_reason(library):
    model = library.root / "models" / "marts" / "lendings_by_day.sql"
    model.write_text(model.read_text().replace("count(distinct card)", "count(distinct crad)"))

    ended = library.waypoint("run", "--as-of", "2026-03-02T12:00:00")

    assert ended.code == Exit.FOUND_FAILURES
    assert "marts.lendings_by_day could not be built" in ended.out
    assert "crad" in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_a_project_that_does_not_compile_is_told_in_dbts_words(library):
    model = library.root / "models" / "marts" / "lendings_by_day.sql"
    model.write_text("select * from {{ ref('nothing_like_it') }}")

    ended = library.waypoint("build")

    assert ended.code == Exit.FOUND_FAILURES
    assert "nothing_like_it" in ended.err
    assert "Traceback" not in ended.err


def test_a_part_of_the_models_is_built_on_request_but_not_published(library):
    built = library.waypoint("build", "--json", "--", "--select", "stg_lendings")
    refused = library.waypoint("publish")

    assert built.json["counts"] == {"model": 1, "test": 1}
    assert refused.code == Exit.FOUND_FAILURES
    assert "in part" in refused.err


def test_a_source_that_fails_stops_no_other(published_tiny_project, tmp_path):
    shutil.copytree(published_tiny_project.root, tmp_path / "copy")
    sources = published_tiny_project.environment | {"LIBRARY_CARD_INDEX": str(tmp_path / "gone")}
    library = type(published_tiny_project)(tmp_path / "copy", sources)
    library = library.with_desk(tmp_path / "desk")
    library.lend("1.ndjson", ("S4", "C0002", "C 1", "2026-03-02T11:00:00.000Z", 7), offset=4)

    ended = library.waypoint("run", "--as-of", "2026-03-02T12:00:00")

    assert ended.code == Exit.FOUND_FAILURES
    assert "✗ source card_index" in ended.out
    assert "gone" in ended.out
    assert library.waypoint(*COUNTED).json == [{"n": 4}]

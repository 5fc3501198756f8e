"""`waypoint run --quality`: suites at the end of a run, on what it has just published."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import AS_OF, Library


def test_a_run_refuses_at_once_what_it_could_not_do_at_its_end(tmp_path: Path) -> None:
    library = Library.copied_to(tmp_path / "library").connected()
    for words in (["--quality", "some"], ["--quality", "critical"]):  # nothing is tagged critical
        ended = library.waypoint("run", *words)
        assert ended.code == 2, ended.err
    assert not (library.state / "landing").exists()


@pytest.mark.long
def test_a_run_holds_what_it_published_against_the_suites(tmp_path: Path) -> None:
    library = Library.copied_to(tmp_path / "library").connected()
    ended = library.waypoint("run", "--as-of", AS_OF, "--quality", "all", "--json")
    assert ended.code == 0, ended.err
    quality = ended.json["quality"]
    tables = {table["table"]: table["findings"] for table in quality["tables"]}
    assert {"raw.lendings", "staging.stg_lendings", "marts.lendings_by_day"} <= set(tables)
    assert not any(tables.values())
    assert Path(quality["data_docs"]).is_file()
    assert ended.json["seconds"]["quality"] > 0
    assert library.waypoint("run", "--json").json["quality"] is None

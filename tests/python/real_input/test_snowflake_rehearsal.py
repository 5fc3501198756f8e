"""The real data, built for Snowflake on a stand-in and on DuckDB: the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import CommandLine
from real_input.datasets import ROOT
from real_input.pipeline import Run, Sources

pytest.importorskip("dbt.adapters.snowflake")
pytest.importorskip("fakesnow")


@pytest.mark.real_input
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_model_gives_the_same_rows_of_real_data(
    sources: Sources, run: Run, tmp_path: Path
) -> None:
    ended = CommandLine(ROOT).waypoint(
        "snowflake", "rehearse", "--input", sources.state, "--json", WAYPOINT_STATE=str(tmp_path)
    )
    different = [m for m in ended.json["models"] if not m["equal"]] if ended.out else []
    assert ended.code == 0, json.dumps(different, indent=1)[:20_000] + ended.err[-5_000:]
    assert len(ended.json["models"]) >= 60

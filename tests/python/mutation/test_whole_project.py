"""The contracts of this repository notice at least 95 % of all damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from conftest import CommandLine

REPOSITORY = Path(__file__).parents[3]
COPIED = ("contracts", "dbt_project", "ingestion", "macros", "models", "scenario", "seeds", "tests")
#: Weeks of thin history, so that every table has rows and no query takes long.
PERIOD = {"history": "14 days", "full": "2 hours"}


def thin_project(root: Path) -> CommandLine:
    """A copy of this repository's project with a short scenario, built."""
    root.mkdir()
    for name in COPIED:
        shutil.copytree(
            REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("python", "__pycache__")
        )
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(REPOSITORY / name, root)
    path = root / "scenario" / "scenario.yml"
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    scenario["period"] = PERIOD
    path.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    project = CommandLine(root)
    ended = project.waypoint("run", "--as-of", "2026-01-31T10:00:00")
    assert ended.code == 0, ended.out + ended.err
    return project


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_at_least_95_percent_of_all_damage_is_noticed(tmp_path: Path) -> None:
    project = thin_project(tmp_path / "project")
    ended = project.waypoint("contracts", "mutate", "--json", "--at-least", "95")
    report = ended.json
    assert report["mutants"] > 3_000
    assert ended.code == 0, report["survivors"]
    # every table was damaged that has rows, and no query is left untried for want of patience
    empty = [c["contract"] for c in report["contracts"] if c.get("left_out") and "topics." not in c]
    assert not [name for name in empty if name.startswith(("staging.", "ml_features."))]

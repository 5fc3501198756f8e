"""What the simulated sources send holds no personal data that no contract speaks of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from simulator.simulated_world import World

from ingestion.extraction import Context, Source
from ingestion.extractors import dumps, files
from ingestion.landing import LandingArea
from waypoint.contracts.model import Column, Contracts
from waypoint.contracts.person_keys import PERSON_KEY
from waypoint.privacy.detecting import Finding, scan
from waypoint.project import Project

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def landed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the world's exports and files have landed."""
    project = Project(root=ROOT, state=tmp_path_factory.mktemp("landed"))
    context = Context(
        contracts=project.contracts,
        area=LandingArea(project.landing_dir),
        state=project.state,
        now=datetime(2030, 1, 1),
    )
    settings = {"settle": "0 seconds"}
    exports = Source("exports", "dumps", {"folder": str(world.places.dumps), **settings})
    for _ in dumps.extract(exports, context):
        pass
    drops = {"folder": str(world.places.drops), "table": "transactions", **settings}
    for _ in files.extract(Source("files", "files", drops), context):
        pass
    return project


def test_every_finding_is_classified_or_waived(landed: Project) -> None:
    assert len(LandingArea(landed.landing_dir).tables()) > 10
    assert scan(landed) == []


def test_taking_away_what_settles_a_finding_brings_it_back(landed: Project) -> None:
    contracts = [
        replace(
            contract,
            columns=tuple(
                replace(column, classification=None, custom=_keys_only(column), columns=())
                for column in contract.columns
            ),
        )
        for contract in landed.contracts.values()
    ]
    unsaid = Project(root=ROOT, state=landed.state)
    unsaid.__dict__["contracts"] = Contracts(contracts)

    found = scan(unsaid)

    assert {"cdc_changes", "external_data", "location_events"} <= {f.table for f in found}
    assert any(_is(f, "cdc_changes", "e-mail addresses") for f in found)
    assert any(_is(f, "cdc_changes", "phone numbers") for f in found)


def _keys_only(column: Column) -> dict[str, object]:
    return {name: said for name, said in column.custom.items() if name == PERSON_KEY}


def _is(finding: Finding, table: str, kind: str) -> bool:
    return finding.table == table and finding.kind == kind

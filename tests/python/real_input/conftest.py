"""All real data sets, put where their like would come from, and taken in by one `waypoint run`.

The data is no part of the project: it is expected in ../shared/data, and where it is not there,
the tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from real_input.datasets import ROOT, DataSets
from real_input.pipeline import Run, Sources

from waypoint.services import postgres
from waypoint.simulator.stripe_api import ChargeStore, serving

DATA = ROOT.parent / "shared" / "data"
STRIPE_KEY = "sk_test_real_input"


@pytest.fixture(scope="session")
def data() -> DataSets:
    if not DATA.is_dir():
        pytest.skip(f"the real data is not there: {DATA}")
    return DataSets(DATA)


@pytest.fixture(scope="session")
def sources(data: DataSets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    """The data sets in a database, behind an API, as a file drop and as dumps."""
    folder = tmp_path_factory.mktemp("real_input")
    data.dump(folder / "dumps")
    data.jaffle_shop.drop(folder / "transactions")
    charges = ChargeStore(folder / "charges.sqlite")
    charges.upsert(data.olist.charges())
    with (
        postgres.running(folder / "postgres") as server,
        serving(charges, key=STRIPE_KEY) as api,
    ):
        dsn = server.database("travel_booking")
        data.fill_database(dsn)
        yield Sources(
            state=folder / "var",
            variables={
                "WAYPOINT_TRAVEL_BOOKING_DSN": dsn,
                "STRIPE_API_BASE": api.url,
                "STRIPE_API_KEY": api.key,
                "WAYPOINT_TRANSACTION_FILES": str(folder / "transactions"),
                "WAYPOINT_KAFKA_DUMPS": str(folder / "dumps"),
            },
        )


@pytest.fixture(scope="session")
def run(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The first run."""
    return sources.run(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="session")
def second_run(sources: Sources, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Another run over the same input."""
    return sources.run(tmp_path_factory.mktemp("second"))


@pytest.fixture(scope="session")
def warehouse(run: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    """What the first run published."""
    with duckdb.connect(run.warehouse, read_only=True) as connection:
        yield connection

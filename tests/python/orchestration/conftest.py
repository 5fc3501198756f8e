"""An Airflow of the test's own, and a library with more than one branch in its graph."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Airflow reads its settings once, as it is imported
REPOSITORY = Path(__file__).resolve().parents[3]
_HOME = Path(tempfile.mkdtemp(prefix="waypoint-test-airflow-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "waypoint/orchestration/plugins"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        # what a test before this wrote of a DAG of the same name is not what this one reads
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "AIRFLOW__OPENLINEAGE__DISABLED": "True",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
)

MODELS = {
    "staging/stg_members.sql": """
        select card, name, _loaded_at as loaded_at from {{ source('raw', 'members') }}
    """,
    "marts/members_total.sql": """
        select count(*) as members, max(loaded_at) as loaded_at from {{ ref('stg_members') }}
    """,
    "marts/lendings_total.sql": """
        select count(*) as lendings, max(loaded_at) as loaded_at from {{ ref('stg_lendings') }}
    """,
    "exposures.yml": """
exposures:
  - name: desk_overview
    label: Desk Overview
    type: dashboard
    owner: {name: desk, email: desk@library.example}
    depends_on: [ref('lendings_by_day'), ref('members_total')]
""",
}


@dataclass
class World:
    """A library whose graph has two branches: lendings (and members), and members alone."""

    library: Any
    project: Any

    def dags(self) -> dict[str, Any]:
        """The DAGs of the files in dags/, as Airflow reads them."""
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(self.library.root / "dags", safe_mode=False, bundle_name="dags-folder")
        assert bag.import_errors == {}
        return dict(bag.dags)

    def synced(self) -> None:
        """Let Airflow's database know the DAGs."""
        from airflow.dag_processing.dagbag import sync_bag_to_db

        sync_bag_to_db(self._bag(), "dags-folder", None)

    def _bag(self) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        airflow_database()
        bag = DagBag(self.library.root / "dags", safe_mode=False, bundle_name="dags-folder")
        assert bag.import_errors == {}
        return bag

    def ran(self, which: str = "hourly") -> dict[str, str]:
        """The state of each task after a run of a DAG, tasks tried once only."""
        from airflow.dag_processing.dagbag import sync_bag_to_db

        bag = self._bag()
        dag = bag.dags[which]
        dag.deadline = None  # the scheduler's to watch
        for task in dag.tasks:
            task.retries = 0  # not after five minutes
        sync_bag_to_db(bag, "dags-folder", None)
        run = dag.test()
        return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}

    def parse(self) -> None:
        from waypoint.dbt_running import compile_project

        compile_project(self.project)

    def write(self, path: str, text: str) -> None:
        file = self.library.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def set_clock(self, as_of: str) -> None:
        self.project.state.mkdir(exist_ok=True)
        (self.project.state / "clock.json").write_text(f'{{"as_of": "{as_of}"}}')

    def alerts(self) -> list[dict[str, Any]]:
        import json

        path = self.project.state / "orchestration" / "alerts.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]


def grown(library: Any) -> World:
    from waypoint.project import Project

    for path, text in MODELS.items():
        file = library.root / "models" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    shutil.copytree(REPOSITORY / "dags", library.root / "dags")
    return World(library, Project.find(library.root))


@pytest.fixture(scope="session")
def loaded_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world with a little in raw, and a manifest. Only copied from."""
    from conftest import AS_OF, Library

    library = Library.copied_to(tmp_path_factory.mktemp("orchestrated") / "library").connected()
    world = grown(library)
    world.set_clock(AS_OF)
    land_and_load(world.project, library.environment)
    world.parse()
    return world


def land_and_load(project: Any, environment: dict[str, str]) -> None:
    """Bring what is new in the sources into raw, in this process."""
    from ingestion.extraction import Context, Outcome
    from ingestion.landing import LandingArea
    from ingestion.loading import load_landed
    from ingestion.pull import pull
    from ingestion.sources import read_sources
    from waypoint.clock import now, read_clock

    area = LandingArea(project.landing_dir)
    reading = Context(project.contracts, area, project.state, now(project))
    for outcome in pull(read_sources(project, environment), reading):
        assert isinstance(outcome, Outcome), outcome
    load_landed(project, read_clock(project))


@pytest.fixture
def world(loaded_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of the loaded world, its sources connected in this process."""
    from conftest import Library

    from waypoint.project import Project

    root = tmp_path / "library"
    shutil.copytree(loaded_world.library.root, root)
    for name, value in loaded_world.library.environment.items():
        monkeypatch.setenv(name, value)
    return World(Library(root, loaded_world.library.environment), Project.find(root))


@functools.cache
def airflow_database() -> None:
    """Airflow's database with the pools that the DAGs name; only what runs a DAG needs it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    from waypoint.orchestration.prepare import main

    (_HOME / "dags").mkdir(exist_ok=True)
    main()
    DagBundlesManager().sync_bundles_to_db()


@pytest.fixture(scope="session")
def make_world() -> Any:
    """Makes a world of a copy of the tiny project."""
    return grown

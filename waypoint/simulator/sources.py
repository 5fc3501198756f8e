"""The simulated sources of a project, running: an environment under which they can be read.

    with simulated_sources(project) as environment:
        sources = read_sources(project, environment)

They are played by `waypoint.simulator.play`, before or meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from waypoint.project import Project
from waypoint.services import postgres
from waypoint.simulator.scenario import Scenario, read_scenario
from waypoint.simulator.stripe_api import ChargeStore, serving

#: What the local server asks for; it listens on 127.0.0.1 only and holds nothing that is real.
LOCAL_KEY = "sk_test_simulated"


@dataclass(frozen=True)
class Places:
    """Where the simulator keeps what it plays, below the project's state."""

    state_file: Path
    dumps: Path
    drops: Path
    charges: Path
    scratch: Path
    postgres: Path

    @classmethod
    def of(cls, project: Project) -> Places:
        root = project.state / "simulator"
        return cls(
            state_file=root / "played.json",
            dumps=root / "topics",
            drops=root / "files",
            charges=root / "charges.sqlite",
            scratch=root / "scratch",
            postgres=project.state / "postgres",
        )


@contextmanager
def simulated_sources(project: Project) -> Iterator[dict[str, str]]:
    """Start what the project's scenario plays into, and give the variables that connect to it.

    Raises:
        UnusableInput: the project has no scenario, or it cannot be read.
        Unavailable: a server did not start.
    """
    scenario = read_scenario(project)
    places = Places.of(project)
    environment: dict[str, str] = {}
    with ExitStack() as stack:
        database = database_running(project, scenario, stack)
        if scenario.topics:
            places.dumps.mkdir(parents=True, exist_ok=True)
            environment[scenario.topics.folder_variable] = str(places.dumps)
        if scenario.files:
            places.drops.mkdir(parents=True, exist_ok=True)
            environment[scenario.files.folder_variable] = str(places.drops)
        if scenario.charges:
            api = stack.enter_context(serving(ChargeStore(places.charges), LOCAL_KEY))
            environment[scenario.charges.address_variable] = api.url
            environment[scenario.charges.key_variable] = api.key
        if scenario.database and database:
            environment[scenario.database.dsn_variable] = database()
        yield environment


def database_running(
    project: Project, scenario: Scenario, stack: ExitStack
) -> Callable[[], str] | None:
    """Start the scenario's database while other work goes on; the answer waits and gives its DSN.

    The database runs until `stack` is closed. None where the scenario has no database.
    """
    if scenario.database is None:
        return None
    name = scenario.database.name
    starter = ThreadPoolExecutor(max_workers=1)
    starting = starter.submit(postgres.start, Places.of(project).postgres)
    starter.shutdown(wait=False)

    def stop() -> None:
        # a start that failed was said to whoever asked for the database
        if starting.exception() is None:
            starting.result().stop()

    stack.callback(stop)
    return lambda: starting.result().server.database(name)

"""The tasks that bring data in: play the scenario where sources are simulated, land, load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from waypoint.errors import Exit
from waypoint.locking import sharing_state
from waypoint.orchestration.tasks import PATIENCE, TaskFailed, WaypointOperator
from waypoint.project import Project

if TYPE_CHECKING:
    from waypoint.simulator.play import Play


class SimulateOperator(WaypointOperator):
    """Play the project's scenario up to the current hour; nothing where it was played already."""

    def work(self, context: Any) -> Any:
        with self.writing() as project:
            played = _play_up_to_now(project)
        self.log.info("played %s rows up to %s UTC", f"{played.total:,}", played.until)
        return {"rows": played.total, "until": played.until.isoformat()}


def _play_up_to_now(project: Project) -> Play:
    from waypoint.clock import store_clock
    from waypoint.connecting import refuse_to_simulate
    from waypoint.simulator.play import play, played_until, this_hour

    refuse_to_simulate(project)
    before = played_until(project)
    until = this_hour()
    played = play(project, until if before is None or before < until else None)
    store_clock(project, played.until)
    return played


class IngestOperator(WaypointOperator):
    """Land what is new in one source of sources.yml; skipped where it is not connected."""

    def __init__(self, *, source: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.source = source

    def work(self, context: Any) -> Any:
        from ingestion.extraction import Context
        from ingestion.landing import LandingArea
        from ingestion.pull import FailedSource, pull
        from waypoint.clock import now
        from waypoint.connecting import connected_sources

        project = self.project
        self._open_the_scenario(project)
        with (
            sharing_state(project, f"airflow: {self.task_id}", PATIENCE),
            connected_sources(project, despite_broken=True) as connected,
        ):
            for left in connected.left_out:
                if left.name == self.source:
                    raise AirflowSkipException(
                        f"{self.source} is left out: {', '.join(left.missing)} is not set"
                    )
            found = [source for source in connected.sources if source.name == self.source]
            reading = Context(
                contracts=project.contracts,
                area=LandingArea(project.landing_dir),
                state=project.state,
                now=now(project),
            )
            sums: dict[str, dict[str, int]] = {}
            for result in pull(found, reading):
                if isinstance(result, FailedSource):
                    self._fail(result)
                else:
                    counts = sums.setdefault(result.table, {"read": 0, "landed": 0, "rejected": 0})
                    for what in counts:
                        counts[what] += getattr(result, what)
                    for words in result.drift:
                        self.log.warning("drift: %s: %s", result.table, words)
        for table, counts in sums.items():
            self.log.info("%s: %s", table, counts)
        return sums

    def _open_the_scenario(self, project: Project) -> None:
        """Nothing is in a simulated source before the first play: whoever comes first plays it."""
        from waypoint.connecting import is_simulated
        from waypoint.simulator.play import is_opened

        if not is_simulated(project, despite_broken=True) or is_opened(project):
            return
        with self.writing():
            if not is_opened(project):  # another may have played it meanwhile
                self.log.info("played %s rows first", f"{_play_up_to_now(project).total:,}")

    def _fail(self, failed: Any) -> None:
        words = f"source {failed.source}: {failed.error}"
        if failed.hint:
            words += f"\nhint: {failed.hint}"
        if failed.exit_code == Exit.UNUSABLE_INPUT:
            raise AirflowFailException(words)
        raise TaskFailed(words)


class LoadOperator(WaypointOperator):
    """Load what has landed into raw, in one transaction."""

    def work(self, context: Any) -> Any:
        from ingestion.loading import load_landed
        from waypoint.clock import read_clock

        with self.writing() as project:
            loaded = load_landed(project, read_clock(project))
        self.log.info("loaded %s files: %s", loaded.files, dict(loaded.rows))
        return {"files": loaded.files, "rows": dict(loaded.rows)}


class BrokenOperator(WaypointOperator):
    """Stands for an entry that cannot be understood, and says so whenever it would have run."""

    def __init__(self, *, problem: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.problem = problem

    def work(self, context: Any) -> Any:
        raise AirflowFailException(self.problem)

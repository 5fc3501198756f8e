"""The whole way in one go: sources, landing area, raw, built tables, published copy, page.

Each step is safe to repeat, so a run that was killed or failed is simply run again. A source that
fails stops no other; failed tests stop what is published, not what was loaded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ingestion.extraction import Context, Outcome, Source
from ingestion.landing import LandingArea
from ingestion.loading import Loaded, load_landed
from ingestion.pull import FailedSource, pull
from ingestion.sources import FOLDER_KINDS
from waypoint.build_results import Built
from waypoint.building import build
from waypoint.clock import advanced, now, parse_time, read_clock, store_clock
from waypoint.connecting import connected_sources, is_simulated
from waypoint.contracts.model import Contract
from waypoint.dbt_running import Progress
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.publishing import Published, publish
from waypoint.quality.results import QualityRun
from waypoint.quality.running import chosen_tables, refuse_where_impossible, run_suites
from waypoint.rejections import Rejection, read_rejections
from waypoint.status import Status, read_status
from waypoint.warehouse import EMBEDDED


@dataclass(frozen=True)
class Options:
    """What a run is asked for; times and durations as a person writes them."""

    as_of: str | None = None
    advance: str | None = None
    seed: int | None = None
    full_refresh: bool = False
    skip_page: bool = False
    quality: str = "none"  # or "critical", "all": whose suites of expectations are run


@dataclass
class Summary:
    """What came of a run, filled in step by step."""

    simulated: bool = False
    as_of: datetime | None = None
    played: Mapping[str, int] = field(default_factory=dict)  # rows by what was played
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # source: variables
    outcomes: list[Outcome] = field(default_factory=list)
    failed_sources: list[FailedSource] = field(default_factory=list)
    loaded: Loaded = field(default_factory=Loaded)
    rejections: list[Rejection] = field(default_factory=list)
    built: Built | None = None
    published: Published | None = None
    lineage: Path | None = None
    catalogue: Path | None = None
    page: Path | None = None
    page_problems: tuple[str, ...] = ()
    quality: QualityRun | None = None
    status: Status | None = None
    rows_before: Mapping[str, int] = field(default_factory=dict)  # by table, as published before
    seconds: dict[str, float] = field(default_factory=dict)  # by step

    @property
    def succeeded(self) -> bool:
        whole = not self.failed_sources and self.built is not None and not self.built.failures
        return whole and (self.quality is None or self.quality.succeeded)

    @property
    def drift(self) -> list[str]:
        """What the sources have that the contracts have not, in people's words."""
        found = {f"{o.source}, {o.table}: {d}": None for o in self.outcomes for d in o.drift}
        return list(found)


class Watch(Protocol):
    """Is told how a run goes."""

    def begin(self, step: str) -> None: ...

    def update(self, detail: str, done: int = 0, total: int = 0) -> None: ...

    def end(self, step: str, seconds: float) -> None: ...


def run(project: Project, options: Options, watch: Watch) -> Summary:
    """Bring everything up to date. The caller holds the right to change the project's state.

    Raises:
        UnusableInput: an option or a configuration that cannot be used.
        Unavailable: a lock, a server of the simulated sources, or room on the disk is missing.
        WaypointError: a step failed that the following ones need.
    """
    expected = chosen_tables(project, options.quality)
    if expected:
        refuse_where_impossible(project)
    summary = Summary(rows_before=_published_rows(project))
    steps = _Steps(project, options, watch, summary)
    steps.fetch()
    steps.load()
    steps.build()
    if project.target == EMBEDDED:
        if summary.built is not None and not summary.built.failures:
            steps.publish()
        if project.published_file.exists():
            summary.status = read_status(project)
            if not options.skip_page and summary.published is not None:
                steps.lineage()
                steps.catalogue()
                steps.page(summary.status)
        if expected and summary.published is not None:
            steps.quality(expected)
    _begun_file(project).unlink(missing_ok=True)
    return summary


class _Steps:
    """The steps of one run, and what they share."""

    def __init__(self, project: Project, options: Options, watch: Watch, summary: Summary) -> None:
        self.project, self.options, self.watch, self.summary = project, options, watch, summary

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        self.watch.begin(step)
        start = time.monotonic()
        yield
        self.summary.seconds[step] = seconds = time.monotonic() - start
        self.watch.end(step, seconds)

    def fetch(self) -> None:
        """Land what the sources have that is new, after playing them where they are simulated."""
        simulated = is_simulated(self.project)
        if not simulated:
            self._set_clock()
        with ExitStack() as stack:
            if simulated:
                with self.timed("simulate"):
                    connected = stack.enter_context(connected_sources(self.project))
                    self._play()
            else:
                connected = stack.enter_context(connected_sources(self.project))
            self.summary.simulated = connected.simulated
            self.summary.left_out = {s.name: s.missing for s in connected.left_out}
            with self.timed("extract"):
                self._read(s for s in connected.sources if s.kind not in FOLDER_KINDS)
            with self.timed("land"):
                self._read(s for s in connected.sources if s.kind in FOLDER_KINDS)
        self.summary.as_of = now(self.project)

    def _play(self) -> None:
        from waypoint.simulator.play import play, played_until

        options, rows = self.options, 0

        def report(what: str, more: int) -> None:
            nonlocal rows
            rows += more
            self.watch.update(f"{rows:,} rows, {what}")

        until = self._until(played_until(self.project))
        played = play(self.project, until, options.seed, report=report)
        store_clock(self.project, played.until)
        self.summary.played = played.rows

    def _set_clock(self) -> None:
        """Move the stored clock of real, historic data, where that is asked for."""
        if self.options.seed is not None:
            raise UnusableInput("--seed is for simulated sources, and real ones are connected")
        stored = read_clock(self.project)
        until = self._until(stored)
        if until is None:
            return
        if stored is not None and until < stored:
            raise UnusableInput(
                f"the clock stands at {stored} already, and {until} is before it",
                hint="time only goes forward; use another WAYPOINT_STATE for another period",
            )
        store_clock(self.project, until)

    def _until(self, before: datetime | None) -> datetime | None:
        if self.options.as_of and self.options.advance:
            raise UnusableInput("--as-of and --advance both say up to when; give one of them")
        if self.options.as_of:
            return parse_time(self.options.as_of, "--as-of")
        if not self.options.advance:
            return None
        if before is None:
            raise UnusableInput(
                "--advance goes on from the time of the last run, and none was stored yet",
                hint="run once without it, or with --as-of",
            )
        begun = _begun(self.project).get(self.options.advance)
        if begun is not None:
            return parse_time(begun, str(_begun_file(self.project)))
        until = advanced(before, self.options.advance, "--advance")
        _begun_file(self.project).write_text(json.dumps({self.options.advance: until.isoformat()}))
        return until

    def _read(self, sources: Iterable[Source]) -> None:
        context = Context(
            contracts=self.project.contracts,
            area=LandingArea(self.project.landing_dir),
            state=self.project.state,
            now=now(self.project),
            full_refresh=self.options.full_refresh,
            report=lambda what, rows: self.watch.update(f"{what} {rows:,}"),
        )
        for result in pull(sources, context):
            if isinstance(result, FailedSource):
                self.summary.failed_sources.append(result)
            else:
                self.summary.outcomes.append(result)

    def load(self) -> None:
        """Load what has landed, and see what was rejected."""
        with self.timed("load"):
            self.summary.loaded = load_landed(self.project, read_clock(self.project))
        loaded = self.summary.loaded
        if loaded.loaded_at is not None and self.project.target == EMBEDDED:
            self.summary.rejections = read_rejections(self.project.warehouse_file, loaded.loaded_at)

    def build(self) -> None:
        with self.timed("build"):
            self.summary.built = build(
                self.project, full_refresh=self.options.full_refresh, watch=self._show
            )

    def _show(self, progress: Progress) -> None:
        failed = f", {progress.failed} failed" if progress.failed else ""
        self.watch.update(f"{progress.node}{failed}", progress.done, progress.total)

    def publish(self) -> None:
        with self.timed("publish"):
            self.summary.published = publish(self.project)

    def lineage(self) -> None:
        """Write what is made of what, to click through."""
        from waypoint.dbt_running import target_dir
        from waypoint.lineage.finding import graph_in
        from waypoint.lineage.page import write_page

        with self.timed("lineage"):
            written = write_page(
                graph_in(target_dir(self.project)),
                self.project.lineage_file,
                page=self.project.page_file.name if self.project.pages_dir.is_dir() else "",
                catalogue=True,
            )
        self.summary.lineage = written.path

    def catalogue(self) -> None:
        """Write what there is under contract, to search and read."""
        from waypoint.catalogue import write_catalogue

        with self.timed("catalogue"):
            self.summary.catalogue = write_catalogue(self.project).path

    def page(self, status: Status) -> None:
        """Write the page, where the project describes one."""
        if not self.project.pages_dir.is_dir():
            return
        from waypoint.pages import render_page

        with self.timed("page"):
            rendered = render_page(
                self.project.published_file,
                self.project.pages_dir,
                status.tables,
                self.project.page_file,
                status.as_of,
                catalogue=self.summary.catalogue,
                lineage=self.summary.lineage,
            )
        self.summary.page = rendered.path
        self.summary.page_problems = rendered.problems

    def quality(self, contracts: Sequence[Contract]) -> None:
        """Hold what was published against the suites of some tables."""
        with self.timed("quality"):
            self.summary.quality = run_suites(
                self.project,
                contracts,
                watch=lambda table, done, total: self.watch.update(table, done, total),
            )


# An --advance that was killed goes to the same time when it is run again, not a step further.


def _begun_file(project: Project) -> Path:
    return project.state / "advance.json"


def _begun(project: Project) -> dict[str, str]:
    try:
        return dict(json.loads(_begun_file(project).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _published_rows(project: Project) -> dict[str, int]:
    if not project.published_file.exists():
        return {}
    return {f"{t.schema}.{t.name}": t.rows or 0 for t in read_status(project).tables}

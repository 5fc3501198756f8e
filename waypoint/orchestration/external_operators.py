"""The tasks of an external source: fetch, transform, validate, publish.

What one leaves for the next stands in files below `<state>/external/<source>/<run>`, for it can be
large; the tasks share the state folder. A task that is tried again takes up what it had left: a
fetch asks only for what had failed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from waypoint.errors import Exit, WaypointError
from waypoint.locking import sharing_state
from waypoint.orchestration.tasks import PATIENCE, TaskFailed, WaypointOperator
from waypoint.project import Project

if TYPE_CHECKING:
    from ingestion.external.entries import External
    from ingestion.external.entry import Entry
    from ingestion.external.fetching import Fetched
    from ingestion.external.running import Target

_KEPT_FOR = 7 * 86400.0  # seconds that files of a run which failed are kept


class ExternalOperator(WaypointOperator):
    """A step of one entry of external.yml."""

    def __init__(self, *, source: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.source = source

    @contextmanager
    def sharing(self) -> Iterator[tuple[Project, External, Entry]]:
        """The project and the entry, while no command has the state for itself."""
        project = self.project
        external, entry = self._entry(project)
        with sharing_state(project, f"airflow: {self.task_id}", PATIENCE):
            yield project, external, entry

    def folder(self, project: Project, context: Any) -> Path:
        """Where the run's files are."""
        run = re.sub(r"[^\w.-]", "_", str(context["run_id"]))
        return project.state / "external" / self.source / run

    def target(self, project: Project, external: External) -> Target:
        from ingestion.external.running import Target

        assert external.publishing is not None  # an entry was found in it
        return Target.of(external.publishing, project.contracts, project.state / "spill")

    def moment(self, project: Project, context: Any) -> datetime:
        """What the run takes for now (UTC, no zone)."""
        from waypoint.clock import read_clock

        started = context["dag_run"].start_date or datetime.now(UTC)
        return read_clock(project) or started.astimezone(UTC).replace(tzinfo=None)

    def _entry(self, project: Project) -> tuple[External, Entry]:
        from ingestion.external.entries import read_external

        external = read_external(project)
        for broken in external.broken:
            if broken.name == self.source:
                raise AirflowFailException(broken.problem)
        for entry in external.entries:
            if entry.name == self.source:
                return external, entry
        raise AirflowFailException(f"{self.source} is no longer in {external.path}")


class FetchOperator(ExternalOperator):
    """Fetch a share of an entry's requests: every `lots`-th, from the number `lot` on."""

    def __init__(self, *, lot: int, lots: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.lot = lot
        self.lots = lots

    def work(self, context: Any) -> Any:
        from ingestion.external.fetching import Fetched, fetch, plan, together
        from waypoint.fetching import NowhereToPublish, destination, topics_place

        with self.sharing() as (project, external, entry):
            try:
                topics_place(project, external)
            except NowhereToPublish as error:
                raise AirflowSkipException(f"{self.source} is left out: {error}") from None
            path = self.folder(project, context) / f"fetched-{self.lot}.json"
            moment = self.moment(project, context)
            requests = plan(entry, moment)[self.lot :: self.lots]
            before = None
            if path.is_file():
                before = Fetched.from_document(_read(path))
                left = {failed.request for failed in before.failed}
                requests = [request for request in requests if request.number in left]
            with destination(project, external) as to:
                key = self._key(entry, sandbox=to.sandbox is not None)
                found = fetch(entry, requests, moment, key=key, sandbox=to.sandbox, parallel=1)
            if before is not None:
                found = together([_without(before, left), found])
            _write(path, found.document())
        self.log.info("%s requests, %s pages", found.requests, len(found.answers))
        self._fail(found)
        return {"requests": found.requests, "pages": len(found.answers)}

    def _key(self, entry: Entry, sandbox: bool) -> str | None:
        """The entry's key; skips the task where something is not set."""
        from ingestion.external.keys import key_of, missing_for

        key = key_of(entry, _connection)
        if sandbox and entry.auth is not None and not key:
            return "sandbox"
        missing = missing_for(entry, key)
        if missing:
            raise AirflowSkipException(f"{self.source} is left out: {', '.join(missing)} not set")
        return key

    def _fail(self, found: Fetched) -> None:
        if not found.failed:
            return
        words = [failed.error for failed in found.failed]
        if all(failed.exit_code == Exit.UNUSABLE_INPUT for failed in found.failed):
            raise AirflowFailException("\n".join(words))  # a person has to mend it first
        raise TaskFailed("\n".join(words), words[:5])


class TransformOperator(ExternalOperator):
    """Make messages of what was fetched, also where some of it could not be."""

    def work(self, context: Any) -> Any:
        from ingestion.external.fetching import plan
        from ingestion.external.transforming import transform

        with self.sharing() as (project, external, entry):
            folder = self.folder(project, context)
            fetched = _fetched(folder)
            publishing = self.target(project, external).publishing
            requests = plan(entry, datetime.fromisoformat(fetched.moment))
            made = transform(entry, publishing, requests, fetched)
            _write(folder / "transformed.json", made.document())
        self.log.info("%s messages, %s rejected", len(made.messages), len(made.rejected))
        return {"messages": len(made.messages), "rejected": len(made.rejected)}


class ValidateOperator(ExternalOperator):
    """Hold the messages against the topic's contract."""

    def work(self, context: Any) -> Any:
        from ingestion.external.transforming import Transformed
        from ingestion.external.validating import validate

        with self.sharing() as (project, external, _):
            folder = self.folder(project, context)
            target = self.target(project, external)
            made = Transformed.from_document(_read(folder / "transformed.json"))
            judged = validate(target.topic, made.messages, target.spill)
            _write(folder / "validated.json", judged.document())
        for rejected in judged.rejected[:10]:
            self.log.warning("rejected: %s", rejected.reason)
        return {"messages": len(judged.messages), "rejected": len(judged.rejected)}


class PublishExternalOperator(ExternalOperator):
    """Append the good messages to the topic; what was rejected goes to quarantine."""

    def work(self, context: Any) -> Any:
        from ingestion.external.running import publish, publisher_of
        from ingestion.external.transforming import Transformed
        from ingestion.external.validating import Validated
        from ingestion.landing import LandingArea
        from waypoint.fetching import topics_place

        with self.sharing() as (project, external, _):
            folder = self.folder(project, context)
            fetched = _fetched(folder)
            made = Transformed.from_document(_read(folder / "transformed.json"))
            judged = Validated.from_document(_read(folder / "validated.json"))
            target = self.target(project, external)
            place = topics_place(project, external)
            publisher = publisher_of(
                target,
                place.folder,
                LandingArea(project.landing_dir),
                self.moment(project, context),
                place.broker,
            )
            where = publish(target, publisher, fetched, made, judged)
            if not fetched.failed:
                shutil.rmtree(folder, ignore_errors=True)
            _sweep(folder.parent)
        counts = {
            "published": len(judged.messages),
            "rejected": len(made.rejected) + len(judged.rejected),
            "repeated": made.repeated,
        }
        self.log.info("%s in %s", counts, where)
        return counts


def _connection(name: str) -> str | None:
    """The password of one of Airflow's connections, wherever Airflow keeps them."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(name).password or None
    except AirflowNotFoundException:
        return None


def _fetched(folder: Path) -> Fetched:
    from ingestion.external.fetching import Fetched, together

    parts = [Fetched.from_document(_read(path)) for path in sorted(folder.glob("fetched-*.json"))]
    if not parts:
        raise WaypointError("nothing was fetched", hint="the tasks before this one say why")
    return together(parts)


def _without(fetched: Fetched, requests: set[int]) -> Fetched:
    """Less what came of some requests: they were made again."""
    return replace(
        fetched,
        requests=fetched.requests - len(requests),
        answers=tuple(a for a in fetched.answers if a.request not in requests),
        failed=(),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WaypointError(
            f"{path} is not there", hint="clear the run's tasks from the first one on"
        ) from None
    return found


def _write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    temporary.write_text(json.dumps(document), encoding="utf-8")
    os.replace(temporary, path)


def _sweep(folder: Path) -> None:
    """Remove the files of runs that failed long ago."""
    for run in folder.iterdir() if folder.is_dir() else ():
        if time.time() - run.stat().st_mtime > _KEPT_FOR:
            shutil.rmtree(run, ignore_errors=True)

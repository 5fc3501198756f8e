"""Telling people what failed: the table, its owner, the rule, and who is concerned downstream.

Slack and mail are off until the environment configures them (`waypoint.notifying`). Every alert is
on record all the same, a JSON line each, in `<state>/orchestration/alerts.jsonl`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from waypoint.dbt_running import target_dir
from waypoint.errors import WaypointError
from waypoint.lineage.graph import LineageGraph
from waypoint.notifying import Message, channels
from waypoint.project import Project

_log = logging.getLogger(__name__)

#: Kinds of alerts: something failed for good; a promise is about to break; a run takes too long.
FAILED, WARNING, DEADLINE = "failed", "warning", "deadline"

_NAMED = 15  # consumers that are named before the rest is counted


@dataclass(frozen=True)
class Alert:
    """What people are told. `rules` says what is wrong, `consumers` who is concerned."""

    kind: str
    subject: str  # the table, source or run that it is about
    owner: str
    rules: tuple[str, ...]
    consumers: tuple[str, ...] = ()
    dag: str = ""
    run: str = ""
    task: str = ""

    def message(self) -> Message:
        """The alert in words."""
        verb = {FAILED: "failed", WARNING: "needs a look", DEADLINE: "is late"}[self.kind]
        lines = [*self.rules, "", f"owner: {self.owner or 'nobody is named'}"]
        if self.consumers:
            named = list(self.consumers[:_NAMED])
            if len(self.consumers) > _NAMED:
                named.append(f"and {len(self.consumers) - _NAMED} more")
            lines.append(f"concerned: {', '.join(named)}")
        if self.dag:
            lines.append(f"where: {self.dag} / {self.task or 'the whole run'}, {self.run}")
        return Message(f"{self.subject} {verb}", "\n".join(lines).strip())


def consumers_of(project: Project, tables: Iterable[str]) -> tuple[str, ...]:
    """Whoever reads some tables, directly or through others: exposures first, then tables.

    Empty where the project has no manifest to know it from.
    """
    manifest = target_dir(project) / "manifest.json"
    try:
        graph = LineageGraph.read(manifest)
    except WaypointError:
        return ()
    start = {table for table in tables if table in graph.tables}
    below = graph.built_from(start)
    reached = below | start
    exposures = [
        f"{exposure.label} ({exposure.kind}, {exposure.owner})"
        for exposure in graph.exposures.values()
        if reached & set(exposure.tables)
    ]
    return (*exposures, *(name for name in graph.build_order if name in below))


def send(project: Project, alert: Alert, environment: Mapping[str, str] | None = None) -> None:
    """Put an alert on record and send it by every channel that is configured.

    A channel that does not take it is logged: an alert never makes a failure of its own.
    """
    _record(project, alert)
    message = alert.message()
    _log.warning("%s\n%s", message.subject, message.text)
    try:
        ways = channels(os.environ if environment is None else environment)
    except WaypointError as error:
        _log.error("nobody was told: %s", error)
        return
    if ways.slack is not None:
        _try(lambda: ways.slack.send(message))
    if ways.mail is not None and ways.default_address:
        _try(lambda: ways.mail.send(message, [ways.default_address]))


def alerts_file(project: Project) -> Path:
    """Where alerts are on record."""
    return project.state / "orchestration" / "alerts.jsonl"


def _record(project: Project, alert: Alert) -> None:
    path = alerts_file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(alert)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(said, ensure_ascii=False) + "\n")


def _try(send_it: Any) -> None:
    try:
        send_it()
    except WaypointError as error:
        _log.error("an alert was not sent: %s", error)

"""Sending OpenLineage events: to a file, to an HTTP receiver, or as OpenLineage's variables say.

A receiver that is not there never fails what ran: it is said in one sentence, and the first event
that is not taken is the last one that is tried.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from waypoint.errors import UnusableInput, WaypointError

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.facet_v2 import parent_run
    from openlineage.client.transport import Transport

    from waypoint.build_results import BrokenRule
    from waypoint.lineage.events import Event, Names
    from waypoint.project import Project

#: OpenLineage's own settings that name where events go.
_NAMING = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
_PATIENCE = 20.0  # seconds that all events of a run may take
_RETRIES = 1  # where nothing else is configured: who waits is a person, or a scheduler's slot


@dataclass(frozen=True)
class Emission:
    """What came of sending events: how many were taken, of how many, and what was in the way."""

    sent: int
    events: int
    problem: str = ""


def is_configured(environment: Mapping[str, str], folder: Path) -> bool:
    """Whether OpenLineage's settings say where events go, and are not switched off."""
    if environment.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    if any(name.startswith(_NAMING) and value for name, value in environment.items()):
        return True
    places = (folder / "openlineage.yml", Path.home() / ".openlineage" / "openlineage.yml")
    return any(path.is_file() for path in places)


def emit_after_build(project: Project, target: Path, broken_rules: Sequence[BrokenRule]) -> str:
    """Send the events of a build, where that is configured; says what was in the way, if anything.

    Never raises: lineage is no reason to fail what was built.
    """
    try:
        made = events_of_target(project, target, broken_rules)
        return emit(made, client_of_environment()).problem
    except WaypointError as error:
        return f"lineage events were not sent: {error}"
    except Exception as error:
        return f"lineage events were not sent: {type(error).__name__}"


def emit_broken_build(project: Project, began: datetime) -> None:
    """Send that a build ended before anything was made; silent where that is not possible."""
    try:
        _require()
        from waypoint.lineage.events import events_of_no_run

        name = _project_name(project)
        names = _names("", name)  # no table is in them
        made = events_of_no_run(names, name, "build", began, datetime.now(UTC), parent_run_facet())
        emit(made, client_of_environment())
    except Exception:
        return


def events_of_target(
    project: Project, target: Path, broken_rules: Sequence[BrokenRule] = ()
) -> list[Event]:
    """The events of the run whose results stand in dbt's target folder.

    Raises:
        UnusableInput: there are no results, or a package that this needs is not installed.
    """
    _require()
    from waypoint.lineage.events import events_of, read_run
    from waypoint.lineage.finding import graph_in

    ran = read_run(target, graph_in(target))
    names = _names(
        table_namespace(project, target, ran.graph.dialect),
        ran.manifest["metadata"].get("project_name") or "dbt",
    )
    return events_of(ran, names, parent_run_facet(), broken_rules)


def event_documents(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The events as they are sent."""
    from openlineage.client.serde import Serde

    return [Serde.to_dict(event) for event in events]


def table_namespace(project: Project, target: Path, dialect: str) -> str:
    """OpenLineage's name of the warehouse, as its own integrations of dbt give it.

    Raises:
        UnusableInput: dbt's profile cannot be read, or is of a warehouse that has no name there.
    """
    from waypoint.warehouse import EMBEDDED

    if dialect == "duckdb" and project.target == EMBEDDED:
        return f"duckdb://{project.warehouse_file.resolve()}"
    from openlineage.common.provider.dbt import DbtLocalArtifactProcessor

    from waypoint.lineage.event_parts import PRODUCER

    try:
        processor = DbtLocalArtifactProcessor(
            producer=PRODUCER, job_namespace="", project_dir=str(project.root)
        )
        profiles = processor.load_yaml_with_jinja(str(_profiles_file(project, target)))
        profile = profiles[processor.profile_name]
        outputs = profile["outputs"]
        output = outputs[project.target if project.target in outputs else profile["target"]]
        processor.extract_adapter_type(output)
        return str(processor.extract_namespace(output))
    except Exception as error:
        raise UnusableInput(
            f"the warehouse has no OpenLineage name: {type(error).__name__} in dbt's profile",
            hint="run it where the variables that profiles.yml reads are set",
        ) from None


def _profiles_file(project: Project, target: Path) -> Path:
    """The profiles.yml that dbt read."""
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))
    beside = project.root if (project.root / "profiles.yml").is_file() else Path.home() / ".dbt"
    return Path(results["args"].get("profiles_dir") or beside) / "profiles.yml"


def parent_run_facet() -> parent_run.ParentRunFacet | None:
    """The run that started this one: by OPENLINEAGE_PARENT_ID, or the Airflow task it runs in."""
    from openlineage.common.provider.dbt.utils import get_parent_run_metadata

    try:
        parent = get_parent_run_metadata() or _airflow_task()
        return parent.to_openlineage() if parent else None
    except ValueError:  # an id that is no UUID
        return None


def _airflow_task() -> Any:
    """The Airflow task that this process runs, as its own events name it; None outside of one."""
    if "airflow.sdk" not in sys.modules:
        return None
    try:
        from airflow.providers.openlineage.plugins import macros
        from airflow.sdk import get_current_context
        from openlineage.common.provider.dbt.facets import ParentRunMetadata

        task = get_current_context()["ti"]
        namespace, job, run = str(macros.lineage_parent_id(task)).split("/")
        root_namespace, root_job, root_run = str(macros.lineage_root_parent_id(task)).split("/")
        return ParentRunMetadata(
            run_id=run,
            job_name=job,
            job_namespace=namespace,
            root_parent_run_id=root_run,
            root_parent_job_name=root_job,
            root_parent_job_namespace=root_namespace,
        )
    except Exception:  # no task runs here, or its provider of OpenLineage is not installed
        return None


def client_to(place: str) -> OpenLineageClient:
    """What sends to an HTTP receiver's URL, or appends to a file, one event a line.

    Raises:
        UnusableInput: the place is neither.
    """
    _require()
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import (
        ApiKeyTokenProvider,
        HttpConfig,
        HttpTransport,
        TokenProvider,
    )

    parts = urlsplit(place)
    transport: Transport
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise UnusableInput(f"--to {place}: the URL has no host")
        key = os.environ.get("OPENLINEAGE_API_KEY")
        auth = ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({})
        base = f"{parts.scheme}://{parts.netloc}"
        path = parts.path.strip("/") or os.environ.get("OPENLINEAGE_ENDPOINT") or "api/v1/lineage"
        transport = HttpTransport(HttpConfig(url=base, endpoint=path, auth=auth))
    elif parts.scheme and "://" in place:
        raise UnusableInput(f"--to {place}: not a file, and not http:// or https://")
    else:
        transport = FileTransport(FileConfig(log_file_path=place, append=True))
    return OpenLineageClient(transport=transport)


def client_of_environment() -> OpenLineageClient:
    """What sends as OpenLineage's variables or its openlineage.yml say.

    Raises:
        UnusableInput: they name no transport that can be used.
    """
    _require()
    from openlineage.client import OpenLineageClient

    try:
        with _quiet():
            return OpenLineageClient()
    except Exception as error:
        raise UnusableInput(
            f"OpenLineage's settings cannot be used ({type(error).__name__})",
            hint="see OPENLINEAGE__TRANSPORT__TYPE and _URL in docs/lineage.md",
        ) from None


def emit(events: Sequence[Event], client: OpenLineageClient) -> Emission:
    """Send events, in order, until one is not taken or they take too long."""
    _be_impatient(client.transport)
    until = time.monotonic() + _PATIENCE
    sent = 0
    with _quiet():
        try:
            for event in events:
                if time.monotonic() > until:
                    problem = f"the receiver is slow: {sent} of {len(events)} lineage events sent"
                    return Emission(sent, len(events), problem)
                client.emit(event)
                sent += 1
            client.close(timeout=max(1.0, until - time.monotonic()))
        except Exception as error:
            # the message of an error may quote the URL, and with it a password
            why = type(error).__name__
            status = getattr(getattr(error, "response", None), "status_code", None)
            why += f", HTTP status {status}" if status else ""
            where = _place(client.transport)
            problem = f"{len(events) - sent} lineage events were not sent to {where}: {why}"
            return Emission(sent, len(events), problem)
    return Emission(sent, len(events))


def _place(transport: Any) -> str:
    """Where events go, for people: never with a user or password."""
    url = getattr(transport, "url", None)
    if url:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    path = getattr(getattr(transport, "config", None), "log_file_path", None)
    return str(path or f"the {transport.kind} transport")


def _be_impatient(transport: Any) -> None:
    from openlineage.client.transport.http import HttpTransport
    from openlineage.client.transport.http_common import DEFAULT_RETRY_CONFIG

    for one in getattr(transport, "transports", [transport]):
        if isinstance(one, HttpTransport) and one.config.retry == DEFAULT_RETRY_CONFIG:
            few = dict.fromkeys(("total", "read", "connect"), _RETRIES)
            one.config.retry = {**DEFAULT_RETRY_CONFIG, **few}


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' logs kept to themselves: what went wrong is said once, without a secret."""
    loggers = [logging.getLogger(name) for name in ("openlineage", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _names(tables: str, project: str) -> Names:
    from waypoint.lineage.events import Names

    return Names(tables=tables, jobs=os.environ.get("OPENLINEAGE_NAMESPACE") or project)


def _project_name(project: Project) -> str:
    import yaml

    document = yaml.safe_load((project.root / "dbt_project.yml").read_text(encoding="utf-8"))
    return str(document["name"])


def _require() -> None:
    try:
        import openlineage.client
        import openlineage.common.provider.dbt  # noqa: F401
    except ImportError:
        raise UnusableInput(
            "OpenLineage's client is not installed", hint="`make setup` installs it"
        ) from None

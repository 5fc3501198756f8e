"""The Connect worker's REST API, as far as change capture needs it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ingestion.redaction import redacted
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.services.connect import local_worker

#: The address of the worker's REST API, user and password included where it asks for them.
WORKER_VARIABLE = "WAYPOINT_CONNECT"

_TIMEOUT = 30.0  # seconds
_BUSY = 409  # the worker's group is being put together again
_PATIENCE = 60.0


class Worker:
    """A Connect worker. `secrets` is its file of passwords, where it is the project's own."""

    def __init__(self, url: str, secrets: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self.secrets = secrets

    @classmethod
    def of(cls, project: Project, environment: Mapping[str, str] = os.environ) -> Worker:
        """The worker that the environment names, or else that of the local services.

        Raises:
            Unavailable: none is named, and none was started.
        """
        if url := environment.get(WORKER_VARIABLE):
            return cls(url)
        found = local_worker(project.state)
        if found is None:
            raise Unavailable(
                "no Connect worker is configured, and none was started here",
                hint=f"waypoint services up, or set {WORKER_VARIABLE} to a worker's address",
            )
        return cls(str(found["url"]), Path(str(found["secrets"])) if "secrets" in found else None)

    def config(self, connector: str) -> dict[str, str] | None:
        """How a connector is configured; None where there is none."""
        found = self._call("GET", f"/connectors/{quote(connector)}/config", missing=None)
        if found is None:
            return None
        return {str(k): str(v) for k, v in found.items() if k != "name"}

    def configure(self, connector: str, config: Mapping[str, str]) -> None:
        """Make a connector, or change how it is configured.

        Raises:
            UnusableInput: the worker finds something wrong with it.
        """
        self._call("PUT", f"/connectors/{quote(connector)}/config", document=dict(config))

    def connectors(self) -> list[str]:
        """The names of all connectors."""
        return sorted(map(str, self._call("GET", "/connectors")))

    def status(self, connector: str) -> dict[str, Any] | None:
        """What a connector and its tasks do; None where there is none."""
        found = self._call("GET", f"/connectors/{quote(connector)}/status", missing=None)
        return found if isinstance(found, dict) else None

    def restart(self, connector: str) -> None:
        """Start a connector and its tasks again where they have failed."""
        query = "includeTasks=true&onlyFailed=true"
        self._call("POST", f"/connectors/{quote(connector)}/restart?{query}", missing=None)

    def remove(self, connector: str) -> None:
        """Remove a connector. Its slot and what it has sent stay."""
        self._call("DELETE", f"/connectors/{quote(connector)}", missing=None)

    def wait_until_running(self, connector: str, seconds: float = _PATIENCE) -> dict[str, Any]:
        """Wait until a connector and its task run.

        Raises:
            UnusableInput: it has failed; with the first line of what it said.
            Unavailable: it did not run within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(connector)
            problem = failure(status)
            if problem is not None:
                raise UnusableInput(f"the connector {connector} has failed: {problem}")
            if status is not None and is_running(status):
                return status
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the connector {connector} does not run after {seconds:.0f} s: {_told(status)}"
                )
            time.sleep(0.1)

    def _call(
        self,
        method: str,
        path: str,
        document: Any = None,
        missing: Any = ...,
    ) -> Any:
        """What the worker answers; `missing` where there is no such thing, unless that is wrong."""
        import httpx

        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = httpx.request(method, self._url + path, json=document, timeout=_TIMEOUT)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                said = redacted(str(error), [self._url, httpx.URL(self._url).password])
                raise Unavailable(
                    f"the Connect worker does not answer: {said or type(error).__name__}",
                    hint="waypoint services status",
                ) from None
            if answer.status_code == 404 and missing is not ...:
                return missing
            if answer.status_code != _BUSY or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            said = str(answer.json().get("message", ""))
        except (ValueError, AttributeError):
            said = answer.text[:500]
        if answer.status_code in (400, 401, 403, 404, 422):
            raise UnusableInput(f"the Connect worker refuses ({answer.status_code}): {said}")
        raise Unavailable(f"the Connect worker answers {answer.status_code}: {said}")


def failure(status: Mapping[str, Any] | None) -> str | None:
    """What a connector or a task of it has failed of, in a line; None where none has."""
    if status is None:
        return None
    for part in (status.get("connector", {}), *status.get("tasks", ())):
        if part.get("state") == "FAILED":
            lines = [line.strip() for line in str(part.get("trace", "")).splitlines()]
            causes = [line for line in lines if line.startswith("Caused by:")]
            return (causes or lines or ["it does not say why"])[-1 if causes else 0]
    return None


def _told(status: Mapping[str, Any] | None) -> str:
    """What a connector and its tasks do, in a few words."""
    if status is None:
        return "the worker knows nothing of it"
    parts = {"the connector": status.get("connector", {})}
    parts |= {f"task {task.get('id')}": task for task in status.get("tasks", ())}
    return ", ".join(f"{name} is {part.get('state')}" for name, part in parts.items())


def is_running(status: Mapping[str, Any]) -> bool:
    """Whether the connector runs, and a task of it."""
    tasks = status.get("tasks", ())
    return (
        status.get("connector", {}).get("state") == "RUNNING"
        and bool(tasks)
        and all(task.get("state") == "RUNNING" for task in tasks)
    )

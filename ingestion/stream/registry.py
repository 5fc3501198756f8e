"""A schema registry, by the API that Confluent's has and others speak too (Apicurio, Karapace)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

#: Its address, e.g. `https://host/apis/ccompat/v7`.
REGISTRY_VARIABLE = "WAYPOINT_SCHEMA_REGISTRY"
#: `user:password`, or an API key and its secret.
CREDENTIALS_VARIABLE = "WAYPOINT_SCHEMA_REGISTRY_CREDENTIALS"

AVRO, JSON = "AVRO", "JSON"
RULE = "BACKWARD"

_TYPE = "application/vnd.schemaregistry.v1+json"
_TRIES = 4
_TIMEOUT = 20.0  # seconds
_NOT_FOUND, _REFUSED = 404, (409, 422)


@dataclass(frozen=True)
class Registered:
    """A schema as the registry has it: `kind` is AVRO or JSON (or one that we cannot read)."""

    kind: str
    text: str


class Registry:
    """A client. Requests that fail for reasons that pass are sent again."""

    def __init__(self, url: str, credentials: tuple[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            auth=credentials, timeout=_TIMEOUT, headers={"Content-Type": _TYPE, "Accept": _TYPE}
        )

    def schema(self, number: int) -> Registered | None:
        """The schema with this id; None where there is none.

        Raises:
            Unavailable: the registry does not answer.
        """
        answer = self._send("GET", f"/schemas/ids/{number}")
        if answer.status_code == _NOT_FOUND:
            return None
        document = self._document(answer)
        return Registered(document.get("schemaType") or AVRO, str(document["schema"]))

    def number(self, subject: str, kind: str, text: str) -> int | None:
        """The id of a schema under `subject`; None where it is not registered there."""
        answer = self._send("POST", f"/subjects/{_path(subject)}", _body(kind, text))
        if answer.status_code == _NOT_FOUND:
            return None
        return int(self._document(answer)["id"])

    def newest(self, subject: str) -> Registered | None:
        """The schema that was registered last under `subject`; None where none was."""
        answer = self._send("GET", f"/subjects/{_path(subject)}/versions/latest")
        if answer.status_code == _NOT_FOUND:
            return None
        document = self._document(answer)
        return Registered(document.get("schemaType") or AVRO, str(document["schema"]))

    def problems(self, subject: str, kind: str, text: str) -> list[str]:
        """Why the newest schema under `subject` stands against this one; nothing: it may come."""
        path = f"/compatibility/subjects/{_path(subject)}/versions/latest?verbose=true"
        answer = self._send("POST", path, _body(kind, text))
        if answer.status_code == _NOT_FOUND:
            return []
        if answer.status_code in _REFUSED:
            return [_said(answer)]
        document = self._document(answer)
        if document.get("is_compatible"):
            return []
        return [str(said) for said in document.get("messages") or ["it breaks the rule BACKWARD"]]

    def register(self, subject: str, kind: str, text: str) -> int:
        """Register a schema and give its id; it must stay readable under the rule BACKWARD.

        Raises:
            UnusableInput: the registry refuses it.
            Unavailable: the registry does not answer.
        """
        answer = self._send("POST", f"/subjects/{_path(subject)}/versions", _body(kind, text))
        if answer.status_code in _REFUSED:
            raise UnusableInput(f"the schema registry refuses {subject}: {_said(answer)}")
        number = int(self._document(answer)["id"])
        self._document(self._send("PUT", f"/config/{_path(subject)}", {"compatibility": RULE}))
        return number

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        with self._told():
            for attempt in Retrying(
                retry=retry_if_exception_type((httpx.TransportError, _Passing)),
                stop=stop_after_attempt(_TRIES),
                wait=wait_exponential_jitter(initial=0.2, max=3),
                reraise=True,
            ):
                with attempt:
                    answer = self._client.request(
                        method, self.url + path, content=json.dumps(body) if body else None
                    )
                    if answer.status_code in (429, 500, 502, 503, 504):
                        raise _Passing(answer)
        if answer.status_code in (401, 403):
            raise UnusableInput(
                f"the schema registry refuses us (HTTP {answer.status_code})",
                hint=f"set {CREDENTIALS_VARIABLE} to user:password",
            )
        return answer

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except _Passing as error:
            raise Unavailable(
                f"the schema registry answers HTTP {error.answer.status_code}: "
                f"{_said(error.answer)}"
            ) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # without the address: it may hold a password
            raise Unavailable(
                f"the schema registry does not answer: {type(error).__name__}",
                hint=f"is {REGISTRY_VARIABLE} right, and does it run?",
            ) from None

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_success:
            try:
                found = answer.json()
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        raise Unavailable(f"the schema registry answers HTTP {answer.status_code}: {_said(answer)}")


class _Passing(Exception):
    """An answer that another try may better."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def registry_of(project: Project, environment: Mapping[str, str] = os.environ) -> Registry | None:
    """The registry that is configured, else the local one that runs; None: there is none.

    Raises:
        UnusableInput: the credentials are none.
    """
    url = environment.get(REGISTRY_VARIABLE)
    if not url:
        try:
            record = json.loads(registry_record(project).read_text(encoding="utf-8"))
            return Registry(str(record["url"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
    credentials = environment.get(CREDENTIALS_VARIABLE)
    if not credentials:
        return Registry(url)
    user, separator, password = credentials.partition(":")
    if not separator:
        raise UnusableInput(f"{CREDENTIALS_VARIABLE} is not user:password")
    return Registry(url, (user, password))


def registry_record(project: Project) -> Path:
    """The file in which the local services say where their registry is."""
    return project.state / "services" / "registry.json"


def _path(subject: str) -> str:
    return quote(subject, safe="")


def _body(kind: str, text: str) -> dict[str, str]:
    return {"schema": text, "schemaType": kind}


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message") or answer.text)[:500]
    except (ValueError, AttributeError):
        return answer.text[:500]

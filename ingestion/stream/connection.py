"""How to reach the broker: what the environment says, or else the local services that run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project

#: The brokers' addresses, `host:port,host:port`.
BOOTSTRAP_VARIABLE = "WAYPOINT_KAFKA"
#: A file of client settings, as Kafka's own tools take it: encryption, user, password.
SETTINGS_VARIABLE = "WAYPOINT_KAFKA_SETTINGS"

_BOOTSTRAP = "bootstrap.servers"


def kafka_settings(project: Project, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings of a client, by the names that librdkafka gives them; some are secret.

    Raises:
        Unavailable: no broker is configured, and no local one was started.
        UnusableInput: the file of settings cannot be read.
    """
    settings: dict[str, str] = {}
    file = environment.get(SETTINGS_VARIABLE)
    if file:
        settings |= _properties(Path(file).expanduser())
    if servers := environment.get(BOOTSTRAP_VARIABLE):
        settings[_BOOTSTRAP] = servers
    if _BOOTSTRAP not in settings:
        if settings:
            raise UnusableInput(
                f"{SETTINGS_VARIABLE} names a file that says nothing of {_BOOTSTRAP}",
                hint=f"set {BOOTSTRAP_VARIABLE} to the brokers' addresses",
            )
        settings[_BOOTSTRAP] = _local(project)
    if file:
        _check(Path(file), settings)
    return settings


def kafka_record(project: Project) -> Path:
    """The file in which the local services say where their broker is."""
    return project.state / "services" / "kafka.json"


def _local(project: Project) -> str:
    try:
        return str(json.loads(kafka_record(project).read_text(encoding="utf-8"))["bootstrap"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Unavailable(
            "no broker is configured, and none was started here",
            hint=f"waypoint services up, or set {BOOTSTRAP_VARIABLE} to a broker's address",
        ) from None


def _check(path: Path, settings: Mapping[str, str]) -> None:
    """Whether a client takes the settings; its own words may hold a value, so names are told."""
    if _refused(settings):
        wrong = [name for name, value in settings.items() if _refused({name: value})]
        raise UnusableInput(
            f"{path}: {', '.join(wrong) or 'the settings together'} cannot be used",
            hint="names and values are librdkafka's, not those of Java clients: sasl.username and"
            " sasl.password, ssl.ca.location ...",
        )


def _refused(settings: Mapping[str, str]) -> bool:
    try:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
    except ImportError:
        raise UnusableInput(
            "the package confluent-kafka is not installed", hint="run make setup"
        ) from None
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: None}
    try:
        AdminClient({**settings, **quiet})
    except KafkaException:
        return True
    return False


def _properties(path: Path) -> dict[str, str]:
    """A `.properties` file: `name=value` lines, comments with # or !, values as they are."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(
            f"{path}: cannot be read: {error}", hint=f"{SETTINGS_VARIABLE} names it"
        ) from None
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        name, separator, value = stripped.partition("=")
        if not separator or not name.strip():
            # the line itself may be a secret that was broken over two
            raise UnusableInput(f"{path}:{number}: is no line name=value")
        found[name.strip()] = value.strip()
    return found
